"""Hierarchies as people handle them: listing those that are mounted, and v1 hierarchies with a name of their own.

A named hierarchy has no controller: it only groups processes, as the manual's own example does (cgroups(7), "named
hierarchies"). Owns mount points below RUN. Groups are written as NAME:/PATH. Nothing outside the hierarchy that is named
is touched.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator, Sequence

from warden.cgroup import files, kill
from warden.errors import BadInput, KernelRefused
from warden.kernel import mounts
from warden.kernel.proc import MountRecord, parse_mountinfo
from warden.records import dataclass

RUN = "/run/warden/cgroup"
_TRIES = 25
_SYSTEMS = frozenset({"systemd", "elogind", "openrc"})
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NOT_CONTROLLERS = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "none", "release_agent"})


@dataclass(frozen=True, slots=True)
class Mounted:
    """One hierarchy. *name* is "" where it has none; *controllers* of v2 are those it could give out."""

    point: str
    version: int
    name: str
    controllers: tuple[str, ...]


def mounted() -> list[Mounted]:
    """Every cgroup hierarchy that is mounted here, each once."""
    with open("/proc/self/mountinfo", "rb") as file:
        records = parse_mountinfo(file.read())
    found: dict[tuple[object, ...], Mounted] = {}
    for record in records:
        item = _hierarchy(record)
        if item is not None:
            found.setdefault((item.version, item.name, item.controllers), item)
    return list(found.values())


def _hierarchy(record: MountRecord) -> Mounted | None:
    if record.fstype == "cgroup2":
        text = files.read_optional(f"{record.target}/cgroup.controllers") or ""
        return Mounted(record.target, 2, "", tuple(text.split()))
    if record.fstype != "cgroup":
        return None
    options = record.super_options
    name = next((option.removeprefix("name=") for option in options if option.startswith("name=")), "")
    controllers = tuple(o for o in options if "=" not in o and o not in _NOT_CONTROLLERS)
    return Mounted(record.target, 1, name, controllers)


def find(name: str) -> Mounted:
    """By its name, a controller, its mount point, or "v2"; raises BadInput with those that are there."""
    for item in mounted():
        if name in (item.name, item.point, *item.controllers) and (item.version == 1 or name == item.point):
            return item
    if name == "v2":
        for item in mounted():
            if item.version == 2:
                return item
    known = ", ".join(item.name or ",".join(item.controllers) or item.point for item in mounted())
    raise BadInput(f"cgroup: no hierarchy {name!r} is mounted", hint=f"there are {known}")


def mount(name: str, point: str = "") -> str:
    """Mounts a v1 hierarchy of that *name*, made if there is none; where it is. Raises BadInput, KernelRefused."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"cgroup mount: {name!r} is not a name", hint="letters, digits and _ . -")
    if any(item.name == name for item in mounted()):
        raise BadInput(f"cgroup mount: {name} is mounted already", hint=f"at {find(name).point}")
    point = os.path.abspath(point) if point else f"{RUN}/{name}"
    try:
        os.makedirs(point, mode=0o755, exist_ok=True)
        mounts.mount("cgroup", point, "cgroup", mounts.MS_NODEV, f"none,name={name}")
    except OSError as error:
        hint = "the kernel needs cgroup v1 (CONFIG_CGROUPS, not cgroup_no_v1=named)" if error.errno == errno.ENODEV else ""
        raise KernelRefused(f"mount -t cgroup -o none,name={name}", point, error.errno or 0, hint=hint) from error
    return point


def umount(name: str) -> bool:
    """Unmounts a named hierarchy, and with it makes an end of it; False when another mount namespace that was made
    meanwhile still holds it, then it ends with that. Raises BadInput while it has groups, KernelRefused."""
    item = _named(name)
    groups = files.subgroups(item.point)
    if groups:
        hint = "remove them first: an unmounted hierarchy with groups stays in the kernel, out of reach"
        raise BadInput(f"cgroup umount: {name} still has groups: {', '.join(sorted(groups))}", hint=hint)
    try:
        mounts.umount2(item.point, mounts.UMOUNT_NOFOLLOW)
        gone = _end(item)
    except OSError as error:
        raise KernelRefused("umount", item.point, error.errno or 0) from error
    if item.point == f"{RUN}/{name}":
        os.rmdir(item.point)
    return gone


