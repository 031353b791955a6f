# shellcheck shell=bash
# What tests of shell scripts stand on: functions test_* are run one by one, each in a folder AREA of its own.

AREA=''
# What a command said that failed; tests read it.
# shellcheck disable=SC2034
ERRORS=''
STARTED=()

is() {
    [ "$1" = "$2" ] || wrong "is: $1" "should be: $2"
}

differs() {
    [ "$1" != "$2" ] || wrong "is the same as before: $1"
}

# matches TEXT REGEX: one of its lines does.
matches() {
    grep -Eq -- "$2" <<<"$1" || wrong "is: $1" "should match: $2"
}

present() {
    [ -e "$1" ] || wrong "is not there: $1"
}

absent() {
    [ ! -e "$1" ] || wrong "is there: $1"
}

# fails COMMAND...: it does; what it says is in ERRORS.
fails() {
    if ERRORS=$("$@" 2>&1); then wrong "did not fail: $*" "said: $ERRORS"; fi
}

wrong() {
    printf '    %s\n' "line ${BASH_LINENO[1]}:" "$@" >&2
    exit 1
}

skip() {
    echo "    skipped: $1" >&2
    touch "$AREA.skipped"
}

stop_started() {
    local pid
    for pid in "${STARTED[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# Runs all tests, or those whose name holds the first argument; says how many passed.
run_tests() {
    local name all passed=0 failed=0 skipped=0
    all=$(mktemp -d)
    # The folder is made here and named so on purpose.
    # shellcheck disable=SC2064
    trap "rm -rf '$all'" EXIT
    for name in $(compgen -A function test_ | grep -F -- "${1:-}"); do
        AREA=$all/$name
        mkdir "$AREA"
        # Not in an `if`: set -e must end a test at its first wrong line.
        set +e
        (
            set -e
            trap stop_started EXIT
            "$name"
        )
        case $? in
            0) if [ -e "$AREA.skipped" ]; then skipped=$((skipped + 1)); else passed=$((passed + 1)); fi ;;
            *)
                failed=$((failed + 1))
                echo "    failed: $name" >&2
                ;;
        esac
        set -e
    done
    echo "${0##*/}: $passed passed, $failed failed, $skipped skipped" >&2
    [ $failed = 0 ]
}
