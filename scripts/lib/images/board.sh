# shellcheck shell=bash disable=SC2034
# What tests of programs of the board share; beside testing.sh.

# Shells of boards: busybox's where there is one.
BOARD_SHELL=(sh)
if command -v busybox >/dev/null; then BOARD_SHELL=(busybox sh); fi

# program NAME TEXT: a stand-in for a program of the board.
program() {
    printf '#!/bin/sh\n%s\n' "$2" >"$AREA/$1"
    chmod 755 "$AREA/$1"
}
