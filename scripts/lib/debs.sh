# shellcheck shell=bash
# Debian packages of any architecture as files: fetched with an apt configuration of our own, unpacked into folders.
# Nothing is installed, no root is needed, and the machine's own apt (architectures, lists, cache) is left alone.
# Needs deps.sh.
#
#   need_debs arm64 vim-tiny linux-image-arm64/bookworm-backports
#   unpack_debs FOLDER "${DEBS[@]}"

# All that is fetched or built once. Work trees may share one: export P2PCAM_CACHE=/where/it/is.
CACHE=${P2PCAM_CACHE:-$PWD/.cache}

# The release that boards and cross builds are made of, whatever this machine runs.
DEBIAN_SUITE=bookworm
# Point releases of the archive come rarer than this; security fixes are not the point of a test board.
DEBS_LISTS_MINUTES=1440

# The folder of the Debian archive on the mirror that this machine's own apt uses.
debs_mirror() {
    local site
    if [ -n "${P2PCAM_DEBIAN_MIRROR:-}" ]; then
        echo "${P2PCAM_DEBIAN_MIRROR%/}"
        return
    fi
    # The security archive is another folder with the same origin; only the main one has this machine's release proper.
    # $(...) is apt's, not the shell's.
    # shellcheck disable=SC2016
    site=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
        awk '$3 == "main" && $4 == "Debian" && $2 !~ /-/ { print $1; exit }')
    [ -n "$site" ] || die "apt on this machine names no mirror of Debian (or has no package lists yet: apt-get update)." \
        "Name one:  export P2PCAM_DEBIAN_MIRROR=http://YOUR.MIRROR/debian"
    echo "${site%/}"
}

# debs_configure ARCH FOLDER: writes an apt configuration that knows only that architecture and an empty system.
debs_configure() {
    local arch=$1 folder=$2 mirror key=/usr/share/keyrings/debian-archive-keyring.gpg signed=
    mirror=$(debs_mirror)
    mkdir -p "$folder"/{state/lists/partial,cache/archives/partial}
    : >"$folder/status"
    [ -r $key ] && signed="[signed-by=$key]"
    cat >"$folder/sources.list" <<-END
		deb $signed $mirror $DEBIAN_SUITE main
		deb $signed $mirror $DEBIAN_SUITE-updates main
		deb $signed $mirror $DEBIAN_SUITE-backports main
		deb $signed $mirror-security $DEBIAN_SUITE-security main
	END
    # Proxies and the like stay as this machine has them; its hooks and preferences do not apply.
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$folder/apt.conf" || true
    cat >>"$folder/apt.conf" <<-END
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Dir::State "$folder/state";
		Dir::State::status "$folder/status";
		Dir::Cache "$folder/cache";
		Dir::Etc::SourceList "$folder/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		Dir::Etc::Main "/dev/null";
		Dir::Etc::Parts "/dev/null";
	END
}

# need_debs ARCH NAME[=VERSION|/SUITE]...: fetches the packages and all that they depend on; sets DEBS to the files.
# Asks the network only for a list of packages that it has not seen, or whose files are gone.
need_debs() {
    local arch=$1 folder lock
    shift
    folder=$CACHE/debs/$arch
    mkdir -p "$folder"
    # Two scripts at once would take turns in the same apt folders.
    exec {lock}>"$folder/lock"
    flock "$lock"
    debs_resolve "$arch" "$folder" "$@"
    exec {lock}>&-
}

# need_debs_alone ARCH NAME=VERSION...: fetches the packages without what they depend on; sets DEBS to the files.
need_debs_alone() {
    local arch=$1 folder lock
    shift
    folder=$CACHE/debs/$arch
    mkdir -p "$folder"
    exec {lock}>"$folder/lock"
    flock "$lock"
    local -x APT_CONFIG=$folder/apt.conf LC_ALL=C
    debs_refresh "$arch" "$folder"
    say "Fetching packages for $arch: $*"
    (cd "$folder/cache/archives" && apt-get download -qq -o Acquire::Retries=3 "$@") ||
        die "These packages could not be fetched; apt's words above say why." \
            "If they are no longer on the mirror, take its present ones:  rm -r $CACHE/debs"
    # "'URI' FILE SIZE HASH"
    mapfile -t DEBS < <(apt-get download --print-uris "$@" | awk -v at="$folder/cache/archives/" '{ print at $2 }')
    exec {lock}>&-
}

