"""Parsers of /proc: mountinfo, status, limits, id maps, cgroup and cgroups, as proc(5) describes them.

Pure functions over the file's text, and nothing else; lines that a newer kernel adds are passed over.
"""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING, late, pattern
from warden.records import dataclass

if TYPE_CHECKING:
    import re
else:
    re = late("re")

#: Capabilities by bit, as linux/capability.h numbers them up to 5.9.
CAPABILITIES = tuple(
    """
    CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
    CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER
    CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE
    CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP
    CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF
    CAP_CHECKPOINT_RESTORE
    """.split()
)
_LIMIT = pattern(rb"(Max [a-z ]*[a-z]) +(unlimited|[0-9]+) +(unlimited|[0-9]+)")
_OCTAL = pattern(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountRecord:
    """A line of mountinfo. *root*: which directory of the file system is mounted at *target*."""

    mount_id: int
    parent_id: int
    device: str
    root: str
    target: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """The five sets of a process as bit masks, capabilities(7)."""

    inheritable: int = 0
    permitted: int = 0
    effective: int = 0
    bounding: int = 0
    ambient: int = 0


@dataclass(frozen=True, slots=True)
class IdRange:
    """A line of uid_map or gid_map: *outside* is counted in the reader's user namespace, user_namespaces(7)."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class ResourceLimit:
    """A line of /proc/PID/limits; None is unlimited, *name* as the kernel writes it."""

    name: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class CgroupMembership:
    """Where a process is in one hierarchy; v2 has number 0 and no *controllers*, a named one `name=x`."""

    hierarchy: int
    controllers: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class CgroupController:
    """A line of /proc/cgroups. *hierarchy* 0: in no v1 hierarchy, so in v2 or free."""

    name: str
    hierarchy: int
    cgroups: int
    enabled: bool


def _unescape(field: bytes) -> str:
    r"""Blanks, newlines and backslashes are octal in mountinfo, such as \040."""
    if b"\\" not in field:
        return os.fsdecode(field)
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))


def parse_mountinfo(text: bytes) -> list[MountRecord]:
    """The records of /proc/PID/mountinfo, in the kernel's order: a later one hides an earlier one on its target."""
    records = []
    for line in text.splitlines():
        front, separator, back = line.partition(b" - ")
        head, tail = front.split(b" "), back.split(b" ")
        if separator and len(head) >= 6 and len(tail) >= 3:
            records.append(_mount_record(head, tail))
    return records


def _mount_record(head: list[bytes], tail: list[bytes]) -> MountRecord:
    return MountRecord(
        mount_id=int(head[0]),
        parent_id=int(head[1]),
        device=head[2].decode(),
        root=_unescape(head[3]),
        target=_unescape(head[4]),
        options=_words(head[5]),
        propagation=tuple(_unescape(field) for field in head[6:]),
        fstype=_unescape(tail[0]),
        source=_unescape(tail[1]),
        super_options=_words(tail[2]),
    )


def _words(field: bytes) -> tuple[str, ...]:
    return tuple(_unescape(field).split(","))


def mount_of(path: str, records: list[MountRecord]) -> MountRecord | None:
    """The mount that the absolute, resolved *path* is on; None when *records* has no root."""
    best: MountRecord | None = None
    for record in records:
        holds = record.target == "/" or path == record.target or path.startswith(record.target + "/")
        if holds and (best is None or len(record.target) >= len(best.target)):
            best = record
    return best


def parse_capabilities(status: bytes) -> CapabilitySets:
    """The capability sets in the text of /proc/PID/status; a set that is not there is empty."""
    values = {}
    for line in status.splitlines():
        key, _colon, value = line.partition(b":")
        if key in (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb"):
            values[key] = int(value, 16)
    order = (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
    return CapabilitySets(*(values.get(key, 0) for key in order))


def inner_pid(pid: int) -> int:
    """The number of *pid* in the innermost pid namespace that it is in (NSpid, since 4.1); 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = re.search(rb"^NSpid:.*?(\d+)$", file.read(), re.M)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def capability_names(mask: int) -> tuple[str, ...]:
    """Names of the bits of *mask*; one that is newer than us is named by its number."""
    bits = (bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    return tuple(CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"CAP_{bit}" for bit in bits)


def parse_cgroup(text: bytes) -> list[CgroupMembership]:
    """The memberships in the text of /proc/PID/cgroup. Paths may contain colons."""
    found = []
    for line in text.splitlines():
        fields = line.split(b":", 2)
        if len(fields) == 3 and fields[0].isdigit():
            names = tuple(os.fsdecode(fields[1]).split(",")) if fields[1] else ()
            found.append(CgroupMembership(int(fields[0]), names, os.fsdecode(fields[2])))
    return found


def parse_cgroups(text: bytes) -> list[CgroupController]:
    """The controllers in the text of /proc/cgroups, which knows v1's only."""
    rows = (line.split() for line in text.splitlines() if not line.startswith(b"#"))
    return [
        CgroupController(row[0].decode(), int(row[1]), int(row[2]), row[3] == b"1") for row in rows if len(row) == 4
    ]


def parse_status(text: bytes) -> dict[str, str]:
    """The lines of /proc/PID/status by their names; the value of Name is as the kernel escapes it."""
    pairs = (os.fsdecode(line).partition(":") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def parse_id_map(text: bytes) -> list[IdRange]:
    """The ranges in the text of /proc/PID/uid_map or gid_map; none before one was written."""
    rows = (line.split() for line in text.splitlines())
    return [IdRange(*map(int, row)) for row in rows if len(row) == 3]


def parse_limits(text: bytes) -> list[ResourceLimit]:
    """The resource limits in the text of /proc/PID/limits."""
    rows = (_LIMIT.match(line) for line in text.splitlines())
    return [ResourceLimit(row[1].decode(), _limit(row[2]), _limit(row[3])) for row in rows if row]


def _limit(field: bytes) -> int | None:
    return None if field == b"unlimited" else int(field)
