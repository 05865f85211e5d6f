"""A connection to a container's PID 1: requests, replies and events as packets (docs/plan-format.md, "Serving").

Replies come in the order of requests; events come between them. Owns the socket, and each received descriptor only
until it is handed to the caller. What is imported from packets.py is part of this module's interface.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

from warden.errors import EngineFault
from warden.process.packets import (
    ATTACH,
    BODY_IN_FD,
    CLOSE_STDIN,
    ENDED,
    HAS_PIDFD,
    INLINE_LIMIT,
    LIST,
    PING,
    RECORD,
    RELEASE,
    REPLY,
    REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
    SHUTDOWN,
    SIGNAL,
    SPAWN,
    STARTED,
    STATE_ENDED,
    STATE_FAILED,
    STATE_RUNNING,
    STATE_STARTING,
    STDIN_GIVEN,
    WANT_STDERR,
    WANT_STDIN,
    WANT_STDOUT,
    WANT_TTY,
    Record,
    Reply,
    connect_socket,
    descriptors_of,
    packed_request,
    records_of,
)

__all__ = [
    "ATTACH",
    "BODY_IN_FD",
    "CLOSE_STDIN",
    "ENDED",
    "HAS_PIDFD",
    "INLINE_LIMIT",
    "LIST",
    "PING",
    "RECORD",
    "RELEASE",
    "REPLY",
    "REPLY_MAGIC",
    "REQUEST",
    "REQUEST_MAGIC",
    "SHUTDOWN",
    "SIGNAL",
    "SPAWN",
    "STARTED",
    "STATE_ENDED",
    "STATE_FAILED",
    "STATE_RUNNING",
    "STATE_STARTING",
    "STDIN_GIVEN",
    "WANT_STDERR",
    "WANT_STDIN",
    "WANT_STDOUT",
    "WANT_TTY",
    "Channel",
    "Record",
    "Reply",
    "connect_socket",
]


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
        packet, memory = packed_request(kind, job, flags=flags, a=a, b=b, body=body)
        if memory is not None:
            fds = (memory, *fds)
        future: asyncio.Future[Reply] = self._loop.create_future()
        try:
            async with self._sending:
                await self._send(packet, fds, future)
        finally:
            if memory is not None:
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
            if self._dispatch(packet, descriptors_of(ancillary)):
                return

    def _dispatch(self, packet: bytes, descriptors: list[int]) -> bool:
        """True after a reply: whoever waits for it must run before the events behind it, which may be about the
        descriptors that came with it. The loop wakes it before it looks at the socket again."""
        _, kind, flags, _, error, a, b, count, _ = REPLY.unpack_from(packet)
        records = records_of(packet, count)
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
