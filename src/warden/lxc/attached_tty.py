"""`lxc-attach` where some standard stream is a terminal: those, and only those, become a pseudo terminal of its own."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading

from warden.kernel.paths import open_in_root
from warden.lxc.attaching import Attachment, attach
from warden.lxc.console import Session

_PTMX = os.makedev(5, 2)
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441  # asm-generic/ioctls.h


def attach_on_terminal(order: Attachment, ttys: list[int], log: str) -> int:
    """As `attach`. *log*: a file that gets what the terminal shows, "" for none."""
    master, other = _pair(order.running.pid)
    with contextlib.suppress(OSError):
        os.fchown(other, os.stat(f"/proc/{order.running.pid}").st_uid, -1)
    copy = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600) if log else -1
    ended, end = os.pipe()
    work = _Work(order, ttys, other, end)
    work.start()
    stdin = 0 if 0 in ttys else -1
    shown = next((fd for fd in (1, 2) if fd in ttys), 0)
    try:
        Session(master, until=ended, copy=copy).run(stdin, shown)
    finally:
        work.join()
    if work.error is not None:
        raise work.error
    return work.code


def _pair(pid: int) -> tuple[int, int]:
    """Of the container's own devpts, so that ttyname(3) finds it there; of the host's where it has none to give."""
    try:
        return _inside(pid)
    except OSError:
        return os.openpty()


def _inside(pid: int) -> tuple[int, int]:
    """Whatever lies at that place: a node of this number opens a terminal of the devpts beside it (devpts_mntget,
    fs/devpts/inode.c), and no other is opened. The other end is taken from the first, by no name (since 4.13)."""
    with contextlib.ExitStack() as held:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, root)
        node = open_in_root(root, "dev/pts/ptmx", os.O_PATH | os.O_NOFOLLOW)
        held.callback(os.close, node)
        status = os.fstat(node)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
            raise OSError(errno.ENOTTY, "no ptmx")
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        master = os.open(f"/proc/self/fd/{node}", flags)
        try:
            fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
            return master, fcntl.ioctl(master, _TIOCGPTPEER, flags)
        except BaseException:
            os.close(master)
            raise


class _Work(threading.Thread):
    """The program itself, beside the terminal, which is the main thread's since that gets the signals."""

    def __init__(self, order: Attachment, ttys: list[int], other: int, end: int) -> None:
        super().__init__(daemon=True)
        self._order, self._ttys, self._other, self._end = order, ttys, other, end
        self.code = 1
        self.error: BaseException | None = None

    def run(self) -> None:
        first, second, third = (self._other if fd in self._ttys else fd for fd in range(3))
        try:
            self.code = attach(self._order, (first, second, third), lambda _launcher: os.close(self._other))
        except BaseException as error:
            self.error = error
        finally:
            os.close(self._end)
