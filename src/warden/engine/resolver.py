"""One bridge's resolver: it listens at the bridge's own addresses, port 53, UDP and TCP, in the daemon's loop.

Owns the sockets and how much anybody may ask. Whoever asks is hostile: only addresses of the bridge's networks are
answered, only over the bridge's device, and each so often and so much at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, cast

from warden.engine import upstream
from warden.network import dns
from warden.network.zone import Address, Zone, local_answer
from warden.records import dataclass

log = logging.getLogger("warden.resolver")

PORT = upstream.PORT
IP_FREEBIND, IPV6_FREEBIND = 15, 78  # since 2.4 and 4.15: an IPv6 address may still be looked for by the kernel
SO_SNDBUFFORCE, SO_RCVBUFFORCE, RECEIVE_BUFFER = 32, 33, 1 << 20
#: What waits for the link address of one asker who does not tell it may take 208 KiB of it (unres_qlen_bytes, arp(7)),
#: and must leave room for the answers to others.
SEND_BUFFER = 8 << 20
A_SECOND, MOST_SAVED = 1000.0, 2000.0  # queries of one asker
OUTSTANDING, OUTSTANDING_EACH = 512, 64  # questions handed on, of all and of one asker
CONNECTIONS, CONNECTIONS_EACH = 64, 8
IDLE_S = 10.0  # of a connection, after which it is closed
_MOST_ASKERS = 4096


@dataclass(frozen=True, slots=True)
class View:
    """What one asker gets: names of *zones*, and the rest from *servers*; without any the rest is refused."""

    zones: tuple[Zone, ...]
    servers: tuple[str, ...]


Look = Callable[[Address], View]


class Quota:
    """So many a second for each asker, and some that were saved."""

    def __init__(self) -> None:
        self._left: dict[Address, tuple[float, float]] = {}

    def take(self, asker: Address, now: float) -> bool:
        if len(self._left) > _MOST_ASKERS:  # none of those that have not asked for long is missed
            self._left = {}
        left, since = self._left.get(asker, (MOST_SAVED, now))
        left = min(MOST_SAVED, left + (now - since) * A_SECOND)
        self._left[asker] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class Resolver:
    """*device*, *index*: of the bridge. *look*: what is known for an asker. `start`, and `close` at any time."""

    def __init__(
        self, device: str, index: int, networks: Sequence[IPv4Network | IPv6Network], look: Look, *, port: int = PORT
    ) -> None:
        self.device, self.index = device, index
        self._networks, self._look, self._port = tuple(networks), look, port
        self._quota = Quota()
        self._outstanding: Counter[Address] = Counter()
        self._connections: Counter[Address] = Counter()
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError when an address or port cannot be had; then nothing is open."""
        loop = asyncio.get_running_loop()
        try:
            for network in self._networks:
                address = str(network.network_address + 1)
                sock = self._bound(address, socket.SOCK_DGRAM)
                transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
                self._transports.append(transport)
                sock = self._bound(address, socket.SOCK_STREAM)
                self._servers.append(await asyncio.start_server(self._serve, sock=sock, limit=2 * dns.LONGEST_QUERY))
        except BaseException:
            self.close()
            raise

    def _bound(self, address: str, kind: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            if kind == socket.SOCK_DGRAM:  # one asker's burst must not crowd out another's question
                with contextlib.suppress(PermissionError):
                    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
                    sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)
            # Not over another link, on which the host would answer for this address as well.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
            sock.bind((address, self._port))
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        for transport in self._transports:
            transport.abort()
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        self._transports, self._servers = [], []

    # ---- one query

    def asker(self, peer: Any) -> Address | None:
        """Whose query it is; None for one that is not answered."""
        address = ip_address(peer[0].partition("%")[0])
        known = any(address in network for network in self._networks if network.version == address.version)
        return address if known and self._quota.take(address, time.monotonic()) else None

    def at_once(self, data: bytes, asker: Address) -> tuple[bytes | None, dns.Query | None, tuple[str, ...]]:
        """The answer to *data*; or None, the query, and whom to hand it to."""
        try:
            query = dns.parse_query(data)
        except dns.Malformed as error:
            return (None if error.rcode is None else dns.refusal(data, error.rcode)), None, ()
        view = self._look(asker)
        found = local_answer(query, view.zones)
        if found is not None:
            return found, query, ()
        if not view.servers:
            return dns.answer(query, dns.REFUSED, own=False), query, ()
        return None, query, view.servers

    async def hand_on(self, query: dns.Query, servers: Sequence[str], asker: Address, *, tcp: bool) -> bytes:
        """Another server's answer, or that there is none."""
        if self._outstanding.total() >= OUTSTANDING or self._outstanding[asker] >= OUTSTANDING_EACH:
            return dns.answer(query, dns.SERVFAIL, own=False)
        self._outstanding[asker] += 1
        try:
            found = await upstream.ask(query, servers, tcp=tcp)
        finally:
            self._outstanding[asker] -= 1
            if not self._outstanding[asker]:
                del self._outstanding[asker]
        return dns.answer(query, dns.SERVFAIL, own=False) if found is None else found

    def datagram(self, transport: asyncio.DatagramTransport, data: bytes, peer: Any) -> None:
        asker = self.asker(peer)
        if asker is None:
            return
        found, query, servers = self.at_once(data, asker)
        if found is not None:
            _send(transport, _fitting(found, query), peer)
        elif query is not None and self._outstanding[asker] < OUTSTANDING_EACH:
            self._spawn(self._answer(transport, query, servers, asker, peer))

    async def _answer(
        self, transport: asyncio.DatagramTransport, query: dns.Query, servers: Sequence[str], asker: Address, peer: Any
    ) -> None:
        found = await self.hand_on(query, servers, asker, tcp=False)
        _send(transport, _fitting(found, query), peer)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        peer = writer.get_extra_info("peername")
        asker = self.asker(peer) if peer else None
        full = self._connections.total() >= CONNECTIONS or self._connections[asker] >= CONNECTIONS_EACH  # type: ignore[index]
        if asker is None or full:
            writer.transport.abort()
            return
        self._connections[asker] += 1
        writer.transport.set_write_buffer_limits(0)  # drain: until the kernel has it all
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.CancelledError):
                while await asyncio.wait_for(self._one(reader, writer, asker), IDLE_S):
                    pass
        finally:
            self._connections[asker] -= 1
            if not self._connections[asker]:
                del self._connections[asker]
            # Not close: that waits, for ever and without being counted, for a peer that does not take its answers.
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: Address) -> bool:
        """Whether another query may follow."""
        [length] = struct.unpack("!H", await reader.readexactly(2))
        if not 0 < length <= dns.LONGEST_QUERY or not self._quota.take(asker, time.monotonic()):
            return False
        found, query, servers = self.at_once(await reader.readexactly(length), asker)
        if found is None and query is not None:
            found = await self.hand_on(query, servers, asker, tcp=True)
        if found is None:
            return False
        writer.write(struct.pack("!H", len(found)) + found)
        await writer.drain()
        return True


def _send(transport: asyncio.DatagramTransport, data: bytes, peer: Any) -> None:
    """Unless earlier ones wait still: whoever asks asks again, and nobody fills the daemon's memory."""
    if not transport.is_closing() and not cast("Any", transport).get_write_buffer_size():
        transport.sendto(data, peer)


def _fitting(found: bytes, query: dns.Query | None) -> bytes:
    """What one datagram may hold, as the asker said."""
    return found if query is None or len(found) <= query.size else dns.truncated(query)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._resolver.datagram(self._transport, data, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("%s: %s", self._resolver.device, exc)
