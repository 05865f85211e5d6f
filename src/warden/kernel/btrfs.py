"""btrfs subvolumes and quota groups by ioctl: btrfs-ioctl(2), linux/btrfs.h; what a group uses from /sys (since 5.9).

Every subvolume has the quota group 0/ID while quotas are on. Raises OSError with the kernel's errno; what that means is
for the caller to say.
"""

from __future__ import annotations

import fcntl
import os
import struct

from warden.kernel.mounts import mount_of_path
from warden.light import NamedTuple

SUPER_MAGIC = 0x9123683E  # statfs(2)
FIRST_FREE_ID = 256  # ids of subvolumes begin here, and a subvolume's root has it as its inode number

SNAP_DESTROY, SUBVOL_CREATE, SNAP_CREATE_V2 = 0x5000940F, 0x5000940E, 0x50009417
INO_LOOKUP, FS_INFO = 0xD0009412, 0x8400941F
QUOTA_CTL, QUOTA_RESCAN_WAIT = 0xC0109428, 0x942E
QGROUP_CREATE, QGROUP_LIMIT = 0x4010942A, 0x8030942B
QUOTA_CTL_ENABLE = 1
LIMIT_MAX_RFER = 1
NO_LIMIT = 2**64 - 1  # BTRFS_QGROUP_CLEAR_VALUE

_VOLUME = struct.Struct("=q4088s")  # struct btrfs_ioctl_vol_args
_LOOKUP = struct.Struct("=QQ4080x")  # struct btrfs_ioctl_ino_lookup_args
_SNAPSHOT = struct.Struct("=qQQ32x4040s")  # struct btrfs_ioctl_vol_args_v2
_NAME_MAX = 255


class Group(NamedTuple):
    """A quota group, in bytes. *referenced*: as of the last commit; *reserved*: written since, not yet accounted."""

    referenced: int
    reserved: int
    limit: int


def is_btrfs(path: str) -> bool:
    record = mount_of_path(path)
    return record is not None and record.fstype == "btrfs"


def is_subvolume(path: str) -> bool:
    """Whether *path* is the root of one; a symbolic link is not followed."""
    try:
        return os.lstat(path).st_ino == FIRST_FREE_ID and is_btrfs(path)
    except FileNotFoundError:
        return False


def _named(name: str) -> bytearray:
    return bytearray(_VOLUME.pack(0, _raw_name(name)))


def _raw_name(name: str) -> bytes:
    raw = os.fsencode(name)
    if len(raw) > _NAME_MAX or b"/" in raw or b"\0" in raw:
        raise ValueError(f"no name of a subvolume: {name!r}")
    return raw


def create_subvolume(directory_fd: int, name: str) -> None:
    """An empty one, in the directory, owned by root."""
    fcntl.ioctl(directory_fd, SUBVOL_CREATE, _named(name))


def snapshot_subvolume(source_fd: int, directory_fd: int, name: str) -> None:
    """A writable one in the directory that begins as the one at *source_fd* is now; subvolumes below it are empty
    directories there (btrfs-subvolume(8)). EXDEV from another file system, EINVAL when the source is none."""
    fcntl.ioctl(directory_fd, SNAP_CREATE_V2, bytearray(_SNAPSHOT.pack(source_fd, 0, 0, _raw_name(name))))


def destroy_subvolume(directory_fd: int, name: str) -> None:
    """Gone at once; the kernel frees what was in it afterwards. EINVAL when it is no subvolume."""
    fcntl.ioctl(directory_fd, SNAP_DESTROY, _named(name))


def subvolume_id(fd: int) -> int:
    """Of the subvolume that *fd* lies in."""
    args = bytearray(_LOOKUP.pack(0, FIRST_FREE_ID))
    fcntl.ioctl(fd, INO_LOOKUP, args)
    found: int = _LOOKUP.unpack(args)[0]
    return found


def enable_quota(fd: int) -> None:
    """Quota groups for the whole file system of *fd*; waits until what is there is counted. On already is fine."""
    fcntl.ioctl(fd, QUOTA_CTL, bytearray(struct.pack("=QQ", QUOTA_CTL_ENABLE, 0)))
    fcntl.ioctl(fd, QUOTA_RESCAN_WAIT)


def limit_group(fd: int, subvolume: int, size: int | None) -> None:
    """At most *size* bytes referenced by the subvolume, None for any number. In force at once, EDQUOT from then on."""
    value = NO_LIMIT if size is None else size
    fcntl.ioctl(fd, QGROUP_LIMIT, struct.pack("=6Q", subvolume, LIMIT_MAX_RFER, value, 0, 0, 0))


def remove_group(fd: int, subvolume: int) -> None:
    """The quota group of a subvolume that was destroyed. EBUSY until the kernel has freed that, ENOENT when gone."""
    fcntl.ioctl(fd, QGROUP_CREATE, struct.pack("=QQ", 0, subvolume))


def groups_directory(fd: int) -> str:
    """Where /sys shows the quota groups of the file system of *fd*; absent while quotas are off."""
    raw = bytearray(1024)
    fcntl.ioctl(fd, FS_INFO, raw)
    import uuid  # few ask

    return f"/sys/fs/btrfs/{uuid.UUID(bytes=bytes(raw[16:32]))}/qgroups"


def read_group(fd: int, subvolume: int) -> Group:
    directory = f"{groups_directory(fd)}/0_{subvolume}"
    referenced, data, flags, limit = (
        _number(f"{directory}/{name}") for name in ("referenced", "rsv_data", "limit_flags", "max_referenced")
    )
    return Group(referenced, data, limit if flags & LIMIT_MAX_RFER and limit != NO_LIMIT else 0)


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
