# shellcheck shell=bash
# check-images against a real checkout of Buildroot, and the hash of a release. Needs deps.sh and tools.sh.

BUILDROOT_HASH=buildroot-external/package/p2pcam-agent/p2pcam-agent.hash

check_kconfig() {
    say "Buildroot tree: Config.in, defconfigs, package"
    "$IMAGE_TOOLS/bin/python" scripts/lib/images/kconfig.py
}

# What each of our images must have, whatever else Buildroot changes: the camera, its network and clock, updates from a
# server, and the tools by which RAUC marks slots.
BUILDROOT_NEEDS=(P2PCAM_AGENT RAUC RAUC_NETWORK RAUC_STREAMING UBOOT_TOOLS_FWPRINTENV SYSTEMD_NETWORKD SYSTEMD_RESOLVED
    SYSTEMD_TIMESYNCD)

# buildroot_make TARGET...: in OUT, of the checkout TREE.
buildroot_make() {
    make -s -C "$TREE" O="$OUT" BR2_EXTERNAL="$EXTERNAL" "$@"
}

# check_buildroot FOLDER [TARBALL]: a checkout of Buildroot; nothing is built but its configuration program.
check_buildroot() {
    local name config saved info
    TREE=$1 OUT=$PWD/target/check-images/buildroot EXTERNAL=$PWD/buildroot-external
    [ -x "$TREE/utils/check-package" ] || die "$TREE is no checkout of Buildroot."
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages make gcc g++ patch perl rsync bc unzip cpio file bison flex
    rm -rf "$OUT"
    mkdir -p "$OUT"
    say "Buildroot $(sed -n 's/^export BR2_VERSION := //p' "$TREE/Makefile"): check-package"
    # It starts flake8 and shellcheck of its own accord.
    (cd "$TREE" && find "$EXTERNAL" -type f -print0 |
        PATH=$IMAGE_TOOLS/bin:$PATH xargs -0 "$IMAGE_TOOLS/bin/python" utils/check-package --br2-external)
    for config in "$EXTERNAL"/configs/*_defconfig; do
        name=${config##*/}
        saved=$OUT/$name
        say "Buildroot: $name is what savedefconfig makes of it"
        buildroot_make "$name" >/dev/null
        buildroot_make savedefconfig BR2_DEFCONFIG="$saved" >/dev/null
        diff -u "$config" "$saved"
        for info in "${BUILDROOT_NEEDS[@]}"; do
            grep -qx "BR2_PACKAGE_$info=y" "$OUT/.config" || die "$name has no BR2_PACKAGE_$info."
        done
    done
    check_buildroot_disks
    # Buildroot reads all packages for what follows, which takes long: for one board.
    buildroot_make p2pcam_raspberrypi4_64_defconfig >/dev/null
    say "Buildroot: what p2pcam-agent depends on"
    info=$(buildroot_make p2pcam-agent-show-recursive-depends)
    for name in alsa-lib host-clang host-rustc libvpx; do
        grep -qw -- "$name" <<<"$info" || die "Buildroot does not see that p2pcam-agent depends on $name."
    done
    check_buildroot_checkout
    [ -z "${2:-}" ] || check_buildroot_release "$2"
}

# buildroot_package ARGUMENT...: p2pcam-agent alone up to its installation, a stand-in for what cargo builds, and none of
# the packages that it depends on.
buildroot_package() {
    local kind none=()
    for kind in '' _ALL _DOWNLOAD _EXTRACT _PATCH; do
        none+=("P2PCAM_AGENT_FINAL${kind}_DEPENDENCIES=")
    done
    rm -rf "$OUT/target" "$OUT"/build/p2pcam-agent-*
    mkdir -p "$OUT/target"
    # Buildroot would build the tar of its own choice first.
    # shellcheck disable=SC2016
    buildroot_make "${none[@]}" BR2_DL_DIR="$OUT/dl" TAR=tar XZCAT=xzcat "$@" \
        P2PCAM_AGENT_BUILD_CMDS='install -D -m 755 /bin/true $(@D)/target/$(RUSTC_TARGET_NAME)/release/p2pcam-agent' \
        p2pcam-agent-install-target
}

