"""Values of LXC's keys: text → typed value. Every parser raises BadInput with the cause alone; reading.py names the key.

Pure. Owns the spelling of numbers, signals, sizes, times, id maps, limits and architectures.
"""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, late, signal
from warden.model.names import is_host_name
from warden.model.system import NAMESPACES, IdRange

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
else:
    re = late("re")

_INT64 = 2**63
_SIZE_UNITS = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "K": 1024, "M": 1024**2, "G": 1024**3}
_NS_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
FACILITIES = ("daemon", *(f"local{n}" for n in range(8)))
LEVELS = ("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL")
#: Names that stand for personality(2) PER_LINUX32, and for PER_LINUX: `uname -m` becomes the 32-bit one.
ARCH_32 = "arm armel armhf armv7l athlon i386 i486 i586 i686 linux32 mips mipsel ppc powerpc x86".split()
ARCH_64 = (
    "aarch64 amd64 arm64 linux64 loongarch64 mips64 mips64el ppc64 ppc64el ppc64le powerpc64 riscv64 s390x x86_64"
).split()
#: Storage of a root file system that is named before its place.
_KINDS = ("dir", "overlay", "overlayfs", "aufs", "loop", "nbd", "btrfs", "zfs", "lvm", "rbd")
RLIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()


def text(value: str) -> str:
    return value


def texts(value: str) -> tuple[str, ...]:
    """One item, with its blanks."""
    return (value,)


def words(value: str) -> tuple[str, ...]:
    """Items separated by blanks."""
    return tuple(value.split())


def split(command: str) -> list[str]:
    """Words as a shell has them, shlex.split; raises ValueError."""
    if command.isascii() and command.isprintable() and not any(mark in command for mark in "'\"\\"):
        return command.split()
    import shlex

    return shlex.split(command)


def path(value: str) -> str:
    if not value.startswith("/"):
        raise BadInput(f"{value!r} is not an absolute path")
    return value


def split_kind(value: str) -> tuple[str, str]:
    """Kind and place of lxc.rootfs.path: "overlay:/a:/b" is ("overlay", "/a:/b"), "/a" is ("dir", "/a")."""
    kind, _, place = value.partition(":")
    if has_kind(value):
        return ("overlay" if kind == "overlayfs" else kind), place
    return ("device" if value.startswith("/dev/") else "dir"), value


def has_kind(value: str) -> bool:
    return value.partition(":")[0] in _KINDS and ":" in value


def number(value: str) -> int:
    """A whole number that is not negative."""
    if not (value.isdecimal() and len(value) <= 18):
        raise BadInput(f"{value!r} is not a whole number")
    return int(value)


def integer(value: str) -> int:
    digits = value[1:] if value.startswith(("+", "-")) else value
    if not (digits.isdecimal() and len(digits) <= 9):
        raise BadInput(f"{value!r} is not a whole number")
    return int(value)


def switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise BadInput(f"{value!r} is not 0 or 1")
    return value == "1"


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of one of *choices*."""

    def parse(value: str) -> str:
        if value not in choices:
            raise BadInput(f"{value!r} is unknown", hint="one of " + ", ".join(choices))
        return value

    return parse


def signal_number(value: str) -> int:
    """SIGTERM, TERM, 15, SIGRTMIN+3, RTMAX-1."""
    name = value.upper().removeprefix("SIG")
    if name.isdecimal() and len(name) <= 2:
        found = int(name)
    elif match := re.fullmatch(r"RTMIN(?:\+(\d{1,2}))?", name):
        found = signal.SIGRTMIN + int(match[1] or 0)
    elif match := re.fullmatch(r"RTMAX(?:-(\d{1,2}))?", name):
        found = signal.SIGRTMAX - int(match[1] or 0)
    else:
        found = int(getattr(signal, f"SIG{name}", 0)) if name.isalnum() else 0
    if not 1 <= found <= signal.SIGRTMAX:
        raise BadInput(f"{value!r} is not a signal", hint="such as SIGTERM, TERM, 15 or SIGRTMIN+3")
    return found


def size(value: str) -> int:
    """Bytes of "4096", "64KB", "2 MB"; binary units."""
    match = re.fullmatch(r"(?i)(\d{1,15})\s*([KMG]?B?)", value)
    if match is None:
        raise BadInput(f"{value!r} is not a size", hint="bytes, or a number with KB, MB or GB")
    found = int(match[1]) * _SIZE_UNITS[match[2].upper()]
    if found > 1 << 62:
        raise BadInput(f"{value!r} is more than a file can have")
    return found


def auto_size(value: str) -> int:
    """As `size`; "auto" is -1."""
    return -1 if value == "auto" else size(value)


def nanoseconds(value: str) -> int:
    """Of "10", "-3h", "20ms"; seconds without a unit."""
    match = re.fullmatch(r"([+-]?\d{1,15})\s*(h|m|s|ms|us|ns)?", value)
    if match is None:
        raise BadInput(f"{value!r} is not a time", hint="a number with h, m, s, ms, us or ns")
    found = int(match[1]) * _NS_UNITS[match[2] or "s"]
    if not -_INT64 <= found < _INT64:
        raise BadInput(f"{value!r} is out of range")
    return found


def id_ranges(value: str) -> tuple[IdRange, ...]:
    """ "u 0 100000 65536"; "b" is both."""
    parts = value.split()
    if len(parts) != 4 or parts[0] not in ("u", "g", "b"):
        raise BadInput(f"{value!r} is not an id map", hint="u, g or b, then FIRST-INSIDE FIRST-ON-HOST COUNT")
    inside, outside, count = map(number, parts[1:])
    if not count or max(inside, outside) + count > 2**32 - 1:
        raise BadInput(f"{value!r} is out of range", hint="ids are below 4294967295, and a range has at least one")
    return tuple(IdRange(kind, inside, outside, count) for kind in ("ug" if parts[0] == "b" else parts[0]))


def rlimit(name: str, value: str) -> tuple[tuple[str, int | None, int | None], ...]:
    """(name, soft, hard), None unlimited, of "soft[:hard]"."""
    if name not in RLIMITS:
        raise BadInput(f"{name!r} is not a resource", hint="one of " + ", ".join(RLIMITS))
    soft, colon, hard = value.partition(":")
    low, high = _limit(soft.strip()), _limit(hard.strip() if colon else soft.strip())
    if high is not None and (low is None or low > high):
        raise BadInput(f"{value!r}: the soft limit is above the hard one")
    return ((name, low, high),)


def _limit(value: str) -> int | None:
    return None if value == "unlimited" else number(value)


def named_text(name: str, value: str) -> tuple[tuple[str, str], ...]:
    """(name, value) as they are."""
    if not name or not re.fullmatch(r"[A-Za-z0-9_.:/*-]+", name) or ".." in name.split("/"):
        raise BadInput(f"{name!r} is not a name")
    return ((name, value),)


def environment(value: str) -> tuple[str, ...]:
    """ "NAME=VALUE", or "NAME": whatever the starting tool's environment has."""
    if not value.partition("=")[0].strip():
        raise BadInput(f"{value!r} is not a variable", hint="NAME=VALUE, or NAME to take it over")
    return (value,)


def architecture(value: str) -> str:
    if value not in (*ARCH_32, *ARCH_64):
        raise BadInput(f"{value!r} is not an architecture", hint="one of " + ", ".join(sorted((*ARCH_32, *ARCH_64))))
    return value


def level(value: str) -> str:
    """A name of LEVELS, or its number."""
    name = LEVELS[int(value)] if re.fullmatch(r"[0-8]", value) else value.upper()
    if name not in LEVELS:
        raise BadInput(f"{value!r} is not a level", hint="one of " + ", ".join(LEVELS))
    return name


def facility(value: str) -> str:
    """Of syslog, by a name that LXC knows."""
    if value and value.lower() not in FACILITIES:
        raise BadInput(f"{value!r} is not a facility of syslog", hint="daemon, or local0 to local7")
    return value


def namespaces(value: str) -> tuple[str, ...]:
    """Names as /proc/PID/ns has them; "mount" is taken for mnt, as LXC's manual writes it."""
    found = tuple("mnt" if name == "mount" else name for name in value.split())
    for name in found:
        if name not in NAMESPACES:
            raise BadInput(f"{name!r} is not a namespace", hint="one of " + ", ".join(NAMESPACES))
    return found


def shared_namespace(name: str, value: str) -> tuple[tuple[str, str], ...]:
    """(namespace, whose: a container's name, a pid or a path)."""
    (found,) = namespaces(name) or ("",)
    return ((found, value),)


def groups(value: str) -> tuple[int, ...]:
    """Group ids separated by commas or blanks."""
    return tuple(number(part) for part in re.split(r"[,\s]+", value.strip()))


def relative_path(value: str) -> str:
    """A path below a cgroup, as LXC demands it: relative, and never upwards."""
    if value.startswith("/") or ".." in value.split("/"):
        raise BadInput(f"{value!r} must be relative and without '..'")
    return value


def capabilities(value: str) -> tuple[str, ...]:
    """Names without cap_, lower case; "none" is one of them. Numbers become names."""
    return tuple(map(_capability, value.split()))


def _capability(word: str) -> str:
    from warden.kernel.proc import CAPABILITIES  # a tool that only looks at keys must not pay for it

    names = [name.removeprefix("CAP_").lower() for name in CAPABILITIES]
    name = word.lower().removeprefix("cap_")
    if name.isdecimal() and int(name) < len(names):
        return names[int(name)]
    if name != "none" and name not in names:
        raise BadInput(f"{word!r} is not a capability", hint="names of capabilities(7) without CAP_, such as sys_time")
    return name


def uts_name(value: str) -> str:
    if not is_host_name(value):
        raise BadInput(f"{value!r} is not a host name", hint="1 to 64 letters, digits, dots and dashes")
    return value
