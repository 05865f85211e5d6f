"""Manager: warden's part of the cgroup trees of this machine, and the way to a container's groups.

Owns PARENT and PARENT/wshd in every hierarchy used, and controllers enabled on the way to PARENT (v2), from the mount
or from the group that was delegated to us. Containers and
jobs are in groups.py; what is imported from there is part of this module's interface.
"""

from __future__ import annotations

import errno
import os
import time

from warden.cgroup import files
from warden.cgroup.extras import lazy_hierarchies, make_parents, way_to
from warden.cgroup.groups import ContainerGroup, JobGroup, JobUse, enable_controllers
from warden.cgroup.jobio import JobIo, blkio_root, count_devices
from warden.cgroup.layout import Hierarchy, Layout, detect
from warden.errors import BadInput, KernelRefused
from warden.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ContainerGroup", "JobGroup", "JobUse", "Manager"]

SUPERVISORS = "wshd"
INSTANCE = "instance-"
_TRIES = 5


class Manager:
    """The groups below *parent*, a path relative to each hierarchy's root such as "warden" or "ci/warden"."""

    def __init__(self, parent: str = "warden", layout: Layout | None = None) -> None:
        self._parent = _checked(parent)
        self._layout = detect() if layout is None else layout
        self._used = self._layout.used()
        self._lazy = lazy_hierarchies(self._layout, self._used)
        counted = any({"io", "blkio"} & hierarchy.controllers for hierarchy in self._used)
        self._blkio = None if counted else blkio_root(self._layout)
        self._made: list[str] = []
        self._counting: str | None = None  # a group of v1's blkio
        self._counted: frozenset[str] = frozenset()

    @property
    def layout(self) -> Layout:
        """Where this machine has its controllers."""
        return self._layout

    def prepare(self, *, count: bool = True) -> None:
        """Make PARENT and PARENT/wshd where they lack, and enable v2's controllers down to PARENT. Without *count* it is
        the caller who has devices counted, before anything runs: for a new PARENT that takes as long as all the rest.

        Can be called again, and by several processes at a time. Raises KernelRefused.
        """
        for hierarchy in self._used:
            if hierarchy.is_v2:
                self._prepare_v2(hierarchy)
            else:
                self._prepare_v1(hierarchy)
        if self._blkio is not None:
            self._made += make_parents(Hierarchy(self._blkio, frozenset({"blkio"})), self._parent)
            self._counting = f"{self._blkio}/{self._parent}"
        if count:
            self.count_new_devices()

    def count_new_devices(self) -> None:
        """Lets v1 count block devices that came lately; costs microseconds when there are none."""
        if self._counting is not None:
            # Loop devices are our own disks' most of the time, whose I/O is counted once below, at the real device.
            loops = (name for name in files.listing("/sys/block") if name.startswith("loop"))
            passed = set(loops) if self._counted else set()
            self._counted = count_devices(self._counting, self._counted | passed) - passed

    def _prepare_v1(self, hierarchy: Hierarchy) -> None:
        for level in self._levels(hierarchy)[1:]:
            if self._make(level) and "memory" in hierarchy.controllers:
                _use_hierarchy(level)
        self._make(f"{hierarchy.root}/{self._parent}/{SUPERVISORS}")
        if "blkio" in hierarchy.controllers:
            self._counting = f"{hierarchy.root}/{self._parent}"

    def _prepare_v2(self, hierarchy: Hierarchy) -> None:
        levels = self._levels(hierarchy)
        ours = files.ours(levels)
        for level in levels:
            if level != hierarchy.root:
                self._make(level)
            if level in ours:
                _enable_racing(level, hierarchy.controllers)
        self._make(f"{levels[-1]}/{SUPERVISORS}")

    def _make(self, path: str) -> bool:
        made = files.make_group(path, exist_ok=True)
        if made:
            self._made.append(path)
        return made

    def _levels(self, hierarchy: Hierarchy) -> list[str]:
        return way_to(hierarchy, self._parent)

    def supervisor_joins(self) -> list[str]:
        """Files into each of which the launcher writes "0", so that PID 1 lives in PARENT/wshd (v1)."""
        return [f"{h.root}/{self._parent}/{SUPERVISORS}/{h.procs}" for h in self._used if not h.is_v2]

    def supervisor_into(self) -> str | None:
        """Directory for CLONE_INTO_CGROUP (since 5.7); None when v2 is not used."""
        return next((f"{h.root}/{self._parent}/{SUPERVISORS}" for h in self._used if h.is_v2), None)

    def way_back(self, joins: Sequence[str]) -> list[str]:
        """Files into each of which a process writes "0" that has written to *joins*: it lives in PARENT/wshd then, and
        above PARENT where there is no such group."""
        back = [f"{h.root}/{self._parent}/{SUPERVISORS}/{h.procs}" for h in self._used]
        others = [(h.root, h.procs) for h in self._lazy] + ([(self._blkio, "tasks")] if self._blkio else [])
        above = self._parent.rpartition("/")[0]
        for root, procs in others:
            if any(path.startswith(f"{root}/{self._parent}/") for path in joins):
                back.append(f"{root}/{above}/{procs}".replace("//", "/"))
        return list(dict.fromkeys(back))

    def leave(self) -> None:
        """Moves the calling process out of PARENT, to what is above it, so that PARENT can be removed; where that is not
        allowed it stays."""
        above = self._parent.rpartition("/")[0]
        for hierarchy in self._used:
            with suppress(KernelRefused):
                files.write(f"{hierarchy.root}/{above}/{hierarchy.procs}".replace("//", "/"), "0")

    def container(self, container_id: str) -> ContainerGroup:
        """The groups of container *container_id*; makes nothing. Raises BadInput for an id that is not a file name."""
        if not container_id or "/" in container_id or "\0" in container_id:
            raise BadInput(f"container id: {container_id!r} cannot name a cgroup")
        io = JobIo(self._blkio, self._parent, container_id, self._made.append)
        return ContainerGroup(self._used, self._parent, container_id, self._lazy, self._made.append, io)

    def leftovers(self) -> list[str]:
        """Ids of all containers that have a group in any hierarchy, sorted."""
        names = {name for h in (*self._used, *self._lazy) for name in files.subgroups(f"{h.root}/{self._parent}")}
        return sorted(name.removeprefix(INSTANCE) for name in names if name.startswith(INSTANCE))

    def remove_parent_if_empty(self) -> None:
        """Remove PARENT/wshd and PARENT where no container and no process is left, and what was made above by us."""
        for hierarchy in (*self._used, *self._lazy):
            parent = f"{hierarchy.root}/{self._parent}"
            if set(files.subgroups(parent)) - {SUPERVISORS}:
                continue
            if hierarchy.root == self._blkio and any(os.path.isdir(f"{h.root}/{self._parent}") for h in self._used):
                continue  # no process of ours lives there, but somebody will want it
            above = [path for path in reversed(self._levels(hierarchy)[1:-1]) if path in self._made]
            for path in (f"{parent}/{SUPERVISORS}", parent, *above):
                if not _remove_if_empty(path):
                    break

    def missing(self) -> list[str]:
        """Controllers that warden needs and this machine lacks."""
        return self._layout.missing()


