"""Step and Plan: the vocabulary that wshd understands, its encoding, and its description for people.

Owns the numbers and argument lists shared with native/wshd (docs/plan-format.md is the prose of it, and a test compares
them). Knows steps, not containers: `container.py` and `job.py` beside this file compose them. Pure; no I/O.
"""

from __future__ import annotations

import struct

from warden.light import TYPE_CHECKING, IntEnum
from warden.model.text import escaped
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAN_MAGIC = b"WARDPLN1"
KEEP = 2**64 - 1  # an id argument that means "leave as it is"

Argument = int | bytes


class Op(IntEnum):
    """What a step does. *launcher* steps run before the clone, see docs/plan-format.md."""

    JOIN_CGROUP = 1  # path
    INTO_CGROUP = 2  # path
    UNSHARE = 3  # flags
    SETNS = 4  # path, flags
    SETNS_PID = 5  # pid, flags
    CLONE = 6  # flags
    UID_MAP = 7  # text
    GID_MAP = 8  # text
    SETGROUPS = 9  # allow|deny
    RELEASE = 10
    NETLINK = 11  # bytes
    ROOT = 12  # path, resolve
    PROPAGATION = 13  # flags
    MOUNT = 14  # source, target, fstype, flags, data
    BIND = 15  # source, target, attributes, flags, propagation
    MKDIR = 16  # target, mode, uid, gid
    SYMLINK = 17  # text, target
    MKNOD = 18  # target, mode, dev, uid, gid
    WRITE = 19  # path, text
    MASK = 20  # target
    READONLY = 21  # target
    PIVOT_ROOT = 22
    HOSTNAME = 23  # text
    RLIMIT = 24  # resource, soft, hard
    CAPABILITIES = 25  # bounding, effective, permitted, inheritable, ambient
    NO_NEW_PRIVS = 26
    SECCOMP = 27  # program
    GROUPS = 28  # array of u32
    SETGID = 29  # gid
    SETUID = 30  # uid
    CHDIR = 31  # path
    UMASK = 32  # mode
    ENV = 33  # NAME=value
    ARG = 34  # word
    EXEC = 35  # path
    SERVE = 36
    SETSID = 37
    JOIN_CGROUP_FD = 38  # index of a descriptor that came with the request
    USE_FD = 39  # index, number
    UMOUNT = 40  # target, flags
    SECUREBITS = 41  # bits
    NAME = 42  # text
    DOMAINNAME = 43  # text
    PDEATHSIG = 44  # signal
    RUN = 45  # plan, input, rest, name, milliseconds, flags
    MONITOR = 46  # plan, console, terminals, path, bound, path, bound
    PERSONALITY = 47  # persona
    KEYRING = 48
    AWAIT = 49


BIND_RECURSIVE = 1
BIND_IDMAP = 2
BIND_TRY_IDMAP = 4  # id-mapped where the file system can be; as it is where it cannot
BIND_IN_ROOT = 8  # the source is looked up below the root as well
RUN_MUST_SUCCEED = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel operation: *op* with its *args*, *text* as a manual page or a shell would write it, and *why*."""

    op: Op
    args: tuple[Argument, ...]
    text: str
    why: str = ""

    def encode(self) -> bytes:
        parts = [struct.pack("<HH", self.op, len(self.args))]
        for arg in self.args:
            raw = arg if isinstance(arg, bytes) else struct.pack("<Q", arg)
            parts.append(struct.pack("<I", len(raw)) + raw + b"\0")
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """A flat, ordered list of steps."""

    steps: tuple[Step, ...]

    def encode(self) -> bytes:
        """The bytes that wshd reads: magic, count, steps (docs/plan-format.md)."""
        return b"".join((PLAN_MAGIC, struct.pack("<I", len(self.steps)), *(step.encode() for step in self.steps)))

    def describe(self) -> str:
        """One numbered line a step: what the kernel is asked, then the reason."""
        texts = [escaped(step.text) for step in self.steps]
        width = max((len(text) for text in texts if len(text) < 72), default=0)
        lines = []
        for number, (text, step) in enumerate(zip(texts, self.steps, strict=True)):
            why = f"  # {step.why}" if step.why else ""
            lines.append(f"{number:3}  {text.ljust(width) if why else text}{why}")
        return "\n".join(lines)

    def __add__(self, more: Plan | Iterable[Step]) -> Plan:
        return Plan(self.steps + tuple(more.steps if isinstance(more, Plan) else more))
