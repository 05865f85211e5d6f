"""Whether a container has no room left for its files: asked when a job of it failed. Owns the definition of "full".

Conservative: full is what has no room for a few blocks more, or for one more file. What was removed again before the
job ended is not seen. Blocking.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from warden.engine import limits
from warden.errors import WardenError
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits

if TYPE_CHECKING:
    from warden.engine.container import Container

#: Less than this left is none: file systems refuse data some blocks early, for what they must write about it (ext4 with
#: blocks of 1 KiB: 22 KiB), and a quota is charged by blocks.
SLACK = 64 << 10


def lack_of_room(container: Container) -> str:
    """One sentence saying what is full, "" when nothing is or nobody can tell."""
    return _of_limit(container) or _of_places(container)


def _of_limit(container: Container) -> str:
    wanted = limits.limits_of(container).disk
    if wanted is None:
        return ""
    try:
        used = limits.disk_now(container)
    except WardenError:
        return ""  # the container is going
    return "" if used is None else reached(used, wanted)


def reached(used: DiskStat, wanted: DiskLimits) -> str:
    """Which of its limits leaves no room. Pure."""
    limit = wanted.block_hard * 1024
    if limit and limit - used.bytes_used < _slack(limit):
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
        if room.f_blocks and room.f_bavail * room.f_frsize < _slack(room.f_blocks * room.f_frsize):
            return f"{name} is full"
        if room.f_files and room.f_favail == 0:
            return f"{name} has no room for another file"
    return ""


def _slack(size: int) -> int:
    """Bounded, so that what is small altogether is not always full."""
    return min(SLACK, size // 16)


def _shared_memory(container: Container) -> str:
    return f"/proc/{container.pid}/root/dev/shm"
