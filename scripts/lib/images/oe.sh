# shellcheck shell=bash
# check-images against real checkouts of OpenEmbedded. Needs deps.sh and tools.sh.

# Layers in the folder of checkouts, in the order of their dependencies; those that are missing are left out and said.
OE_LAYERS='openembedded-core/meta meta-openembedded/meta-oe meta-openembedded/meta-python
    meta-openembedded/meta-multimedia meta-openembedded/meta-networking meta-rauc meta-raspberrypi
    meta-arm/meta-arm-toolchain meta-arm/meta-arm meta-rockchip'
# Layers that a machine's configuration is in.
declare -A OE_MACHINES=([qemuarm64]=openembedded-core/meta [raspberrypi4-64]=meta-raspberrypi
    [raspberrypi0-2w-64]=meta-raspberrypi [raspberrypi5]=meta-raspberrypi [rock-5b]=meta-rockchip
    [radxa-zero-3w]=meta-rockchip)

# BitBake wants these programs on the machine, and English messages.
packages_oe() {
    echo chrpath cpio diffstat file gawk git locales lz4 python3 rsync socat texinfo zstd gcc g++ make patch wget bzip2 xz-utils
}

# BitBake refuses root.
as_builder() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}

# oe_run COMMAND: in OpenEmbedded's environment, without network.
oe_run() {
    # The checkouts belong to somebody else than who runs BitBake.
    # shellcheck disable=SC2016
    as_builder env -i HOME="$OE_BUILD/home" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=en_US.UTF-8 LC_ALL=en_US.UTF-8 \
        GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
        BITBAKEDIR="$OE_SOURCES/bitbake" BB_ENV_PASSTHROUGH_ADDITIONS=MACHINE ${MACHINE:+MACHINE="$MACHINE"} \
        bash -c '. "$1/openembedded-core/oe-init-build-env" "$2" >/dev/null && shift 2 && "$@"' \
        oe "$OE_SOURCES" "$OE_BUILD" "$@"
}

# oe_prepare FOLDER: writes the build's configuration.
oe_prepare() {
    local layer
    OE_SOURCES=$(cd "$1" && pwd)
    OE_BUILD=$PWD/target/check-images/oe
    if [ ! -d "$OE_SOURCES/openembedded-core/meta" ] || [ ! -d "$OE_SOURCES/bitbake/lib/bb" ]; then
        die "$1 needs checkouts openembedded-core and bitbake, and should have: $OE_LAYERS"
    fi
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_oe)
    locale -a | grep -qi '^en_US\.utf-\?8$' || as_root localedef -i en_US -f UTF-8 en_US.UTF-8
    mkdir -p "$OE_BUILD"/{conf,home}
    : >"$OE_BUILD/conf/keyring.pem"
    cat >"$OE_BUILD/conf/local.conf" <<-END
		MACHINE ??= "qemuarm64"
		DISTRO = "nodistro"
		BB_NO_NETWORK = "1"
		CONNECTIVITY_CHECK_URIS = ""
		BB_NUMBER_PARSE_THREADS = "2"
		INHERIT:remove = "uninative"
		# Recipes of other layers that are not of interest: a regular expression.
		BBMASK = "${OE_MASK:-}"
		LICENSE_FLAGS_ACCEPTED = "synaptics-killswitch"
		RAUC_KEYRING_FILE = "$OE_BUILD/conf/keyring.pem"
		RAUC_CERT_FILE = "$OE_BUILD/conf/keyring.pem"
		RAUC_KEY_FILE = "$OE_BUILD/conf/keyring.pem"
		require conf/distro/include/p2pcam.inc
	END
    # shellcheck disable=SC2016
    {
        echo 'POKY_BBLAYERS_CONF_VERSION = "2"'
        echo 'BBPATH = "${TOPDIR}"'
        echo 'BBFILES ?= ""'
        echo "BBLAYERS = \" \\"
        for layer in $OE_LAYERS; do
            if [ -d "$OE_SOURCES/$layer" ]; then
                echo "    $OE_SOURCES/$layer \\"
            else
                say "There is no $layer: what needs it is not looked at."
            fi
        done
        echo "    $PWD/meta-p2pcam \\"
        echo '"'
    } >"$OE_BUILD/conf/bblayers.conf"
    [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$OE_BUILD"
}

