# shellcheck shell=bash
# labgrid (coordinator, exporter, client) from PyPI, at one version, in a Python environment of its own.
# Needs deps.sh and debs.sh (CACHE); run from the top of the source tree.

LABGRID_REQUIREMENTS=hil/labgrid/requirements.txt

# labgrid_home: sets LABGRID to the folder of its programs; they need not be there.
labgrid_home() {
    # Other versions or another Python are another environment.
    LABGRID=$CACHE/labgrid-$({
        cat "$LABGRID_REQUIREMENTS"
        python3 --version 2>/dev/null || true
    } | sha256sum | cut -c1-8)/bin
}

# need_labgrid: the same, and they are there.
need_labgrid() {
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_labgrid)
    labgrid_home
    local home=${LABGRID%/bin}
    [ -x "$LABGRID/labgrid-client" ] && return
    say "Fetching labgrid (about 20 MB)."
    rm -rf "$home"
    mkdir -p "$CACHE"
    # Programs of an environment hold its path, so it is not moved once it is whole: what fails is removed.
    if ! python3 -m venv "$home" || ! "$home/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --requirement "$LABGRID_REQUIREMENTS"; then
        rm -rf "$home"
        die "labgrid could not be installed: pip's message above says why."
    fi
}
