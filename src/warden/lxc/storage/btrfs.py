"""Kind `btrfs`: the root file system is a subvolume, and a snapshot of it is made in no time and depends on nothing."""

from __future__ import annotations

import os

from warden.errors import BadInput, KernelRefused
from warden.kernel import btrfs
from warden.light import TYPE_CHECKING, contextmanager
from warden.lxc.home import ROOTFS, Home
from warden.lxc.storage.base import Directory, Root, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator


class BtrfsStorage(Directory):
    name = "btrfs"

    def why_not(self, directory: str) -> str:
        return "" if btrfs.is_btrfs(directory) else f"the file system of {directory} is not btrfs"

    def make(self, home: Home, wanted: Wanted) -> Root:
        place = self._free_place(home, wanted)
        with _directory(os.path.dirname(place), "BTRFS_IOC_SUBVOL_CREATE") as fd:
            btrfs.create_subvolume(fd, os.path.basename(place))
        os.chmod(place, 0o755)
        return Root("btrfs", place)

    def clone(self, root: Root, home: Home, wanted: Wanted) -> Root:
        place = self._free_place(home, wanted)
        if not btrfs.is_subvolume(root.place):
            raise BadInput(f"lxc.rootfs.path: {root.place} is not a subvolume", hint="dir: names a directory")
        with (
            _directory(root.place, "open") as source,
            _directory(os.path.dirname(place), "BTRFS_IOC_SNAP_CREATE_V2") as fd,
        ):
            btrfs.snapshot_subvolume(source, fd, os.path.basename(place))
        return Root("btrfs", place)

    def snapshot(self, root: Root, home: Home) -> Root:
        return self.clone(root, home, Wanted())

    def _free_place(self, home: Home, wanted: Wanted) -> str:
        place = wanted.directory or os.path.join(home.path, ROOTFS)
        if why := self.why_not(os.path.dirname(place)):
            raise BadInput(f"btrfs: {why}", hint="-B dir works everywhere")
        if os.path.lexists(place):
            raise BadInput(f"{place} exists already")
        return place


def drop_subvolume(parent_fd: int, name: str, fd: int) -> bool:
    """A shortcut of `remove_tree`: a subvolume goes in one call, read-only or not, unless another one is below it."""
    if os.fstat(fd).st_ino != btrfs.FIRST_FREE_ID:
        return False
    try:
        btrfs.destroy_subvolume(parent_fd, name)
    except OSError:  # ENOTTY: another file system; ENOTEMPTY: those below it go first
        return False
    return True


@contextmanager
def _directory(path: str, operation: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelRefused(operation, path, error.errno or 0) from error
