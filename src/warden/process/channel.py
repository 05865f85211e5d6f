"""A connection to a container's PID 1: requests, replies and events as packets (docs/plan-format.md, "Serving").

Replies come in the order of requests; events come between them. Owns the socket, and each received descriptor only
until it is handed to the caller.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from warden.errors import EngineFault
from warden.process.launch import SOCKET_NAME

REQUEST = struct.Struct("<IHHIIII")
REPLY = struct.Struct("<IHHIiIIII")
RECORD = struct.Struct("<IiIiIiIIQQQQQ")
REQUEST_MAGIC, REPLY_MAGIC = 0x31515257, 0x31505257
SPAWN, SIGNAL, LIST, ATTACH, RELEASE, CLOSE_STDIN, PING, SHUTDOWN = range(1, 9)
STARTED, ENDED = 100, 101
WANT_STDIN, WANT_STDOUT, WANT_STDERR, WANT_TTY, STDIN_GIVEN = 1, 2, 4, 8, 16
HAS_PIDFD = 16
BODY_IN_FD = 0x8000
INLINE_LIMIT = 32 * 1024
STATE_STARTING, STATE_RUNNING, STATE_ENDED, STATE_FAILED = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Record:
    """What PID 1 knows of a job. Times in nanoseconds of CLOCK_BOOTTIME, cpu in microseconds, rss in KiB."""

    job: int
    pid: int
    state: int
    status: int
    step: int
    error: int
    kept: int
    started_ns: int
    ended_ns: int
    user_us: int
    system_us: int
    maxrss_kib: int

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        job, pid, state, status, step, error, kept, _, *rest = RECORD.unpack(data)
        return cls(job, pid, state, status, step, error, kept, *rest)

    @property
    def over(self) -> bool:
        return self.state >= STATE_ENDED


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. *descriptors* by their flag (WANT_STDIN … HAS_PIDFD), to be closed by who takes them."""

    error: int
    a: int
    b: int
    records: tuple[Record, ...]
    descriptors: dict[int, int]


class Channel:
    """One connection. *on_record* gets the record of every STARTED and ENDED event."""

    def __init__(self, sock: socket.socket, on_record: Callable[[int, Record], None], on_lost: Callable[[], None]) -> None:
        self._socket = sock
        self._on_record = on_record
        self._on_lost = on_lost
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    def connect(
        cls, directory: str, on_record: Callable[[int, Record], None], on_lost: Callable[[], None]
    ) -> Channel:
        """Connects to the socket in *directory*; raises OSError when nobody listens."""
        return cls(connect_socket(directory), on_record, on_lost)

    async def request(
        self,
        kind: int,
        job: int = 0,
        *,
        flags: int = 0,
        a: int = 0,
        b: int = 0,
        body: bytes = b"",
        fds: tuple[int, ...] = (),
    ) -> Reply:
        """Sends one request and waits for its reply; raises EngineFault when the connection is lost."""
        memory = -1
        if len(body) > INLINE_LIMIT:
            memory = os.memfd_create("request", os.MFD_CLOEXEC)
            os.write(memory, body)
            packet = REQUEST.pack(REQUEST_MAGIC, kind, flags | BODY_IN_FD, job, a, b, len(body))
            fds = (memory, *fds)
        else:
            packet = REQUEST.pack(REQUEST_MAGIC, kind, flags, job, a, b, len(body)) + body
        future: asyncio.Future[Reply] = self._loop.create_future()
        try:
            async with self._sending:
                await self._send(packet, fds, future)
        finally:
            if memory >= 0:
                os.close(memory)
        try:
            return await future
        except asyncio.CancelledError:
            _let_go(future)
            raise

    async def _send(self, packet: bytes, fds: tuple[int, ...], future: asyncio.Future[Reply]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                self._socket.sendmsg([packet], rights)
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise EngineFault(f"wshd: connection lost: {error.strerror}") from error
            else:
                self._waiting.append(future)
                return

    async def _writable(self) -> None:
        self._room.clear()
        self._loop.add_writer(self._socket.fileno(), self._room.set)
        try:
            await self._room.wait()
        finally:
            if self._socket.fileno() >= 0:
                self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        for _ in range(64):  # not for ever: other connections wait
            try:
                packet, ancillary, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(32), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                packet, ancillary = b"", []
            if not packet:
                self._lost()
                return
            if self._dispatch(packet, _descriptors(ancillary)):
                return

    def _dispatch(self, packet: bytes, descriptors: list[int]) -> bool:
        """True after a reply: whoever waits for it must run before the events behind it, which may be about the
        descriptors that came with it. The loop wakes it before it looks at the socket again."""
        _, kind, flags, _, error, a, b, count, _ = REPLY.unpack_from(packet)
        records = tuple(
            Record.unpack(packet[start : start + RECORD.size])
            for start in range(REPLY.size, REPLY.size + count * RECORD.size, RECORD.size)
        )
        if kind in (STARTED, ENDED):
            self._on_record(kind, records[0])
            return False
        named = dict(zip((bit for bit in (1, 2, 4, 8, 16) if flags & bit), descriptors, strict=False))
        future = self._waiting.popleft()
        if future.done():  # its caller was cancelled
            for fd in named.values():
                os.close(fd)
        else:
            future.set_result(Reply(error, a, b, records, named))
        return True

    def _lost(self) -> None:
        self.close()
        self._on_lost()

    def close(self) -> None:
        """Ends the connection; the container and its jobs go on. Twice is fine."""
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._room.set()  # who waits to send learns that the socket is closed
        self._socket.close()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(EngineFault("wshd: connection lost"))


def _let_go(future: asyncio.Future[Reply]) -> None:
    """The reply of a request whose caller was cancelled after it had come: nobody else closes its descriptors."""
    if future.done() and not future.cancelled() and future.exception() is None:
        for fd in future.result().descriptors.values():
            os.close(fd)


def connect_socket(directory: str) -> socket.socket:
    """A non-blocking connection to wshd.sock in *directory*."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    directory_fd = -1
    try:
        directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        sock.connect(f"/proc/self/fd/{directory_fd}/{SOCKET_NAME}")
    except BaseException:
        sock.close()
        raise
    finally:
        if directory_fd >= 0:
            os.close(directory_fd)
    return sock


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
