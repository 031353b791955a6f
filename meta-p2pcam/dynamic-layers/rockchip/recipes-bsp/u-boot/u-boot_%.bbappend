# Two slots: a boot script counts attempts; it and the environment lie outside of both.

DEPENDS:append:rockchip:p2pcam-ab = " u-boot-mkimage-native"

FILESEXTRAPATHS:prepend:p2pcam-ab := "${P2PCAM_TREE}/image/update:"
SRC_URI:append:rockchip:p2pcam-ab = " file://boot.cmd.in file://u-boot.cfg"

# Partitions are numbered by p2pcam-rockchip.wks. UBOOT_EXTLINUX_CONSOLE is meta-rockchip's.
do_compile:append:rockchip:p2pcam-ab() {
    sed -e 's|@PART_A@|5|; s|@ROOT_A@|PARTLABEL=rootfs-a|; s|@PART_B@|6|; s|@ROOT_B@|PARTLABEL=rootfs-b|' \
        -e 's|@BOOTARGS@|setenv bootargs|; s|@ARGUMENTS@|${UBOOT_EXTLINUX_CONSOLE}|; s|@FDT@||' \
        -e 's|@KERNEL@|boot/fitImage|' -e 's|@BOOT@|bootm ${kernel_addr_r}|' \
        ${UNPACKDIR}/boot.cmd.in > ${B}/boot.cmd
    mkimage -A ${UBOOT_ARCH} -T script -C none -n "p2pcam slots" -d ${B}/boot.cmd ${B}/boot.scr
}

# For the image's boot partition: IMAGE_BOOT_FILES in p2pcam.inc.
do_deploy:append:rockchip:p2pcam-ab() {
    install -D -m 0644 ${B}/boot.scr ${DEPLOYDIR}/p2pcam-boot.scr
}