def _checked(parent: str) -> str:
    parts = [part for part in parent.split("/") if part not in ("", ".")]
    if not parts or parent.startswith("/") or ".." in parts or "\0" in parent:
        raise BadInput(f"cgroup parent: {parent!r} is not a relative path", hint='such as "warden" or "ci/warden"')
    return "/".join(parts)


def _use_hierarchy(path: str) -> None:
    """Before 5.11 a v1 memory group counted only itself unless told otherwise, before it had children."""
    if (files.read_optional(f"{path}/memory.use_hierarchy") or "1").strip() == "0":
        files.write(f"{path}/memory.use_hierarchy", "1")


def _enable_racing(path: str, wanted: frozenset[str]) -> None:
    """Enable *wanted* below *path*; another writer of cgroup.subtree_control may be at work on the same file."""
    for left in reversed(range(_TRIES)):
        if wanted <= set(files.read(f"{path}/cgroup.subtree_control").split()):
            return
        try:
            enable_controllers(path, wanted)
            return
        except KernelRefused as error:
            if not left:
                raise _explained(path, error) from error
            time.sleep(0.001)


def _explained(path: str, error: KernelRefused) -> KernelRefused:
    """EBUSY is v2's "no internal processes" rule (cgroups(7)): groups with processes cannot give out controllers."""
    alone = f"processes live in {path} itself: give warden a parent of its own"
    hint = alone if error.errno == errno.EBUSY else error.hint
    return KernelRefused("write", f"{path}/cgroup.subtree_control", error.errno, hint=hint)


def _remove_if_empty(path: str) -> bool:
    """Without recursion: what another process makes below *path* meanwhile stays, and *path* with it."""
    deadline = time.monotonic() + files.REMOVE_TIMEOUT_S
    while not files.remove_empty(path):
        if files.subgroups(path) or time.monotonic() > deadline:  # the last process may be just ending
            return False
        time.sleep(0.001)
    return True
