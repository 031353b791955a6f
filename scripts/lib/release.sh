# shellcheck shell=bash
# Releases: the tarball with all sources, and programs built from it so that anybody gets the same bytes.
# Needs deps.sh, debs.sh, rust.sh and cross.sh; run from the top of the source tree.

# Packages of this machine for a release, besides those to build.
packages_release() {
    echo git xz-utils python3 python3-venv
}

# Leftovers of what is no part of the camera's firmware: images have their own copies of these folders.
RELEASE_LEFT_OUT='meta-p2pcam buildroot-external'

# The version, from Cargo.toml on standard input.
release_version() {
    sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p'
}

# release_target NAME: what a release is built for: RELEASE_NATIVE (yes: with this machine's libraries and FFmpeg; no: with
# Debian's of the board and what scripts/cross leaves in), RELEASE_TARGET, RELEASE_FEATURES, and RELEASE_NAME, which says all
# of it in the files' names. A board's target is cross-built on a machine of its own kind too: that one's libraries may be
# newer than the board's.
release_target() {
    # Some are read by those who call this.
    # shellcheck disable=SC2034
    case $1 in
        native)
            RELEASE_NATIVE=yes RELEASE_TARGET=$(rustc --print host-tuple) RELEASE_FEATURES=
            RELEASE_NAME=$RELEASE_TARGET-native
            ;;
        *)
            # Ends here if there is none.
            (cross_target "$1") || die "With this machine's own libraries, for machines like it: native."
            RELEASE_NATIVE=no RELEASE_TARGET=$1 RELEASE_FEATURES=$CROSS_FEATURES RELEASE_NAME=$1
            ;;
    esac
}

# release_unpack TARBALL FOLDER: sets RELEASE_TREE to the sources in it.
release_unpack() {
    rm -rf "$2"
    mkdir -p "$2"
    tar -x -f "$1" -C "$2"
    # Read by those who call this.
    # shellcheck disable=SC2034
    RELEASE_TREE=$(echo "$2"/p2pcam-*)
}

# release_tree COMMIT FOLDER: the sources of a commit with all their crates. Nothing in it depends on where or when it
# is made.
release_tree() {
    local commit=$1 folder=$2
    mkdir -p "$folder"
    git archive "$commit" | tar -x -C "$folder"
    # Names of folders hold no blanks.
    # shellcheck disable=SC2086
    (cd "$folder" && rm -rf $RELEASE_LEFT_OUT)
    # Buildroot fetches no crates where it finds this folder.
    mkdir -p "$folder/.cargo"
    (cd "$folder" && cargo vendor --quiet --locked --versioned-dirs VENDOR) ||
        die "The crates could not be fetched; cargo's words above say why."
    cat >"$folder/.cargo/config.toml" <<-'END'
		# The crates are here; cargo asks no network.
		[source.crates-io]
		replace-with = "vendored"

		[source.vendored]
		directory = "VENDOR"
	END
}

# release_tarball COMMIT FILE: sorted, of nobody, as old as the commit, with rights that do not follow this machine's umask,
# packed in a way that does not depend on its processors. The file is there whole or not at all.
release_tarball() {
    local commit=$1 file=$2 name area
    name=p2pcam-$(git show "$commit:Cargo.toml" | release_version)
    area=$(mktemp -d)
    # shellcheck disable=SC2064 # Now, not then.
    trap "rm -rf '$area' '$file.new'" EXIT
    say "Making $file."
    release_tree "$commit" "$area/$name"
    release_pack "$area" "$name" "$(git show --no-patch --format=%ct "$commit")" >"$file.new" ||
        die "$file could not be packed; the words above say why."
    mv "$file.new" "$file"
    rm -rf "$area"
    trap - EXIT
}

# release_pack AREA NAME SECONDS: the packed folder NAME of AREA, all of it as old as that time.
release_pack() {
    # The caller's wishes for all that he packs.
    local -x TAR_OPTIONS='' XZ_OPT='' XZ_DEFAULTS=''
    tar -c -C "$1" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w,a-s \
        --mtime="@$3" "$2" | xz -6 --threads=2 --block-size=24MiB
}

# release_refuse_others FOLDER: of files that another run left, somebody may still need some: only the usual folder is
# emptied unasked.
release_refuse_others() {
    local file
    for file in "$1"/p2pcam-* "$1"/SHA256SUMS*; do
        [ ! -e "$file" ] || die "$1 has files of another run: ${file##*/}. In one folder they would be taken for this one's." \
            "Remove its p2pcam-* and SHA256SUMS*, or give another folder with --out."
    done
}

