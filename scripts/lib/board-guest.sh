# shellcheck shell=bash
# A running emulated board: its network namespace, QEMU, the way in, snapshots. Needs deps.sh, debs.sh, board-image.sh.
#
# BOARD_BASE and its like come from need_board_image or from the file env of a running board.
# shellcheck disable=SC2153
#
# Everything of a board is named after it (BOARD_NAME), so boards of several work trees run side by side, all with the
# same address, each in a network namespace of its own. This machine's own network is never touched.
#
# The rig (hil) has a namespace of its own for a board, with a DHCP server in it: P2PCAM_BOARD_NETNS names it, and
# P2PCAM_BOARD_HOST the address that the board has there after board_dhcp.

# From power-on to systemd's default target takes 30 s of an idle processor; machines under load are slower.
BOARD_BOOT_SECONDS=${P2PCAM_BOARD_SECONDS:-240}
BOARD_MEMORY=1280M
BOARD_CORES=2
BOARD_MAC=52:54:00:77:00:02
# Names of interfaces as the agent's user knows them; no audit, no mitigations: emulated time is dear.
BOARD_KERNEL_LINE='console=ttyAMA0 net.ifnames=0 audit=0 mitigations=off loglevel=5 systemd.show_status=1'

# board_name: sets BOARD_NAME, BOARD_STATE, the folder of the board's pid, log and sockets, and what its network is called:
# BOARD_NAMESPACE, BOARD_TAP in it, and BOARD_HOST, where the board is reached.
board_name() {
    local path
    # Two clones may have folders of the same name.
    path=$(printf %s "$PWD" | sha256sum | cut -c1-4)
    BOARD_NAME=${P2PCAM_BOARD_NAME:-$(basename "$PWD" | tr -c 'a-zA-Z0-9\n' -)-$path}
    case $BOARD_NAME in *[!a-zA-Z0-9-]*) die "A board's name has letters, digits and dashes only, so not: $BOARD_NAME" ;; esac
    BOARD_LAB=${P2PCAM_BOARD_NETNS:-}
    BOARD_NAMESPACE=${BOARD_LAB:-p2pcam-$BOARD_NAME}
    BOARD_TAP=tap0
    [ -z "$BOARD_LAB" ] || BOARD_TAP=board0
    BOARD_HOST=${P2PCAM_BOARD_HOST:-$BOARD_ADDRESS}
    BOARD_STATE=$PWD/target/boards/$BOARD_NAME
}

# board_inside COMMAND...: runs it in the board's network namespace, as root.
board_inside() {
    as_root ip netns exec "$BOARD_NAMESPACE" "$@"
}

# board_pid: the process id of this board's QEMU; fails if it does not run.
board_pid() {
    local pid
    pid=$(as_root cat "$BOARD_STATE/qemu.pid" 2>/dev/null) || return 1
    # The id may have gone to another process since.
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "p2pcam-board-$BOARD_NAME" || return 1
    echo "$pid"
}

board_needs_root() {
    can_be_root || die "A board's network takes root (a network namespace and a tap), and there is no sudo here or it asks" \
        "for a password that nobody can type. Start this as root."
    as_root test -c /dev/net/tun || die "This machine has no /dev/net/tun, which a board's network needs." \
        "As root: modprobe tun   (in a container: start it with --device /dev/net/tun --cap-add NET_ADMIN --cap-add SYS_ADMIN)"
}

board_net_up() {
    board_net_down
    if [ -z "$BOARD_LAB" ]; then
        as_root ip netns add "$BOARD_NAMESPACE" ||
            die "No network namespace could be made. In a container it takes --cap-add NET_ADMIN --cap-add SYS_ADMIN."
        board_inside ip link set lo up
    fi
    board_inside ip tuntap add "$BOARD_TAP" mode tap
    board_inside ip address add "$BOARD_GATEWAY/24" dev "$BOARD_TAP"
    board_inside ip link set "$BOARD_TAP" up
}

