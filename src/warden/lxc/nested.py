"""Containers in containers: the cgroups that one sees, and room for others in a container that was given its own (v2)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from warden.cgroup.layout import Layout
from warden.errors import KernelRefused
from warden.model.system import FileSystem

ROOT = "/sys/fs/cgroup"
#: Where those go that lived at the root of a container's cgroups, as systemd's init.scope.
_MOVED = "init.scope"
_KERNELS = ("nosuid", "nodev", "noexec")
_ROUNDS = 20


def cgroup_mounts(wanted: str, groups: Mapping[str, str]) -> Iterator[FileSystem]:
    """On /sys/fs/cgroup, as the host has them: v2 itself, or a directory for each hierarchy. Of a hierarchy that it has no
    group in it would see the host's, so that is left out. *wanted*: "ro" or "rw"; *groups*: directories by controller, ""
    that of v2."""
    options = (*_KERNELS, wanted)
    if set(_mounts_of(groups).values()) == {"cgroup2"}:
        yield FileSystem("cgroup", ROOT, "cgroup2", options)
        return
    yield FileSystem("cgroup", ROOT, "tmpfs", (*_KERNELS, "mode=755", "size=64k"))
    for (name, controllers), fstype in sorted(_mounts_of(groups).items()):
        kind = options if fstype == "cgroup2" else (*options, *controllers)
        yield FileSystem("cgroup", f"{ROOT}/{name}", fstype, kind, create="dir")


def _mounts_of(groups: Mapping[str, str]) -> dict[tuple[str, tuple[str, ...]], str]:
    """(directory, v1's controllers) → file system, of the hierarchies that *groups* lie in."""
    from warden.kernel.proc import parse_mountinfo

    found: dict[tuple[str, tuple[str, ...]], str] = {}
    with open("/proc/self/mountinfo", "rb") as file:
        records = [record for record in parse_mountinfo(file.read()) if record.fstype in ("cgroup", "cgroup2")]
    for record in records:
        names = tuple(word for word in record.super_options if word in groups) if record.fstype == "cgroup" else ()
        inside = any(path.startswith(f"{record.target}/") for path in groups.values())
        if inside and not any(names == known[1] for known in found):
            found[os.path.basename(record.target), names] = record.fstype
    return found


def give_out(directory: str | None) -> None:
    """All controllers that the container's group of v2 has, to what is below it: there it sees its root."""
    if directory is None:
        return
    from warden.cgroup.extras import enable

    with open(f"{directory}/cgroup.controllers", encoding="ascii") as file:
        enable(directory, set(file.read().split()))


def make_room(layout: Layout) -> bool:
    """v2 gives out no controllers where processes live (cgroups(7), "no internal processes"), but for its very root. At
    the root of a container's cgroups, which only looks like it, they go one level down. False where we are elsewhere."""
    root = layout.v2 or ""  # the very root has no cgroup.type
    if not os.path.exists(f"{root}/cgroup.type") or _own_place() not in ("/", f"/{_MOVED}"):
        return False
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{root}/{_MOVED}")
    for _ in range(_ROUNDS):
        with open(f"{root}/cgroup.procs", encoding="ascii") as file:
            pids = file.read().split()
        if not pids:
            return True
        for pid in pids:
            _move(pid, f"{root}/{_MOVED}/cgroup.procs")
    return False


def _own_place() -> str:
    with open("/proc/self/cgroup", encoding="ascii", errors="replace") as file:
        return next((line.rstrip("\n")[3:] for line in file if line.startswith("0::")), "")


def _move(pid: str, path: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(pid)
    except ProcessLookupError:
        pass  # it ended meanwhile
    except OSError as error:
        raise KernelRefused("move process into", path, error.errno or 0) from error
