"""The original's health check: a TCP port on loopback that answers anything at all with `HTTP/1.1 200 OK`.

Owns that one port. The answer has no blank line after it, as the original's (spec/warden.md §9).
"""

from __future__ import annotations

import asyncio

from warden.server.listen import open_tcp

ADDRESS = "127.0.0.1"
ANSWER = b"HTTP/1.1 200 OK\r\n"
SILENT_S = 10.0  # a connection that says nothing for so long is closed: it costs a descriptor


class _Answer(asyncio.Protocol):
    """Answers the first bytes and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(SILENT_S, transport.abort)

    def data_received(self, _data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._timer.cancel()


async def open_health(port: int) -> asyncio.Server:
    """Listens on 127.0.0.1:*port*; raises KernelRefused when the port is taken."""
    hint = "change health_check_server.port, or leave the section out"
    listener = open_tcp(ADDRESS, port, "health check: bind", hint)
    return await asyncio.get_running_loop().create_server(_Answer, sock=listener)
