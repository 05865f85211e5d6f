# Sourced by test, demo, check and bench: from a fresh Debian or Ubuntu to a built .venv. Does only what is missing.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
STAMP="$VENV/.warden-stamp"
MINIMUM='import sys; sys.exit(sys.version_info < (3, 11))'
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

need_root() {
    [ "$(id -u)" -eq 0 ] || die "needs root: sudo scripts/$(basename "$0")"
}

have_library() {
    local directory
    for directory in /lib /usr/lib /lib/*-linux-gnu /usr/lib/*-linux-gnu /usr/lib64; do
        compgen -G "$directory/$1*" >/dev/null && return 0
    done
    return 1
}

# The first interpreter that is new enough; the system's own first, because a version manager's shim is slow.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 /usr/bin/python3.1[1-9] /usr/local/bin/python3 "$(command -v python3 || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c "$MINIMUM" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# Names of the Debian packages that are missing here, one a line.
missing_packages() {
    local python
    python="$(find_python)"
    [ -n "$python" ] || echo python3
    if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        case "$python" in
            /usr/bin/python3.*) echo "$(basename "$python")-venv" ;;
            *) echo python3-venv ;;
        esac
    fi
    command -v gcc >/dev/null || echo gcc
    command -v musl-gcc >/dev/null || echo musl-tools
    command -v make >/dev/null || echo make
    [ -e /usr/include/stdio.h ] || echo libc6-dev
    command -v ip >/dev/null || [ -x /sbin/ip ] || echo iproute2
    command -v nft >/dev/null || [ -x /usr/sbin/nft ] || echo nftables
    command -v mount >/dev/null || echo mount
    command -v rsync >/dev/null || echo rsync # tests compare copies with its
    command -v mkfs.xfs >/dev/null || [ -x /usr/sbin/mkfs.xfs ] || echo xfsprogs
    command -v mkfs.btrfs >/dev/null || [ -x /usr/sbin/mkfs.btrfs ] || echo btrfs-progs # tests make one in a file
    command -v mkfs.ext4 >/dev/null || [ -x /usr/sbin/mkfs.ext4 ] || echo e2fsprogs # of disk limits by loop
    command -v newuidmap >/dev/null || echo uidmap # an ordinary user's containers of LXC's tools
    have_library libseccomp.so.2 || echo libseccomp2
    # The image `busybox` is made from the static program: an ELF file without an interpreter.
    if [ ! -x /bin/busybox ] || grep -aq 'ld-linux\|ld-musl' <(head -c 4096 /bin/busybox); then
        echo busybox-static
    fi
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]} (install them with this system's package manager)"
    [ "$(id -u)" -eq 0 ] || die "missing packages: ${missing[*]} (as root: apt-get install ${missing[*]})"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update >&2 || die "apt-get update failed"
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2 || die "apt-get install ${missing[*]} failed"
}

# What the installation in .venv was made from; a change of it makes the next script install again.
installation_state() {
    (cd "$ROOT" && { "$1" --version; pwd; cat pyproject.toml setup.py 2>/dev/null; } | sha256sum | cut -d' ' -f1)
}

make_venv() {
    local python state
    python="$(find_python)"
    [ -n "$python" ] || die "Python 3.11 or newer is needed; $(/usr/bin/python3 --version 2>&1 || echo 'there is none')"
    state="$(installation_state "$python")"
    if [ "$(cat "$STAMP" 2>/dev/null)" = "$state" ] && "$VENV/bin/python" -c 'import warden' 2>/dev/null; then
        return 0
    fi
    say "installing warden and its tools into .venv"
    "$VENV/bin/python" -c "$MINIMUM" 2>/dev/null || "$python" -m venv --clear "$VENV" || die "making $VENV failed"
    "$VENV/bin/pip" install --quiet --editable "$ROOT[test]" >&2 || die "pip install failed"
    echo "$state" >"$STAMP"
}

# The C part: make looks at the times, so this costs milliseconds when nothing changed.
build_wshd() {
    local target="$ROOT/src/warden/_native/wshd"
    mkdir -p "$(dirname "$target")"
    make -s -C "$ROOT/native" BIN="$target" "$target" >&2 || die "building wshd failed"
}

bootstrap() {
    install_packages
    make_venv
    build_wshd
    export PATH="$VENV/bin:/usr/sbin:/sbin:$PATH"
}