# The tap goes with its namespace; from another's namespace it is taken.
board_net_down() {
    if [ -n "$BOARD_LAB" ]; then
        board_inside ip link delete "$BOARD_TAP" 2>/dev/null || true
    elif as_root ip netns list 2>/dev/null | grep -q "^$BOARD_NAMESPACE\b"; then
        as_root ip netns delete "$BOARD_NAMESPACE"
    fi
}

# board_stop: ends QEMU and removes the board's network; says nothing if there is none.
board_stop() {
    local pid tries=0
    if pid=$(board_pid); then
        board_disconnect
        as_root kill "$pid" 2>/dev/null || true
        while board_pid >/dev/null; do
            tries=$((tries + 1))
            # QEMU writes its disk back; after 5 s it does not answer.
            [ $tries -lt 50 ] || as_root kill -9 "$pid" 2>/dev/null || true
            sleep 0.1
        done
    fi
    board_net_down
    as_root rm -f "$BOARD_STATE"/{qemu.pid,monitor,ssh,disk.qcow2}
}

# board_qemu BACKING_DISK ARGUMENT...: starts QEMU in the background, on a disk that keeps the changes apart. With
# BOARD_CARD, a block device or raw file, that is the disk and changes stay in it; with BOARD_SERIAL the console is there.
board_qemu() {
    local backing=$1 format=raw disk=file=disk.qcow2
    shift
    case $backing in *.qcow2) format=qcow2 ;; esac
    as_root rm -f "$BOARD_STATE"/{monitor,ssh,disk.qcow2}
    if [ -n "${BOARD_CARD:-}" ]; then
        disk=file=$BOARD_CARD,format=raw
    else
        board_tool qemu-img create -q -f qcow2 -b "$backing" -F $format "$BOARD_STATE/disk.qcow2"
    fi
    : >"$BOARD_STATE/serial.log"
    : >"$BOARD_STATE/qemu.log"
    board_tool_words qemu-system-aarch64
    # Paths of sockets are short (108 bytes), so they are relative. A session of its own keeps Ctrl-C away from it; its
    # own -daemonize would lose its words, and with it saving to a file fails ("Bad address", QEMU 10.0.2).
    (
        cd "$BOARD_STATE" &&
            board_inside setsid "${BOARD_RUN[@]}" -L "$BOARD_TOOLS/usr/share/qemu" -name "p2pcam-board-$BOARD_NAME" \
                -nodefaults -no-user-config -display none -pidfile qemu.pid \
                -machine virt -cpu cortex-a72 -smp $BOARD_CORES -m $BOARD_MEMORY -accel tcg,thread=multi \
                -kernel "$BOARD_BASE/vmlinuz" -initrd "$BOARD_BASE/initrd" -append "$BOARD_KERNEL_LINE" \
                -serial "${BOARD_SERIAL:-file:serial.log}" -monitor unix:monitor,server,nowait \
                -drive "$disk,if=none,id=disk,cache=unsafe" -device virtio-blk-pci,drive=disk,romfile= \
                -netdev tap,id=net,ifname="$BOARD_TAP",script=no,downscript=no \
                -device virtio-net-pci,netdev=net,mac=$BOARD_MAC,romfile= -device virtio-rng-pci "$@"
    ) </dev/null >"$BOARD_STATE/qemu.log" 2>&1 &
    local starter=$!
    until board_pid >/dev/null; do
        kill -0 $starter 2>/dev/null || die "$(cat "$BOARD_STATE/qemu.log")" "QEMU does not start; its words above say why."
        sleep 0.1
    done
}

# board_monitor COMMAND: gives QEMU's monitor a command and prints its answer.
board_monitor() {
    (cd "$BOARD_STATE" && as_root python3 - "$1") <<'PYTHON'
import socket, sys

monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(120)
monitor.connect("monitor")

def until_prompt():
    text = b""
    while not text.endswith(b"(qemu) "):
        part = monitor.recv(65536)
        if not part:
            break
        text += part
    return text.decode(errors="replace")

until_prompt()
monitor.sendall(sys.argv[1].encode() + b"\n")
print(until_prompt().removesuffix("(qemu) "))
PYTHON
}

