"""Mounts and namespaces by system call: mount(2), open_tree(2), mount_setattr(2), unshare(2) and their constants.

Raises OSError with the kernel's errno; what that means is for the caller to say.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from warden.kernel.paths import AT_FDCWD
from warden.kernel.proc import MountRecord, mount_of, parse_mountinfo
from warden.kernel.syscalls import libc_call, system_call

# mount(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

# open_tree(2), move_mount(2), since 5.2; mount_setattr(2), since 5.12
OPEN_TREE_CLONE, AT_EMPTY_PATH, AT_RECURSIVE = 1, 0x1000, 0x8000
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

# clone(2)
CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x20000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000

# fsopen(2), fsconfig(2), fsmount(2), since 5.2
FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC = 1, 1
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6

_path = ctypes.c_char_p
_mount = libc_call("mount", _path, _path, _path, ctypes.c_ulong, _path)
_umount2 = libc_call("umount2", _path, ctypes.c_int)
_unshare = libc_call("unshare", ctypes.c_int)
_open_tree = system_call(428, ctypes.c_int, _path, ctypes.c_uint)
_move_mount = system_call(429, ctypes.c_int, _path, ctypes.c_int, _path, ctypes.c_uint)
_setns = libc_call("setns", ctypes.c_int, ctypes.c_int)
_fsopen = system_call(430, _path, ctypes.c_uint)
_fsconfig = system_call(431, ctypes.c_int, ctypes.c_uint, _path, _path, ctypes.c_int)
_fsmount = system_call(432, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
_mount_setattr = system_call(442, ctypes.c_int, _path, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t)
_ATTR = struct.Struct("=QQQQ")


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    _mount(os.fsencode(source), os.fsencode(target), os.fsencode(fstype), flags, os.fsencode(data))


def mount_detached(source: str, fstype: str, attributes: int, data: str) -> int:
    """A descriptor of a new mount that hangs nowhere: fsmount(2). It goes with the descriptor unless it is moved to a
    place before. *data* as for `mount`. Raises OSError."""
    context = _fsopen(os.fsencode(fstype), FSOPEN_CLOEXEC)
    try:
        for option in [f"source={source}", *data.split(",")]:
            key, equals, value = os.fsencode(option).partition(b"=")
            _fsconfig(context, FSCONFIG_SET_STRING if equals else FSCONFIG_SET_FLAG, key, value if equals else None, 0)
        _fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _fsmount(context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2). Raises OSError."""
    _umount2(os.fsencode(target), flags)


def mount_of_path(path: str) -> MountRecord | None:
    """The mount that *path* lies on."""
    with open("/proc/self/mountinfo", "rb") as file:
        return mount_of(os.path.realpath(path), parse_mountinfo(file.read()))


def is_mounted(point: str) -> bool:
    """Whether a file system is mounted at *point* itself, a real path."""
    record = mount_of_path(point)
    return record is not None and record.target == point


def have_filesystem(fstype: str) -> bool:
    """Whether the kernel knows *fstype*; loads its module if there is one, as mount(2) would."""
    try:
        os.close(_fsopen(os.fsencode(fstype), FSOPEN_CLOEXEC))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def setns(fd: int, flags: int) -> None:
    """setns(2), of the calling thread. Raises OSError."""
    _setns(fd, flags)


def unshare(flags: int) -> None:
    """unshare(2), of the calling thread. Raises OSError."""
    _unshare(flags)


def open_tree(path: str, flags: int, dir_fd: int = AT_FDCWD) -> int:
    """open_tree(2), always close-on-exec: a descriptor of the mount, with OPEN_TREE_CLONE of a detached copy."""
    return _open_tree(dir_fd, os.fsencode(path), flags | os.O_CLOEXEC)


def move_mount(mount_fd: int, target: str, dir_fd: int = AT_FDCWD) -> None:
    """move_mount(2): attach the detached mount *mount_fd* at *target*."""
    _move_mount(mount_fd, b"", dir_fd, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)


def mount_setattr(mount_fd: int, attr_set: int, *, userns_fd: int = 0, propagation: int = 0, flags: int = 0) -> None:
    """mount_setattr(2) on the mount *mount_fd*; *userns_fd* belongs to MOUNT_ATTR_IDMAP. Raises OSError."""
    attributes = _ATTR.pack(attr_set, 0, propagation, userns_fd)
    _mount_setattr(mount_fd, b"", AT_EMPTY_PATH | flags, attributes, _ATTR.size)
