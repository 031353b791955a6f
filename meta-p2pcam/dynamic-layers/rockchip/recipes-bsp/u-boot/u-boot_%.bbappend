# Two slots: a boot script in each of them counts attempts; the environment lies outside of both.

DEPENDS:append:rockchip:p2pcam-ab = " u-boot-mkimage-native"

FILESEXTRAPATHS:prepend:p2pcam-ab := "${P2PCAM_TREE}/image/update:"
SRC_URI:append:rockchip:p2pcam-ab = " file://boot.cmd.in file://u-boot.cfg"

# Slots are looked at in the order of the partition table, so the script of slot A is what runs; it loads the kernel of
# the slot that it chose. UBOOT_EXTLINUX_CONSOLE is meta-rockchip's.
do_compile:append:rockchip:p2pcam-ab() {
    sed -e 's|@PART_A@|4|; s|@ROOT_A@|PARTLABEL=rootfs-a|; s|@PART_B@|5|; s|@ROOT_B@|PARTLABEL=rootfs-b|' \
        -e 's|@BOOTARGS@|setenv bootargs|; s|@ARGUMENTS@|${UBOOT_EXTLINUX_CONSOLE}|; s|@FDT@||' \
        -e 's|@KERNEL@|boot/fitImage|' -e 's|@BOOT@|bootm ${kernel_addr_r}|' \
        ${UNPACKDIR}/boot.cmd.in > ${B}/boot.cmd
    mkimage -A ${UBOOT_ARCH} -T script -C none -n "p2pcam slots" -d ${B}/boot.cmd ${B}/boot.scr
}

do_install:append:rockchip:p2pcam-ab() {
    install -D -m 0644 ${B}/boot.scr ${D}/boot/boot.scr
}

FILES:${PN}-extlinux:append:rockchip:p2pcam-ab = " /boot/boot.scr"
