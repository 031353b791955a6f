# shellcheck shell=bash
# What scripts/flash must know of disks before it writes to one. Needs deps.sh.

# Mount points whose disk is this system's.
OWN_MOUNTS='/ /boot /boot/efi /boot/firmware /home /usr /var'

disk_names() {
    lsblk -dnpo NAME
}

# disk_shown DISK: what is on it, for whoever has to decide.
disk_shown() {
    lsblk -po NAME,SIZE,TYPE,FSTYPE,LABEL,MOUNTPOINTS,VENDOR,MODEL,SERIAL "$1"
}

# Disks that are not this system's.
disks_listed() {
    local disk own
    own=$(own_disks)
    for disk in $(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" { print $1 }'); do
        grep -qxF "$disk" <<<"$own" || disk_shown "$disk"
    done
}

# Disks that this system needs, through partitions, LVM, RAID and encryption.
own_disks() {
    local mount source
    for mount in $OWN_MOUNTS; do
        source=$(findmnt -nvo SOURCE --mountpoint "$mount" 2>/dev/null | head -n 1) || continue
        [ ! -b "$source" ] || lsblk -nrspo NAME "$source"
    done
    awk 'NR > 1 { print $1 }' /proc/swaps | while read -r source; do
        [ ! -b "$source" ] || lsblk -nrspo NAME "$source"
    done
}

# disk_may_be_written DISK IMAGE, or it ends with the reason.
disk_may_be_written() {
    local disk image=$2 type mounted need have
    # A link as in /dev/disk/by-id would hide what it is.
    disk=$(readlink -f -- "$1" 2>/dev/null) || disk=$1
    [ -b "$disk" ] || die "$1 is no disk." "./scripts/flash --list shows the disks."
    type=$(lsblk -dnro TYPE "$disk")
    case $type in
        disk | loop) ;;
        part) die "$1 is a partition of $(lsblk -dnrpo PKNAME "$disk"). The image holds a partition table: name the whole disk." ;;
        *) die "$1 is of the type $type, not a disk." ;;
    esac
    if own_disks | grep -qxF "$disk"; then
        die "$1 holds the system that runs here. It is not written to, whatever is said."
    fi
    mounted=$(lsblk -nrpo NAME,MOUNTPOINTS "$disk" | awk 'NF > 1')
    if [ -n "$mounted" ]; then
        die "$1 is in use:" "$mounted" "Unmount it first: umount $(awk '{ printf "%s ", $1 }' <<<"$mounted")"
    fi
    [ "$(lsblk -dnro RO "$disk")" = 0 ] || die "$1 cannot be written to: look at the card's lock."
    need=$(image_size "$image")
    have=$(lsblk -dnbro SIZE "$disk")
    if [ -n "$need" ] && [ "$need" -gt "$have" ]; then
        die "The image does not fit: it needs $((need / 1000000)) MB, $1 has $((have / 1000000)) MB."
    fi
}

# bmap_of IMAGE: its block map, or nothing. Yocto names it after the image without the compression.
bmap_of() {
    local name
    for name in "$1.bmap" "${1%.*}.bmap" "${1%.*.*}.bmap"; do
        if [ -f "$name" ]; then
            printf '%s\n' "$name"
            return
        fi
    done
}

# image_size IMAGE: bytes on the disk, or nothing if that cannot be known without unpacking.
image_size() {
    local bmap
    bmap=$(bmap_of "$1")
    if [ -n "$bmap" ]; then
        sed -n 's|.*<ImageSize> *\([0-9]*\) *</ImageSize>.*|\1|p' "$bmap" | head -n 1
        return
    fi
    case $1 in
        *.zst | *.xz | *.gz | *.bz2) ;;
        *) stat -c %s "$1" ;;
    esac
}

# disk_that_came BEFORE SECONDS: the one disk that was not there before.
disk_that_came() {
    local waited=0 new
    while :; do
        new=$(comm -13 <(sort <<<"$1") <(disk_names | sort))
        case $(grep -c . <<<"$new") in
            0) ;;
            1)
                printf '%s\n' "$new"
                return
                ;;
            *) die "More than one disk appeared:" "$new" "Unplug the others and start again." ;;
        esac
        [ "$waited" -lt "$2" ] || die "No disk appeared within $2 s. Is the board in USB boot mode, with a cable that carries data?"
        sleep 1
        waited=$((waited + 1))
    done
}

# rockchip_boards DRY: the one board in download mode.
rockchip_boards() {
    local list
    if [ "$1" = yes ]; then
        echo "(not looked for)"
        return
    fi
    list=$(as_root rkdeveloptool ld 2>/dev/null | grep -E '(Maskrom|Loader)' || true)
    case $(grep -c . <<<"$list") in
        0) die "No Rockchip board in download mode. Hold its maskrom button while it gets power, and look at the cable." ;;
        1) printf '%s\n' "$list" ;;
        *) die "More than one board is in download mode:" "$list" "Unplug the others and start again." ;;
    esac
}
