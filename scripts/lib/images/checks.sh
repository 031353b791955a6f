# shellcheck shell=bash
# What check-images looks at without a checkout of anything else. Needs deps.sh and tools.sh.

# Findings of oelint-adv that are not followed, each with its reason.
#   homepageping          asks the network
#   noanonpython          a build with too old a Rust must be told so before it starts
#   layerconf             the source tree is found from the layer
#   bbvars.FILESPATH      sources are files of the tree that the layer is in
#   badimagefeature.*     p2pcam-image-dev is a way in for developers, and says so
#   var.order.SUMMARY     of a second package
OELINT_LEFT=(oelint.vars.homepageping oelint.task.noanonpython oelint.vars.layerconf oelint.vars.bbvars.FILESPATH
    oelint.var.badimagefeature.empty-root-password oelint.var.badimagefeature.allow-empty-password
    oelint.var.order.SUMMARY)

check_all() {
    local root=target/check-images/root
    check_scripts
    say "Crates and licences of the recipes against Cargo.lock"
    python3 scripts/lib/images/crates.py --check
    say "Recipes: BitBake's parser, sources, licences, installation"
    rm -rf "$root"
    "$IMAGE_TOOLS/bin/python" scripts/lib/images/layer.py "$root"
    check_units "$root"
    say "Recipes: style"
    check_style
    say "kas files"
    "$IMAGE_TOOLS/bin/python" scripts/lib/images/kas_files.py meta-p2pcam/kas/*.yml
    # What was built here last, if there is one, reads configurations and answers the health check's offer.
    if [ -z "${AGENT_UNDER_TEST:-}" ] && [ -x target/debug/p2pcam-agent ]; then
        export AGENT_UNDER_TEST=$PWD/target/debug/p2pcam-agent
    fi
    say "Configurations of boards"
    python3 scripts/lib/images/boards.py
    check_kconfig
    say "First boot, health check, flashing"
    scripts/lib/images/test-device
    scripts/lib/images/test-slot
    scripts/lib/images/test-flash
}

check_scripts() {
    say "Scripts of images"
    shellcheck --external-sources scripts/check-images scripts/flash scripts/lib/images/*.sh scripts/lib/images/test-*
    shellcheck image/device/p2pcam-device image/update/p2pcam-slot image/sysvinit/*
    shellcheck buildroot-external/board/p2pcam/*.sh
}

check_style() {
    local files=()
    mapfile -t files < <(find meta-p2pcam \( -name '*.bb' -o -name '*.bbappend' -o -name '*.inc' \) ! -name '*-crates.inc' | sort)
    # It says its findings on standard error and counts them in its exit code. The generated list of crates is read with the
    # recipe that requires it, and has the form of OpenEmbedded's own generator.
    "$IMAGE_TOOLS/bin/oelint-adv" --release wrynose --quiet --relpaths --mode all --hide info --jobs 1 --exit-zero \
        --constantmods +scripts/lib/images/oelint.json "${OELINT_LEFT[@]/#/--suppress=}" \
        "${files[@]}" meta-p2pcam/conf/layer.conf 2>&1 | grep -v -- '-crates\.inc:' >target/check-images/oelint || true
    cat target/check-images/oelint >&2
    [ ! -s target/check-images/oelint ]
}

# check_units ROOT: systemd reads every unit as each board's image has it; the programs that it starts are there.
check_units() {
    local root units said ours=()
    say "Units: $(systemd-analyze --version | head -n 1)"
    for root in "$1"/*; do
        units=$root/usr/lib/systemd/system
        mapfile -t ours < <(cd "$units" && ls -- *.service *.mount)
        # What systemd brings itself, as far as our units name it.
        cp -n /usr/lib/systemd/system/*.{target,slice,socket} "$units/"
        cp -n /usr/lib/systemd/system/systemd-{fsck@,sysusers}.service "$units/"
        # A program of another package.
        install -D -m 755 /dev/null "$root/usr/sbin/wpa_supplicant"
        if ! said=$(systemd-analyze verify --root="$root" --man=no "${ours[@]}" 2>&1) || [ -n "$said" ]; then
            die "${root##*/}:" "$said"
        fi
    done
}
