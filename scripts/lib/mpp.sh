# shellcheck shell=bash
# Rockchip's encoder library for arm64, as PyPI's pyav-rkmpp carries it: the tests look at its functions and settings.
# Fetched once into .cache, never committed. Needs deps.sh.

# Built from nyanmisaka/mpp a9380ef of 2025-12-26, as its own log line says.
MPP_PACKAGE=pyav-rkmpp==18.1.0.post2
MPP_SHA256=41b12f544bc2698ad717fd01159b587480608aabeb64022e42aebf77a10bd16a
MPP_LIBRARY=pyav_rkmpp.libs/librockchip_mpp-fbebb74e.so.0

# need_mpp: exports P2PCAM_MPP_LIBRARY_ARM64, the library's path.
need_mpp() {
    local folder=$PWD/.cache/mpp
    export P2PCAM_MPP_LIBRARY_ARM64=$folder/$MPP_LIBRARY
    [ -s "$P2PCAM_MPP_LIBRARY_ARM64" ] && return
    say "Fetching Rockchip's encoder library for the tests ($MPP_PACKAGE, 53 MB)."
    rm -rf "$folder"
    mkdir -p "$folder"
    echo "$MPP_PACKAGE --hash=sha256:$MPP_SHA256" >"$folder/requirements.txt"
    # A wheel for another machine and Python than this one's.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --platform manylinux_2_28_aarch64 --python-version 3.10 --implementation cp --abi cp310 \
        --dest "$folder" --requirement "$folder/requirements.txt" ||
        die "Rockchip's library could not be fetched: pip's message above says why."
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])' \
        "$folder"/pyav_rkmpp-*.whl "$MPP_LIBRARY" "$folder" || die "The package $MPP_PACKAGE holds no $MPP_LIBRARY."
    rm "$folder"/pyav_rkmpp-*.whl
}
