# shellcheck shell=bash
# Sourced by the other scripts: saying things, and having what is needed.

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need PROGRAM:PACKAGE... — installs with apt-get the packages of those programs that are missing; who may not, is told.
need() {
    local missing=() entry
    PATH=$PATH:/usr/sbin:/sbin
    for entry in "$@"; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
    done
    ((${#missing[@]})) || return 0
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        fail "please install: ${missing[*]}"
    fi
    say "Installing ${missing[*]}."
    {
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "${missing[@]}" ||
            { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "${missing[@]}"; }
    } >/dev/null 2>&1 || fail "apt-get could not install ${missing[*]}"
}
