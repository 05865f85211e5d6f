"""The pool: one sparse file with a file system that can limit, mounted, in which the layers of containers lie.

Owns DEPOT/.disk: the file, and the directory where it is mounted. The mount outlives the daemon, as containers do; the
next one takes it up. The loop device is freed by the kernel with the last use. Blocking.
"""

from __future__ import annotations

import contextlib
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
from warden.records import dataclass
from warden.rootfs.disk import DIRECTORY
from warden.rootfs.quotadisk import ProjectDisk
from warden.undo import Undo

log = logging.getLogger("warden.disk")

#: More is never asked for by itself.
LARGEST = 1 << 40
#: In the pool, beside the layers: what they may not take, because the host has not got it.
ROOM = ".room"
_STEP = 1 << 30
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class PoolKind:
    """A file system for a pool. *smallest*: its mkfs makes nothing smaller. *options*: mount(2)'s data; discard gives
    the host back what containers have freed. *marks*: files in /proc of which one tells that the kernel's has quotas."""

    backend: str
    fstype: str
    package: str
    file: str
    point: str
    smallest: int
    options: str
    arguments: tuple[str, ...]
    marks: tuple[str, ...] = ()


XFS = PoolKind("pool", "xfs", "xfsprogs", "pool.xfs", "mnt", 300 << 20, "prjquota,discard", ("-q", "-f"),
               ("/proc/fs/xfs/xqm", "/proc/fs/xfs/xqmstat"))  # fmt: skip
BTRFS = PoolKind("btrfs-pool", "btrfs", "btrfs-progs", "pool.btrfs", "btrfs-mnt", 128 << 20, "discard=async",
                 ("-q", "-f", "-m", "single"))  # fmt: skip


class PoolDisk(ProjectDisk):
    """Layers are directories of the XFS pool, named as their containers."""

    name = "pool"

    def place(self, container_directory: str) -> str:
        return f"{self._root}/{os.path.basename(container_directory)}"

    def promised(self) -> int:
        return _promised(self._root, XFS)

    def confine(self, room: int | None) -> None:
        _confine(self._root, room)

    def sweep(self, known: Collection[str]) -> None:
        for name in os.listdir(self._root):
            if name != ROOM and f"{self._root}/{name}" not in known:
                remove_tree(f"{self._root}/{name}")

    def close(self) -> None:
        unmount_pool(self._root)


def open_pool(depot: str, size: int | None) -> PoolDisk:
    """The pool of *depot*, made with *size* bytes if there is none (None: four fifths of what is free, 1 TiB at most).

    Raises EngineFault when the kernel or mkfs.xfs is missing or fails, KernelRefused when it cannot be mounted.
    """
    return PoolDisk(mount_pool(depot, XFS, size))


def pool_point(depot: str, kind: PoolKind) -> str:
    return f"{os.path.realpath(depot)}/{DIRECTORY}/{kind.point}"


def mount_pool(depot: str, kind: PoolKind, size: int | None) -> str:
    """Where the pool is mounted now. Raises as `open_pool`."""
    point = pool_point(depot, kind)
    directory = os.path.dirname(point)
    try:
        os.makedirs(point, mode=0o700, exist_ok=True)
        if not os.path.ismount(point):
            _require_kernel(kind)
            file = f"{directory}/{kind.file}"
            with Undo() as undo:
                if not os.path.exists(file):
                    _make_file(file, kind, default_size(directory, kind) if size is None else size)
                    undo.add("pool file", os.unlink, file)
                _mount(file, point, kind)
                undo.release()
    except OSError as error:
        raise KernelRefused("disk pool: write", error.filename or directory, error.errno or 0) from error
    return point


def unmount_pool(point: str) -> None:
    """One that is still in use stays, the next engine takes it up."""
    try:
        mounts.umount2(point, mounts.UMOUNT_NOFOLLOW)
    except OSError as error:
        log.warning("disk pool %s: not unmounted: %s", point, error.strerror)


def _set_aside(point: str) -> int:
    try:
        return os.stat(f"{point}/{ROOM}").st_blocks * 512
    except FileNotFoundError:
        return 0