# check_buildroot_installed: what the package put into the target is what systemd can read.
check_buildroot_installed() {
    local units=$OUT/target/usr/lib/systemd/system root=$OUT/root file
    for file in usr/bin/p2pcam-agent etc/p2pcam/agent.toml usr/libexec/p2pcam/p2pcam-slot usr/share/p2pcam/offer.jsonl \
        usr/lib/systemd/network/60-p2pcam-ether.network; do
        [ -e "$OUT/target/$file" ] || die "The package installs no $file."
    done
    cmp "$OUT/target/etc/p2pcam/agent.toml" image/boards/raspberrypi4.toml
    # Every unit of the tree, as Yocto's recipes install them; boot.mount is post-build.sh's.
    for file in image/device/*.service image/device/*.mount image/update/*.service agent/systemd/*.service; do
        cmp "$file" "$units/${file##*/}"
    done
    rm -rf "$root"
    mkdir "$root"
    cp -a "$OUT/target" "$root/buildroot"
    check_units "$root"
}

# check_buildroot_checkout: a checkout in place of a release, as README.md of the tree says; cargo is this machine's.
check_buildroot_checkout() {
    say "Buildroot: p2pcam-agent of this checkout"
    # What was fetched here before is enough, and the network is not asked.
    mkdir -p "$OUT/dl/br-cargo-home"
    ln -sfn "${CARGO_HOME:-$HOME/.cargo}/registry" "$OUT/dl/br-cargo-home/registry"
    CARGO_NET_OFFLINE=true buildroot_package P2PCAM_AGENT_OVERRIDE_SRCDIR="$PWD" >"$OUT/checkout.log" 2>&1 ||
        die "$(tail -n 20 "$OUT/checkout.log")"
    check_buildroot_copied "$OUT/build/p2pcam-agent-custom"
    check_buildroot_installed
}

# check_buildroot_copied FOLDER: what Buildroot took of the checkout is the source alone: every file of it, and nothing that a
# developer made beside it. Its own build has made target, but not for this machine.
check_buildroot_copied() {
    local name
    name=$(cd "$1" && find . \( -path ./.cache -o -path ./hil-report -o -path ./target/debug -o -path '*/*/target' \) -prune -print)
    [ -z "$name" ] || die "Buildroot copied what is not the source:" "$name"
    git ls-files -z | while IFS= read -r -d '' name; do
        # What was removed and not committed yet is not to be copied.
        [ -e "$1/$name" ] || [ ! -e "$name" ] || die "Buildroot did not copy $name."
    done
}

# check_buildroot_release TARBALL: from its site, by its checksum, with the crates that are inside of it.
check_buildroot_release() {
    local tarball=$1 hashes=$OUT/hashes/p2pcam-agent source
    tarball=$(cd "$(dirname "$tarball")" && pwd)/${tarball##*/}
    mkdir -p "$hashes"
    {
        grep -v '\.tar\.xz$' "$BUILDROOT_HASH"
        echo "sha256  $(sha256sum <"$tarball" | cut -d' ' -f1)  ${tarball##*/}"
    } >"$hashes/p2pcam-agent.hash"
    say "Buildroot: p2pcam-agent of ${tarball##*/}"
    buildroot_package P2PCAM_AGENT_SITE="file://${tarball%/*}" BR2_GLOBAL_PATCH_DIR="$OUT/hashes" >"$OUT/release.log" 2>&1 ||
        die "$(tail -n 20 "$OUT/release.log")"
    check_buildroot_installed
    say "Buildroot: cargo finds every crate in the release"
    source=$OUT/build/p2pcam-agent-$(package_version)
    mkdir -p "$OUT/no-crates"
    (cd "$source/agent" && CARGO_HOME=$OUT/no-crates cargo metadata --offline --locked --format-version=1 >/dev/null)
}

# write_hash TARBALL: puts a release's checksum into the package, for scripts that make releases.
write_hash() {
    local tarball=$1 sum
    [ -f "$tarball" ] || die "There is no file $tarball."
    case ${tarball##*/} in
        p2pcam-[0-9]*.tar.xz) ;;
        *) die "${tarball##*/} is not named as releases are: p2pcam-VERSION.tar.xz" ;;
    esac
    # Buildroot would fetch the crates again, and from the network, without this folder (support/download/cargo-post-process).
    tar tf "$tarball" | grep -q '^[^/]*/VENDOR/' || die "$tarball holds no folder VENDOR with the crates."
    sum=$(sha256sum <"$tarball")
    sed -i "/  p2pcam-[0-9].*\.tar\.xz$/d" "$BUILDROOT_HASH"
    sed -i "1a sha256  ${sum%% *}  ${tarball##*/}" "$BUILDROOT_HASH"
    say "$BUILDROOT_HASH: ${tarball##*/}"
}
