# shellcheck shell=bash
# The agent beside other WebRTC senders (hil/bench). Needs deps.sh and rust.sh.

# bench_peers OPTION...: installs what is missing and runs the driver as root, which namespaces take.
bench_peers() {
    case " $* " in
        *" --help "* | *" -h "*)
            PYTHONDONTWRITEBYTECODE=1 python3 hil/bench/driver --help
            return
            ;;
    esac
    # Names of packages hold no blanks.
    # shellcheck disable=SC2046
    need_packages $(packages_build) $(packages_bench)
    need_rust
    can_be_root || die "The benchmark makes network namespaces, which takes root." "As root: ./scripts/bench peers $*"
    set -- env PATH="$(dirname "$(command -v cargo)"):$PATH" PYTHONDONTWRITEBYTECODE=1 \
        ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR="$CARGO_TARGET_DIR"} /usr/bin/python3 hil/bench/driver "$@"
    # In the shell's place, so that a signal to this script reaches the driver, which cleans up.
    [ "$(id -u)" -ne 0 ] || exec "$@"
    as_root "$@"
}
