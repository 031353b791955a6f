# The health check between two slots: a camera that answered a session stays.

SUMMARY = "Health check that marks a RAUC slot good once the camera works"
DESCRIPTION = "The agent serves, and an offer is answered; else the boot loader takes the other slot."

P2PCAM_FILES = "LICENSE-APACHE LICENSE-MIT image/update"
require recipes-p2pcam/p2pcam-agent/p2pcam-source.inc
LICENSE = "MIT | Apache-2.0"

inherit allarch features_check systemd

REQUIRED_DISTRO_FEATURES = "systemd"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

SYSTEMD_SERVICE:${PN} = "p2pcam-slot.service"

FILES:${PN} += "${systemd_system_unitdir}/p2pcam-slot-failed.service"

do_install() {
    install -D -m 0755 ${S}/image/update/p2pcam-slot ${D}${libexecdir}/p2pcam/p2pcam-slot
    install -D -m 0644 ${S}/image/update/offer.jsonl ${D}${datadir}/p2pcam/offer.jsonl
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/image/update/p2pcam-slot.service ${S}/image/update/p2pcam-slot-failed.service \
        ${D}${systemd_system_unitdir}
}
