"""Hierarchies in which a container gets a group only when a limit asks for one: cpuset, devices, hugetlb, …

Every hierarchy that a job has to join costs its start some time, so those that few limits need are joined late. Owns
PARENT in them, and the controllers enabled on the way there (v2). Processes that run already are moved in.
"""

from __future__ import annotations

import errno
import os
import select

from warden.cgroup import files
from warden.cgroup.layout import V2_NAMES, Hierarchy, Layout
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: By v1's names. perf_event limits nothing, but a container that may mount it has to have a group of its own there.
OPTIONAL = ("cpuset", "blkio", "devices", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma", "misc")
_ROUNDS = 20


def lazy_hierarchies(layout: Layout, used: Sequence[Hierarchy]) -> tuple[Hierarchy, ...]:
    """What is mounted, may be wanted, and is not among *used*."""
    roots = {hierarchy.root for hierarchy in used}
    by_root: dict[str, set[str]] = {}
    for name in OPTIONAL:
        root = layout.hierarchies.get(name)
        if root is not None and root not in roots:
            by_root.setdefault(root, set()).add(name)
    found = [Hierarchy(root, frozenset(names)) for root, names in by_root.items()]
    found += [Hierarchy(root, frozenset({name})) for name, root in layout.named.items()]
    if layout.v2 is not None and layout.v2 not in roots:
        names = {name for name in OPTIONAL if V2_NAMES.get(name, name) in layout.v2_controllers}
        if names:
            found.append(Hierarchy(layout.v2, frozenset(names), is_v2=True))
    return tuple(found)


def make_parents(hierarchy: Hierarchy, parent: str) -> list[str]:
    """PARENT, ready for groups below it; which groups had to be made. Raises KernelRefused."""
    names = {V2_NAMES.get(name, name) for name in hierarchy.controllers}
    levels, made = way_to(hierarchy, parent), []
    ours = files.ours(levels) if hierarchy.is_v2 else []
    for path in levels:
        if path != hierarchy.root:
            if files.make_group(path, exist_ok=True):
                made.append(path)
            fill_cpuset(path)
        if path in ours:
            enable(path, names)
    return made


def way_to(hierarchy: Hierarchy, parent: str) -> list[str]:
    """The hierarchy's root and every directory down to PARENT."""
    names = parent.split("/")
    return ["/".join([hierarchy.root, *names[:count]]) for count in range(len(names) + 1)]


def enable(path: str, names: set[str]) -> None:
    """Give the groups below *path* the controllers *names* (v2), as far as it has them; raises KernelRefused."""
    missing = (names & set(files.read(f"{path}/cgroup.controllers").split())) - set(
        files.read(f"{path}/cgroup.subtree_control").split()
    )
    if missing:
        files.write(f"{path}/cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))


def fill_cpuset(path: str) -> None:
    """A new v1 cpuset has neither processors nor memory, and takes no process before it has (cpuset(7))."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        text = files.read_optional(f"{path}/{name}")
        if text is not None and not text.strip() and os.path.exists(f"{path}/cgroup.clone_children"):
            files.write(f"{path}/{name}", files.read(f"{os.path.dirname(path)}/{name}").strip())


def move_in(path: str, pids: Callable[[], list[int]]) -> None:
    """Moves the processes that *pids* lists into *path*, until it lists no other. What a process forks after it was
    moved is born inside; what it forked before is in the next list. Raises KernelRefused."""
    for _ in range(_ROUNDS):
        inside = set(files.read(f"{path}/cgroup.procs").split())
        outside = [pid for pid in pids() if str(pid) not in inside]
        if not outside:
            return
        _move_all(path, outside, pids)
    raise KernelRefused("move processes into", path, errno.EBUSY, hint="they fork faster than they can be moved")


def _move_all(path: str, listed: list[int], pids: Callable[[], list[int]]) -> None:
    """cgroup.procs takes numbers only. One whose process ended before it was moved may be another's by then, outside the
    container: a pidfd taken before tells, and such a stray goes back to where the hierarchy begins."""
    handles = {pid: fd for pid in listed if (fd := _pidfd_open(pid)) is not None}
    try:
        for pid in handles.keys() & set(pids()):
            _move(path, pid)
            if _ended(handles[pid]) and pid not in pids():
                _move(_root_of(path), pid)
    finally:
        for fd in handles.values():
            os.close(fd)


def _pidfd_open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _ended(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def _root_of(path: str) -> str:
    """The hierarchy's mount, where processes that nobody placed are."""
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def _move(path: str, pid: int) -> None:
    try:
        files.write(f"{path}/cgroup.procs", str(pid))
    except KernelRefused as error:
        if error.errno != errno.ESRCH:  # it ended meanwhile
            raise


def page_size(directory: str) -> str:
    """ "2MB" for hugepages-2048kB of /sys/kernel/mm/hugepages: as mem_fmt() of the kernel writes it in file names."""
    kib = int(directory.removeprefix("hugepages-").removesuffix("kB"))
    if kib >= 1 << 20:
        return f"{kib >> 20}GB"
    return f"{kib >> 10}MB" if kib >= 1 << 10 else f"{kib}KB"
