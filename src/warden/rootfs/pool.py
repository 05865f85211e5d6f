"""The pool: one sparse file with an XFS file system, mounted with project quotas, in which the layers of containers lie.

Owns DEPOT/.disk: pool.xfs, and mnt where it is mounted. The mount outlives the daemon, as containers do; the next one
takes it up. The loop device is freed by the kernel with the last use. Blocking.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
from collections.abc import Collection

from warden.errors import EngineFault, KernelRefused
from warden.kernel import mounts
from warden.kernel.loop import open_loop
from warden.kernel.paths import remove_tree
from warden.rootfs.disk import ProjectDisk, mount_at
from warden.undo import Undo

log = logging.getLogger("warden.disk")

DIRECTORY, FILE, MOUNT_POINT = ".disk", "pool.xfs", "mnt"
#: mkfs.xfs makes nothing smaller (xfsprogs 5.19); more than the largest is never asked for by itself.
SMALLEST, LARGEST = 300 << 20, 1 << 40
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_NO_QUOTA = "the kernel's XFS may lack quotas (CONFIG_XFS_QUOTA); dmesg says so; set disk.backend to none"


class PoolDisk(ProjectDisk):
    """Layers are directories of the pool, named as their containers."""

    def place(self, container_directory: str) -> str:
        return f"{self._root}/{os.path.basename(container_directory)}"

    def sweep(self, known: Collection[str]) -> None:
        for name in os.listdir(self._root):
            if f"{self._root}/{name}" not in known:
                remove_tree(f"{self._root}/{name}")

    def close(self) -> None:
        """Unmounts it; one that is still in use stays, the next engine takes it up."""
        try:
            mounts.umount2(self._root, mounts.UMOUNT_NOFOLLOW)
        except OSError as error:
            log.warning("disk pool %s: not unmounted: %s", self._root, error.strerror)


def open_pool(depot: str, size: int | None) -> PoolDisk:
    """The pool of *depot*, made with *size* bytes if there is none (None: four fifths of what is free, 1 TiB at most).

    Raises EngineFault when mkfs.xfs is missing or fails, KernelRefused when it cannot be mounted.
    """
    directory = f"{os.path.realpath(depot)}/{DIRECTORY}"
    point = f"{directory}/{MOUNT_POINT}"
    try:
        os.makedirs(point, mode=0o700, exist_ok=True)
        if not is_mounted(point):
            if not os.path.exists(f"{directory}/{FILE}"):
                _make_file(directory, default_size(directory) if size is None else size)
            _mount(f"{directory}/{FILE}", point)
    except OSError as error:
        raise KernelRefused("disk pool: write", error.filename or directory, error.errno or 0) from error
    return PoolDisk(point)


def is_mounted(point: str) -> bool:
    """Whether a file system is mounted at *point* itself."""
    record = mount_at(point)
    return record is not None and record.target == point


def default_size(directory: str) -> int:
    room = os.statvfs(directory)
    return min(max(room.f_bavail * room.f_frsize * 4 // 5, SMALLEST), LARGEST)


def _make_file(directory: str, size: int) -> None:
    """Complete or not there: a crash leaves only the file with the other name."""
    program = shutil.which("mkfs.xfs", path=_PATH)
    if program is None:
        hint = "install the package xfsprogs, or set disk.backend to none"
        raise EngineFault("disk pool: mkfs.xfs is not installed", hint=hint)
    new = f"{directory}/{FILE}.new"
    with Undo() as undo:
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        undo.add("pool file", os.unlink, new)
        try:
            os.truncate(fd, size)
        finally:
            os.close(fd)
        done = subprocess.run([program, "-q", "-f", new], capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineFault(f"disk pool: mkfs.xfs: {' '.join((done.stderr or done.stdout).split())}")
        os.rename(new, f"{directory}/{FILE}")
        undo.release()


def _mount(file: str, point: str) -> None:
    try:
        fd, device = open_loop(file)
    except OSError as error:
        hint = "is the kernel module loop there, and /dev/loop-control?"
        raise KernelRefused("disk pool: attach a loop device to", file, error.errno or 0, hint=hint) from error
    try:
        mounts.mount(device, point, "xfs", mounts.MS_NODEV, "prjquota")
    except OSError as error:
        hint = _NO_QUOTA if error.errno == errno.EINVAL else ""
        raise KernelRefused(f"disk pool: mount {device} -o prjquota", point, error.errno or 0, hint=hint) from error
    finally:
        os.close(fd)
