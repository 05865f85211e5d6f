"""The cgroups of a process or container: where they are mounted, and every control file with its content."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from warden.explain import lookup
from warden.explain.note import FileNote, Text, Unit
from warden.explain.process import reason_of
from warden.kernel.proc import CgroupMembership, MountRecord, parse_mountinfo
from warden.records import dataclass, replace

NOT_MOUNTED = Text("this hierarchy is not mounted where we can see it", "该层级没有挂载在我们可见之处")
GONE = Text("the group was removed while it was being read", "读取过程中该组已被删除")
OUTSIDE = Text("it lies outside our own cgroup namespace", "它在我们自己的 cgroup 命名空间之外")

#: Files stand in the order of the tables: a file's place in that of its own version.
_ORDERS = {is_v2: {name: n for n, name in enumerate(lookup.V2 if is_v2 else lookup.V1)} for is_v2 in (False, True)}


@dataclass(frozen=True, slots=True)
class ControlFile:
    """*raw* None: it cannot be read, for *reason*, or is only there to be written. *note* None: not in our tables."""

    name: str
    controller: str
    note: FileNote | None
    raw: str | None
    reason: Text | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group in one hierarchy. *role*: "process" (of the process itself), "container" or "job"; *job* its number.

    *directory* "" and *reason* when it cannot be reached. *members*: processes in the group itself, by number.
    """

    controllers: tuple[str, ...]
    is_v2: bool
    path: str
    directory: str
    role: str = "process"
    job: int = 0
    reason: Text | None = None
    members: tuple[int, ...] = ()
    files: tuple[ControlFile, ...] = ()

    @property
    def is_root(self) -> bool:
        return self.path == "/"

    @property
    def title(self) -> str:
        return "v2" if self.is_v2 else ",".join(self.controllers)


def own_mounts() -> list[MountRecord]:
    """Mounts of cgroup file systems that this command sees, those of a whole hierarchy first."""
    records = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    return sorted((r for r in records if r.fstype in ("cgroup", "cgroup2")), key=lambda record: record.root != "/")


def locate(membership: CgroupMembership, mounts: Sequence[MountRecord]) -> Group:
    """Where the group of a line of /proc/PID/cgroup is; pure, reads nothing."""
    is_v2 = membership.hierarchy == 0 and not membership.controllers
    path = membership.path.removesuffix(" (deleted)")
    group = Group(membership.controllers, is_v2, path, "")
    if path == "/.." or path.startswith("/../"):
        return replace(group, reason=OUTSIDE)
    for mount in mounts:
        holds = mount.fstype == "cgroup2" if is_v2 else _is_of(mount, membership.controllers)
        below = path == mount.root or mount.root == "/" or path.startswith(mount.root + "/")
        if holds and below:
            inside = path if mount.root == "/" else path[len(mount.root) :]
            return replace(group, directory=(mount.target + inside).rstrip("/"))
    return replace(group, reason=NOT_MOUNTED)


def _is_of(mount: MountRecord, controllers: tuple[str, ...]) -> bool:
    return mount.fstype == "cgroup" and bool(controllers) and set(controllers) <= set(mount.super_options)


Wanted = Callable[[str], bool]


def fill(group: Group, wanted: Wanted) -> Group:
    """The group with its members, and with those files whose controller is *wanted*."""
    if not group.directory:
        return group
    try:
        names = [entry.name for entry in os.scandir(group.directory) if entry.is_file(follow_symlinks=False)]
    except OSError as error:
        return replace(group, reason=_reason(error))
    order = _ORDERS[group.is_v2]
    wanted_names = (name for name in names if wanted(controller_in(group, name)))
    names = sorted(wanted_names, key=lambda name: (order.get(name, len(order)), name))
    files = tuple(_read(group, name) for name in names)
    return replace(group, members=members_of(group.directory), files=files)


def controller_in(group: Group, name: str) -> str:
    """The controller of a file; in a v1 hierarchy of one controller its core files belong to that."""
    found = lookup.controller_of(name)
    return group.controllers[0] if found == lookup.CORE and len(group.controllers) == 1 else found


def _read(group: Group, name: str) -> ControlFile:
    note = lookup.note_of(name, is_v2=group.is_v2)
    controller = lookup.controller_of(name)
    path = f"{group.directory}/{name}"
    try:
        readable = os.stat(path).st_mode & 0o444 and (note is None or note.unit is not Unit.NONE)
        return ControlFile(name, controller, note, Path(path).read_text(errors="replace") if readable else None)
    except OSError as error:
        return ControlFile(name, controller, note, None, _reason(error))


def _reason(error: OSError) -> Text:
    """By path a removed group is ENOENT, through an open file ENODEV."""
    return GONE if error.errno in (errno.ENOENT, errno.ENODEV) else reason_of(error)


def members_of(directory: str) -> tuple[int, ...]:
    """The processes in the group itself; none when it is gone."""
    try:
        return tuple(int(word) for word in Path(directory, "cgroup.procs").read_text().split())
    except OSError:
        return ()


def of_process(memberships: Sequence[CgroupMembership]) -> list[Group]:
    """Its group in each hierarchy, not yet read."""
    mounts = own_mounts()
    return [locate(membership, mounts) for membership in memberships]


def of_container(beside: Sequence[Group], container_id: str, jobs: Collection[int]) -> list[Group]:
    """The container's groups and those of its *jobs*, found from where its process 1 stands: PARENT/wshd beside
    PARENT/instance-ID (docs/architecture.md)."""
    found = []
    for group in beside:
        parent, _, last = group.path.rpartition("/")
        if last != "wshd" or not group.directory:
            continue
        path, directory = f"{parent}/instance-{container_id}", group.directory.removesuffix("wshd")
        whole = replace(group, path=path, directory=f"{directory}instance-{container_id}", role="container")
        if not os.path.isdir(whole.directory):
            continue
        found.append(whole)
        found += [
            replace(whole, path=f"{path}/job-{job}", directory=f"{whole.directory}/job-{job}", role="job", job=job)
            for job in jobs
            if os.path.isdir(f"{whole.directory}/job-{job}")
        ]
    return found
