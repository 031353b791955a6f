# shellcheck shell=bash disable=SC2034
# Radxa ROCK 5B: slots, U-Boot's environment and script; read by post-build.sh and post-image.sh.

ROOT_A=/dev/disk/by-partlabel/rootfs-a
ROOT_B=/dev/disk/by-partlabel/rootfs-b
# A partition of its own; offset and size are those of uboot.fragment.
UBOOT_ENV='/dev/disk/by-partlabel/uboot-env 0x0000 0x10000'
UBOOT_ENV_IN_BOOT=no
PART_A=3
PART_B=4
KERNEL_ROOT_A=PARTLABEL=rootfs-a
KERNEL_ROOT_B=PARTLABEL=rootfs-b
BOOTARGS='setenv bootargs'
ARGUMENTS='console=ttyS2,1500000n8 earlycon'
# Its variables are U-Boot's.
# shellcheck disable=SC2016
FDT='load ${devtype} ${devnum}:${slot_part} ${fdt_addr_r} boot/rk3588-rock-5b.dtb'
# shellcheck disable=SC2016
BOOT='booti ${kernel_addr_r} - ${fdt_addr_r}'
