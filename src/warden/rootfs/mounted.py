"""What loop and tmpfs share: a file system of its own, mounted in the daemon's mount namespace, for each layer.

A mount outlives the daemon with its container and goes with it; what a crash leaves is known by its place and goes at
the next start. Owns one directory below DEPOT/.disk. Blocking.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection

from warden.errors import KernelRefused
from warden.kernel import mounts
from warden.model.info import DiskStat
from warden.rootfs.disk import DIRECTORY, Layer, NotSparse


class MountedDisk(NotSparse):
    """Layers are mount points in *kind*'s directory, named as their containers."""

    name = ""
    limits = True

    def __init__(self, depot: str) -> None:
        self._root = mounted_place(depot, self.name)
        os.makedirs(self._root, mode=0o700, exist_ok=True)

    def place(self, container_directory: str) -> str:
        return f"{self._root}/{os.path.basename(container_directory)}"

    def usage(self, layer: Layer) -> DiskStat:
        found = self.statvfs(layer)
        space = (found.f_blocks - found.f_bfree) * found.f_frsize
        return DiskStat(space, found.f_files - found.f_ffree)

    def statvfs(self, layer: Layer) -> os.statvfs_result:
        """Of a layer that is mounted. Raises KernelRefused."""
        try:
            found = os.statvfs(layer.path)
            if not os.path.ismount(layer.path):
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        except OSError as error:
            hint = "its mount was taken away from outside, or is in another mount namespace"
            raise KernelRefused("statfs", layer.path, error.errno or 0, hint=hint) from error
        return found

    def remove(self, path: str) -> None:
        """What is open in it, such as a file that is being copied out, keeps the file system until it is closed."""
        try:
            with contextlib.suppress(FileNotFoundError):
                if os.path.ismount(path):
                    mounts.umount2(path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
                os.rmdir(path)
            self.forget(path)
        except OSError as error:
            raise KernelRefused("umount", path, error.errno or 0) from error

    def forget(self, path: str) -> None:
        """Removes what belongs to the layer and is not in it."""

    def sweep(self, known: Collection[str]) -> None:
        for name in os.listdir(self._root):
            if self.layer_of(name) not in known:
                self.remove(self.layer_of(name))

    def layer_of(self, name: str) -> str:
        """The path of the layer that *name*, an entry of the directory, belongs to."""
        return f"{self._root}/{name}"

    def close(self) -> None:
        """Nothing was lent beside the layers."""


def mounted_place(depot: str, name: str) -> str:
    return f"{os.path.realpath(depot)}/{DIRECTORY}/{name}"
