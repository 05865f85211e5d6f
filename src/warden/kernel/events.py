"""inotify(7) by ctypes and the little that eventfd(2) needs beyond os.eventfd. No policy.

Every descriptor made here is close-on-exec and non-blocking, so that a selector or an event loop can wait for it.
"""

from __future__ import annotations

import ctypes
import os

from warden.errors import KernelRefused

# sys/inotify.h
IN_MODIFY = 0x00000002
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_DELETE_SELF = 0x00000400
IN_IGNORED = 0x00008000
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]


def inotify_init1(flags: int = IN_NONBLOCK | IN_CLOEXEC) -> int:
    """A descriptor that tells of changes to the files added to it; raises KernelRefused."""
    fd: int = _libc.inotify_init1(flags)
    if fd < 0:
        hint = "too many inotify instances: raise /proc/sys/fs/inotify/max_user_instances"
        raise KernelRefused("inotify_init1", "", ctypes.get_errno(), hint=hint)
    return fd


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Watch *path* for the events in *mask*; the number of the watch; raises KernelRefused."""
    watch: int = _libc.inotify_add_watch(fd, os.fsencode(path), mask)
    if watch < 0:
        raise KernelRefused("inotify_add_watch", path, ctypes.get_errno())
    return watch


def create_eventfd() -> int:
    """An eventfd(2) counter that starts at 0; raises KernelRefused."""
    try:
        return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    except OSError as error:
        raise KernelRefused("eventfd", "", error.errno or 0) from error


def drain(fd: int) -> bytes:
    """What is waiting in a non-blocking *fd*, at most 4 KiB at a time until it would block; b"" when nothing is."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(fd, 4096)
        except BlockingIOError:
            return b"".join(parts)
        if not part:
            return b"".join(parts)
        parts.append(part)
