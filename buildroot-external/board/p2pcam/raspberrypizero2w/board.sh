# shellcheck shell=bash disable=SC2034
# Raspberry Pi Zero 2 W: slots, U-Boot's environment and script; read by post-build.sh and post-image.sh.

ROOT_A=/dev/mmcblk0p2
ROOT_B=/dev/mmcblk0p3
# A file on the firmware's partition; name, offset and size are those of U-Boot's rpi_arm64_defconfig.
UBOOT_ENV='/boot/uboot.env 0x0000 0x4000'
UBOOT_ENV_IN_BOOT=yes
PART_A=2
PART_B=3
KERNEL_ROOT_A=/dev/mmcblk0p2
KERNEL_ROOT_B=/dev/mmcblk0p3
# The firmware's own arguments and device tree know this board: serial number, overlays, camera.
# Its variables are U-Boot's.
# shellcheck disable=SC2016
BOOTARGS='fdt addr ${fdt_addr} && fdt get value bootargs /chosen bootargs'
ARGUMENTS=''
FDT=''
# shellcheck disable=SC2016
BOOT='booti ${kernel_addr_r} - ${fdt_addr}'
