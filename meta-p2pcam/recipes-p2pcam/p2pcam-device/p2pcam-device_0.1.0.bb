# Identity of one unit, state on the data partition, the viewers' link on console and file.

SUMMARY = "First boot of a p2pcam camera: identity, state, viewers' link"
DESCRIPTION = "Units and a script that make an id from the board's serial number, keep secrets on the data partition, and \
print the viewers' link with its QR code."

P2PCAM_FILES = "LICENSE-APACHE LICENSE-MIT image/device"
require recipes-p2pcam/p2pcam-agent/p2pcam-source.inc
LICENSE = "MIT | Apache-2.0"

inherit allarch features_check systemd

# The init script of the agent does without this package's units, but a read-only image without systemd is untried.
REQUIRED_DISTRO_FEATURES = "systemd"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

SYSTEMD_SERVICE:${PN} = "data.mount p2pcam-device.service p2pcam-link.service p2pcam-wifi.service var-lib-p2pcam.mount"

do_install() {
    install -D -m 0755 ${S}/image/device/p2pcam-device ${D}${libexecdir}/p2pcam/p2pcam-device
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/image/device/*.service ${S}/image/device/*.mount ${D}${systemd_system_unitdir}
    install -D -m 0644 ${S}/image/device/p2pcam-agent.conf \
        ${D}${systemd_system_unitdir}/p2pcam-agent.service.d/50-device.conf
    install -D -m 0644 ${S}/image/device/60-p2pcam-wlan.network ${D}${systemd_unitdir}/network/60-p2pcam-wlan.network
    install -D -m 0644 ${S}/image/device/60-p2pcam-watchdog.conf ${D}${systemd_unitdir}/system.conf.d/60-p2pcam-watchdog.conf
    # A read-only root file system gets no mount points later.
    install -d ${D}/data
}

FILES:${PN} += "/data ${systemd_unitdir}/network ${systemd_unitdir}/system.conf.d ${systemd_system_unitdir}/p2pcam-agent.service.d"

# The data partition is looked through before it is mounted.
RDEPENDS:${PN} = "e2fsprogs-e2fsck"
# For wifi.conf on the data partition.
RRECOMMENDS:${PN} = "wpa-supplicant"