# need_deb_by_hash ARCH POOL NAME SHA256: fetches one file of the security archive for an architecture whose list of it cannot
# be had; sets DEBS to it. Fails if the list was there.
need_deb_by_hash() {
    local folder=$CACHE/debs/$1 file
    [ -e "$folder/no-security" ] || return 1
    file=$folder/cache/archives/$3
    if ! sha256sum --status --check - <<<"$4  $file" 2>/dev/null; then
        say "Fetching $3."
        APT_CONFIG=$folder/apt.conf /usr/lib/apt/apt-helper -q download-file "$(debs_mirror)-security/$2/$3" "$file" "SHA256:$4" ||
            die "$3 could not be fetched, or is another one than it was: see scripts/lib/cross.conf."
    fi
    DEBS=("$file")
}

# debs_refresh ARCH FOLDER: reads the package lists, unless they are young.
debs_refresh() {
    local arch=$1 folder=$2
    [ -n "$(find "$folder/fresh" -mmin -$DEBS_LISTS_MINUTES 2>/dev/null)" ] && return
    say "Reading Debian's package lists for $arch."
    # The configuration to come must not be the one that it is made from.
    APT_CONFIG='' debs_configure "$arch" "$folder"
    rm -f "$folder/no-security"
    if ! apt-get -qq -o Acquire::Retries=3 update; then
        # The security archive's lists of seldom architectures are at times not those that its signature is for.
        say "Trying it without the security archive."
        touch "$folder/no-security"
        sed -i '/-security main$/d' "$folder/sources.list"
        apt-get -qq -o Acquire::Retries=3 update || die "The package lists could not be fetched; apt's words above say why."
    fi
    touch "$folder/fresh"
}

debs_resolve() {
    local arch=$1 folder=$2 list file
    shift 2
    list=$folder/$(printf '%s\n' "$DEBIAN_SUITE" "$@" | sha256sum | cut -c1-16).files
    if [ -s "$list" ]; then
        mapfile -t DEBS <"$list"
        for file in "${DEBS[@]}"; do
            [ -s "$file" ] || rm -f "$list"
        done
        [ -s "$list" ] && return
    fi
    local -x APT_CONFIG=$folder/apt.conf LC_ALL=C
    debs_refresh "$arch" "$folder"
    say "Fetching packages for $arch: $*"
    apt-get install -y -qq -o Acquire::Retries=3 --download-only "$@" >"$folder/apt.log" 2>&1 ||
        die "$(tail -n 20 "$folder/apt.log")" "These packages could not be fetched." \
            "If they are no longer on the mirror, take its present ones:  rm -r $CACHE/debs"
    # "Inst NAME (VERSION ORIGIN [ARCH])"; file names write the colon of an epoch as %3a.
    apt-get install --simulate -qq "$@" |
        awk -v at="$folder/cache/archives/" '$1 == "Inst" {
            version = substr($3, 2); gsub(/:/, "%3a", version)
            match($0, /\[[a-z0-9]+\]/)
            print at $2 "_" version "_" substr($0, RSTART + 1, RLENGTH - 2) ".deb" }' >"$list.new"
    mapfile -t DEBS <"$list.new"
    for file in "${DEBS[@]}"; do
        [ -s "$file" ] || die "apt fetched no $file, but says that it would install it."
    done
    mv "$list.new" "$list"
}

# debs_named PATTERN FILE...: those files whose package's name is the pattern (a shell glob).
debs_named() {
    local pattern=$1 file
    shift
    for file; do
        # The glob is wanted.
        # shellcheck disable=SC2254
        case $(basename "$file" | cut -d_ -f1) in $pattern) echo "$file" ;; esac
    done
}

# unpack_debs FOLDER FILE...: their files into a folder, without running anything of theirs.
unpack_debs() {
    local folder=$1 file
    shift
    mkdir -p "$folder"
    for file; do
        # dpkg-deb -x would make symbolic links of a merged /usr into folders; tar keeps them.
        dpkg-deb --fsys-tarfile "$file" | tar -x -C "$folder" --keep-directory-symlink --no-same-owner -p ||
            die "$file cannot be unpacked. Delete it, then start this again."
    done
}
