# shellcheck shell=bash
# A Rust toolchain that is new enough: rustup's, the one on PATH, or Debian's. Needs deps.sh.

# The oldest version that builds the workspace.
rust_needed() {
    sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml
}

# at_least HAVE NEED: compares dotted versions.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version of the rustc in a folder that has a cargo as well; fails if it is none, or a rustup without toolchain.
rustc_version_in() {
    [ -x "$1/rustc" ] && [ -x "$1/cargo" ] && "$1/rustc" --version 2>/dev/null | awk '{ sub(/-.*/, "", $2); print $2 }' | grep .
}

# Puts the first folder with a good toolchain in front of PATH.
use_rust() {
    local folder version folders
    IFS=: read -r -a folders <<<"${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH:/usr/bin"
    for folder in "${folders[@]}"; do
        if version=$(rustc_version_in "$folder") && at_least "$version" "$1"; then
            PATH=$folder:$PATH
            export PATH
            return 0
        fi
    done
    return 1
}

# What apt would install of a package; nothing if it knows none. Its words follow the locale.
apt_version() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p'
}

# need_rust: leaves a good toolchain in front of PATH, or says how to get one.
need_rust() {
    local need compiler
    need=$(rust_needed)
    use_rust "$need" && return
    say "No Rust toolchain of version $need or newer was found."
    if is_debian_like; then
        apt_refresh
        # rustc-web follows upstream for the sake of browsers, also in stable releases.
        for compiler in rustc rustc-web; do
            if at_least "$(apt_version $compiler)" "$need"; then
                need_packages $compiler "${compiler/rustc/cargo}"
                use_rust "$need" && return
            fi
        done
    fi
    die "Rust $need or newer is needed, and this system's packages are older." \
        "Install it from https://rustup.rs, then start this again."
}

# need_rust_tools: rustfmt and clippy for the toolchain in front of PATH.
need_rust_tools() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null; then
        rustup component add rustfmt clippy
    elif is_installed rustc-web; then
        need_packages rustfmt-web rust-web-clippy
    else
        need_packages rustfmt rust-clippy
    fi
}

# This machine's memory, rounded: boards keep some of theirs for the GPU.
memory_gib() {
    awk '/^MemTotal:/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo
}

# Compilers of small boards run out of memory if each core has one: about 1 GiB for each.
limit_jobs() {
    local cores gib
    [ -n "${CARGO_BUILD_JOBS:-}" ] && return
    cores=$(nproc)
    gib=$(memory_gib)
    [ "$gib" -lt 1 ] && gib=1
    if [ "$gib" -lt "$cores" ]; then
        export CARGO_BUILD_JOBS=$gib
    fi
}

# With less, one compiler for the whole program may not fit in.
WHOLE_PROGRAM_GIB=4

# The last step of a release build holds the whole program at once, in one compiler, which limit_jobs cannot make smaller: on
# small boards it takes the program piece by piece, for some more bytes. Only for who builds there to run it there: what is
# shipped is the same from anywhere.
limit_optimisation() {
    [ "$(memory_gib)" -lt "$WHOLE_PROGRAM_GIB" ] || return 0
    export CARGO_PROFILE_RELEASE_LTO=${CARGO_PROFILE_RELEASE_LTO:-thin}
    # As many as rustc makes where nobody says how many.
    export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=${CARGO_PROFILE_RELEASE_CODEGEN_UNITS:-16}
    say "This machine has less than $WHOLE_PROGRAM_GIB GiB of memory: the program is optimised in pieces."
}
