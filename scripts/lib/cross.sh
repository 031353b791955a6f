# shellcheck shell=bash
# Builds for boards on another machine, from Debian packages alone: Debian's cross compiler, Debian's libraries of the
# board's architecture unpacked into a folder, and a rustc that has the target's standard library.
# Needs deps.sh, debs.sh and rust.sh; run from the top of the source tree.

# CROSS_LIBRARIES, CROSS_FEATURES
# shellcheck source=scripts/lib/cross.conf
. scripts/lib/cross.conf
# For debs.sh: only where what a build needs of the security archive is there by its hash.
# shellcheck disable=SC2034
DEBS_PARTIAL=${CROSS_STD%%.deb *}
DEBS_PARTIAL=${DEBS_PARTIAL##*_}

# cross_target TARGET: sets CROSS_TARGET, CROSS_ARCH (Debian's word), CROSS_TRIPLE (GNU's word) and CROSS_QEMU (its
# emulator), or says which targets there are.
cross_target() {
    CROSS_TARGET=$1
    # Read by those who call this.
    # shellcheck disable=SC2034
    case $1 in
        aarch64-unknown-linux-gnu) CROSS_ARCH=arm64 CROSS_TRIPLE=aarch64-linux-gnu CROSS_QEMU=qemu-aarch64 ;;
        armv7-unknown-linux-gnueabihf) CROSS_ARCH=armhf CROSS_TRIPLE=arm-linux-gnueabihf CROSS_QEMU=qemu-arm ;;
        *) die "There is no cross build for $1." "There is: aarch64-unknown-linux-gnu, armv7-unknown-linux-gnueabihf." ;;
    esac
}

# Packages of this machine for a cross build to cross_target's.
packages_cross() {
    # A machine of the board's own kind has its compilers under these names too, in packages without.
    if [ "$(dpkg --print-architecture)" = "$CROSS_ARCH" ]; then echo gcc g++; else echo "gcc-$CROSS_TRIPLE g++-$CROSS_TRIPLE"; fi
}

# Sets CROSS_RUSTC: this machine's own rustc if it has the target's standard library (rustup's may), else Debian's,
# unpacked and not installed, as it would exclude another rustc.
cross_rustc() {
    local folder key packages=()
    CROSS_RUSTC=$(command -v rustc)
    folder=$(rustc --print target-libdir --target "$CROSS_TARGET" 2>/dev/null) || folder=
    if [ -n "$folder" ] && compgen -G "$folder/libstd-*.rlib" >/dev/null; then
        return
    fi
    # What rustc needs and every machine with a compiler has (libc, libgcc, libstdc++) is the machine's own: plug-ins
    # that rustc loads are linked with it.
    need_debs "$(dpkg --print-architecture)" rustc-web
    mapfile -t packages < <(for name in rustc-web 'libstd-rust-web*' 'libllvm*' 'libffi*' 'libedit*' libbsd0 libmd0 \
        'libtinfo*' libxml2 'libicu*' 'liblzma*' 'libz3*' zlib1g libzstd1; do debs_named "$name" "${DEBS[@]}"; done)
    cross_std "$(debs_named rustc-web "${packages[@]}" | sed 's/.*rustc-web_//; s/_.*//')"
    mapfile -t -O "${#packages[@]}" packages < <(debs_named libstd-rust-web-dev "${DEBS[@]}")
    key=$(printf '%s\n' "${packages[@]##*/}" | sha256sum | cut -c1-16)
    folder=$CACHE/cross/rustc-$key
    if [ ! -d "$folder" ]; then
        say "Unpacking Debian's rustc with the standard library of $CROSS_TARGET."
        rm -rf "$folder.new"
        mkdir -p "$folder.new/usr/bin"
        unpack_debs "$folder.new" "${packages[@]}"
        cross_rustc_wrapper "$folder.new" "$folder"
        mv "$folder.new" "$folder"
    fi
    CROSS_RUSTC=$folder/rustc
}

# cross_std VERSION: sets DEBS so that Rust's standard library for the target is in it, which must be of the very version
# that rustc has.
cross_std() {
    local name hash
    read -r name hash <<<"$CROSS_STD"
    # Tells whether the security archive is there.
    need_debs "$CROSS_ARCH" libc6
    if [ "$DEBS_SECURITY" = no ] && [[ $name = *_"$1_$CROSS_ARCH".deb ]]; then
        need_deb_by_hash pool/updates/main/r/rustc-web "$name" "$hash"
        return
    fi
    need_debs "$CROSS_ARCH" "libstd-rust-web-dev=$1"
}

