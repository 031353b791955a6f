# shellcheck shell=bash
# The emulated board's disk, kernel and first file system, made of Debian packages and of what hil/board holds.
# Needs deps.sh and debs.sh; run from the top of the source tree.
#
# Everything lies in $CACHE/board under names that tell the content, so what has not changed is not made again.

# The guest's and this machine's side of the board's network; each board has a network namespace of its own.
BOARD_ADDRESS=10.77.0.2
BOARD_GATEWAY=10.77.0.1
BOARD_LABEL=board
# Sparse: what is not written takes no space. Room for core dumps, captures and test programs.
BOARD_DISK=1500M
# Switching between branches must not build images each time.
BOARD_KEEP_DAYS=7

# Fields of a list file, without comments.
board_list() {
    sed 's/#.*//' "$@" | xargs -n 1 2>/dev/null || true
}

# Content of files and folders as one short word.
board_hash() {
    find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16
}

# board_tools: sets BOARD_TOOLS, a folder with this machine's programs for board_tool. They are taken from packages
# because Debian 12's own QEMU is too old, and the newer one excludes other installed packages.
board_tools() {
    local newer=$DEBIAN_SUITE-backports key
    need_debs "$(dpkg --print-architecture)" qemu-system-{arm,common,data}/"$newer" qemu-utils/"$newer" \
        systemd kmod e2fsprogs openssh-client cpio
    key=$(printf '%s\n' "links inside" "${DEBS[@]##*/}" | sha256sum | cut -c1-16)
    BOARD_TOOLS=$CACHE/board/tools-$key
    [ -d "$BOARD_TOOLS" ] && return
    say "Unpacking QEMU and other tools."
    rm -rf "$BOARD_TOOLS.new"
    mkdir -p "$BOARD_TOOLS.new"
    unpack_debs "$BOARD_TOOLS.new" "${DEBS[@]}"
    # Debian's depmod is a link to /bin/kmod, which this machine need not have.
    local link
    while IFS= read -r link; do
        ln -sfnr "$BOARD_TOOLS.new$(readlink "$link")" "$link"
    done < <(find "$BOARD_TOOLS.new" -path '*bin/*' -type l -lname '/*')
    mv "$BOARD_TOOLS.new" "$BOARD_TOOLS"
}

# Sets BOARD_RUN to the words that start a program of BOARD_TOOLS with the libraries that it was made for.
board_tool_words() {
    local program loader library
    for program in "$BOARD_TOOLS"/{usr/,}{s,}bin/"$1"; do
        [ -x "$program" ] && break
    done
    loader=$(compgen -G "$BOARD_TOOLS/lib*/ld-linux*.so.*" | head -n 1)
    library=$(dirname "$(compgen -G "$BOARD_TOOLS/lib/*/libc.so.6")")
    library=${library#"$BOARD_TOOLS"}
    library=$BOARD_TOOLS$library:$BOARD_TOOLS/usr$library:$BOARD_TOOLS$library/systemd:$BOARD_TOOLS/usr$library/systemd
    BOARD_RUN=("$loader" --library-path "$library" "$program")
}

# board_tool NAME ARGUMENT...
board_tool() {
    board_tool_words "$1"
    shift
    "${BOARD_RUN[@]}" "$@"
}

# Whoever makes the disk owns its files; in a namespace where that is root, the disk says root.
board_as_owner() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        unshare --map-root-user "$@"
    fi
}

# board_packages: sets DEBS to the packages of the board's system, BOARD_KERNEL_DEB to its kernel and BOARD_KERNEL to
# the kernel's release.
board_packages() {
    local names
    mapfile -t names < <(board_list hil/board/packages)
    need_debs arm64 "${names[@]}" busybox-static
    local system=("${DEBS[@]}")
    board_kernel
    DEBS=("${system[@]}")
}

# board_kernel: sets BOARD_KERNEL_DEB and BOARD_KERNEL.
board_kernel() {
    need_debs arm64 "linux-image-arm64/$DEBIAN_SUITE-backports"
    BOARD_KERNEL_DEB=$(debs_named 'linux-image-[0-9]*' "${DEBS[@]}")
    BOARD_KERNEL=$(basename "$BOARD_KERNEL_DEB")
    BOARD_KERNEL=${BOARD_KERNEL#linux-image-}
    BOARD_KERNEL=${BOARD_KERNEL%%_*}
}

# board_modules: sets BOARD_MODULES to a folder with the modules of hil/board/modules, or to nothing.
board_modules() {
    local key
    BOARD_MODULES=
    if [ ! -x hil/board/modules/build ]; then
        say "Without modules of our own: there is no hil/board/modules/build."
        return
    fi
    key=$(printf '%s %s\n' "$BOARD_KERNEL" "$(board_hash hil/board/modules)" | sha256sum | cut -c1-16)
    BOARD_MODULES=$CACHE/board/modules-$key
    [ -d "$BOARD_MODULES" ] && return
    say "Building the modules of hil/board/modules."
    rm -rf "$BOARD_MODULES.new"
    mkdir -p "$BOARD_MODULES.new"
    P2PCAM_CACHE=$CACHE hil/board/modules/build "$BOARD_MODULES.new" || die "hil/board/modules/build failed; its words above say why."
    mv "$BOARD_MODULES.new" "$BOARD_MODULES"
}

# board_key: the key that opens the board's SSH server, one for each cache.
board_key() {
    BOARD_KEY=$CACHE/board/key
    [ -s "$BOARD_KEY" ] && return
    mkdir -p "$CACHE/board"
    board_tool ssh-keygen -q -t ed25519 -N '' -C p2pcam-board -f "$BOARD_KEY"
}

# need_board_image: sets BOARD_BASE to a folder with disk.ext4, vmlinuz and initrd; the agent is not in it.
need_board_image() {
    local key lock
    mkdir -p "$CACHE/board"
    exec {lock}>"$CACHE/board/lock"
    flock "$lock"
    board_tools
    board_key
    board_packages
    board_modules
    key=$({
        printf '%s\n' "${DEBS[@]##*/}" "${BOARD_KERNEL_DEB##*/}" "${BOARD_MODULES##*/}"
        cat "$BOARD_KEY.pub"
        declare -f board_assemble board_kernel_files board_initramfs board_settle board_enable unpack_debs
        board_hash hil/board/{files,init,initramfs.list,loaded,masked,modules.list}
    } | sha256sum | cut -c1-16)
    BOARD_BASE=$CACHE/board/base-$key
    if [ ! -d "$BOARD_BASE" ]; then
        board_assemble "$BOARD_BASE.new"
        mv "$BOARD_BASE.new" "$BOARD_BASE"
        board_forget_old
    fi
    touch "$BOARD_BASE"
    exec {lock}>&-
}

