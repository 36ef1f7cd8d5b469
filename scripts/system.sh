# Shared by the scripts in this folder: messages on stderr, and installing missing programs.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    if [ $# -gt 1 ]; then say "hint: $2"; fi
    exit 2
}

# Makes sure that programs exist. Arguments are pairs PROGRAM:DEBIAN-PACKAGE. What is missing is
# installed where that needs no password (root, or sudo without one) and apt-get is there; elsewhere
# the command to type is shown.
require_programs() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    install_packages "${packages[@]}"
}

install_packages() {
    local root=()
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            fail "missing on this system: $*" "install with: sudo apt-get install $* (or your system's own packages of these)"
        fi
        root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null; then
        fail "missing on this system: $*" "install your system's packages of these; only Debian's are installed automatically"
    fi
    say "installing Debian packages: $*"
    # A machine whose package list was never fetched knows no package at all, hence the second try.
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >&2; then
        "${root[@]}" apt-get update -qq >&2
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >&2
    fi
}

# A Python that can make virtual environments. Debian ships the module without the part that it needs.
require_venv() {
    require_programs python3:python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
}

# Prints the Python of the reference libraries that goldens and benchmarks need; makes their environment, once.
goldens_python() {
    require_venv
    local python=target/goldens-venv/bin/python
    [ -x "$python" ] || python3 -m venv target/goldens-venv
    "$python" -m pip install --quiet --disable-pip-version-check -r fixtures/regen/requirements.txt >&2
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r fixtures/regen/requirements-alone.txt >&2
    printf '%s\n' "$python"
}