# board_ssh COMMAND...: runs it on the board as root. One connection serves all commands: a handshake takes the emulated
# processor half a second.
board_ssh() {
    board_tool_words ssh
    local terminal=()
    if [ -t 0 ] && [ -t 1 ]; then terminal=(-t); fi
    (
        cd "$BOARD_STATE" &&
            board_inside "${BOARD_RUN[@]}" -F none -i "$BOARD_KEY" -o IdentitiesOnly=yes -o LogLevel=ERROR \
                -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10 \
                -o ServerAliveInterval=15 -o ControlMaster=auto -o ControlPath=./ssh -o ControlPersist=yes \
                "${terminal[@]}" "root@$BOARD_HOST" "$@"
    )
}

# Ends the connection that all commands share, which would wait for a board that is gone.
board_disconnect() {
    if [ -S "$BOARD_STATE/ssh" ] && [ -n "${BOARD_TOOLS:-}" ]; then board_ssh -O exit 2>/dev/null || true; fi
}

# board_leash: from now on the board ends, and what is kept of it goes, as soon as standard input does: also when whoever
# holds the other end of that pipe is killed, and this script with it. board_leashed says that the script is done.
board_leash() {
    local script=$$ leash tries=0
    mkdir -p "$BOARD_STATE"
    : >"$BOARD_STATE/starting"
    exec {leash}<&0 </dev/null
    (
        trap - EXIT
        # Ctrl-C is for those in front, who let go of the pipe when they have ended.
        trap '' INT TERM HUP
        while read -r -u "$leash"; do :; done
        # The script may be about to start QEMU.
        while [ -e "$BOARD_STATE/starting" ] && kill "$script" 2>/dev/null && [ $tries -lt 100 ]; do
            tries=$((tries + 1))
            board_stop
            sleep 0.1
        done
        board_stop
        as_root rm -rf "$BOARD_STATE"
    ) >/dev/null 2>&1 &
    exec {leash}<&-
}

board_leashed() {
    rm -f "$BOARD_STATE/starting"
}