def _promised(point: str, kind: PoolKind) -> int:
    """See Disk.promised."""
    found = os.statvfs(point)
    file = os.stat(f"{os.path.dirname(point)}/{kind.file}")
    # From the end of the file backwards: XFS's log is in the file, but not among its blocks.
    used = file.st_size - found.f_bfree * found.f_frsize - _set_aside(point)
    return max(used - file.st_blocks * 512, 0)


def _confine(point: str, room: int | None) -> None:
    """See Disk.confine. A file in the pool takes the rest; what is set aside for it takes nothing of the host."""
    file, aside = f"{point}/{ROOM}", _set_aside(point)
    found = os.statvfs(point)
    wanted = 0 if room is None else max(found.f_bavail * found.f_frsize + aside - room, 0)
    if wanted == 0 or wanted < aside // 2:  # made anew: truncating is not enough where more was allocated than asked
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
            aside = 0
    if wanted == 0:
        return
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(fd, wanted)
            # Only what is lacking: XFS reserves the whole range, also what is there (xfs_alloc_file_space), or ENOSPC.
            for at in range(aside, wanted, _STEP):
                os.posix_fallocate(fd, at, min(_STEP, wanted - at))
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno != errno.ENOSPC:  # a container was quicker: the next turn knows
            raise


def default_size(directory: str, kind: PoolKind = XFS) -> int:
    """Raises EngineFault when the host has not the room for the smallest."""
    room = os.statvfs(directory)
    size = room.f_bavail * room.f_frsize * 4 // 5
    if size < kind.smallest:
        hint = f"make room, set disk.pool_size (at least {kind.smallest}), or choose another disk.backend"
        raise EngineFault(f"disk pool: four fifths of what is free are {size >> 20} MiB, too little", hint=hint)
    return min(size, LARGEST)


def find_program(program: str, package: str, instead: str = "choose another disk.backend") -> str:
    """The path of a mkfs; raises EngineFault, naming the package, when it is not installed."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        hint = f"install the package {package}, or {instead}"
        raise EngineFault(f"disk: {program} is not installed", hint=hint)
    return found


def run_mkfs(command: list[str]) -> None:
    """Raises EngineFault with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise EngineFault(f"disk: {os.path.basename(command[0])}: {said or f'exit code {done.returncode}'}")


def _require_kernel(kind: PoolKind) -> None:
    """Before anything is made: mounting would tell, but only after mkfs."""
    if not mounts.have_filesystem(kind.fstype):
        raise EngineFault(f"disk pool: this kernel has no {kind.fstype}", hint="choose another disk.backend")
    if kind.marks and not any(map(os.path.exists, kind.marks)):
        hint = "choose another disk.backend, such as loop"
        raise EngineFault(f"disk pool: this kernel's {kind.fstype} has no quotas (CONFIG_XFS_QUOTA)", hint=hint)


def _make_file(file: str, kind: PoolKind, size: int) -> None:
    """Complete or not there: a crash leaves only the file with the other name."""
    program = find_program(f"mkfs.{kind.fstype}", kind.package)
    new = f"{file}.new"
    with Undo() as undo:
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        undo.add("pool file", os.unlink, new)
        try:
            os.truncate(fd, size)
        finally:
            os.close(fd)
        run_mkfs([program, *kind.arguments, new])
        os.rename(new, file)
        undo.release()


def _mount(file: str, point: str, kind: PoolKind) -> None:
    try:
        fd, device = open_loop(file)
    except OSError as error:
        hint = "is the kernel module loop there, and /dev/loop-control?"
        raise KernelRefused("disk pool: attach a loop device to", file, error.errno or 0, hint=hint) from error
    try:
        mounts.mount(device, point, kind.fstype, mounts.MS_NODEV, kind.options)
    except OSError as error:
        hint = "dmesg tells more" if error.errno == errno.EINVAL else ""
        operation = f"disk pool: mount {device} -o {kind.options}"
        raise KernelRefused(operation, point, error.errno or 0, hint=hint) from error
    finally:
        os.close(fd)
