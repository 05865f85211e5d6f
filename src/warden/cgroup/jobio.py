"""What jobs read and write, on v1: a group of its own for each job in blkio's hierarchy, beside the containers' groups.

Beside, because v1's block I/O limits hold for one group only and not for those below it (blk-throttle is flat there): the
jobs of a container that has such limits are in its group PARENT/instance-ID, and what each of them does is not known.
PARENT/io-ID/job-N counts the others'. v2's io needs none of this. Without blkio, or where it is mounted together with
another controller, nothing is known, and nothing fails.
"""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock

from warden.cgroup import extras, files
from warden.cgroup.layout import Hierarchy, Layout
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, late, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from warden.cgroup import tables
else:
    tables = late("warden.cgroup.tables")

log = logger("warden.cgroup")

PREFIX = "io-"
SIZES, COUNTS = "blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"


def blkio_root(layout: Layout) -> str | None:
    """The mount of v1's blkio, if that is alone there."""
    root = layout.hierarchies.get("blkio")
    return None if root is None or list(layout.hierarchies.values()).count(root) > 1 else root


class JobIo:
    """Of one container. *root*: of the hierarchy, None without one; then every call does nothing. *on_made* is told of
    every group above the container's own that had to be made."""

    def __init__(
        self, root: str | None, parent: str, container_id: str, on_made: Callable[[str], None] = lambda _path: None
    ) -> None:
        self._root = root
        self._parent = parent
        self._on_made = on_made
        self._directory = f"{root}/{parent}/{PREFIX}{container_id}"
        self._limited = f"{root}/{parent}/instance-{container_id}"
        self._past: dict[str, dict[str, int]] = {SIZES: {}, COUNTS: {}}
        self._adding = allocate_lock()  # a job is in its group or in the past, never in both or in neither

    def create(self) -> None:
        """Raises KernelRefused."""
        if self._root is None:
            return
        try:
            files.make_group(self._directory, exist_ok=True)
        except KernelRefused as error:
            if error.errno != errno.ENOENT:
                raise
            for made in extras.make_parents(Hierarchy(self._root, frozenset({"blkio"})), self._parent):
                self._on_made(made)
            files.make_group(self._directory, exist_ok=True)

    def remove(self) -> None:
        """With all jobs'; what is gone is fine. Raises KernelRefused."""
        if self._root is not None:
            files.remove_group(self._directory)

    def add_job(self, job_id: int) -> None:
        """Not under a limit. Raises KernelRefused."""
        if self._root is None or os.path.isdir(self._limited):
            return
        if not os.path.isdir(self._directory):  # an earlier warden's container
            self.create()
        files.make_group(self._job(job_id), exist_ok=True)

    def remove_job(self, job_id: int) -> None:
        """What it did is kept for the container's sum. Raises KernelRefused."""
        if self._root is not None:
            with self._adding:
                self._keep(self._job(job_id))
                files.remove_group(self._job(job_id))

    def _keep(self, job: str) -> None:
        """v1 forgets what a group has done when it goes (blkg_rwstat, block/blk-cgroup-rwstat.c)."""
        for name, past in self._past.items():
            for line in (files.read_optional(f"{job}/{name}") or "").splitlines():
                key, _, amount = line.rpartition(" ")
                if key.endswith((" Read", " Write")) and amount.isdecimal():
                    past[key] = past.get(key, 0) + int(amount)

    def past(self) -> dict[str, dict[str, int]]:
        """What removed jobs did, by file and then by "MAJOR:MINOR Read" or "… Write"; {} when nothing."""
        with self._adding:
            return {name: dict(amounts) for name, amounts in self._past.items() if amounts}

    def recall(self, past: Mapping[str, Mapping[str, int]]) -> None:
        """Of jobs that an earlier engine removed."""
        with self._adding:
            for name, amounts in past.items():
                if name in self._past:
                    self._past[name] = dict(amounts)

    def sums(self) -> tuple[str, str] | None:
        """The lines of io_service_bytes and io_serviced of all jobs, past ones too; a device and operation may stand
        there several times. None without blkio. Raises KernelRefused."""
        if self._root is None:
            return None
        with self._adding:
            sizes, counts = (self._sum(name) for name in (SIZES, COUNTS))
        return sizes, counts

    def _sum(self, name: str) -> str:
        # Not by the file NAME_recursive of the group above: it counts a removed group for some time more.
        jobs = (f"{self._directory}/{job}" for job in files.subgroups(self._directory))
        groups = (files.read_optional(f"{path}/{name}") or "" for path in (*jobs, self._limited))
        past = (f"{key} {amount}" for key, amount in self._past[name].items())
        return "\n".join((*groups, *past))

    def joins(self, job_id: int) -> list[str]:
        """The file by which a job joins its group, if it has one."""
        counted = self._root is not None and not os.path.isdir(self._limited) and os.path.isdir(self._job(job_id))
        return [f"{self._job(job_id)}/tasks"] if counted else []

    def use(self, job_id: int) -> tables.BlockIo | None:
        """None where it is not counted: also once a limit was set. Raises KernelRefused."""
        if self._root is None or os.path.isdir(self._limited):
            return None
        # Not there without CONFIG_BLK_DEV_THROTTLING.
        moved = files.read_optional(f"{self._job(job_id)}/{SIZES}")
        counted = files.read_optional(f"{self._job(job_id)}/{COUNTS}")
        return None if moved is None or counted is None else tables.block_io_v1(moved, counted)

    def _job(self, job_id: int) -> str:
        return f"{self._directory}/job-{job_id}"


def count_devices(directory: str, counted: Collection[str] = ()) -> frozenset[str]:
    """Lets v1 count what goes to the block devices that there are now, and answers their names; *directory*: any group
    of blkio; *counted*: those that need no second look.

    Since 6.10 a device is counted from the first time that somebody limits it in any group (tg_set_conf calls
    blk_throtl_init): here no limit, 0, is set. A device that refuses is not counted, and absent in statistics.
    """
    names = {name for name in files.listing("/sys/block") if not name.startswith(("ram", "zram"))}
    empty = set()
    for name in names.difference(counted):
        try:
            if not int(files.read(f"/sys/block/{name}/size")):
                empty.add(name)
                continue
            number = files.read(f"/sys/block/{name}/dev").strip()
            files.write(f"{directory}/blkio.throttle.read_bps_device", f"{number} 0")
        except KernelRefused as error:
            log.info("block device %s is not counted: %s", name, error)
    return frozenset(names - empty)
