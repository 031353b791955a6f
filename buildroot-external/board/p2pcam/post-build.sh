#!/usr/bin/env bash
# Before the root file system is made: RAUC's slots, U-Boot's environment, what a camera in the field does not need.
# Called by Buildroot: TARGET_DIR, then the arguments of BR2_ROOTFS_POST_SCRIPT_ARGS: the board.
set -euo pipefail

target=$1
board=$2
here=$(dirname "${BASH_SOURCE[0]}")
image=$here/../../../image
# shellcheck source=/dev/null
. "$here/$board/board.sh"

# The boot loader starts /boot/Image of the slot, with the arguments of its script.
install -d "$target/boot"
printf '%s\n' "$UBOOT_ENV" >"$target/etc/fw_env.config"

install -d "$target/usr/lib/rauc"
sed -e "s|@COMPATIBLE@|p2pcam-$board|; s|@KEYRING@|keyring.pem|" \
    -e "s|@DEVICE_A@|$ROOT_A|; s|@DEVICE_B@|$ROOT_B|" \
    "$image/update/system.conf.in" >"$target/usr/lib/rauc/system.conf"

# Kconfig wrote the path in quotes; without one there are no updates.
keyring=$(sed -n 's/^BR2_PACKAGE_P2PCAM_AGENT_KEYRING="\(.*\)"$/\1/p' "$BR2_CONFIG")
if [ -n "$keyring" ]; then
    install -m 644 "$keyring" "$target/usr/lib/rauc/keyring.pem"
else
    rm -f "$target/usr/lib/rauc/keyring.pem"
    echo "p2pcam: BR2_PACKAGE_P2PCAM_AGENT_KEYRING is empty: this image will take no updates" >&2
fi

if [ "$UBOOT_ENV_IN_BOOT" = yes ]; then
    # Over the slot's own /boot, whose kernel only the boot loader reads.
    install -m 644 "$image/update/boot.mount" "$target/usr/lib/systemd/system/boot.mount"
fi
