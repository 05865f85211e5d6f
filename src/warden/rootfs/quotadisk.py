"""Limits by quotas of the file system that the layers lie on: of a project for each container, or of its users.

*project* holds for everything in a layer, whoever owns it. *user*, the original's way, holds for two of the 65,536 ids
that a container with a user namespace has, and for each by itself: vcap, and root. Root inside may give its files to
any of the others, so it limits users who cannot become root, as the original did, and never the container as a whole;
it is not chosen by itself. Blocking.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from warden.errors import EngineFault, KernelRefused
from warden.kernel import quota
from warden.kernel.mounts import mount_of_path
from warden.kernel.paths import remove_tree
from warden.kernel.proc import MountRecord
from warden.kernel.quota import PRJQUOTA, USRQUOTA, Quota
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits
from warden.rootfs.disk import LAYERS, Layer, NotSparse, make_layer

KINDS = ("xfs", "ext4")
#: Mount options that say that limits are enforced, not only counted (xfs(5), ext4(5)).
ENFORCING = {
    PRJQUOTA: frozenset({"prjquota", "pquota"}),
    USRQUOTA: frozenset({"usrquota", "uquota", "quota", "usrjquota"}),
}
_WORDS = {PRJQUOTA: "project", USRQUOTA: "user"}
_OPTIONS = {PRJQUOTA: "prjquota", USRQUOTA: "usrquota"}


class QuotaDisk(NotSparse):
    """What quotas of both kinds share: layers lie in the containers' own directories on the file system of *root*."""

    name = ""
    limits = True
    kind = PRJQUOTA

    def __init__(self, root: str) -> None:
        self._root = root

    def place(self, container_directory: str) -> str:
        return container_directory

    def check(self, wanted: DiskLimits) -> None:
        """Quotas have every limit."""

    def numbers(self, layer: Layer) -> tuple[int, ...]:
        """Whose quotas they are."""
        raise NotImplementedError

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        limits = Quota(wanted.block_soft, wanted.block_hard, wanted.inode_soft, wanted.inode_hard)
        for number in self.numbers(layer):
            with self._quotactl("Q_SETQUOTA", number) as fd:
                quota.set_quota(fd, number, limits, self.kind)

    def usage(self, layer: Layer) -> DiskStat:
        space = inodes = 0
        for number in self.numbers(layer):
            with self._quotactl("Q_GETQUOTA", number) as fd:
                found = quota.get_quota(fd, number, self.kind)
            space, inodes = space + found.space, inodes + found.inodes
        return DiskStat(space, inodes)

    @contextmanager
    def _quotactl(self, command: str, number: int) -> Iterator[int]:
        """A descriptor for one call about *number*."""
        operation = "open"
        try:
            fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                operation = f"quotactl {command} {_WORDS[self.kind]} {number}"
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            raise KernelRefused(operation, self._root, error.errno or 0) from error

    def remove(self, path: str) -> None:
        """Its limits are reset by the next `make` with the same numbers."""
        remove_tree(path)

    def sweep(self, known: Collection[str]) -> None:
        """What lies in a container's directory goes with it."""

    def close(self) -> None:
        """Nothing was lent."""


class ProjectDisk(QuotaDisk):
    """A project for each container."""

    name = "project"
    kind = PRJQUOTA

    def numbers(self, layer: Layer) -> tuple[int, ...]:
        return (layer.project,)

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        make_layer(layer)
        self.limit(layer, wanted)  # also when nothing is wanted: a number may have been another container's
        for name in LAYERS:
            # Both: XFS refuses to rename a file from one project into another (EXDEV), and overlay makes its in work.
            quota.set_project(f"{layer.path}/{name}", layer.project)


class UserDisk(QuotaDisk):
    """The container's vcap and root, each by itself; the host's own root never."""

    name = "user"
    kind = USRQUOTA

    def numbers(self, layer: Layer) -> tuple[int, ...]:
        return (layer.user,) if layer.owner is None else (layer.user, layer.owner)

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        make_layer(layer)
        self.limit(layer, wanted)


def has_quota(path: str, kind: int = PRJQUOTA) -> bool:
    """Whether layers on the file system of *path* can be limited by quotas of *kind*.

    Root too: overlay writes with its mounter's rights but without CAP_SYS_RESOURCE, which passes ext4's limits.
    """
    record = mount_of_path(path)
    if record is None or record.fstype not in KINDS or not ENFORCING[kind] & _names(record):
        return False
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        quota.get_quota(fd, 1, kind)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    finally:
        os.close(fd)
    return True


def _names(record: MountRecord) -> set[str]:
    return {option.partition("=")[0] for option in record.super_options}


def _require(depot: str, kind: int) -> None:
    if not has_quota(depot, kind):
        hint = f"mount XFS or ext4 with {_OPTIONS[kind]} there, or set disk.backend to auto"
        raise EngineFault(f"disk: the file system of {depot} enforces no {_WORDS[kind]} quota", hint=hint)


def open_project_disk(depot: str) -> ProjectDisk:
    """Raises EngineFault when the depot's file system cannot."""
    _require(depot, PRJQUOTA)
    return ProjectDisk(depot)


def open_user_disk(depot: str) -> UserDisk:
    """Raises EngineFault when the depot's file system cannot."""
    _require(depot, USRQUOTA)
    return UserDisk(depot)