# cross_rustc_wrapper FOLDER LATER: a program that starts the rustc of a folder (whose name will be LATER) with its
# libraries; they are not in the environment, where compilers that rustc starts would take them too.
cross_rustc_wrapper() {
    local loader triple
    loader=$(compgen -G '/lib*/ld-linux*.so.*' | head -n 1)
    triple=$(basename "$(dirname "$(compgen -G "$1/usr/lib/*/librustc_driver-*.so" | head -n 1)")")
    cat >"$1/rustc" <<-END
		#!/bin/sh
		# Debian's rustc, unpacked and not installed.
		at='$2'
		exec $loader --library-path "\$at/usr/lib/$triple:\$at/lib/$triple" "\$at/usr/bin/rustc" --sysroot "\$at/usr" "\$@"
	END
    chmod 755 "$1/rustc"
}

# Sets CROSS_SYSROOT: headers and libraries of the target; CROSS_SECURITY: whether the security archive was asked for them.
cross_sysroot() {
    local key
    # Names of packages hold no blanks.
    # shellcheck disable=SC2086
    need_debs "$CROSS_ARCH" $CROSS_LIBRARIES
    # Read by those who call this.
    # shellcheck disable=SC2034
    CROSS_SECURITY=$DEBS_SECURITY
    key=$(printf '%s\n' "${DEBS[@]##*/}" | sha256sum | cut -c1-16)
    CROSS_SYSROOT=$CACHE/cross/sysroot-$key
    [ -d "$CROSS_SYSROOT" ] && return
    rm -rf "$CROSS_SYSROOT.new"
    mkdir -p "$CROSS_SYSROOT.new"
    unpack_debs "$CROSS_SYSROOT.new" "${DEBS[@]}"
    mv "$CROSS_SYSROOT.new" "$CROSS_SYSROOT"
}

# need_cross TARGET: all that cross_cargo needs.
need_cross() {
    local lock
    cross_target "$1"
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_build) $(packages_cross)
    need_rust
    limit_jobs
    mkdir -p "$CACHE/cross"
    # Two scripts at once would unpack into the same folders.
    exec {lock}>"$CACHE/cross/lock"
    flock "$lock"
    cross_rustc
    cross_sysroot
    exec {lock}>&-
}

# cross_cargo COMMAND --package NAME ARGUMENT...: cargo for need_cross's target. CROSS_RUSTFLAGS and CROSS_CFLAGS may hold
# further arguments of the compilers.
cross_cargo() {
    local command=$1 lower=${CROSS_TARGET//-/_} upper cflags
    upper=${lower^^}
    cflags=CROSS_CFLAGS_$CROSS_ARCH
    cflags="--sysroot=$CROSS_SYSROOT ${!cflags:-} ${CROSS_CFLAGS:-}"
    shift
    env RUSTC="$CROSS_RUSTC" \
        "CARGO_TARGET_${upper}_LINKER=$CROSS_TRIPLE-gcc" \
        "CARGO_TARGET_${upper}_RUSTFLAGS=-Clink-arg=--sysroot=$CROSS_SYSROOT ${CROSS_RUSTFLAGS:-}" \
        "CC_$lower=$CROSS_TRIPLE-gcc" "CXX_$lower=$CROSS_TRIPLE-g++" "AR_$lower=$CROSS_TRIPLE-ar" \
        "CFLAGS_$lower=$cflags" "CXXFLAGS_$lower=$cflags" \
        "BINDGEN_EXTRA_CLANG_ARGS_$lower=--sysroot=$CROSS_SYSROOT -I$CROSS_SYSROOT/usr/include/$CROSS_TRIPLE" \
        PKG_CONFIG_ALLOW_CROSS=1 "PKG_CONFIG_SYSROOT_DIR_$lower=$CROSS_SYSROOT" "PKG_CONFIG_PATH_$lower=" \
        "PKG_CONFIG_LIBDIR_$lower=$CROSS_SYSROOT/usr/lib/$CROSS_TRIPLE/pkgconfig:$CROSS_SYSROOT/usr/share/pkgconfig" \
        cargo "$command" --locked --target "$CROSS_TARGET" "$@"
}

# cross_agent PROFILE ARGUMENT...: builds the agent for need_cross's target; sets CROSS_AGENT to the program.
cross_agent() {
    local profile=$1
    shift
    # Features and their names hold no blanks.
    # shellcheck disable=SC2086
    cross_cargo build --package p2pcam-agent --bin p2pcam-agent --profile "$profile" $CROSS_FEATURES "$@" ||
        die "It could not be built; cargo's words above say why."
    # Read by those who call this.
    # shellcheck disable=SC2034
    CROSS_AGENT=${CARGO_TARGET_DIR:-target}/$CROSS_TARGET/$profile/p2pcam-agent
}
