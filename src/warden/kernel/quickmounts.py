"""unshare(2), mount(2), umount2(2), setns(2) for tools whose life is short, by the compiled half of ctypes alone: the other
half takes longer to load than all that is done here (mounts.py has these calls for everybody else).

Arguments are int, bytes or None, which are passed as int, char * and NULL.
"""

from __future__ import annotations

import _ctypes
import os


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Call(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


_libc = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # the program itself


def _call(name: str, *arguments: int | bytes | None) -> None:
    if _Call(_ctypes.dlsym(_libc, name))(*arguments) < 0:
        number = _ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def private() -> None:
    """A mount namespace of its own for the calling thread; mounts of the host still arrive in it. Raises OSError."""
    _call("unshare", 0x20000)  # CLONE_NEWNS
    _call("mount", None, b"/", None, 0x4000 | 0x80000, None)  # MS_REC, MS_SLAVE


def mount(fstype: str, target: str, flags: int, data: str) -> None:
    """Raises OSError."""
    _call("mount", fstype.encode(), os.fsencode(target), fstype.encode(), flags, data.encode())


def unmount(target: str) -> None:
    """As soon as nobody uses it (MNT_DETACH). Raises OSError."""
    _call("umount2", os.fsencode(target), 2)


def enter(namespace: int) -> None:
    """The mount namespace of the descriptor. Raises OSError."""
    _call("setns", namespace, 0x20000)