# board_dhcp: the board takes its address by DHCP from now on, as a board without any set-up does, and leaves the one
# that it started with. It is then reached at BOARD_HOST.
board_dhcp() {
    # shellcheck disable=SC2016 # The guest's shell reads it.
    BOARD_HOST=$BOARD_ADDRESS board_ssh '
        set -e
        mkdir -p /etc/systemd/network
        printf "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n" >/etc/systemd/network/board.network
        # The service itself is masked; under another name it takes no reload, which costs seconds.
        cp /usr/lib/systemd/system/systemd-networkd.service /run/systemd/system/board-network.service
        # In the background: who asks for it is connected by the address that goes.
        {
            sleep 0.3
            systemctl start board-network.service
            # Without systemd-resolved, nobody else tells programs of the name server.
            for i in $(seq 100); do
                server=$(sed -n "s/^DNS=\([^ ]*\).*/nameserver \1/p" /run/systemd/netif/leases/* 2>/dev/null) && break
                sleep 0.1
            done
            [ -z "$server" ] || echo "$server" >/etc/resolv.conf
        } >/dev/null 2>&1 </dev/null &' </dev/null
    board_disconnect
    [ -z "$BOARD_LAB" ] || board_inside ip address delete "$BOARD_GATEWAY/24" dev "$BOARD_TAP"
}

# board_copy FILE DESTINATION: also into folders that are not there yet; keeps the mode.
board_copy() {
    local mode
    mode=$(stat -L -c %a "$1")
    board_ssh "mkdir -p '$(dirname "$2")' && cat >'$2.new' && chmod $mode '$2.new' && mv '$2.new' '$2'" <"$1"
}

# board_fail WORDS...: ends with the words and the end of the board's serial log.
board_fail() {
    printf -- '----- the end of %s\n' "$BOARD_STATE/serial.log" >&2
    tail -n 40 "$BOARD_STATE/serial.log" | tr -d '\r' >&2 || true
    printf -- '-----\n' >&2
    die "$@"
}

# board_wait: until systemd has started all that it is to start.
board_wait() {
    local started=$SECONDS shown=$SECONDS state
    until (exec 2>/dev/null && board_inside timeout 2 bash -c "read -r -n 4 <>/dev/tcp/$BOARD_ADDRESS/22"); do
        board_pid >/dev/null || board_fail "QEMU ended before the board was up."
        ! grep -q 'Kernel panic' "$BOARD_STATE/serial.log" || board_fail "The board's kernel panicked."
        [ $((SECONDS - started)) -lt "$BOARD_BOOT_SECONDS" ] ||
            board_fail "The board did not come up within $BOARD_BOOT_SECONDS s." \
                "On a slow or busy machine give it longer:  export P2PCAM_BOARD_SECONDS=600"
        if [ $((SECONDS - shown)) -ge 10 ]; then
            shown=$SECONDS
            say "Booting, $((SECONDS - started)) s: $(tr -d '\r\033' <"$BOARD_STATE/serial.log" | tail -n 1 | cut -c1-90)"
        fi
        sleep 0.5
    done
    # `degraded` is an answer too: a unit failed, and the tests will say what they miss.
    state=$(board_ssh timeout "$BOARD_BOOT_SECONDS" systemctl is-system-running --wait </dev/null) || true
    case $state in
        running) ;;
        degraded)
            say "The board is up, but these units failed:"
            board_ssh systemctl --failed --no-legend --plain </dev/null >&2
            ;;
        *) board_fail "The board's systemd did not finish starting: ${state:-no answer}." ;;
    esac
}

# The board's clock has stood still since the snapshot.
board_set_clock() {
    board_ssh "date -s @$(date +%s)" </dev/null >/dev/null
}

# board_snapshot: sets BOARD_SNAPSHOT to the folder of the booted board's state; it need not exist.
board_snapshot() {
    BOARD_SNAPSHOT=$CACHE/board/snapshot-$(printf '%s\n' "$BOARD_BASE" "$BOARD_TOOLS" "$BOARD_MEMORY" "$BOARD_CORES" \
        "$BOARD_KERNEL_LINE" "$(declare -f board_qemu board_save)" | sha256sum | cut -c1-16)
}

# board_save: keeps the running board's memory and disk as BOARD_SNAPSHOT; the board is stopped for it.
board_save() {
    local new=$BOARD_SNAPSHOT.$BOARD_NAME
    say "Keeping a snapshot of the booted board."
    rm -rf "$new"
    mkdir -p "$new"
    # The connection would be half a connection afterwards.
    board_disconnect
    # Migration to a file, not savevm: many boards can start from one file, each on a disk of its own.
    board_monitor "migrate_set_parameter max-bandwidth 10G" >/dev/null
    board_monitor "migrate file:$new/memory" >/dev/null
    board_monitor "info migrate" | grep -q 'status: completed' || die "QEMU could not save the board: $(board_monitor "info migrate")"
    board_monitor "quit" >/dev/null || true
    while board_pid >/dev/null; do sleep 0.1; done
    as_root mv "$BOARD_STATE/disk.qcow2" "$new/disk.qcow2"
    as_root chown "$(id -u):$(id -g)" "$new"/*
    # Whoever came first has it; the two are alike.
    mv -T "$new" "$BOARD_SNAPSHOT" 2>/dev/null || rm -rf "$new"
}

# board_start_cold DISK: from power-on; leaves a board with systemd up.
board_start_cold() {
    board_net_up
    say "Booting the board $BOARD_NAME (serial log: target/boards/$BOARD_NAME/serial.log)."
    board_qemu "$1"
    board_wait
}

# board_start: from the snapshot, which is made if there is none; leaves a board with systemd up, without an agent.
board_start() {
    board_snapshot
    if [ ! -d "$BOARD_SNAPSHOT" ]; then
        board_start_cold "$BOARD_BASE/disk.ext4"
        board_save
    fi
    touch "$BOARD_SNAPSHOT"
    board_net_up
    say "Starting the board $BOARD_NAME from its snapshot."
    board_qemu "$BOARD_SNAPSHOT/disk.qcow2" -incoming "file:$BOARD_SNAPSHOT/memory"
    board_wait
    board_set_clock
}
