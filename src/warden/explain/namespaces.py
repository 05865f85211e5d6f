"""Namespaces of a process, who else is in them, and whether they are the host's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from warden.explain.note import Text
from warden.explain.process import ProcessFacts
from warden.explain.tables.namespaces import FIRST_INODES, KINDS
from warden.records import dataclass

#: A container's groups as docs/architecture.md names them.
_CONTAINER = re.compile(r"/instance-([0-9a-z]+)(?:/|$)")
#: Of so many processes in a namespace the names are looked up; of more only the numbers are told.
NAMED = 32


@dataclass(frozen=True, slots=True)
class Sharer:
    """Another process in the same namespace; *container*: the id of the container whose job it is, "" for none."""

    pid: int
    name: str
    container: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """*host*: whether it is the host's, None when the kernel does not let us know. *pids*: the other processes in it,
    *named*: the first of them. *own*: this command is in it too."""

    kind: str
    inode: int
    host: bool | None
    own: bool
    pids: tuple[int, ...]
    named: tuple[Sharer, ...]

    @property
    def meaning(self) -> Text:
        return KINDS[self.kind]


def namespaces_of(facts: ProcessFacts) -> tuple[Namespace, ...]:
    """Each of its namespaces; those for children only where they differ from its own."""
    wanted = {
        kind: inode
        for kind, inode in facts.namespaces.items()
        if facts.namespaces.get(kind.removesuffix("_for_children")) != inode or not kind.endswith("_for_children")
    }
    first, own = _first(), _inodes("self")
    members = _members({kind: inode for kind, inode in wanted.items() if not kind.endswith("_for_children")})
    return tuple(
        _namespace(kind, inode, members.get(kind, []), facts.pid, first, own) for kind, inode in wanted.items()
    )


def _namespace(
    kind: str, inode: int, members: list[int], pid: int, first: Mapping[str, int], own: Mapping[str, int]
) -> Namespace:
    others = tuple(member for member in members if member != pid)
    plain = kind.removesuffix("_for_children")
    named = tuple(map(_sharer, others)) if len(others) <= NAMED else ()
    return Namespace(kind, inode, is_hosts(plain, inode, first), own.get(plain) == inode, others, named)


def is_hosts(kind: str, inode: int, first: Mapping[str, int]) -> bool | None:
    """Process 1's, whose inodes are *first*; where it hides them, the first one that the kernel made."""
    if kind in first:
        return first[kind] == inode
    if inode == FIRST_INODES.get(kind):
        return True
    # Before 6.18 the first net and mnt namespaces had no fixed number, so another number says nothing.
    return None if kind in ("net", "mnt") else False


def _first() -> dict[str, int]:
    """Of process 1; where the kernel hides them, of its own first thread, which never leaves the first namespaces."""
    return _inodes("1") or (_inodes("2") if _text(2, "comm") == "kthreadd\n" else {})


def _inodes(process: str) -> dict[str, int]:
    found = {}
    for kind in FIRST_INODES:
        number = _link(process, kind).partition("[")[2].rstrip("]")
        if number.isdigit():
            found[kind] = int(number)
    return found


def _members(wanted: Mapping[str, int]) -> dict[str, list[int]]:
    """The processes in each of the namespaces, ours left out: by all of /proc, since nothing lists them otherwise."""
    members: dict[str, list[int]] = {kind: [] for kind in wanted}
    ourselves = os.getpid()
    links = [(kind, f"{kind}:[{inode}]") for kind, inode in wanted.items()]
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        for kind, link in links:
            if pid != ourselves and _link(str(pid), kind) == link:
                members[kind].append(pid)
    return members


def _link(process: str, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{process}/ns/{kind}")
    except OSError:
        return ""


def _sharer(pid: int) -> Sharer:
    match = _CONTAINER.search(_text(pid, "cgroup"))
    return Sharer(pid, _text(pid, "comm").rstrip("\n"), match[1] if match else "")


def container_id(facts: ProcessFacts) -> str:
    """The id of the container whose job this is, as its cgroups tell; "" for none."""
    return next((match[1] for group in facts.cgroups if (match := _CONTAINER.search(group.path))), "")


def _text(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
