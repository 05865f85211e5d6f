"""Connections to the daemon for asyncio, and the pool that keeps them; the counterpart of wire.py.

Owns streams and timeouts. A connection serves one request at a time, as the server does, so tasks get one each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from warden.client import messages
from warden.client.wire import MAX_IDLE, READ_SIZE, connect_error, lost
from warden.errors import Unreachable
from warden.protocol import codec
from warden.protocol.framing import FrameParser


class AsyncConnection:
    """One connection. *busy* while a reply is owed: then it cannot be used for another request."""

    def __init__(
        self, path: str, timeout: float | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._path, self._timeout = path, timeout
        self._reader, self._writer = reader, writer
        self._parser = FrameParser(messages.FRAME_LIMIT)
        self._frames: deque[bytes] = deque()
        self.busy = False

    @classmethod
    async def open(cls, path: str, timeout: float | None) -> AsyncConnection:
        """Raises Unreachable or NotPermitted."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(path, limit=READ_SIZE)
        except OSError as error:
            raise connect_error(path, error) from None
        return cls(path, timeout, reader, writer)

    async def send(self, request: messages.Request) -> None:
        self.busy = True
        try:
            self._writer.write(codec.encode(*request))
            await self._writer.drain()
        except OSError:
            raise lost(self._path) from None

    async def receive(self, kind: int, *, patient: bool = False) -> Any:
        """The next response to a request of *kind*; *patient* ones wait for a job, without a timeout."""
        return messages.response(kind, await self._next_frame(None if patient else self._timeout))

    async def call(self, request: messages.Request, *, patient: bool = False) -> Any:
        await self.send(request)
        frame = await self._next_frame(None if patient else self._timeout)
        self.busy = False
        return messages.response(request[0], frame)

    async def _next_frame(self, timeout: float | None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                while not self._frames:
                    data = await self._reader.read(READ_SIZE)
                    if not data:
                        raise lost(self._path)
                    self._frames.extend(self._parser.feed(data))
        except TimeoutError:
            raise Unreachable(f"connection {self._path}: no reply within {timeout} seconds") from None
        except OSError:
            raise lost(self._path) from None
        return self._frames.popleft()

    def is_alive(self) -> bool:
        """Whether an idle connection still has its server, as far as the event loop has noticed."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()


class AsyncPool:
    """Idle connections of one client, for the tasks of one event loop."""

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path, self._timeout = path, timeout
        self._idle: list[AsyncConnection] = []
        self._closed = False

    async def take(self) -> AsyncConnection:
        """An idle connection, or a new one."""
        if self._closed:
            raise Unreachable(f"connection {self._path}: this client is closed")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.close()
        return await AsyncConnection.open(self._path, self._timeout)

    def give_back(self, connection: AsyncConnection) -> None:
        """Keeps it for the next request, unless a reply is still owed."""
        if not connection.busy and not self._closed and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        connection = await self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    async def call(self, request: messages.Request, *, patient: bool = False) -> Any:
        async with self.connection() as connection:
            return await connection.call(request, patient=patient)

    def is_cut_off(self) -> bool:
        """Whether a connection that was kept has lost its server."""
        return not all(connection.is_alive() for connection in self._idle)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()
