# shellcheck shell=bash
# The programs that check-images needs: a few of Debian's, and Python packages at one version in a folder of their own.
# Needs deps.sh.

# systemd: systemd-analyze. dosfstools, mtools and the like are not needed, as no image is made.
packages_images() {
    echo python3 python3-venv shellcheck systemd git
}

# need_image_tools: sets IMAGE_TOOLS to the folder of Python's programs.
need_image_tools() {
    local list=scripts/lib/images/requirements.txt key
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_images)
    key=$(sha256sum <"$list" | cut -c1-16)
    IMAGE_TOOLS=$PWD/target/check-images/tools-$key
    [ -e "$IMAGE_TOOLS/done" ] && return
    say "Fetching the tools for images."
    rm -rf "$IMAGE_TOOLS"
    mkdir -p "$(dirname "$IMAGE_TOOLS")"
    # Debian's own Python, which python3-venv belongs to, if another one comes first.
    /usr/bin/python3 -m venv "$IMAGE_TOOLS"
    "$IMAGE_TOOLS/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$list"
    touch "$IMAGE_TOOLS/done"
}