# Images and snapshots of earlier contents, 200 to 400 MB each, that nobody started for days.
board_forget_old() {
    find "$CACHE/board" -mindepth 1 -maxdepth 1 \( -name 'base-*' -o -name 'snapshot-*' \) -mtime +$BOARD_KEEP_DAYS \
        -exec rm -rf {} +
}

board_assemble() {
    local out=$1 root=$1/root
    chmod -R u+w "$out" 2>/dev/null || true
    rm -rf "$out"
    mkdir -p "$root"/usr/{bin,sbin,lib} "$root"/{boot,dev,home,mnt,proc,run,srv,sys}
    # As the installer does it before the first package.
    ln -s usr/bin "$root/bin"
    ln -s usr/sbin "$root/sbin"
    ln -s usr/lib "$root/lib"
    say "Unpacking ${#DEBS[@]} packages."
    unpack_debs "$root" "${DEBS[@]}"
    rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bash-completion,zoneinfo,i18n} "$root/usr/lib/udev/hwdb.d" "$root"/usr/lib/*/gconv
    # Neither a mixer's state nor a clock is to be restored.
    rm -f "$root"/usr/lib/udev/rules.d/{85-hwclock,90-alsa-restore}.rules
    board_kernel_files "$out"
    board_initramfs "$out"
    rm "$root/usr/bin/busybox"
    board_settle "$root"
    say "Making the disk."
    board_tool_words mke2fs
    board_as_owner "${BOARD_RUN[@]}" -q -t ext4 -L "$BOARD_LABEL" -E root_owner=0:0 \
        -O ^has_journal -m 0 -d "$root" "$out/disk.ext4" "$BOARD_DISK" >/dev/null
    chmod -R u+w "$root"
    rm -rf "$root"
}

# The kernel and those of its modules that are listed, with what they depend on.
board_kernel_files() {
    local out=$1 root=$1/root whole=$1/kernel names=() module path
    local modules=usr/lib/modules/$BOARD_KERNEL
    unpack_debs "$whole" "$BOARD_KERNEL_DEB"
    mv "$whole/boot/vmlinuz-$BOARD_KERNEL" "$out/vmlinuz"
    # kmod looks for modules in lib.
    mkdir -p "$root/$modules/kernel"
    cp "$whole/lib/modules/$BOARD_KERNEL"/modules.{order,builtin,builtin.modinfo} "$root/$modules/"
    board_tool depmod -b "$whole" "$BOARD_KERNEL"
    mapfile -t names < <(board_list hil/board/modules.list)
    for module in "${names[@]}"; do
        board_tool modprobe -d "$whole" -S "$BOARD_KERNEL" --show-depends "$module" || die "Debian's kernel has no module $module."
    done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r path; do
        path=${path#"$whole/lib/modules/$BOARD_KERNEL/"}
        mkdir -p "$root/$modules/$(dirname "$path")"
        # Unpacked here in an instant, by the emulated processor in seconds.
        xz -dc "$whole/lib/modules/$BOARD_KERNEL/$path" >"$root/$modules/${path%.xz}"
    done
    rm -rf "$whole"
    sed -i 's/\.xz$//' "$root/$modules/modules.order"
    if [ -n "$BOARD_MODULES" ]; then
        mkdir -p "$root/$modules/updates"
        cp "$BOARD_MODULES"/*.ko "$root/$modules/updates/"
    fi
    board_tool depmod -b "$root" "$BOARD_KERNEL"
    mkdir -p "$root/etc/modules-load.d"
    {
        board_list hil/board/loaded
        [ -z "$BOARD_MODULES" ] || (cd "$BOARD_MODULES" && printf '%s\n' *.ko | sed 's/\.ko$//')
    } >"$root/etc/modules-load.d/board.conf"
}

board_initramfs() {
    local out=$1 root=$1/root tree=$1/initramfs name path files=()
    mkdir -p "$tree"/{bin,modules}
    cp "$root/bin/busybox" "$tree/bin/"
    mapfile -t names < <(board_list hil/board/initramfs.list)
    while read -r path; do
        cp "$path" "$tree/modules/"
        name=$(basename "$path")
        case " ${files[*]} " in *" $name "*) ;; *) files+=("$name") ;; esac
    done < <(for name in "${names[@]}"; do
        board_tool modprobe -d "$root" -S "$BOARD_KERNEL" --show-depends "$name"
    done | awk '$1 == "insmod" { print $2 }')
    printf '%s="%s"\n' MODULES "${files[*]}" ADDRESS "$BOARD_ADDRESS/24" GATEWAY "$BOARD_GATEWAY" LABEL "$BOARD_LABEL" >"$tree/settings"
    cp hil/board/init "$tree/init"
    chmod 755 "$tree/init"
    (cd "$tree" && find . | board_tool cpio --quiet -o -H newc -R 0:0) >"$out/initrd"
    rm -rf "$tree"
}

# What the packages' scripts would have done, as far as the board needs it.
board_settle() {
    local root=$1 unit
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    # No password opens anything.
    sed 's/^\([^:]*\):.*/\1:*:1::::::/' "$root/etc/passwd" >"$root/etc/shadow"
    sed 's/^\([^:]*\):.*/\1:*::/' "$root/etc/group" >"$root/etc/gshadow"
    chmod 600 "$root/etc/shadow" "$root/etc/gshadow"
    echo 'u sshd - "sshd" /run/sshd' >"$root/usr/lib/sysusers.d/sshd.conf"
    printf 'g %s -\n' input kvm render sgx >"$root/usr/lib/sysusers.d/udev.conf"
    echo 'd /run/sshd 0755' >"$root/usr/lib/tmpfiles.d/sshd.conf"
    board_tool systemd-sysusers --root="$root" 2>/dev/null

    cp -r hil/board/files/. "$root/"
    echo b0a2d0b0a2d0b0a2d0b0a2d0b0a2d0b0 >"$root/etc/machine-id"
    : >"$root/etc/resolv.conf"
    ln -sf mawk "$root/usr/bin/awk"
    ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    board_enable "$root" sysinit.target board-gpio.service
    board_enable "$root" multi-user.target ssh.service
    while read -r unit; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done < <(board_list hil/board/masked)
    # Nothing is out of date, so no unit sets out to bring it up to date.
    touch "$root/etc/.updated" "$root/var/.updated"

    mkdir -p "$root/root/.ssh"
    cp "$BOARD_KEY.pub" "$root/root/.ssh/authorized_keys"
    chmod -R go= "$root/root"
    board_tool ssh-keygen -q -t ed25519 -N '' -C board -f "$root/etc/ssh/ssh_host_ed25519_key"
}

# board_enable ROOT TARGET UNIT
board_enable() {
    mkdir -p "$1/etc/systemd/system/$2.wants"
    ln -sf "../$3" "$1/etc/systemd/system/$2.wants/$3"
    [ -e "$1/etc/systemd/system/$3" ] || ln -sf "/usr/lib/systemd/system/$3" "$1/etc/systemd/system/$2.wants/$3"
}
