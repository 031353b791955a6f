# shellcheck shell=bash disable=SC2034
# QEMU's virt machine with U-Boot: slots, environment and script; read by post-build.sh and post-image.sh.

ROOT_A=/dev/vda2
ROOT_B=/dev/vda3
# A file on the first partition; offset and size are those of uboot.fragment.
UBOOT_ENV='/boot/uboot.env 0x0000 0x4000'
UBOOT_ENV_IN_BOOT=yes
PART_A=2
PART_B=3
KERNEL_ROOT_A=/dev/vda2
KERNEL_ROOT_B=/dev/vda3
BOOTARGS='setenv bootargs'
ARGUMENTS='console=ttyAMA0'
FDT=''
# QEMU's device tree, as U-Boot got it. Its variables are U-Boot's.
# shellcheck disable=SC2016
BOOT='booti ${kernel_addr_r} - ${fdtcontroladdr}'
