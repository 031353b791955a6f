#!/usr/bin/env bash
# After the root file system: U-Boot's script, the disk image with two slots and a data partition, an update bundle.
# Called by Buildroot: BINARIES_DIR, then the arguments of BR2_ROOTFS_POST_SCRIPT_ARGS: the board.
#
# P2PCAM_BUNDLE_CERT and P2PCAM_BUNDLE_KEY name the certificate and key that sign the bundle; without them none is made.
set -euo pipefail

images=$1
board=$2
here=$(dirname "${BASH_SOURCE[0]}")
image=$here/../../../image
# shellcheck source=/dev/null
. "$here/$board/board.sh"

# script_word TEXT: as the replacement of a sed command.
script_word() {
    # shellcheck disable=SC2001
    sed 's/[&|\\]/\\&/g' <<<"$1"
}

sed -e "s|@PART_A@|$PART_A|; s|@PART_B@|$PART_B|" \
    -e "s|@ROOT_A@|$(script_word "$KERNEL_ROOT_A")|; s|@ROOT_B@|$(script_word "$KERNEL_ROOT_B")|" \
    -e "s|@BOOTARGS@|$(script_word "$BOOTARGS")|; s|@ARGUMENTS@|$(script_word "$ARGUMENTS")|" \
    -e "s|@KERNEL@|boot/Image|; s|@FDT@|$(script_word "$FDT")|; s|@BOOT@|$(script_word "$BOOT")|" \
    "$image/update/boot.cmd.in" >"$images/boot.cmd"
mkimage -A arm64 -T script -C none -n "p2pcam slots" -d "$images/boot.cmd" "$images/boot.scr"

# What outlives updates, empty; genimage would need one more program for it.
rm -f "$images/data.ext4"
truncate -s 256M "$images/data.ext4"
mke2fs -q -t ext4 -L data "$images/data.ext4"

# The firmware's files, whatever they are in this version.
files=
for file in "$images"/rpi-firmware/* "$images"/*.dtb; do
    if [ -e "$file" ]; then
        files+="\"${file#"$images"/}\", "
    fi
done
sed "s|@FIRMWARE@|$(script_word "$files")|" "$here/$board/genimage.cfg" >"$images/genimage.cfg"
support/scripts/genimage.sh -c "$images/genimage.cfg"

if [ -n "${P2PCAM_BUNDLE_CERT:-}" ] && [ -n "${P2PCAM_BUNDLE_KEY:-}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # Buildroot's rootfs.ext4 is a link to rootfs.ext2; what it points to is meant.
    ln -L "$images/rootfs.ext4" "$work/rootfs.ext4" 2>/dev/null || cp -L "$images/rootfs.ext4" "$work/rootfs.ext4"
    cat >"$work/manifest.raucm" <<-END
		[update]
		compatible=p2pcam-$board
		version=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y%m%d%H%M)

		[bundle]
		format=verity

		[image.rootfs]
		filename=rootfs.ext4
	END
    rm -f "$images/p2pcam-$board.raucb"
    rauc bundle --cert="$P2PCAM_BUNDLE_CERT" --key="$P2PCAM_BUNDLE_KEY" "$work" "$images/p2pcam-$board.raucb"
else
    echo "p2pcam: P2PCAM_BUNDLE_CERT and P2PCAM_BUNDLE_KEY are not set: no update bundle was made" >&2
fi
