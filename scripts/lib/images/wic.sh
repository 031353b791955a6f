# shellcheck shell=bash
# check-images: disk images by wic, OpenEmbedded's own program, with stand-ins for what a build would have made. Needs
# deps.sh and tools.sh.

# wic calls these; a build has its own.
packages_wic() {
    echo python3 parted gdisk fdisk dosfstools mtools e2fsprogs
}

# wic_of FOLDER: sets WIC to the command of the wic that belongs to a folder of checkouts: a program of its own since 2026
# (https://git.yoctoproject.org/wic, beside openembedded-core), a part of openembedded-core before.
wic_of() {
    if [ -e "$1/openembedded-core/scripts/wic" ]; then
        WIC=(python3 "$1/openembedded-core/scripts/wic")
    elif [ -d "$1/wic/src/wic" ]; then
        WIC=(env PYTHONPATH="$1/wic/src" python3 -c 'import sys; from wic.cli import main; sys.exit(main(sys.argv[1:]))')
    else
        die "$1 holds no wic: a checkout of it is needed beside openembedded-core."
    fi
}

# check_wic FOLDER: both layouts become disks whose partitions are numbered, named and filled as boot scripts and RAUC
# expect them.
check_wic() {
    local folder work stem env
    folder=$(cd "$1" && pwd)
    wic_of "$folder"
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_wic)
    work=$PWD/target/check-images/wic
    rm -rf "$work"
    mkdir -p "$work"/{deploy,rootfs/etc,rootfs/boot,vars,native/sbin,out}
    # What each board's boot loader is, as far as a layout names it.
    for stem in idbloader.img u-boot.itb u-boot.bin p2pcam-boot.scr; do
        echo "$stem" >"$work/deploy/$stem"
    done
    # wic of 2026 gives sfdisk an option of util-linux 2.39; its value is what older ones have anyway.
    if ! sfdisk --help | grep -q -- --sector-size; then
        # shellcheck disable=SC2016
        printf '#!/bin/sh\n[ "$1 $2" != "--sector-size 512" ] || shift 2\nexec %s "$@"\n' "$(command -v sfdisk)" >"$work/native/sbin/sfdisk"
        chmod 755 "$work/native/sbin/sfdisk"
    fi
    echo slot >"$work/rootfs/etc/p2pcam"
    for stem in raspberrypi rockchip; do
        env=$work/vars/$stem.env
        {
            echo 'SPL_BINARY="idbloader.img"'
            echo 'UBOOT_SUFFIX="itb"'
            echo "DEPLOY_DIR_IMAGE=\"$work/deploy\""
            echo "IMAGE_ROOTFS=\"$work/rootfs\""
            echo "STAGING_DATADIR=\"$work/deploy\""
            echo "RECIPE_SYSROOT_NATIVE=\"$work/native\""
            echo 'HOSTTOOLS_DIR="/usr/sbin:/usr/bin:/sbin:/bin"'
            # As p2pcam.inc and meta-raspberrypi have them.
            case $stem in
                rockchip) sed -n 's/^IMAGE_BOOT_FILES:rockchip = /IMAGE_BOOT_FILES=/p' meta-p2pcam/conf/distro/include/p2pcam.inc ;;
                *) echo 'IMAGE_BOOT_FILES="u-boot.bin;kernel8.img p2pcam-boot.scr;boot.scr"' ;;
            esac
        } >"$env"
        say "wic: $stem"
        if ! (cd "$work" && BUILDDIR=$work "${WIC[@]}" create "$OLDPWD/meta-p2pcam/files/wic/p2pcam-$stem.wks" \
            --vars "$work/vars" -e "$stem" -o "$work/out/$stem" -w "$work/tmp-$stem") >"$work/$stem.log" 2>&1; then
            cat "$work/$stem.log" >&2
            die "wic makes no disk of p2pcam-$stem.wks."
        fi
        mv "$work/out/$stem"/*.direct "$work/$stem.img"
    done
    disk_is "$work/rockchip.img" gpt 5=rootfs-a 6=rootfs-b 7=data 2=uboot_env
    disk_is "$work/raspberrypi.img" dos 2=rootfs-a 3=rootfs-b 4=data
    # U-Boot on Rockchip looks for its script on the partition that is marked, and there is one.
    [ "$(sgdisk --attributes=4:get:2 "$work/rockchip.img")" = 4:2:1 ] || die "Partition 4 is not marked as bootable."
    file_is "$work/rockchip.img" 4 boot.scr p2pcam-boot.scr
    file_is "$work/raspberrypi.img" 1 boot.scr p2pcam-boot.scr
    # Where meta-rockchip's U-Boot keeps its environment: CONFIG_ENV_OFFSET.
    [ "$(first_sector "$work/rockchip.img" 2)" = $((0x3f8000 / 512)) ] || die "uboot_env is not where U-Boot looks for it."
    # By these numbers the boot scripts load kernels.
    grep -q '@PART_A@|5|.*@PART_B@|6|' meta-p2pcam/dynamic-layers/rockchip/recipes-bsp/u-boot/u-boot_%.bbappend
    grep -q '@PART_A@|2|.*@PART_B@|3|' meta-p2pcam/dynamic-layers/raspberrypi/recipes-bsp/rpi-u-boot-scr/rpi-u-boot-scr.bbappend
    rm -rf "$work"
}

# first_sector IMAGE NUMBER
first_sector() {
    partx --show --noheadings --output START --nr "$2" "$1" | tr -d ' '
}

# disk_is IMAGE TABLE NUMBER=NAME...: kind of partition table, and the file systems' labels or the partitions' names.
disk_is() {
    local image=$1 kind pair label
    kind=$(sfdisk --json "$image" | sed -n 's/.*"label": *"\([^"]*\)".*/\1/p')
    [ "$kind" = "$2" ] || die "${image##*/} has a partition table of the kind $kind."
    shift 2
    for pair; do
        if [ "$kind" = gpt ]; then
            label=$(partx --show --noheadings --output NAME --nr "${pair%%=*}" "$image" | sed 's/ *$//')
        else
            label=$(blkid --probe --offset $(($(first_sector "$image" "${pair%%=*}") * 512)) --output value --match-tag LABEL "$image")
        fi
        [ "$label" = "${pair#*=}" ] || die "${image##*/}: partition ${pair%%=*} is '$label', should be '${pair#*=}'."
    done
}

# file_is IMAGE NUMBER NAME TEXT: a file of a FAT partition.
file_is() {
    local text
    text=$(mtype -i "$1@@$(($(first_sector "$1" "$2") * 512))" "::$3")
    [ "$text" = "$4" ] || die "${1##*/}: $3 of partition $2 is not $4."
}
