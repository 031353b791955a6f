# shellcheck shell=bash
# check-images: what Buildroot calls after a build (post-build.sh, post-image.sh) with stand-ins for what was built, and the
# disk that comes of it. Needs deps.sh, wic.sh, and TREE, OUT and EXTERNAL of buildroot.sh.

# Buildroot has its own of these.
packages_buildroot_disks() {
    echo u-boot-tools genimage dosfstools mtools e2fsprogs gdisk fdisk rauc squashfs-tools openssl
}

# stand_ins BOARD FOLDER: what a build leaves for post-image.sh.
stand_ins() {
    local name root
    root=$2/../root
    mkdir -p "$root/boot"
    # Not to be compressed to nothing: RAUC signs no bundle of one block.
    head -c 64K /dev/urandom >"$root/boot/Image"
    truncate -s 512M "$2/rootfs.ext2"
    mke2fs -q -t ext4 -L rootfs -d "$root" "$2/rootfs.ext2"
    # As fs/ext2/ext2.mk does it.
    ln -sf rootfs.ext2 "$2/rootfs.ext4"
    for name in u-boot.bin u-boot-rockchip.bin; do echo "$name" >"$2/$name"; done
    case $1 in
        raspberrypi*)
            mkdir -p "$2/rpi-firmware/overlays"
            cp "$EXTERNAL/board/p2pcam/$1"/{config,cmdline}.txt "$2/rpi-firmware/"
            echo overlay >"$2/rpi-firmware/overlays/imx219.dtbo"
            echo tree >"$2/bcm2711-rpi-4-b.dtb"
            ;;
    esac
}

# throw_away_keys FOLDER: an authority and what it lets sign updates, as docs/images.md makes them.
throw_away_keys() {
    local new=(openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    mkdir -p "$1"
    "${new[@]}" -x509 -days 2 -subj "/CN=Nobody's cameras" -keyout "$1/ca.key.pem" -out "$1/ca.cert.pem"
    "${new[@]}" -subj "/CN=Nobody's release" -keyout "$1/bundle.key.pem" -out "$1/bundle.csr.pem"
    openssl x509 -req -in "$1/bundle.csr.pem" -CA "$1/ca.cert.pem" -CAkey "$1/ca.key.pem" -CAcreateserial -days 1 \
        -out "$1/bundle.cert.pem"
} 2>/dev/null

# bundle_is FILE BOARD KEYS: RAUC takes it as an update for that board, with the whole root file system inside.
bundle_is() {
    local info size
    info=$(rauc --keyring="$3/ca.cert.pem" info --output-format=shell "$1" 2>&1) || die "RAUC does not take ${1##*/}:" "$info"
    grep -qx "RAUC_MF_COMPATIBLE='p2pcam-$2'" <<<"$info" || die "${1##*/} is for another board:" "$info"
    size=$(sed -n "s/^RAUC_IMAGE_SIZE_0='\{0,1\}\([0-9]*\).*/\1/p" <<<"$info")
    [ "$size" = $((512 * 1024 * 1024)) ] || die "${1##*/} holds ${size:-no} bytes of a root file system."
}

# check_buildroot_disks: for every board, partitions are where its boot script and RAUC look for them.
check_buildroot_disks() {
    local board area image start keys
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_buildroot_disks)
    keys=$OUT/disks/keys
    throw_away_keys "$keys"
    for board in qemu raspberrypi4 raspberrypizero2w rock5b; do
        say "Buildroot: disk of $board"
        area=$OUT/disks/$board
        rm -rf "$area"
        mkdir -p "$area"/{images,target/etc,target/usr/lib/systemd/system}
        echo "BR2_PACKAGE_P2PCAM_AGENT_KEYRING=\"$keys/ca.cert.pem\"" >"$area/config"
        stand_ins "$board" "$area/images"
        BR2_CONFIG=$area/config "$EXTERNAL/board/p2pcam/post-build.sh" "$area/target" "$board"
        if ! (cd "$TREE" && BUILD_DIR=$area BINARIES_DIR=$area/images \
            P2PCAM_BUNDLE_CERT=$keys/bundle.cert.pem P2PCAM_BUNDLE_KEY=$keys/bundle.key.pem \
            "$EXTERNAL/board/p2pcam/post-image.sh" "$area/images" "$board") >"$area/log" 2>&1; then
            die "$(tail -n 20 "$area/log")"
        fi
        ! grep -n '@[A-Z]' "$area/images/boot.cmd" || die "Words of the boot script were not replaced."
        bundle_is "$area/images/p2pcam-$board.raucb" "$board" "$keys"
        image=$(ls "$area"/images/*.img)
        (
            # shellcheck source=/dev/null
            . "$EXTERNAL/board/p2pcam/$board/board.sh"
            # The boot script's numbers, RAUC's devices and fw_setenv's file, against the disk.
            case $board in
                rock5b)
                    disk_is "$image" gpt 1=uboot-env 2=boot "$PART_A=rootfs-a" "$PART_B=rootfs-b" 5=data
                    [ "$(sgdisk --attributes=2:get:2 "$image")" = 2:2:1 ] || die "The boot partition is not marked as bootable."
                    start=$(sed -n 's/^CONFIG_ENV_OFFSET=//p' "$EXTERNAL/board/p2pcam/rock5b/uboot.fragment")
                    [ "$(first_sector "$image" 1)" = $((start / 512)) ] || die "uboot-env is not where U-Boot looks for it."
                    boot_files_are "$image" 2 boot.scr
                    ;;
                qemu) boot_files_are "$image" 1 boot.scr ;;
                *) boot_files_are "$image" 1 boot.scr u-boot.bin config.txt cmdline.txt overlays/imx219.dtbo ;;
            esac
            if [ "$board" != rock5b ]; then
                disk_is "$image" dos "$PART_A=rootfs" "$PART_B=rootfs" 4=data
                case $ROOT_A in *"$PART_A") ;; *) die "$ROOT_A is not partition $PART_A." ;; esac
                [ -e "$area/target/usr/lib/systemd/system/boot.mount" ] || die "Nothing mounts U-Boot's environment."
            fi
            grep -qxF "$UBOOT_ENV" "$area/target/etc/fw_env.config"
            grep -qxF "device=$ROOT_B" "$area/target/usr/lib/rauc/system.conf"
        )
        rm -rf "$area"
    done
    rm -rf "$keys"
}

# boot_files_are IMAGE NUMBER NAME...: they are on a FAT partition.
boot_files_are() {
    local image=$1 number=$2 name
    shift 2
    for name; do
        mdir -b -i "$image@@$(($(first_sector "$image" "$number") * 512))" "::$name" >/dev/null 2>&1 ||
            die "${image##*/}: there is no $name on partition $number."
    done
}
