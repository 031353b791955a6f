# The camera agent: binary, hardened unit and init script, configuration of the board.

SUMMARY = "WebRTC camera agent for embedded Linux"
DESCRIPTION = "Live video and two-way sound from V4L2 and ALSA straight to browsers, with a hub and a viewer page \
inside: one binary, no server that the pictures pass through."

require p2pcam-source.inc
require ${BPN}-crates.inc
require ${BPN}-licenses.inc

DEPENDS += "alsa-lib clang-native cmake-native libvpx"

CVE_PRODUCT = "p2pcam:p2pcam-agent"

inherit cargo cargo-update-recipe-crates pkgconfig ptest-cargo systemd update-rc.d useradd

# A member of a workspace, whose lock file lies above it.
CARGO_SRC_DIR = "agent"
CARGO_LOCK_PATH = "${S}/Cargo.lock"
CARGO_BUILD_FLAGS += "--no-default-features --features standard --bin p2pcam-agent"

# Optional parts are features of agent/Cargo.toml, or libraries that the agent opens at run time.
PACKAGECONFIG ??= ""
# Plays files other than MP4 with H.264; needs FFmpeg 4.4 to 8 and its headers.
PACKAGECONFIG[ffmpeg] = "--features ffmpeg,,ffmpeg"
# Rockchip's encoder library, from the vendor's layer; needs the vendor's kernel.
PACKAGECONFIG[mpp] = ",,,rockchip-mpp"

# bindgen, for libvpx and FFmpeg.
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
BINDGEN_EXTRA_CLANG_ARGS = "--target=${HOST_SYS} --sysroot=${STAGING_DIR_HOST} -I${STAGING_INCDIR}"
BINDGEN_EXTRA_CLANG_ARGS:class-native = "-I${STAGING_INCDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS

# Which of image/boards/ becomes /etc/p2pcam/agent.toml.
P2PCAM_BOARD ?= "qemu"
PACKAGE_ARCH:class-target = "${@'${TUNE_PKGARCH}' if d.getVar('P2PCAM_BOARD') == 'qemu' else '${MACHINE_ARCH}'}"

SYSTEMD_SERVICE:${PN} = "p2pcam-agent.service"

INITSCRIPT_NAME = "p2pcam-agent"
INITSCRIPT_PARAMS = "start 80 2 3 4 5 . stop 20 0 1 6 ."

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --home-dir ${localstatedir}/lib/p2pcam --shell /bin/false \
    --groups video,audio,gpio,render --user-group p2pcam"
GROUPADD_PARAM:${PN} = "--system gpio; --system render"

# ptest is the unit tests. With --bin, ptest-cargo would take the agent itself for a test, and run it as one.
CARGO_BUILD_FLAGS:remove:task-compile-ptest-cargo = "--bin"
CARGO_BUILD_FLAGS:remove:task-compile-ptest-cargo = "p2pcam-agent"
# These compile a library in C, or make a network of their own.
RUST_TEST_ARGS = "--skip encoder::mpp:: --skip mdns::lan_tests::"

python () {
    # Before 1.85 cargo cannot even read edition 2024, and says so in words that lead nowhere.
    version = (d.getVar('RUSTVERSION') or '').rstrip('%')
    if version and bb.utils.vercmp_string_op(version, d.getVar('P2PCAM_RUST'), '<'):
        raise bb.parse.SkipRecipe('it needs Rust %s and this build has %s: add a Rust mixin layer (README.md)'
                                  % (d.getVar('P2PCAM_RUST'), version))
}
# rust-version of Cargo.toml.
P2PCAM_RUST = "1.89"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/p2pcam-agent ${D}${bindir}/p2pcam-agent

    install -d -m 0750 ${D}${sysconfdir}/p2pcam
    install -m 0640 ${S}/image/boards/${P2PCAM_BOARD}.toml ${D}${sysconfdir}/p2pcam/agent.toml
}

do_install:append:class-target() {
    chown -R root:p2pcam ${D}${sysconfdir}/p2pcam
    install -D -m 0644 ${S}/agent/systemd/p2pcam.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-p2pcam.rules
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/agent/systemd/p2pcam-agent.service \
            ${D}${systemd_system_unitdir}/p2pcam-agent.service
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -D -m 0755 ${S}/image/sysvinit/p2pcam-agent ${D}${sysconfdir}/init.d/p2pcam-agent
    fi
}

FILES:${PN} += "${nonarch_base_libdir}/udev/rules.d"
CONFFILES:${PN} = "${sysconfdir}/p2pcam/agent.toml"

RRECOMMENDS:${PN} += "ca-certificates kernel-module-uvcvideo kernel-module-snd-usb-audio"

BBCLASSEXTEND = "native"
