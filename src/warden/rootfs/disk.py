"""Where the writable layers of containers lie, and how their size is limited and measured: one interface, three ways.

*project*: the depot's own file system keeps project quotas. *pool*: so does one in a file of ours (pool.py). *none*:
layers lie in the depot and nothing is limited. Owns projects and layers; knows no container. Blocking.
"""

# ruff: noqa: ARG002 (a way that limits nothing has the interface's arguments all the same)
from __future__ import annotations

import errno
import os
from collections.abc import Collection
from typing import Protocol

from warden.errors import BadInput, EngineFault, KernelRefused
from warden.kernel import quota
from warden.kernel.paths import remove_tree
from warden.kernel.proc import MountRecord, mount_of, parse_mountinfo
from warden.kernel.quota import Quota
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits

#: Mount options that say that project limits are enforced, not only counted (xfs(5), ext4(5)).
ENFORCING = frozenset({"prjquota", "pquota"})
KINDS = ("xfs", "ext4")
LAYERS = ("upper", "work")
REMEDY = 'set disk.backend to "pool", or put the depot on XFS or ext4 mounted with prjquota'


class Disk(Protocol):
    """Layers of containers. A layer is a directory with overlay's upper and work in it; a project is a number."""

    @property
    def limits(self) -> bool:
        """Whether it can limit at all; if not, `limit` and `usage` raise."""
        ...

    def place(self, container_directory: str) -> str:
        """The layer of a new container, made by `make`."""
        ...

    def make(self, layer: str, project: int, owner: int | None) -> None:
        """Makes upper and work, unlimited. Raises OSError, KernelRefused."""
        ...

    def limit(self, project: int, wanted: DiskLimits) -> None:
        """In force at once, also for what is there already. Raises KernelRefused, BadInput without a backend."""
        ...

    def usage(self, project: int) -> DiskStat:
        """Exact. Raises KernelRefused."""
        ...

    def remove(self, layer: str) -> None:
        """Removes a layer; absent is fine. Its project's limits are reset by the next `make`. Raises KernelRefused."""
        ...

    def sweep(self, known: Collection[str]) -> None:
        """Removes every layer that is not one of *known* and lies outside the containers' own directories."""
        ...

    def close(self) -> None:
        """After the last container: gives back what the machine lent."""
        ...


def make_layer(layer: str, owner: int | None) -> None:
    """upper and work below *layer*, which may be there already, as overlay wants them: owned by the mapped root."""
    os.makedirs(layer, mode=0o711, exist_ok=True)
    for name in LAYERS:
        os.mkdir(f"{layer}/{name}", 0o755)
        if owner is not None:
            os.chown(f"{layer}/{name}", owner, owner)


class NoDisk:
    """No limits: costs nothing and asks for nothing."""

    limits = False

    def place(self, container_directory: str) -> str:
        return container_directory

    def make(self, layer: str, project: int, owner: int | None) -> None:
        make_layer(layer, owner)

    def limit(self, project: int, wanted: DiskLimits) -> None:
        raise BadInput("limit_disk: no way to limit disks is in use", hint=REMEDY)

    def usage(self, project: int) -> DiskStat:
        raise BadInput("disk usage: no way to measure it is in use", hint=REMEDY)

    def remove(self, layer: str) -> None:
        remove_tree(layer)

    def sweep(self, known: Collection[str]) -> None:
        return

    def close(self) -> None:
        return


class ProjectDisk:
    """Project quotas of the file system that *root* lies on."""

    limits = True

    def __init__(self, root: str) -> None:
        self._root = root

    def place(self, container_directory: str) -> str:
        return container_directory

    def make(self, layer: str, project: int, owner: int | None) -> None:
        make_layer(layer, owner)
        self.limit(project, DiskLimits())  # a number may have been another container's
        for name in LAYERS:
            # Both: XFS refuses to rename a file from one project into another (EXDEV), and overlay makes its in work.
            quota.set_project(f"{layer}/{name}", project)

    def limit(self, project: int, wanted: DiskLimits) -> None:
        limits = Quota(wanted.block_soft, wanted.block_hard, wanted.inode_soft, wanted.inode_hard)
        fd = self._open()
        try:
            quota.set_quota(fd, project, limits)
        except OSError as error:
            raise KernelRefused(f"quotactl Q_SETQUOTA project {project}", self._root, error.errno or 0) from error
        finally:
            os.close(fd)

    def usage(self, project: int) -> DiskStat:
        fd = self._open()
        try:
            found = quota.get_quota(fd, project)
        except OSError as error:
            raise KernelRefused(f"quotactl Q_GETQUOTA project {project}", self._root, error.errno or 0) from error
        finally:
            os.close(fd)
        return DiskStat(found.space, found.inodes)

    def _open(self) -> int:
        try:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelRefused("open", self._root, error.errno or 0) from error

    def remove(self, layer: str) -> None:
        remove_tree(layer)

    def sweep(self, known: Collection[str]) -> None:
        return

    def close(self) -> None:
        return


def mount_at(path: str) -> MountRecord | None:
    """The mount that *path* lies on."""
    with open("/proc/self/mountinfo", "rb") as file:
        return mount_of(os.path.realpath(path), parse_mountinfo(file.read()))


def has_project_quota(path: str) -> bool:
    """Whether layers on the file system of *path* can be limited.

    Root too: overlay writes with its mounter's rights but without CAP_SYS_RESOURCE, which passes ext4's limits.
    """
    record = mount_at(path)
    if record is None or record.fstype not in KINDS or not ENFORCING & set(record.super_options):
        return False
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        quota.get_quota(fd, 1)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    finally:
        os.close(fd)
    return True


def open_project_disk(depot: str) -> ProjectDisk:
    """Raises EngineFault when the depot's file system cannot."""
    if not has_project_quota(depot):
        hint = "mount XFS or ext4 with prjquota there, or set disk.backend to pool or none"
        raise EngineFault(f"disk: the file system of {depot} enforces no project quota", hint=hint)
    return ProjectDisk(depot)
