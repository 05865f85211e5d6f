"""`lxc-attach` where some standard stream is a terminal: those, and only those, become a pseudo terminal of its own."""

from __future__ import annotations

import os
import threading

from warden.light import suppress
from warden.lxc.attaching import Attachment, attach
from warden.lxc.console import Session


def attach_on_terminal(order: Attachment, ttys: list[int], log: str) -> int:
    """As `attach`. *log*: a file that gets what the terminal shows, "" for none."""
    master, other = os.openpty()
    with suppress(OSError):
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
