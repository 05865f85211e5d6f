"""Whether a container has no room left for its files: asked when a job of it failed. Owns the definition of "full".

Conservative: full is what would refuse the next block or the next file. What was removed again before the job ended is
not seen. Blocking.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from warden.engine import limits
from warden.errors import WardenError
from warden.model.info import DiskStat
from warden.model.spec import DiskLimits

if TYPE_CHECKING:
    from warden.engine.container import Container

#: The least that a file grows by, on every file system that layers may lie on.
BLOCK = 4096


def lack_of_room(container: Container) -> str:
    """One sentence saying what is full, "" when nothing is or nobody can tell."""
    return _of_limit(container) or _of_places(container)


def _of_limit(container: Container) -> str:
    wanted, project = container.snapshot.spec.limits.disk, limits.disk_project(container)
    if wanted is None or not project:
        return ""
    try:
        return reached(container.site.disk.usage(project), wanted)
    except WardenError:
        return ""  # the container is going


def reached(used: DiskStat, wanted: DiskLimits) -> str:
    """Which of its limits leaves no room for one more block or file. Pure."""
    if wanted.block_hard and used.bytes_used + BLOCK > wanted.block_hard * 1024:
        return f"the container's disk limit of {wanted.block_hard} KiB is reached"
    if wanted.inode_hard and used.inodes_used >= wanted.inode_hard:
        return f"the container's limit of {wanted.inode_hard} files is reached"
    return ""


def _of_places(container: Container) -> str:
    """Where the files of its layer lie, and its own tmpfs."""
    layer = container.snapshot.layer or container.directory.path
    places = [(f"{layer}/upper", "the disk of the container's files"), (_shared_memory(container), "/dev/shm")]
    for path, name in places:
        try:
            room = os.statvfs(path)
        except OSError:
            continue  # it is going
        # 0 of 0 is what a file system says that does not count (btrfs has no number of inodes).
        if room.f_blocks and room.f_bavail * room.f_frsize < BLOCK:
            return f"{name} is full"
        if room.f_files and room.f_favail == 0:
            return f"{name} has no room for another file"
    return ""


def _shared_memory(container: Container) -> str:
    return f"/proc/{container.pid}/root/dev/shm"
