# shellcheck shell=bash
# The agent beside other WebRTC senders (hil/bench). Needs deps.sh and rust.sh.

# bench_peers OPTION...: installs what is missing and runs the driver as root, which namespaces take.
bench_peers() {
    local python=/usr/bin/python3 cargo
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
    cargo=$(dirname "$(command -v cargo)")
    as_root env PATH="$cargo:$PATH" PYTHONDONTWRITEBYTECODE=1 ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR="$CARGO_TARGET_DIR"} \
        "$python" hil/bench/driver "$@"
}
