"""`GET /metrics` over HTTP, on a TCP port or a Unix socket: as much of HTTP as a scraper needs.

Owns the listener and its connections, all of them bounded: in number, in bytes of a request, in time. One scrape is
made at a time, whoever asks. Nothing here is on the way of a client of the daemon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from warden.server.exposition import CONTENT_TYPE
from warden.server.listen import open_address

log = logging.getLogger("warden.metrics")

MAX_OPEN = 32  # connections at once; more take the place of those that have not asked yet
MAX_REQUEST = 8192  # bytes up to the empty line
ALL_S = 30.0  # how long a connection may take, from the first packet to the last
_PIECE = 65536
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}

Scrape = Callable[[], Awaitable[bytes]]


class _Peer(asyncio.Protocol):
    """One connection: one request, one answer, closed."""

    def __init__(self, server: MetricsServer) -> None:
        self._server = server
        self._request = b""
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(ALL_S, transport.abort)
        self._server.opened(self)

    @property
    def has_asked(self) -> bool:
        return self._answering is not None

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.has_asked:
            return  # nothing more is read of it, neither a body nor a second request
        self._request += data
        if b"\r\n\r\n" in self._request or b"\n\n" in self._request or len(self._request) > MAX_REQUEST:
            self._transport.pause_reading()
            self._answering = asyncio.get_running_loop().create_task(self._answer())

    def eof_received(self) -> bool:
        return self.has_asked  # it may have shut down its half only, and waits for the answer

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self._server.closed(self)

    async def _answer(self) -> None:
        status, with_body = parse_request(self._request)
        body = b"%d %s\n" % (status, _REASONS[status].encode())
        if status == 200:
            try:
                body = await self._server.scrape()
            except Exception:
                log.exception("scrape failed")
                status, body = 500, b"the scrape failed; the daemon's log says why\n"
        await self._send(head(status, len(body)) + (body if with_body else b""))
        self._transport.close()

    async def _send(self, data: bytes) -> None:
        """In pieces: a peer that takes nothing costs one of them, not a copy of everything."""
        for first in range(0, len(data), _PIECE):
            self._transport.write(data[first : first + _PIECE])
            await self._writable.wait()


def parse_request(request: bytes) -> tuple[int, bool]:
    """The status to answer, and whether with a body."""
    if len(request) > MAX_REQUEST:
        return 431, True
    words = request.split(b"\n", 1)[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return 400, True
    method, target, _ = words
    if target.partition(b"?")[0] != b"/metrics":
        return 404, method != b"HEAD"
    return (200 if method in (b"GET", b"HEAD") else 405), method != b"HEAD"


def head(status: int, length: int) -> bytes:
    """Status line and headers."""
    kind = CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        *(["Allow: GET, HEAD"] if status == 405 else []),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class MetricsServer:
    """Answers with what *scrape* makes."""

    def __init__(self, scrape: Scrape) -> None:
        self._make = scrape
        self._peers: dict[_Peer, None] = {}  # in the order they came
        self._running: asyncio.Task[bytes] | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, address: str, permissions: int) -> None:
        """Listens on "127.0.0.1:9323" or "/run/warden/metrics.sock"; raises BadInput, KernelRefused, WrongState."""
        sock = open_address(address, permissions, "metrics: bind", "change metrics.listen, or leave it out")
        self._listener = await asyncio.get_running_loop().create_server(lambda: _Peer(self), sock=sock)

    async def scrape(self) -> bytes:
        """One that is being made serves all that ask meanwhile; it goes on when one of them leaves."""
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._collect())
        return await asyncio.shield(self._running)

    async def _collect(self) -> bytes:
        return await self._make()

    def opened(self, peer: _Peer) -> None:
        self._peers[peer] = None
        if len(self._peers) > MAX_OPEN:
            victim = next((other for other in self._peers if not other.has_asked), peer)
            victim.abort()

    def closed(self, peer: _Peer) -> None:
        self._peers.pop(peer, None)

    def close(self) -> None:
        """Ends the listener and all connections; twice is fine."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for peer in list(self._peers):
            peer.abort()
        if self._running is not None:
            self._running.cancel()
