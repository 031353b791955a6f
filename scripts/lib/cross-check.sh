# shellcheck shell=bash
# Runs an agent built for a board on this machine, under QEMU's user mode with Debian's libraries of the board.
# Needs deps.sh, debs.sh, rust.sh and cross.sh.

# QEMU's user mode computes some ten times slower than the processor, and loads the code that it translates.
CROSS_ANSWER_WAIT_S=90

# Packages of this machine to run the result of a cross build.
packages_cross_check() {
    echo qemu-user
}

# cross_run ARGUMENT...: the agent, as on a board. Takes the place of the shell that it is called in: $(...) or &.
cross_run() {
    # An agent's variables of this machine are not meant for it.
    exec env -i PATH="$PATH" HOME="$CROSS_AREA" TMPDIR="$CROSS_AREA" \
        P2PCAM_DEVICE_STATE_DIR="$CROSS_AREA/state" P2PCAM_TELEMETRY_LISTEN= P2PCAM_SIGNALING_LINK=stdio \
        P2PCAM_VIDEO_SOURCE=pattern P2PCAM_AUDIO_SOURCE=tone P2PCAM_AUDIO_SINK=none \
        P2PCAM_ICE_PORT=0 P2PCAM_ICE_PORT_MAPPING=false P2PCAM_ICE_POLICY=host P2PCAM_ICE_LOOPBACK=true \
        "$CROSS_QEMU" -L "$CROSS_SYSROOT" "$CROSS_AGENT" "$@"
}

# cross_check: CROSS_AGENT says its version, checks its configuration, lists devices, answers a viewer and encodes if it can.
cross_check() {
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_cross_check)
    CROSS_AREA=$(mktemp -d)
    # shellcheck disable=SC2064 # Now, not then.
    trap "rm -rf '$CROSS_AREA'" EXIT
    say "Running $CROSS_AGENT under QEMU."
    cross_expects '^p2pcam-agent [0-9]' --version
    cross_expects '✓ configuration' check --config /dev/null
    cross_expects '^Cameras' devices
    cross_answers
    rm -rf "$CROSS_AREA"
    trap - EXIT
}

# cross_expects WORDS ARGUMENT...: the agent does it, and says the words.
cross_expects() {
    local words=$1 said
    shift
    said=$(cross_run "$@" 2>&1) || die "$said" "On $CROSS_TARGET this failed: p2pcam-agent $*"
    grep -Eqi "$words" <<<"$said" || die "$said" "On $CROSS_TARGET these words were missing: p2pcam-agent $*"
}

# Whether the agent has an encoder of its own, asked of the agent: what it was built with may come from many arguments.
cross_encodes() {
    local said
    printf '[video]\nencoder = "openh264"\n' >"$CROSS_AREA/encodes.toml"
    said=$(cross_run check --config "$CROSS_AREA/encodes.toml" 2>&1) || true
    ! grep -q 'built without the feature openh264' <<<"$said"
}

# The offer of the images' health check is answered, and, with an encoder inside, the test pattern encoded for whoever sent
# it. Without one only a board can encode.
cross_answers() {
    local agent encodes=no
    if cross_encodes; then encodes=yes; fi
    mkfifo "$CROSS_AREA/in"
    # Held open: a link whose input ends is over, and the agent with it.
    exec {CROSS_OFFERS}<>"$CROSS_AREA/in"
    cat image/update/offer.jsonl >&"$CROSS_OFFERS"
    cross_run run --config /dev/null <"$CROSS_AREA/in" >"$CROSS_AREA/out" 2>"$CROSS_AREA/log" {CROSS_OFFERS}>&- &
    agent=$!
    cross_wait "$agent" '"type":"answer"' "$CROSS_AREA/out" "an offer was not answered"
    if [ $encodes = yes ]; then
        cross_wait "$agent" 'video encoder opened' "$CROSS_AREA/log" "an offer was answered, but no encoder opened"
    else
        say "$CROSS_TARGET: no encoder is built in, so none was asked for a picture."
    fi
    kill "$agent"
    wait "$agent" || die "$(cat "$CROSS_AREA/log")" "On $CROSS_TARGET the agent did not end well after SIGTERM."
    exec {CROSS_OFFERS}>&-
    say "$CROSS_TARGET: $(grep -o 'offer answered in.*' "$CROSS_AREA/log" | head -n 1)"
}

# cross_wait AGENT WORDS FILE OTHERWISE: until the words are in the file; ends with the other ones if they do not come.
cross_wait() {
    local agent=$1 words=$2 file=$3 otherwise=$4 left=$CROSS_ANSWER_WAIT_S how="within $CROSS_ANSWER_WAIT_S s"
    until grep -q "$words" "$file"; do
        kill -0 "$agent" 2>/dev/null || how="before the agent ended" left=0
        if [ "$left" -eq 0 ]; then
            kill "$agent" 2>/dev/null || true
            die "$(cat "$CROSS_AREA/log")" "On $CROSS_TARGET $otherwise $how."
        fi
        left=$((left - 1))
        sleep 1
    done
}
