# shellcheck shell=bash
# The agent and the tests on the emulated board: built, installed as in an OS image, run in the guest.
# Needs deps.sh, debs.sh, rust.sh, cross.sh, board-image.sh and board-guest.sh; run from the top of the source tree.

BOARD_TARGET=aarch64-unknown-linux-gnu
BOARD_UNIT=p2pcam-agent.service

# board_build_agent [tests]: sets BOARD_AGENT to the agent's program, and with `tests` BOARD_TESTS to the tests'.
board_build_agent() {
    if [ -n "${P2PCAM_BOARD_AGENT:-}" ]; then
        BOARD_AGENT=$P2PCAM_BOARD_AGENT
        [ -x "$BOARD_AGENT" ] || die "P2PCAM_BOARD_AGENT names no program: $BOARD_AGENT"
        [ $# -gt 0 ] || return 0
        need_cross $BOARD_TARGET
    else
        need_cross $BOARD_TARGET
        say "Building the agent for the board."
        cross_agent board
        BOARD_AGENT=$CROSS_AGENT
    fi
    [ "${1:-}" = tests ] || return 0
    mkdir -p target/boards
    say "Building the board tests."
    # A command of its own: one that builds tests takes in the test dependencies of all packages named with it.
    cross_cargo build --package p2pcam-board-tests --test on-board --profile board \
        --message-format=json-render-diagnostics >target/boards/cargo.json ||
        die "They could not be built; cargo's words above say why."
    BOARD_TESTS=$(board_built test on-board)
}

# board_built KIND NAME: where cargo left a program.
board_built() {
    python3 - "$1" "$2" <<'PYTHON'
import json, sys

for line in open("target/boards/cargo.json"):
    made = json.loads(line)
    target = made.get("target", {})
    if made.get("executable") and target["kind"] == [sys.argv[1]] and target["name"] == sys.argv[2]:
        print(made["executable"])
PYTHON
}

# board_agent_tree FOLDER: all that an OS image has of the agent, at its place.
board_agent_tree() {
    local tree=$1
    rm -rf "$tree"
    install -D -m 755 "$BOARD_AGENT" "$tree/usr/bin/p2pcam-agent"
    install -D -m 644 agent/systemd/$BOARD_UNIT "$tree/usr/lib/systemd/system/$BOARD_UNIT"
    install -D -m 644 agent/systemd/p2pcam.sysusers "$tree/usr/lib/sysusers.d/p2pcam.conf"
    install -D -m 644 agent/systemd/p2pcam.tmpfiles "$tree/usr/lib/tmpfiles.d/p2pcam.conf"
    install -D -m 644 agent/systemd/p2pcam.rules "$tree/usr/lib/udev/rules.d/60-p2pcam.rules"
    install -D -m 644 hil/board/agent.toml "$tree/etc/p2pcam/agent.toml"
    [ -z "${P2PCAM_BOARD_OVERLAY:-}" ] || cp -a "$P2PCAM_BOARD_OVERLAY/." "$tree/"
    mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
    ln -s "/usr/lib/systemd/system/$BOARD_UNIT" "$tree/etc/systemd/system/multi-user.target.wants/$BOARD_UNIT"
}

# board_install: the agent on a running board, as a package would install it.
board_install() {
    local tree=$BOARD_STATE/tree
    say "Installing the agent on the board."
    board_agent_tree "$tree"
    tar -c -C "$tree" --owner=0 --group=0 --exclude=./etc/systemd . | board_ssh "
        set -e
        systemctl stop $BOARD_UNIT 2>/dev/null || true
        tar -x -C / --no-overwrite-dir --keep-directory-symlink
        systemd-sysusers
        systemd-tmpfiles --create p2pcam.conf
        # Secrets are for those alone who read them.
        find /etc/p2pcam -type f -perm 600 -exec chown p2pcam: {} +
        udevadm control --reload
        udevadm trigger --settle --subsystem-match=gpio --subsystem-match=dma_heap --subsystem-match=video4linux
        # Reloads the units first.
        systemctl enable --quiet --now $BOARD_UNIT" ||
        say "The agent's service did not start. Its journal:  ./scripts/board ssh journalctl -u $BOARD_UNIT"
    rm -rf "$tree"
}

# board_disk_with_agent: sets BOARD_DISK_FILE to a disk with the agent on it, which first starts when the board does.
board_disk_with_agent() {
    local tree=$BOARD_STATE/tree path kind mode
    BOARD_DISK_FILE=$BOARD_STATE/board.ext4
    board_agent_tree "$tree"
    cp --sparse=always "$BOARD_BASE/disk.ext4" "$BOARD_DISK_FILE"
    # Without it, systemd takes /etc for out of date, and makes the agent's user at boot.
    echo 'rm /etc/.updated' >"$BOARD_STATE/debugfs"
    while read -r kind mode path; do
        case $kind in
            d) echo "mkdir $path" ;;
            f) printf 'write %s %s\nset_inode_field %s mode 0100%s\n' "$tree$path" "$path" "$path" "$mode" ;;
            l) echo "symlink $path $(readlink "$tree$path")" ;;
        esac
    done < <(find "$tree" -mindepth 1 -printf '%y %m /%P\n') >>"$BOARD_STATE/debugfs"
    # Folders that are there already are no error.
    board_tool debugfs -w -f "$BOARD_STATE/debugfs" "$BOARD_DISK_FILE" >"$BOARD_STATE/debugfs.log" 2>&1
    board_tool debugfs -R 'stat /usr/bin/p2pcam-agent' "$BOARD_DISK_FILE" 2>/dev/null | grep -q 'Type: regular    Mode:  0755' ||
        die "$(cat "$BOARD_STATE/debugfs.log")" "The agent could not be put on the board's disk."
    rm -rf "$tree"
}

