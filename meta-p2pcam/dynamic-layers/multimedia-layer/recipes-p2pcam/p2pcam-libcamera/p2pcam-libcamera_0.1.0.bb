# CSI cameras through libcamera's V4L2 compatibility layer.

SUMMARY = "Lets the p2pcam agent see CSI cameras through libcamera"
DESCRIPTION = "A drop-in for the agent's unit that puts libcamera's V4L2 compatibility layer before the C library."

P2PCAM_FILES = "LICENSE-APACHE LICENSE-MIT image/libcamera"
require recipes-p2pcam/p2pcam-agent/p2pcam-source.inc
LICENSE = "MIT | Apache-2.0"

inherit allarch features_check

REQUIRED_DISTRO_FEATURES = "systemd"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0644 ${S}/image/libcamera/60-libcamera.conf \
        ${D}${systemd_system_unitdir}/p2pcam-agent.service.d/60-libcamera.conf
}

FILES:${PN} += "${systemd_system_unitdir}/p2pcam-agent.service.d"

# The compatibility layer is part of libcamera.
RDEPENDS:${PN} = "libcamera"
