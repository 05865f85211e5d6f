"""One client's connection: bytes in, requests one after the other, bytes out.

Owns framing, order, flow control both ways and what a disconnect means. It does not know what a request does: it calls
the dispatcher it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from warden.errors import BadInput, WardenError
from warden.protocol import codec
from warden.protocol.convert import error_to_response
from warden.protocol.framing import FrameError, FrameParser
from warden.records import dataclass

log = logging.getLogger("warden.server.connection")

MAX_QUEUED = 64
_READ_SIZE = 65536
MAX_QUEUED_BYTES = 4 * 1024 * 1024
ATTACH_INPUT = codec.KINDS["AttachInput"]

Dispatch = Callable[["Connection", int, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Frame:
    """One received frame; *error* when it is no request."""

    kind: int
    payload: bytes
    error: BadInput | None = None


class Connection(asyncio.Protocol):
    """*opened* and *closed* are called with this object; *dispatch* answers one request by `send`, errors included."""

    def __init__(
        self,
        dispatch: Dispatch,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
        frame_limit: int,
    ) -> None:
        self._dispatch, self._opened, self._closed = dispatch, opened, closed
        self._parser = FrameParser(frame_limit)
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._worker: asyncio.Task[None] | None = None
        self._input_over = False  # the peer will send nothing more, or nothing that we want
        self._waiting = False  # the request in work only waits for a job: a drain may cut it off
        self._draining = False
        self._abandoned_on_close = False
        self._when_lost: Callable[[], object] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._input_over:
            return
        try:
            for payload in self._parser.feed(data):
                self._enqueue(_frame(payload))
        except FrameError as error:
            self._stop_input()
            self._enqueue(Frame(codec.ERROR, b"", error))

    def eof_received(self) -> bool:
        """A peer that only shut down its sending side still gets its answers; one that closed is gone."""
        self._stop_input()
        return not self._peer_is_gone() and self._worker is not None

    def connection_lost(self, _error: Exception | None) -> None:
        self._read_rest()
        self._transport = None
        self._stop_input()
        self._drop_requests()
        self._writable.set()
        if self._when_lost is not None:
            self._when_lost()
        if self._abandoned_on_close and self._worker is not None:
            self._worker.cancel()
        self._closed(self)

    def _read_rest(self) -> None:
        """What the peer has sent before it went: asyncio reads no more once an answer has found nobody (EPIPE)."""
        if self._transport is None or self._worker is None:
            return
        descriptor = self._transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):
            while not self._input_over and not self._is_full() and (data := os.read(descriptor, _READ_SIZE)):
                self.data_received(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What requests use.

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def peer_uid(self) -> int:
        """The uid of the process that connected, as the kernel recorded it then (SO_PEERCRED, unix(7))."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)

    async def send(self, kind: int, message: Any) -> None:
        """Sends a reply and waits while too much is unsent; a reply to a peer that is gone is dropped."""
        if self._transport is not None:
            self._transport.write(codec.encode(kind, message))
            await self._writable.wait()

    @contextlib.contextmanager
    def waiting(self, *, abandon_on_close: bool) -> Iterator[None]:
        """Marks the part of a request that waits for a job: a drain cancels it, so does a disconnect if asked for."""
        with self._marked(waiting=True, abandon_on_close=abandon_on_close):
            yield

    @contextlib.contextmanager
    def abandoned_on_close(self) -> Iterator[None]:
        """Marks work that a disconnect cancels, while a drain waits for it."""
        with self._marked(waiting=False, abandon_on_close=True):
            yield

    @contextlib.contextmanager
    def when_lost(self, told: Callable[[], object]) -> Iterator[None]:
        """Calls *told* when the peer goes away meanwhile; the request in work goes on."""
        if not self.connected:
            told()
        self._when_lost = told
        try:
            yield
        finally:
            self._when_lost = None

    @contextlib.contextmanager
    def _marked(self, *, waiting: bool, abandon_on_close: bool) -> Iterator[None]:
        self._waiting, self._abandoned_on_close = waiting, abandon_on_close
        try:
            if self._draining or (abandon_on_close and not self.connected):
                raise asyncio.CancelledError
            yield
        finally:
            self._waiting = self._abandoned_on_close = False

    async def next_input(self) -> bytes | None:
        """The payload of the next AttachInput; None when another request follows or no more can come."""
        while not self._queue and not self._input_over:
            self._arrived.clear()
            await self._arrived.wait()
        if self._queue and self._queue[0].kind == ATTACH_INPUT and self._queue[0].error is None:
            return self._take().payload
        return None

    # What the server uses.

    def refuse(self, error: WardenError) -> None:
        """Answers *error* before anything is read, and closes."""
        assert self._transport is not None
        self._transport.write(codec.encode(codec.ERROR, error_to_response(error)))
        self.close()

    def close(self) -> None:
        """Closes after what is written so far; a request in work goes on."""
        self._stop_input()
        if self._transport is not None:
            self._transport.close()

    def drain(self) -> None:
        """Closes now if idle or waiting for a job, else after the request in work, or where that begins to wait for
        one; queued requests are dropped."""
        self._draining = True
        self._stop_input()
        self._drop_queue()
        if self._worker is None:
            self.close()
        elif self._waiting:
            self._worker.cancel()

    def unsent(self) -> int:
        """Bytes written that the peer has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def abort(self) -> None:
        """Closes without sending what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    async def finished(self) -> None:
        """Waits for the request in work."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    # The queue.

    def _enqueue(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._queued_bytes += len(frame.payload)
        self._arrived.set()
        if self._is_full() and self._transport is not None:
            self._transport.pause_reading()
        if self._worker is None:
            self._start_worker()

    def _start_worker(self) -> None:
        self._worker = asyncio.get_running_loop().create_task(self._work())
        self._worker.add_done_callback(self._worked)

    def _stop_input(self) -> None:
        self._input_over = True
        self._arrived.set()

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0

    def _drop_requests(self) -> None:
        """All but input of the request in work, which was sent while its sender was there."""
        kept: list[Frame] = []
        while self._worker is not None and self._queue and self._queue[0].kind == ATTACH_INPUT:
            kept.append(self._queue.popleft())
        self._queue = deque(kept)
        self._queued_bytes = sum(len(frame.payload) for frame in kept)

    def _take(self) -> Frame:
        frame = self._queue.popleft()
        self._queued_bytes -= len(frame.payload)
        if not self._is_full() and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return frame

    def _is_full(self) -> bool:
        return len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES

    async def _work(self) -> None:
        while self._queue:
            frame = self._take()
            if frame.error is not None:
                await self.send(codec.ERROR, error_to_response(frame.error))
            elif frame.kind != ATTACH_INPUT:  # input that came after its job's end is not answered
                await self._dispatch(self, frame.kind, frame.payload)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._worker = None
        if not task.cancelled() and task.exception() is not None:
            log.error("a request broke its connection", exc_info=task.exception())
            self._stop_input()
        if self._queue and self.connected and not task.cancelled():
            self._start_worker()  # a frame arrived between the worker's last look and its end
        elif self._input_over or task.cancelled():
            self.close()

    def _peer_is_gone(self) -> bool:
        # A Unix stream socket polls as POLLHUP when both directions are shut down, so a peer that closed differs
        # from one that called shutdown(SHUT_WR) (net/unix/af_unix.c, unix_poll; always so).
        if self._transport is None:
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return any(events & select.POLLHUP for _fd, events in poll.poll(0))


def _frame(payload: bytes) -> Frame:
    try:
        kind, body = codec.decode_envelope(payload)
    except BadInput as error:
        return Frame(codec.ERROR, payload[:0], error)
    return Frame(kind, body)
