"""Making a mounted ext4 smaller and larger: the reserve in /sys/fs/ext4 (since 3.10) and EXT4_IOC_RESIZE_FS (since 3.3).

Raises OSError with the kernel's errno; what that means is for the caller to say.
"""

from __future__ import annotations

import fcntl
import os
import struct

RESIZE_FS = 0x40086610  # _IOW('f', 16, __u64), linux/ext4.h


def set_reserve(path: str, blocks: int) -> None:
    """Keeps *blocks* of the file system at *path* free of everything, also of what root writes: ENOSPC.

    The kernel checks it when space is claimed, at write(2); a reserve larger than what is free only stops growth. It
    lasts as long as the mount. EINVAL when the file system has no more blocks than that.
    """
    with open(f"/sys/fs/ext4/{device_name(path)}/reserved_clusters", "w", encoding="ascii") as file:
        file.write(str(blocks))


def device_name(path: str) -> str:
    """The name in /sys of the block device that the file system of *path* lies on."""
    device = os.stat(path).st_dev
    return os.path.basename(os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))


def resize(path: str, blocks: int) -> None:
    """Grows the file system at *path*, while in use. EPERM without CAP_SYS_RESOURCE; it cannot shrink: EINVAL."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, RESIZE_FS, struct.pack("=Q", blocks))
    finally:
        os.close(fd)
