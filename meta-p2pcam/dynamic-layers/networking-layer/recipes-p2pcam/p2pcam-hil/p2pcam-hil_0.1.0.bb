# The rig, for bench controllers: boards and viewers behind every kind of NAT. Not for cameras.

SUMMARY = "Hardware-in-the-loop rig for p2pcam"
DESCRIPTION = "Scenarios and a NAT lab in network namespaces, for a computer at the bench that boards are wired to. It \
runs as root."

require recipes-p2pcam/p2pcam-agent/p2pcam-source.inc
require recipes-p2pcam/p2pcam-agent/p2pcam-agent-crates.inc
require ${BPN}-licenses.inc

DEPENDS += "alsa-lib clang-native cmake-native libvpx"

CVE_PRODUCT = "p2pcam:p2pcam-hil"

inherit cargo pkgconfig

CARGO_SRC_DIR = "hil"
CARGO_LOCK_PATH = "${S}/Cargo.lock"
CARGO_BUILD_FLAGS += "--bin p2pcam-hil"

export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
BINDGEN_EXTRA_CLANG_ARGS = "--target=${HOST_SYS} --sysroot=${STAGING_DIR_HOST} -I${STAGING_INCDIR}"
export BINDGEN_EXTRA_CLANG_ARGS

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/p2pcam-hil ${D}${bindir}/p2pcam-hil
    # `p2pcam-hil run ... --tree /usr/share/p2pcam-hil`: scenarios, and the service that goes onto boards.
    install -d ${D}${datadir}/p2pcam-hil/hil/scenarios ${D}${datadir}/p2pcam-hil/agent/systemd
    install -m 0644 ${S}/hil/scenarios/* ${D}${datadir}/p2pcam-hil/hil/scenarios
    install -m 0644 ${S}/agent/systemd/* ${D}${datadir}/p2pcam-hil/agent/systemd
}

# What the lab starts. Its STUN and TURN server, coturn, has no recipe in meta-openembedded: scenarios with servers need
# one from another layer.
RDEPENDS:${PN} = "dnsmasq iproute2 miniupnpd nftables"
# A bad line is netem's work.
RRECOMMENDS:${PN} = "kernel-module-sch-netem kernel-module-veth"
