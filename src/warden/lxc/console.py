"""Somebody at a terminal of a container: what he types goes there, what it says comes here, until he leaves or it ends.

The caller's terminal is raw meanwhile and is put back whatever happens. Streams that are none are read and written as
they are.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import termios
import time
import tty

from warden.light import TYPE_CHECKING, Enum, contextmanager, signal, suppress
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE = b"\0" * 8


class Left(Enum):
    """Why a session ended."""

    PREFIX = "prefix"  # he typed the prefix and q
    CLOSED = "closed"  # the other side is gone


@dataclass
class Session:
    """*line*: the socket of the console, or None for a tty, which is *master* itself. *prefix*: the byte before q that
    leaves, None for none. *until*: a descriptor whose end is the session's, -1 for none; *copy*: gets what is shown."""

    master: int
    line: socket.socket | None = None
    prefix: int | None = None
    until: int = -1
    copy: int = -1
    _pending: bool = False  # the prefix was typed

    def run(self, stdin: int, stdout: int) -> Left:
        with _raw(stdin), _resized(stdin, self.master):
            return self._relay(stdin, stdout)

    def _relay(self, stdin: int, stdout: int) -> Left:
        source = self.line.fileno() if self.line is not None else self.master
        poll = select.poll()
        poll.register(source, select.POLLIN)
        with suppress(PermissionError):
            poll.register(stdin, select.POLLIN) if stdin >= 0 else None
        if self.until >= 0:
            poll.register(self.until, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self.until in ready:
                return self._rest(stdout)
            if source in ready and not self._said(stdout):
                if self.until < 0:
                    return Left.CLOSED
                poll.unregister(source)
            if stdin in ready:
                typed = os.read(stdin, 4096)
                if not typed:
                    poll.unregister(stdin)
                elif self._leaves(typed):
                    return Left.PREFIX

    def _rest(self, stdout: int) -> Left:
        """What was written before the end."""
        os.set_blocking(self.master, False)
        with suppress(BlockingIOError):
            while self._said(stdout):
                pass
        return Left.CLOSED

    def _said(self, stdout: int) -> bool:
        """False when there is nothing more."""
        if self.line is not None:
            data = self.line.recv(65536)
        else:
            try:
                data = os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                if self.until >= 0:
                    return False
                time.sleep(0.1)  # nobody has the other side open
                return True
        if self.copy >= 0:
            write_all(self.copy, data)
        try:
            write_all(stdout, data)
        except BrokenPipeError:
            return False
        return bool(data)

    def _leaves(self, typed: bytes) -> bool:
        """Passes on what was typed, the prefix and what follows it apart."""
        passed = bytearray()
        for byte in typed:
            if self._pending:
                self._pending = False
                if byte == ord("q"):
                    return True
                if byte != self.prefix:
                    passed.append(self.prefix or 0)
                passed.append(byte)
            elif self.prefix is not None and byte == self.prefix:
                self._pending = True
            else:
                passed.append(byte)
        if passed and self.line is not None:
            with suppress(OSError):
                self.line.send(bytes(passed))
        elif passed:
            write_all(self.master, bytes(passed))
        return False


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    if fd < 0 or not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # what is typed already is not lost
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def _resized(fd: int, master: int) -> Iterator[None]:
    """The container's terminal has the size of the caller's, now and when that changes."""
    if fd < 0 or not os.isatty(fd) or not os.isatty(master):
        yield
        return

    def resize(*_: object) -> None:
        size = fcntl.ioctl(fd, termios.TIOCGWINSZ, _SIZE)
        with suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, size)

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
