"""Which way to limit disks new containers get, and which one each existing container has.

A container keeps the way that it was made with: where its files lie cannot be changed. Owns the order of `auto`, and
DEPOT/.disk as a whole. Blocking; any thread may ask.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping

from warden.errors import WardenError
from warden.model.settings import EngineSettings
from warden.rootfs.btrfsdisk import BtrfsDisk, btrfs_place, open_btrfs_disk, open_btrfs_pool
from warden.rootfs.disk import Disk, NoDisk
from warden.rootfs.loopdisk import LoopDisk, open_loop_disk
from warden.rootfs.mounted import mounted_place
from warden.rootfs.pool import BTRFS, XFS, PoolDisk, open_pool, pool_point, unmount_pool
from warden.rootfs.quotadisk import open_project_disk, open_user_disk
from warden.rootfs.tmpfsdisk import TmpfsDisk

log = logging.getLogger("warden.disk")

#: Each raises WardenError when it does not work here.
_OPENERS: Mapping[str, Callable[[EngineSettings], Disk]] = {
    "project": lambda settings: open_project_disk(settings.depot),
    "btrfs": lambda settings: open_btrfs_disk(settings.depot, enable=settings.disk_backend == "btrfs"),
    "pool": lambda settings: open_pool(settings.depot, settings.disk_pool_size),
    "btrfs-pool": lambda settings: open_btrfs_pool(settings.depot, settings.disk_pool_size),
    "loop": lambda settings: open_loop_disk(settings.depot, settings.disk_loop_size),
    "tmpfs": lambda settings: TmpfsDisk(settings.depot),
    "user": lambda settings: open_user_disk(settings.depot),
    "none": lambda _: NoDisk(),
}
#: What limits bytes and inodes, whoever writes, and holds nothing in memory; the cheapest for a container first.
AUTO = ("project", "btrfs", "pool", "loop")
#: Their layers lie in sparse files of the depot, and they can be confined.
SPARSE = frozenset({"pool", "loop"})
#: With so much free nobody counts; below, this much is left to the host, or a twentieth of a smaller disk.
ENOUGH, HOSTS_OWN = 64 << 30, 1 << 30


class Disks:
    """Of one engine. `start`, then `sweep`, then the others."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._wanted = settings.disk_backend if settings.disk_quota_enabled else "none"
        self._lock = threading.RLock()
        self._open: dict[str, Disk] = {}
        self._chosen: Disk | None = None
        self._known: frozenset[str] | None = None
        self._confined = True  # what an earlier daemon set lives on

    def start(self) -> None:
        """A way that is configured by name works from here on, or WardenError says why not. `auto` is left for later:
        it may make a file system."""
        if self._wanted != "auto":
            self.chosen()

    def chosen(self) -> Disk:
        """For new containers. Only the first call takes time; with `auto` it always succeeds."""
        if self._chosen is None:
            with self._lock:
                if self._chosen is None:
                    self._chosen = self._first_that_works() if self._wanted == "auto" else self._opened(self._wanted)
                    log.info("disks of new containers: %s", self._chosen.name)
        return self._chosen

    @property
    def decided(self) -> Disk | None:
        """The same without waiting: None before the first call has ended."""
        return self._chosen

    def _first_that_works(self) -> Disk:
        reasons = []
        for name in AUTO:
            try:
                return self._opened(name)
            except (WardenError, OSError) as error:
                reasons.append(f"{name}: {error}")
                log.info("disks: %s: %s", name, error)
        log.warning("disks cannot be limited here")
        return NoDisk(reasons)

    def _opened(self, name: str) -> Disk:
        with self._lock:
            if name not in self._open:
                disk = _OPENERS[name](self._settings)
                if self._known is not None:  # what it has from before a restart of the machine is nobody's
                    disk.sweep(self._known)
                self._open[name] = disk
            return self._open[name]

    def of(self, name: str) -> Disk:
        """The way *name* for a container that has it; one that limits nothing, and says why, if it does not work."""
        try:
            return self._opened(name)
        except (WardenError, OSError) as error:
            return NoDisk([f"{name}: {error}"])

    def discard(self, container_directory: str) -> Iterator[Callable[[], None]]:
        """Steps that remove what a container has outside its directory, whichever way it was made."""
        for disk in list(self._open.values()):
            path = disk.place(container_directory)
            if path != container_directory:
                yield lambda disk=disk, path=path: disk.remove(path)  # type: ignore[misc]

    def sweep(self, known: Collection[str]) -> None:
        """Once, before the first container is made: removes every layer that is not *known*, of every way."""
        self._known = frozenset(known)
        with self._lock:
            for name, disk in _left_behind(self._settings):
                self._open.setdefault(name, disk)
            for disk in self._open.values():
                disk.sweep(self._known)

    def look_after_host(self) -> None:
        """To be called every second: what lies in sparse files may not take the last of the host's room.

        Without it a full host would lose what containers were told to be written. So they share what is free but the
        host's own part, and get ENOSPC beyond. Half of it for each, because few grow in one second.
        """
        with self._lock:
            sparse = [disk for disk in self._open.values() if disk.name in SPARSE]
        if not sparse:
            return
        host = os.statvfs(self._settings.depot)
        free, whole = host.f_bavail * host.f_frsize, host.f_blocks * host.f_frsize
        room = None
        if free < ENOUGH:
            promised = sum(disk.promised() for disk in sparse)
            room = max(free - promised - min(whole // 20, HOSTS_OWN), 0) // 2
        if room is None and not self._confined:
            return
        for disk in sparse:
            disk.confine(room)
        self._confined = room is not None

    def rest(self) -> None:
        """The engine ends and containers go on: what was made ahead for others goes."""
        with self._lock:
            for disk in self._open.values():
                disk.rest()

    def close(self) -> None:
        """After the last container: gives back what the machine lent."""
        with self._lock:
            for disk in self._open.values():
                try:
                    disk.close()
                except WardenError as error:
                    log.warning("disks: %s", error)
            self._open.clear()
            self._chosen = None


def _left_behind(settings: EngineSettings) -> Iterator[tuple[str, Disk]]:
    """Ways that an earlier engine used on this depot, with what they have; nothing is made."""
    depot = settings.depot
    if os.path.ismount(point := pool_point(depot, XFS)):
        yield "pool", PoolDisk(point)
    if os.path.ismount(point := pool_point(depot, BTRFS)):
        yield "btrfs-pool", BtrfsDisk("btrfs-pool", point, unmount_pool)
    if os.path.isdir(btrfs_place(depot)):
        yield "btrfs", BtrfsDisk("btrfs", btrfs_place(depot))
    if os.path.isdir(mounted_place(depot, LoopDisk.name)):
        yield "loop", LoopDisk(depot, settings.disk_loop_size)
    if os.path.isdir(mounted_place(depot, TmpfsDisk.name)):
        yield "tmpfs", TmpfsDisk(depot)