# check_oe_parse FOLDER: every recipe of every layer, for the first machine.
check_oe_parse() {
    oe_prepare "$1"
    say "BitBake: every recipe"
    oe_run bitbake -p
}

# check_oe FOLDER [MACHINE...]: that, sources, the tasks of the image and the bundle for each machine, and
# yocto-check-layer.
check_oe() {
    local folder=$1
    shift
    check_oe_parse "$folder"
    check_oe_sources "$folder"
    check_oe_graph "$folder" "$@"
    check_oe_layer "$folder"
}

# check_oe_sources FOLDER: BitBake fetches the agent's sources, the crates from cargo's own cache, and unpacks them; cargo
# then finds all that it needs there and nowhere else.
check_oe_sources() {
    local sources home
    oe_prepare "$1"
    cargo fetch --locked --quiet
    mkdir -p "$OE_BUILD/downloads"
    cp -n "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/*.crate "$OE_BUILD/downloads/"
    [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$OE_BUILD/downloads"
    say "BitBake: sources of the agent, checksums of its crates"
    oe_run bitbake -b "$PWD/meta-p2pcam/recipes-p2pcam/p2pcam-agent/p2pcam-agent_$(package_version).bb" -c unpack
    sources=$(find "$OE_BUILD/tmp/work" -maxdepth 5 -type d -name "p2pcam-agent-$(package_version)" | head -n 1)
    home=$(mktemp -d)
    # As cargo_common.bbclass has it; without a network and without another place to look.
    printf '[source.bitbake]\ndirectory = "%s"\n[source.crates-io]\nreplace-with = "bitbake"\nlocal-registry = "/nonexistent"\n' \
        "${sources%/*}/cargo_home/bitbake" >"$home/config.toml"
    (cd "$sources/agent" && CARGO_HOME=$home cargo metadata --frozen --format-version=1 --no-default-features >/dev/null)
    rm -rf "$home"
}

package_version() {
    sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1
}

# check_oe_graph FOLDER [MACHINE...]: the tasks of the image and the bundle; for all machines if none is named. BitBake
# reads everything again for each machine.
check_oe_graph() {
    local machine
    oe_prepare "$1"
    shift
    [ $# -gt 0 ] || set -- "${!OE_MACHINES[@]}"
    for machine; do
        [ -d "$OE_SOURCES/${OE_MACHINES[$machine]:?is no machine of this layer}" ] || continue
        say "BitBake: the image's tasks on $machine"
        (cd "$OE_BUILD" && MACHINE=$machine oe_run bitbake -g p2pcam-image p2pcam-bundle)
        check_oe_boot_files "$machine"
    done
}

# check_oe_boot_files MACHINE: the disk is made after what its boot partition holds; the tools that mark slots come with
# the image. By the graph that BitBake wrote last.
check_oe_boot_files() {
    local graph=$OE_BUILD/task-depends.dot task
    case $1 in
        raspberrypi*) set -- rpi-u-boot-scr.do_deploy u-boot.do_deploy rpi-bootfiles.do_deploy ;;
        rock-5b | radxa-*) set -- u-boot.do_deploy ;;
        *) return ;;
    esac
    # A script that only the graph leads to through another task would do too, but each is named by do_image_wic itself.
    for task; do
        grep -qF "\"p2pcam-image.do_image_wic\" -> \"$task\"" "$graph" || die "do_image_wic does not wait for $task."
    done
    grep -qF '"p2pcam-image.do_rootfs" -> "libubootenv.do_package_write_' "$graph" || die "fw_setenv is not in the image."
}

# check_oe_layer FOLDER: Yocto's own judgement of the layer, without its policy file, which changes builds on purpose.
check_oe_layer() {
    local log
    oe_prepare "$1"
    log=$OE_BUILD/yocto-check-layer.log
    sed -i '/^require /d' "$OE_BUILD/conf/local.conf"
    # It adds the layer and what the layer depends on itself, to see what they change.
    sed -i "\|^    $PWD/meta-p2pcam|d; \|/meta-oe |d" "$OE_BUILD/conf/bblayers.conf"
    say "yocto-check-layer"
    oe_run yocto-check-layer --no-auto-dependency "$PWD/meta-p2pcam" \
        --dependency "$OE_SOURCES/meta-openembedded/meta-oe" --output-log "$log"
    # A layer that it skipped is no error to it.
    grep -q '^INFO: meta-p2pcam \.\.\. PASS' "$log"
}
