# shellcheck shell=bash
# check-images against a real checkout of Buildroot, and the hash of a release. Needs deps.sh and tools.sh.

BUILDROOT_HASH=buildroot-external/package/p2pcam-agent/p2pcam-agent.hash

check_kconfig() {
    say "Buildroot tree: Config.in, defconfigs, package"
    "$IMAGE_TOOLS/bin/python" scripts/lib/images/kconfig.py
}

# check_buildroot FOLDER: a checkout of Buildroot; nothing is built but its configuration program.
check_buildroot() {
    local tree=$1 out=$PWD/target/check-images/buildroot external=$PWD/buildroot-external name config saved info
    [ -x "$tree/utils/check-package" ] || die "$tree is no checkout of Buildroot."
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages make gcc g++ patch perl rsync bc unzip cpio file bison flex
    mkdir -p "$out"
    say "Buildroot $(sed -n 's/^export BR2_VERSION := //p' "$tree/Makefile"): check-package"
    # It starts flake8 and shellcheck of its own accord.
    (cd "$tree" && find "$external" -type f -print0 |
        PATH=$IMAGE_TOOLS/bin:$PATH xargs -0 "$IMAGE_TOOLS/bin/python" utils/check-package --br2-external)
    for config in "$external"/configs/*_defconfig; do
        name=${config##*/}
        saved=$out/$name
        say "Buildroot: $name is what savedefconfig makes of it"
        make -s -C "$tree" O="$out" BR2_EXTERNAL="$external" "$name" >/dev/null
        make -s -C "$tree" O="$out" BR2_EXTERNAL="$external" savedefconfig BR2_DEFCONFIG="$saved" >/dev/null
        diff -u "$config" "$saved"
        grep -qx 'BR2_PACKAGE_P2PCAM_AGENT=y' "$out/.config" || die "$name does not build p2pcam-agent."
        # Buildroot reads the package for this; it takes long, so for the one board that anybody can run.
        case $name in *qemu*) ;; *) continue ;; esac
        say "Buildroot: what p2pcam-agent depends on"
        info=$(make -s -C "$tree" O="$out" BR2_EXTERNAL="$external" p2pcam-agent-show-recursive-depends)
        for name in alsa-lib host-clang host-rustc libvpx; do
            grep -qw -- "$name" <<<"$info" || die "Buildroot does not see that p2pcam-agent depends on $name."
        done
    done
}

# write_hash TARBALL: puts a release's checksum into the package, for scripts that make releases.
write_hash() {
    local tarball=$1 sum
    [ -f "$tarball" ] || die "There is no file $tarball."
    case ${tarball##*/} in
        p2pcam-[0-9]*.tar.xz) ;;
        *) die "${tarball##*/} is not named as releases are: p2pcam-VERSION.tar.xz" ;;
    esac
    # Buildroot would fetch the crates again, and from the network, without this folder (support/download/cargo-post-process).
    tar tf "$tarball" | grep -q '^[^/]*/VENDOR/' || die "$tarball holds no folder VENDOR with the crates."
    sum=$(sha256sum <"$tarball")
    sed -i "/  p2pcam-[0-9].*\.tar\.xz$/d" "$BUILDROOT_HASH"
    sed -i "1a sha256  ${sum%% *}  ${tarball##*/}" "$BUILDROOT_HASH"
    say "$BUILDROOT_HASH: ${tarball##*/}"
}
