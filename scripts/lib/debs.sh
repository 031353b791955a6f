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
# The same for lists without the security archive: it may be whole again at any hour, and asking costs seconds.
DEBS_PARTIAL_MINUTES=60

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
    mirror=$(debs_mirror) || exit
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

# need_debs ARCH NAME[=VERSION|/SUITE]...: fetches the packages and all that they depend on; sets DEBS to the files, and
# DEBS_SECURITY to whether the security archive was asked (yes, no). Asks the network only for a list of packages that it has
# not seen, or whose files are gone.
need_debs() {
    local arch=$1 lock
    shift
    debs_lock "$arch"
    debs_resolve "$arch" "$@"
    exec {lock}>&-
}

# need_debs_alone ARCH NAME=VERSION...: fetches the packages without what they depend on; sets DEBS to the files.
need_debs_alone() {
    local arch=$1 lock
    shift
    debs_lock "$arch"
    debs_lists "$arch"
    local -x APT_CONFIG=$DEBS_FOLDER/apt.conf LC_ALL=C
    say "Fetching packages for $arch: $*"
    (cd "$DEBS_FOLDER/cache/archives" && apt-get download -qq -o Acquire::Retries=3 "$@") ||
        die "These packages could not be fetched; apt's words above say why." \
            "If they are no longer on the mirror, take its present ones:  rm -r $CACHE/debs"
    # "'URI' FILE SIZE HASH"
    mapfile -t DEBS < <(apt-get download --print-uris "$@" | awk -v at="$DEBS_FOLDER/cache/archives/" '{ print at $2 }')
    exec {lock}>&-
}

# need_deb_by_hash POOL NAME SHA256: fetches one file of the security archive, by the configuration that need_debs used last;
# sets DEBS to it.
need_deb_by_hash() {
    local file=$DEBS_FOLDER/cache/archives/$2
    if ! sha256sum --status --check - <<<"$3  $file" 2>/dev/null; then
        say "Fetching $2."
        APT_CONFIG=$DEBS_FOLDER/apt.conf /usr/lib/apt/apt-helper -q download-file "$(debs_mirror)-security/$1/$2" "$file" "SHA256:$3" ||
            die "$2 could not be fetched, or is another one than it was: see scripts/lib/cross.conf."
    fi
    DEBS=("$file")
}

# debs_lock ARCH: two scripts at once would take turns in the same apt folders. Opens the caller's lock.
debs_lock() {
    mkdir -p "$CACHE/debs/$1"
    exec {lock}>"$CACHE/debs/$1/lock"
    flock "$lock"
    # Of a time when these lists were no others: what was chosen by them may be anything.
    if [ -e "$CACHE/debs/$1/no-security" ]; then
        rm -f "$CACHE/debs/$1"/{no-security,fresh} "$CACHE/debs/$1"/*.files
    fi
}

# debs_lists ARCH: sets DEBS_FOLDER to where young package lists are, and DEBS_SECURITY. Lists without the security archive
# are in a folder of their own, and only of architectures that DEBS_PARTIAL names: compilers and libraries of the others
# come from it.
debs_lists() {
    local arch=$1 partial=$CACHE/debs/$1-without-security
    DEBS_FOLDER=$CACHE/debs/$arch DEBS_SECURITY=yes
    if debs_young "$DEBS_FOLDER" $DEBS_LISTS_MINUTES; then return; fi
    if ! debs_may_be_partial "$arch"; then
        debs_update "$arch" "$DEBS_FOLDER" || die "The package lists could not be fetched; apt's words above say why." \
            "If the mirror has no security archive for $arch:  export P2PCAM_WITHOUT_SECURITY=$arch  (not for releases)"
        return
    fi
    if ! debs_young "$partial" $DEBS_PARTIAL_MINUTES; then
        if debs_update "$arch" "$DEBS_FOLDER"; then return; fi
        # Lists of seldom architectures are at times not those that the archive's signature is for.
        say "Trying it without the security archive."
        if debs_update "$arch" "$partial"; then
            rm -f "$partial"/*.files
        else
            [ -e "$partial/fresh" ] || die "The package lists could not be fetched; apt's words above say why."
            say "Going on with the lists that are there."
        fi
    fi
    DEBS_FOLDER=$partial DEBS_SECURITY=no
}

# Those of the project, and those of this machine's user.
debs_may_be_partial() {
    case " ${DEBS_PARTIAL:-} ${P2PCAM_WITHOUT_SECURITY:-} " in *" $1 "*) ;; *) return 1 ;; esac
}

debs_young() {
    [ -n "$(find "$1/fresh" -mmin "-$2" 2>/dev/null)" ]
}

# debs_update ARCH FOLDER: reads the package lists; fails if one of them cannot be had.
debs_update() {
    local arch=$1 folder=$2
    say "Reading Debian's package lists for $arch."
    # The configuration to come must not be the one that it is made from.
    APT_CONFIG='' debs_configure "$arch" "$folder"
    case $folder in *-without-security) sed -i '/-security main$/d' "$folder/sources.list" ;; esac
    # Of a server that does not answer apt only warns, unless told that any error is one.
    APT_CONFIG=$folder/apt.conf LC_ALL=C apt-get -qq -o Acquire::Retries=3 -o APT::Update::Error-Mode=any update || return
    touch "$folder/fresh"
}

# debs_known FILE: sets DEBS to the files that it names, if all are there.
debs_known() {
    local file
    [ -s "$1" ] || return
    mapfile -t DEBS <"$1"
    for file in "${DEBS[@]}"; do
        [ -s "$file" ] || return
    done
}

debs_resolve() {
    local arch=$1 name list file
    shift
    name=$(printf '%s\n' "$DEBIAN_SUITE" "$@" | sha256sum | cut -c1-16).files
    # Read by those who call this.
    # shellcheck disable=SC2034
    DEBS_FOLDER=$CACHE/debs/$arch DEBS_SECURITY=yes
    if debs_known "$DEBS_FOLDER/$name"; then return; fi
    debs_lists "$arch"
    list=$DEBS_FOLDER/$name
    if debs_known "$list"; then return; fi
    local -x APT_CONFIG=$DEBS_FOLDER/apt.conf LC_ALL=C
    say "Fetching packages for $arch: $*"
    apt-get install -y -qq -o Acquire::Retries=3 --download-only "$@" >"$DEBS_FOLDER/apt.log" 2>&1 ||
        die "$(tail -n 20 "$DEBS_FOLDER/apt.log")" "These packages could not be fetched." \
            "If they are no longer on the mirror, take its present ones:  rm -r $CACHE/debs"
    # "Inst NAME (VERSION ORIGIN [ARCH])"; file names write the colon of an epoch as %3a.
    apt-get install --simulate -qq "$@" |
        awk -v at="$DEBS_FOLDER/cache/archives/" '$1 == "Inst" {
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