# The address of the running agent's page, with the viewer's secret; it has a certificate of its own making.
board_page() {
    local token
    # shellcheck disable=SC2016 # The guest's shell reads it.
    token=$(board_ssh 'for i in $(seq 100); do cat /var/lib/p2pcam/viewer-token 2>/dev/null && break; sleep 0.2; done' </dev/null)
    echo "https://$BOARD_ADDRESS:8443/#device=board&token=$token"
}

board_keep_journal() {
    board_ssh journalctl --boot --no-pager --output=short-precise </dev/null >"$BOARD_STATE/journal.txt" || true
    say "Tests failed. The board's journal: $BOARD_STATE/journal.txt"
}

# board_run_tests [WORD...]: the board tests, in the guest, as root; fails as they do.
board_run_tests() {
    local status=0
    say "Running the board tests."
    board_copy "$BOARD_TESTS" /usr/lib/board/tests || return
    # One after the other: they share the board's few devices.
    board_ssh env P2PCAM_BOARD=1 AGENT_UNDER_TEST=/usr/bin/p2pcam-agent RUST_BACKTRACE=1 TMPDIR=/run \
        /usr/lib/board/tests --test-threads=1 "$@" </dev/null || status=$?
    [ $status -eq 0 ] || board_keep_journal
    return $status
}

# board_beside COMMAND...: runs a program of this machine in the board's network, and tells it how to reach the board.
board_beside() {
    board_inside env "PATH=$PATH" "HOME=$HOME" "P2PCAM_BOARD_NAME=$BOARD_NAME" "P2PCAM_BOARD_HOST=$BOARD_ADDRESS" \
        "P2PCAM_BOARD_SHELL=$PWD/scripts/board ssh" "$@"
}

# board_run_browser_tests [WORD...]: Chromium on this machine watches the board; fails as the tests do.
board_run_browser_tests() {
    local status=0
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_browser)
    say "Watching the board with a browser."
    # With the whole workspace, as scripts/test builds it: alone it would need other features of what it stands on.
    cargo test --locked --workspace --test board_browser --no-run --message-format=json-render-diagnostics \
        >target/boards/cargo.json || return
    board_beside "$(board_built test board_browser)" --test-threads=1 "$@" || status=$?
    [ $status -eq 0 ] || board_keep_journal
    return $status
}
