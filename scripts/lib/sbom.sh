# shellcheck shell=bash
# The bill of materials of a program: by cargo-cyclonedx, at one version, completed by sbom.py. Needs deps.sh and rust.sh.

CYCLONEDX_VERSION=0.5.9

# Packages of this machine for bills of materials.
packages_sbom() {
    echo python3 python3-venv binutils
}

# need_sbom: sets CYCLONEDX to the program and SBOM_PYTHON to a Python that has the validators.
need_sbom() {
    local folder=$PWD/.cache/cargo-cyclonedx-$CYCLONEDX_VERSION list=scripts/lib/sbom-requirements.txt venv
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_sbom)
    CYCLONEDX=$folder/bin/cargo-cyclonedx
    if [ ! -x "$CYCLONEDX" ]; then
        say "Building cargo-cyclonedx $CYCLONEDX_VERSION."
        cargo install --quiet --locked --version "$CYCLONEDX_VERSION" --root "$folder" cargo-cyclonedx
    fi
    venv=$PWD/.cache/sbom-$(sha256sum <"$list" | cut -c1-16)
    if [ ! -e "$venv/done" ]; then
        say "Fetching validators of bills of materials."
        rm -rf "$venv"
        # Debian's own Python, which python3-venv belongs to, if another one comes first.
        /usr/bin/python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$list"
        touch "$venv/done"
    fi
    SBOM_PYTHON=$venv/bin/python
}

# write_sbom TREE TARGET FEATURES PROGRAM STEM: STEM.cdx.json and STEM.spdx.json, checked, of what the program was built
# from in TREE: its crates with versions, checksums, licences and who needs whom, and the shared libraries that it names.
# What only tests or the build itself need is not in it.
write_sbom() {
    local tree=$1 target=$2 features=$3 program=$4 stem=$5
    # The words that turn features on hold no blanks.
    # shellcheck disable=SC2086
    (cd "$tree" && SOURCE_DATE_EPOCH=$(stat -c %Y Cargo.toml) "$CYCLONEDX" cyclonedx --quiet --manifest-path agent/Cargo.toml \
        --format json --spec-version 1.5 --target "$target" $features --no-build-deps --override-filename sbom)
    python3 scripts/lib/sbom.py write "$tree/agent/sbom.json" "$program" "$(readlink -f "$tree")" "$stem"
    "$SBOM_PYTHON" scripts/lib/sbom.py check "$stem.cdx.json" "$stem.spdx.json" ||
        die "The bill of materials is not what its standard wants; see above."
}
