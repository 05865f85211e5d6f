"""Limits by btrfs: each layer is a subvolume, whose quota group limits the bytes that it refers to.

*btrfs*: on the depot's own file system, where quota groups must be on (they slow everybody's snapshots: by itself it
switches nothing on). *btrfs-pool*: on one in a file (pool.py). Owns ROOT/NAME and ROOT/.gone. Blocking.

What the kernel does: a write reserves its bytes and is refused with EDQUOT at once; what is used is settled when the
transaction is committed, within 30 seconds or at sync(2). Until then what was deleted still counts in `usage`, and
what was overwritten counts twice; a writer at its limit makes the kernel commit first and is refused only then. Inodes
cannot be limited, and are not counted; but every file takes metadata, which counts as bytes. A btrfs-pool does not heed
the host's room (Disk.confine): space that is set aside in btrfs may be what its metadata need next.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from warden.errors import EngineFault, KernelRefused, NotSupported
from warden.kernel import btrfs
from warden.kernel.paths import remove_tree
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits
from warden.rootfs.disk import DIRECTORY, Layer, NotSparse, make_layer, refuse_soft
from warden.rootfs.pool import BTRFS, mount_pool, unmount_pool

_GONE = ".gone"


class BtrfsDisk(NotSparse):
    """*root*: a directory on btrfs with quota groups on. *release*: called by `close`."""

    limits = True

    waits = True  # a search of the file system's tree

    def __init__(self, name: str, root: str, release: Callable[[str], None] | None = None) -> None:
        self._name = name
        self._root = root
        self._release = release
        try:
            os.makedirs(f"{root}/{_GONE}", mode=0o700, exist_ok=True)
        except OSError as error:
            raise KernelRefused("mkdir", f"{root}/{_GONE}", error.errno or 0) from error

    @property
    def name(self) -> str:
        return self._name

    def place(self, container_directory: str) -> str:
        return f"{self._root}/{os.path.basename(container_directory)}"

    def check(self, wanted: DiskLimits) -> None:
        refuse_soft(self._name, wanted)
        if wanted.inode_hard:
            hint = "limit bytes, or set disk.backend to project, pool, loop or tmpfs"
            raise NotSupported(f"limit_disk: inode_hard: the disk backend {self._name} cannot limit inodes", hint=hint)

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        self._collect()
        with _opened(self._root, "BTRFS_IOC_SUBVOL_CREATE") as fd:
            btrfs.create_subvolume(fd, os.path.basename(layer.path))
        os.chmod(layer.path, 0o711)
        make_layer(layer)
        if wanted.block_hard:
            self.limit(layer, wanted)

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        self.check(wanted)
        with _opened(layer.path, "BTRFS_IOC_QGROUP_LIMIT") as fd:
            btrfs.limit_group(fd, btrfs.subvolume_id(fd), wanted.block_hard * 1024 or None)

    def usage(self, layer: Layer) -> DiskStat:
        with _opened(layer.path, "read the quota group of") as fd:
            group = btrfs.read_group(fd, btrfs.subvolume_id(fd))
        return DiskStat(group.referenced + group.reserved, 0)

    def remove(self, path: str) -> None:
        """Its quota group stays until the kernel has freed the subvolume; a note in .gone is there as long."""
        head, name = os.path.split(path)
        try:
            with _opened(path, "open") as fd:
                if os.fstat(fd).st_ino != btrfs.FIRST_FREE_ID:
                    remove_tree(path)  # no subvolume: nothing of ours, but in our place
                    return
                number = btrfs.subvolume_id(fd)
        except KernelRefused as error:
            if error.errno == errno.ENOENT:
                return
            raise
        with contextlib.suppress(OSError):  # full: its group stays, which costs nothing
            os.close(os.open(f"{self._root}/{_GONE}/{number}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with _opened(head, "BTRFS_IOC_SNAP_DESTROY") as fd:
            btrfs.destroy_subvolume(fd, name)
        self._collect()

    def _collect(self) -> None:
        """Removes the groups of subvolumes that are freed by now. Nothing to do is one look at a directory."""
        gone = [name for name in os.listdir(f"{self._root}/{_GONE}") if name.isdecimal()]
        if not gone:
            return
        with _opened(self._root, "open") as fd:
            for number in gone:
                with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
                    try:
                        btrfs.remove_group(fd, int(number))
                    except OSError as error:
                        if error.errno != errno.ENOENT:  # gone already: newer kernels do it themselves
                            continue
                    os.unlink(f"{self._root}/{_GONE}/{number}")

    def sweep(self, known: Collection[str]) -> None:
        for name in os.listdir(self._root):
            if name != _GONE and f"{self._root}/{name}" not in known:
                self.remove(f"{self._root}/{name}")
        self._collect()

    def close(self) -> None:
        self._collect()
        if self._release is not None:
            self._release(self._root)


@contextmanager
def _opened(path: str, operation: str) -> Iterator[int]:
    """A descriptor of a directory for one operation. Raises KernelRefused."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelRefused(operation, path, error.errno or 0) from error


def btrfs_place(depot: str) -> str:
    return f"{os.path.realpath(depot)}/{DIRECTORY}/btrfs"


def open_btrfs_disk(depot: str, *, enable: bool) -> BtrfsDisk:
    """On the depot's own btrfs. *enable*: quota groups may be switched on for the whole of it. Raises EngineFault."""
    if not btrfs.is_btrfs(depot):
        hint = "put the depot on btrfs, or choose another disk.backend"
        raise EngineFault(f"disk: the file system of {depot} is not btrfs", hint=hint)
    with _opened(depot, "BTRFS_IOC_QUOTA_CTL") as fd:
        if enable:
            btrfs.enable_quota(fd)
        elif not os.path.isdir(btrfs.groups_directory(fd)):
            hint = f'btrfs quota enable {depot}, or set disk.backend to "btrfs", which does the same'
            raise EngineFault(f"disk: the btrfs of {depot} has quota groups switched off", hint=hint)
    return BtrfsDisk("btrfs", btrfs_place(depot))


def open_btrfs_pool(depot: str, size: int | None) -> BtrfsDisk:
    """In a file of the depot. Raises as pool.mount_pool."""
    point = mount_pool(depot, BTRFS, size)
    with _opened(point, "BTRFS_IOC_QUOTA_CTL") as fd:
        if not os.path.isdir(btrfs.groups_directory(fd)):
            btrfs.enable_quota(fd)
    return BtrfsDisk("btrfs-pool", point, unmount_pool)