# release_publish FROM FOLDER: moves what this run made, all of it now whole, and its checksums last. What another run left
# goes: an older version, another commit's programs, signatures of other checksums.
release_publish() {
    local from=$1 folder=$2 file
    (cd "$from" && sha256sum -- p2pcam-* >SHA256SUMS)
    for file in "$folder"/SHA256SUMS* "$folder"/p2pcam-*; do
        [ -e "$file" ] || continue
        [ -e "$from/${file##*/}" ] || say "Removing ${file##*/} of an earlier run."
        rm -f -- "$file"
    done
    mv -- "$from"/p2pcam-* "$folder"
    mv -- "$from/SHA256SUMS" "$folder"
    rmdir "$from"
}

# release_makers: what the tarball's bytes depend on besides the commit.
release_makers() {
    echo "$(cargo --version | cut -d' ' -f1,2), $(xz --version | sed -n '1s/.* /xz /p')"
}

# release_environment: drops what the caller's environment says on flags and profiles, which would get into the programs:
# RUSTFLAGS alone takes the place of all that a target's flags say, and with them of the names of folders.
release_environment() {
    local name dropped=()
    for name in $(compgen -e); do
        case $name in
            RUSTFLAGS | CARGO_ENCODED_RUSTFLAGS | CARGO_BUILD_RUSTFLAGS | CARGO_TARGET_*_RUSTFLAGS | CARGO_PROFILE_* | \
                CFLAGS* | CXXFLAGS* | CPPFLAGS* | LDFLAGS* | TARGET_C*FLAGS | HOST_C*FLAGS)
                unset "$name"
                dropped+=("$name")
                ;;
        esac
    done
    [ ${#dropped[@]} -eq 0 ] || say "Not for a release, so left out of its environment: ${dropped[*]}"
}

# release_build TREE FILE: builds the agent of an unpacked tarball for release_target's. The names of this machine's folders do not
# get into the program, so two builds anywhere are the same, given the same compilers.
release_build() {
    local tree target=$RELEASE_TARGET file=$2 failed="It could not be built; cargo's words above say why."
    tree=$(readlink -f "$1")
    release_environment
    local CROSS_RUSTFLAGS CROSS_CFLAGS
    CROSS_RUSTFLAGS="--remap-path-prefix=$tree=p2pcam"
    CROSS_CFLAGS="-ffile-prefix-map=$tree=p2pcam"
    # The time of nothing in it counts; this is for tools that would put theirs in.
    local -x SOURCE_DATE_EPOCH CARGO_TARGET_DIR=$tree/target CARGO_INCREMENTAL=0
    SOURCE_DATE_EPOCH=$(stat -c %Y "$tree/Cargo.toml")
    if [ "$RELEASE_NATIVE" = yes ]; then
        # With the machine's own compilers and libraries, FFmpeg's too.
        need_rust
        release_native "$tree" "$target" || die "$failed"
    else
        need_cross "$target"
        release_checks_sysroot
        CROSS_RUSTFLAGS+=" --remap-path-prefix=$CROSS_SYSROOT=sysroot"
        CROSS_CFLAGS+=" -ffile-prefix-map=$CROSS_SYSROOT=sysroot"
        # Features hold no blanks.
        # shellcheck disable=SC2086
        (cd "$tree" && cross_cargo build --quiet --release --package p2pcam-agent --bin p2pcam-agent $RELEASE_FEATURES) ||
            die "$failed"
    fi
    install -m 755 "$CARGO_TARGET_DIR/$target/release/p2pcam-agent" "$file"
}

# release_fits FILE: whether boards have room for it. With FFmpeg it is for machines with disks.
release_fits() {
    [ "$RELEASE_NATIVE" = no ] && [ "$(stat -c %s "$1")" -gt "$CROSS_LIMIT" ] || return 0
    die "$1 has $(stat -c %s "$1") bytes, more than the $CROSS_LIMIT that a program for boards may have." \
        "See what grew (cargo tree, nm --size-sort), or raise CROSS_LIMIT in scripts/lib/cross.conf with a reason."
}

# Old libraries get into a release only where there are no others, and not without a word.
release_checks_sysroot() {
    [ "$CROSS_SECURITY" = no ] || return 0
    [ "$CROSS_ARCH" = "$DEBS_PARTIAL" ] ||
        die "The libraries for $CROSS_TARGET come without Debian's security archive; a release is not made with these." \
            "unset P2PCAM_WITHOUT_SECURITY, then start this again."
    say "The libraries to link with for $CROSS_TARGET come without Debian's security archive; boards bring their own."
}

release_native() {
    local lower=${2//-/_}
    (cd "$1" && env "CARGO_TARGET_${lower^^}_RUSTFLAGS=$CROSS_RUSTFLAGS" \
        "CFLAGS_$lower=$CROSS_CFLAGS" "CXXFLAGS_$lower=$CROSS_CFLAGS" \
        cargo build --quiet --locked --release --target "$2" --package p2pcam-agent --bin p2pcam-agent)
}
