"""Project and user quotas by system call: quotactl_fd(2) and the ioctls FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR.

The same calls serve XFS and ext4: both answer the VFS's Q_GETQUOTA. Raises OSError with the kernel's errno; what that
means is for the caller to say.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from typing import NamedTuple

from warden.kernel.syscalls import system_call

# quotactl(2), linux/quota.h
Q_GETQUOTA, Q_SETQUOTA = 0x800007, 0x800008
USRQUOTA, PRJQUOTA = 0, 2
QIF_BLIMITS, QIF_ILIMITS = 1, 4
QIF_DQBLKSIZE = 1024  # limits are in blocks of this size on every file system

# ioctl_xfs_fsgetxattr(2), linux/fs.h
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
FS_XFLAG_PROJINHERIT = 0x200

_quotactl_fd = system_call(443, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p)  # since 5.14
_DQBLK = struct.Struct("=QQQQQQQQI4x")  # struct if_dqblk
_FSXATTR = struct.Struct("=IIIII8s")  # struct fsxattr


class Quota(NamedTuple):
    """Limits of one project or user, in blocks of 1 KiB and in inodes, 0 for none; *space* used in bytes, *inodes* used."""

    block_soft: int = 0
    block_hard: int = 0
    inode_soft: int = 0
    inode_hard: int = 0
    space: int = 0
    inodes: int = 0


def _command(command: int, kind: int) -> int:
    return command << 8 | kind  # QCMD() of quotactl(2)


def get_quota(fd: int, number: int, kind: int = PRJQUOTA) -> Quota:
    """Q_GETQUOTA of the project or user *number* on the file system of *fd*; zeros for one that was never used. Raises
    OSError: ESRCH or ENOSYS when the file system keeps no quota of that kind."""
    buffer = ctypes.create_string_buffer(_DQBLK.size)
    try:
        _quotactl_fd(fd, _command(Q_GETQUOTA, kind), number, buffer)
    except OSError as error:
        if error.errno == errno.ENOENT:  # XFS makes the record with the first file
            return Quota()
        raise
    block_hard, block_soft, space, inode_hard, inode_soft, inodes, *_ = _DQBLK.unpack(buffer.raw)
    return Quota(block_soft, block_hard, inode_soft, inode_hard, space, inodes)


def set_quota(fd: int, number: int, quota: Quota, kind: int = PRJQUOTA) -> None:
    """Q_SETQUOTA of the four limits; what is used is not touched. Raises OSError."""
    raw = _DQBLK.pack(
        quota.block_hard, quota.block_soft, 0, quota.inode_hard, quota.inode_soft, 0, 0, 0, QIF_BLIMITS | QIF_ILIMITS
    )
    _quotactl_fd(fd, _command(Q_SETQUOTA, kind), number, raw)


def set_project(path: str, project: int) -> None:
    """Puts the directory *path*, and what is made in it from now on, under *project*. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        raw = fcntl.ioctl(fd, FS_IOC_FSGETXATTR, bytes(_FSXATTR.size))
        flags, extent_size, extents, _, cow_size, padding = _FSXATTR.unpack(raw)
        changed = _FSXATTR.pack(flags | FS_XFLAG_PROJINHERIT, extent_size, extents, project, cow_size, padding)
        fcntl.ioctl(fd, FS_IOC_FSSETXATTR, changed)
    finally:
        os.close(fd)
