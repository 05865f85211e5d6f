"""Constants of clone(2), mount(2) and mount_setattr(2), and their names for descriptions."""

from __future__ import annotations

CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

RESOLVE_NO_SYMLINKS = 4  # openat2(2)

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8

_CLONE = {
    "CLONE_NEWUSER": CLONE_NEWUSER,
    "CLONE_NEWNS": CLONE_NEWNS,
    "CLONE_NEWPID": CLONE_NEWPID,
    "CLONE_NEWUTS": CLONE_NEWUTS,
    "CLONE_NEWIPC": CLONE_NEWIPC,
    "CLONE_NEWNET": CLONE_NEWNET,
    "CLONE_NEWCGROUP": CLONE_NEWCGROUP,
    "CLONE_NEWTIME": CLONE_NEWTIME,
}
_MOUNT = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}


def clone_names(flags: int) -> str:
    """ "CLONE_NEWNS|CLONE_NEWPID", or "0"."""
    return "|".join(name for name, bit in _CLONE.items() if flags & bit) or "0"


def mount_names(flags: int) -> str:
    """ "ro,nosuid", or "rw". The MS_ and MOUNT_ATTR_ values of these four are the same."""
    return ",".join(name for name, bit in _MOUNT.items() if flags & bit) or "rw"
