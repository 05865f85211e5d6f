"""Whom one thread is to file systems: file-system uid and gid, and no supplementary groups.

Owns setfsuid(2), setfsgid(2) and setgroups(2) as the kernel has them, that is for the calling thread alone (the C
library's setgroups changes every thread). Must run in a thread that ends with the work: the groups do not come back.
"""

from __future__ import annotations

import ctypes
import errno
import os

from warden.kernel.syscalls import system_call

#: setfsuid, setfsgid and setgroups; the last row is asm-generic/unistd.h, which newer architectures share.
_NUMBERS = {"x86_64": (122, 123, 116), "ppc64le": (138, 139, 81), "s390x": (215, 216, 206)}
_GENERIC = (151, 152, 159)
_ASK = 2**32 - 1  # no id: the call changes nothing and answers the present one (setfsuid(2))

_fsuid, _fsgid, _groups = _NUMBERS.get(os.uname().machine, _GENERIC)
_setfsuid = system_call(_fsuid, ctypes.c_uint)
_setfsgid = system_call(_fsgid, ctypes.c_uint)
_setgroups = system_call(_groups, ctypes.c_size_t, ctypes.c_void_p)


def drop_groups() -> None:
    """Leaves the calling thread without supplementary groups. Raises OSError."""
    _setgroups(0, None)


def become(uid: int, gid: int) -> None:
    """Makes the calling thread *uid* and *gid* to file systems; as anybody but 0 without root's rights over files.

    The kernel takes CAP_DAC_OVERRIDE and its like from the thread, and gives them back for 0 (capabilities(7)). Raises
    PermissionError when the kernel did not do it, which the calls themselves do not tell.
    """
    _setfsgid(gid)
    _setfsuid(uid)
    if _setfsuid(_ASK) != uid or _setfsgid(_ASK) != gid:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), f"setfsuid {uid}")
