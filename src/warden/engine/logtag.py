"""Copies the lines of a job with a log_tag to the host's syslog, as `logger -t warden.TAG -d` would (logger(1)).

Owns datagrams, the place reached in each stream (file `tagged` of the job's directory, so that a restart repeats no
line) and what happens when syslog is slow or absent. It reads what the job's log has kept, so neither the job nor the
event loop ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import Callable

from warden.model.logs import STREAMS
from warden.process.joblog import JobLog

log = logging.getLogger("warden.logtag")

DEFAULT_SOCKET = "/dev/log"
PRIORITIES = (14, 11)  # facility user (1 << 3) with severity info for stdout, error for stderr
PIECE = 1024  # logger's --size: longer lines go in pieces
READ = 64 * 1024
LINES_A_TURN = 64  # then the event loop has its turn
PATIENCE_S = 1.0  # how long a full queue of syslog's is waited for before lines are dropped
PAUSE_S = 0.002
MAX_PASSING = 1 << 20  # bytes of a job without kept output that may wait in memory
_PLACE = struct.Struct("<QQ")


class Syslog:
    """Syslog's datagram socket at *path*, shared by all jobs; opened when first used, opened again when it was lost."""

    def __init__(self, path: str | None) -> None:
        self._path = path or DEFAULT_SOCKET
        self._socket: socket.socket | None = None
        self._complained = False

    def send(self, datagram: bytes) -> bool | None:
        """True: sent; None: its queue is full; False: nobody is there, and a log line said so once."""
        try:
            self._connected().send(datagram)
        except BlockingIOError:
            return None
        except OSError as error:
            self.close()
            self.complain(error.strerror or str(error))
            return False
        self._complained = False
        return True

    def _connected(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket

    def complain(self, reason: str) -> None:
        """One log line until something is sent again."""
        if not self._complained:
            self._complained = True
            log.warning(
                "syslog %s: %s; lines of jobs with a log_tag are dropped until it takes them", self._path, reason
            )

    @property
    def given_up(self) -> bool:
        """Whether the last attempt failed for good: then nobody waits for its queue."""
        return self._complained

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TagStream:
    """One job's lines on their way to *syslog*. `kick` after every change of *kept*; *start* runs a task."""

    def __init__(
        self, tag: str, directory: str, kept: JobLog, syslog: Syslog, start: Callable[[asyncio.Task[None]], None]
    ) -> None:
        self._tag = _printable(tag)
        self._directory = directory
        self._kept = kept
        self._syslog = syslog
        self._start = start
        self._files = [-1, -1]
        self._place_fd = -1
        self._passing = (bytearray(), bytearray())
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._sent = self._load()
        if kept.discards:
            kept.on_dropped = self._pass

    def _load(self) -> list[int]:
        with contextlib.suppress(OSError, struct.error), open(self._path("tagged"), "rb") as file:
            return list(_PLACE.unpack(file.read(_PLACE.size)))
        return [0, 0]

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _pass(self, stream: int, data: bytes) -> None:
        """Output that is not kept comes this way."""
        waiting = self._passing[stream]
        if len(waiting) < MAX_PASSING:
            waiting += data
        else:
            self._syslog.complain("too slow")

    def kick(self) -> None:
        """There may be more to send."""
        if self._task is None and not self._closed and self._waiting():
            self._task = asyncio.get_running_loop().create_task(self._pump())
            self._start(self._task)

    def _waiting(self) -> bool:
        kept = any(size > sent for size, sent in zip(self._kept.sizes, self._sent, strict=True))
        return kept or any(self._passing)

    async def flush(self) -> None:
        """Waits until all that the job wrote is sent or dropped; call it once the log is complete."""
        self.kick()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _pump(self) -> None:
        try:
            while not self._closed and await self._turn():
                await asyncio.sleep(0)
        except OSError as error:
            log.warning("log_tag %s: %s", self._tag, error)
        finally:
            self._task = None
            if self._closed or self._kept.complete:
                self._let_go()

    async def _turn(self) -> int:
        """Sends some lines of each stream; how many."""
        done = 0
        for stream in (0, 1):
            data = self._read(stream)
            used = 0
            for line, length in lines_of(data, LINES_A_TURN, last=self._is_last(stream, len(data))):
                await self._send(stream, line)
                used += length
                self._advance(stream, length)
                done += 1
                if self._closed:
                    break
            if self._kept.discards:
                del self._passing[stream][:used]
        return done

    def _is_last(self, stream: int, length: int) -> bool:
        """Whether no byte will follow the *length* bytes just read."""
        behind = 0 if self._kept.discards else self._kept.sizes[stream] - self._sent[stream] - length
        return self._kept.complete and behind == 0

    def _read(self, stream: int) -> bytes:
        if self._kept.discards:
            return bytes(self._passing[stream][:READ])
        if self._kept.sizes[stream] <= self._sent[stream]:
            return b""
        if self._files[stream] < 0:
            self._files[stream] = os.open(self._path(STREAMS[stream]), os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._files[stream], READ, self._sent[stream])

    async def _send(self, stream: int, line: bytes) -> None:
        datagram = b"<%d>%s %s: %s" % (PRIORITIES[stream], _now(), self._tag, line)
        deadline = time.monotonic() + PATIENCE_S
        while self._syslog.send(datagram) is None:
            if self._syslog.given_up or self._closed:
                return
            if time.monotonic() > deadline:
                self._syslog.complain("too slow")
                return
            await asyncio.sleep(PAUSE_S)

    def _advance(self, stream: int, length: int) -> None:
        if self._kept.discards:
            return
        self._sent[stream] += length
        with contextlib.suppress(OSError):  # a full disk costs a repetition after a restart
            if self._place_fd < 0:
                self._place_fd = os.open(self._path("tagged"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._place_fd, _PLACE.pack(*self._sent), 0)

    def close(self) -> None:
        """The engine lets go; of a job that has ended the rest is still sent as long as the engine runs."""
        if self._task is None or not self._kept.complete:
            self._closed = True
            if self._task is None:
                self._let_go()

    def _let_go(self) -> None:
        for fd in (*self._files, self._place_fd):
            if fd >= 0:
                os.close(fd)
        self._files, self._place_fd = [-1, -1], -1


def lines_of(data: bytes, most: int, *, last: bool) -> list[tuple[bytes, int]]:
    """Up to *most* lines with the number of bytes that each takes up, its end included. A line longer than PIECE comes
    in pieces; one without an end is left for later unless it is the *last*."""
    found: list[tuple[bytes, int]] = []
    at = 0
    while at < len(data) and len(found) < most:
        end = data.find(b"\n", at, at + PIECE + 1)
        if end >= 0:
            length = end + 1 - at
        elif len(data) - at > PIECE:
            end = at + PIECE
            length = PIECE
        elif last:
            end = len(data)
            length = end - at
        else:
            break
        found.append((data[at:end], length))
        at += length
    return found


def _printable(tag: str) -> bytes:
    """`warden.TAG`, in which nothing can end the line or begin another."""
    text = tag.encode("utf-8", "surrogateescape")
    return b"warden." + bytes(byte if byte >= 32 and byte != 127 else ord("_") for byte in text)


def _now() -> bytes:
    """As in RFC 3164, in local time and English (strftime without setlocale)."""
    return time.strftime("%b %e %H:%M:%S").encode()
