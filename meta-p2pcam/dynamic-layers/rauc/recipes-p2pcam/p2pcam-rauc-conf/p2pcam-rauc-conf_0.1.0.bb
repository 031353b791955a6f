# RAUC's configuration: the slots of this kind of board, and whose bundles it takes.

SUMMARY = "RAUC slots and keyring of a p2pcam camera"
DESCRIPTION = "Two slots with kernel and system, and the authority whose bundles this camera takes."

P2PCAM_FILES = "LICENSE-APACHE LICENSE-MIT image/update image/device"
require recipes-p2pcam/p2pcam-agent/p2pcam-source.inc
LICENSE = "MIT | Apache-2.0"

inherit systemd

INHIBIT_DEFAULT_DEPS = "1"

# A file of your own authority; there is none in this layer, as whoever has its key could update every camera.
RAUC_KEYRING_FILE ??= ""

P2PCAM_SLOT_A ?= "/dev/disk/by-label/rootfs-a"
P2PCAM_SLOT_B ?= "/dev/disk/by-label/rootfs-b"
# Bundles carry a label of their own: only the partition table tells the slots apart after an update.
P2PCAM_SLOT_A:rpi = "/dev/mmcblk0p2"
P2PCAM_SLOT_B:rpi = "/dev/mmcblk0p3"
P2PCAM_SLOT_A:rockchip = "/dev/disk/by-partlabel/rootfs-a"
P2PCAM_SLOT_B:rockchip = "/dev/disk/by-partlabel/rootfs-b"

SYSTEMD_SERVICE:${PN} = ""
SYSTEMD_SERVICE:${PN}:rpi = "boot.mount"

do_configure[noexec] = "1"

do_compile() {
    if [ -z "${RAUC_KEYRING_FILE}" ]; then
        bbfatal "RAUC_KEYRING_FILE is not set: name the certificate of the authority that signs your bundles (README.md)"
    fi
    sed -e 's|@COMPATIBLE@|p2pcam-${MACHINE}|' -e 's|@KEYRING@|keyring.pem|' \
        -e 's|@DEVICE_A@|${P2PCAM_SLOT_A}|' -e 's|@DEVICE_B@|${P2PCAM_SLOT_B}|' \
        ${S}/image/update/system.conf.in > ${B}/system.conf
}
do_compile[file-checksums] += "${@'${RAUC_KEYRING_FILE}:True' if d.getVar('RAUC_KEYRING_FILE') else ''}"

do_install() {
    install -D -m 0644 ${B}/system.conf ${D}${nonarch_libdir}/rauc/system.conf
    install -m 0644 ${RAUC_KEYRING_FILE} ${D}${nonarch_libdir}/rauc/keyring.pem
}

do_install:append:rpi() {
    # U-Boot's environment is a file there.
    install -D -m 0644 ${S}/image/update/boot.mount ${D}${systemd_system_unitdir}/boot.mount
    install -d ${D}/boot
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

FILES:${PN} += "${nonarch_libdir}/rauc /boot"

RDEPENDS:${PN} += "p2pcam-slot"
# Only by policy: two that provide it would change what rauc is built with.
RPROVIDES:${PN}:append:p2pcam-ab = " virtual-rauc-conf"
