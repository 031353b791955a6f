# Two slots: the boot script counts attempts.

FILESEXTRAPATHS:prepend:p2pcam-ab := "${P2PCAM_TREE}/image/update:"

do_compile:prepend:p2pcam-ab() {
    # The firmware's own arguments and device tree are what knows this board: serial number, overlays, camera.
    sed -e 's|@PART_A@|2|; s|@ROOT_A@|/dev/mmcblk0p2|; s|@PART_B@|3|; s|@ROOT_B@|/dev/mmcblk0p3|' \
        -e 's|@BOOTARGS@|fdt addr ${fdt_addr} \&\& fdt get value bootargs /chosen bootargs|' \
        -e 's|@ARGUMENTS@||; s|@FDT@||' \
        -e 's|@KERNEL@|boot/${KERNEL_IMAGETYPE}|' \
        -e 's|@BOOT@|${KERNEL_BOOTCMD} ${kernel_addr_r} - ${fdt_addr}|' \
        "${P2PCAM_TREE}/image/update/boot.cmd.in" > "${UNPACKDIR}/boot.cmd.in"
}
do_compile[file-checksums] += "${@'${P2PCAM_TREE}/image/update/boot.cmd.in:True' if 'p2pcam-ab' in d.getVar('OVERRIDES').split(':') else ''}"