def _end(item: Mounted) -> bool:
    """Groups that were just removed live on for an RCU grace period, and a hierarchy that is unmounted while it has some
    stays (cgroup_kill_sb(), kernel/cgroup/cgroup.c). Then it is mounted and unmounted once more."""
    for _ in range(_TRIES):
        if not _in_kernel(item.name):
            return True
        time.sleep(0.02)
        if _in_kernel(item.name):
            mounts.mount("cgroup", item.point, "cgroup", mounts.MS_NODEV, f"none,name={item.name}")
            mounts.umount2(item.point, mounts.UMOUNT_NOFOLLOW)
    return False


def _in_kernel(name: str) -> bool:
    with open("/proc/self/cgroup") as file:
        return any(line.split(":")[1] == f"name={name}" for line in file)


def _named(name: str) -> Mounted:
    item = find(name)
    if not item.name or item.controllers or item.name in _SYSTEMS:
        hint = "those with controllers, and systemd's, are the system's"
        raise BadInput(f"cgroup: {name} is not a named hierarchy of yours", hint=hint)
    return item


def group_path(text: str) -> str:
    """The directory of NAME:/PATH; only of named hierarchies, whose groups are nobody else's. Raises BadInput."""
    name, colon, path = text.partition(":")
    parts = path.split("/")[1:]
    if not colon or not path.startswith("/") or ".." in parts or "." in parts or "\0" in path:
        raise BadInput(f"cgroup: {text!r} is not a group", hint="NAME:/PATH, such as demo:/students/anna")
    return "/".join([_named(name).point, *(part for part in parts if part)])


def make(text: str) -> str:
    """Makes the group NAME:/PATH with those above it; where it is. Raises BadInput, KernelRefused."""
    path = group_path(text)
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise files.refused("mkdir", path, error) from error
    return path


def remove(text: str) -> None:
    """Removes the group and those below it. Raises BadInput while processes are in it."""
    path = group_path(text)
    if path == find(text.partition(":")[0]).point:
        raise BadInput(f"cgroup remove: {text} is the whole hierarchy", hint="warden cgroup umount NAME")
    inside = kill.pids(path)
    if inside:
        raise BadInput(f"cgroup remove: {text}: {len(inside)} processes are in it", hint="move them elsewhere first")
    files.remove_group(path)


def move(text: str, pids: Sequence[int]) -> None:
    """Moves processes into the group; it must be there. Raises BadInput, KernelRefused for the first that cannot."""
    path = group_path(text)
    if not os.path.isdir(path):
        raise BadInput(f"cgroup move: {text} does not exist", hint=f"warden cgroup make {text}")
    for pid in pids:
        files.write(f"{path}/cgroup.procs", str(pid), hint=f"is there a process {pid}?")


def tree(text: str) -> Iterator[tuple[int, str, list[int]]]:
    """(depth, name, pids in it itself) of every group of the hierarchy named, its root first."""
    point = find(text).point
    yield 0, "/", _own(point)
    yield from _below(point, 1)


def _below(path: str, depth: int) -> Iterator[tuple[int, str, list[int]]]:
    for name in sorted(files.subgroups(path)):
        yield depth, name, _own(f"{path}/{name}")
        yield from _below(f"{path}/{name}", depth + 1)


def _own(path: str) -> list[int]:
    try:
        return [int(word) for word in files.read(f"{path}/cgroup.procs").split()]
    except KernelRefused as error:
        # EOPNOTSUPP: a threaded group (v2), whose processes the group above lists.
        if error.errno in files.GONE or error.errno == errno.EOPNOTSUPP:
            return []
        raise
