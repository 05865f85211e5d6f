"""A bridge's resolver on the loopback: who is answered, how often and how much at once; and what each asker may know."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from test_depot_snapshot import PLAIN

from warden.depot.snapshot import Snapshot
from warden.engine import naming, resolver
from warden.engine.resolver import MOST_SAVED, Quota, Resolver, View
from warden.engine.resolvers import Resolvers
from warden.model.interfaces import Bridge, Link, LinkKind
from warden.model.names import Names
from warden.model.settings import EngineSettings
from warden.network import dns
from warden.network.zone import Member, zone_of

NETWORK = IPv4Network("127.77.0.0/24")
SERVER = "127.77.0.1"
ZONE = zone_of([NETWORK], [Member("db", ("www",), (IPv4Address("127.77.0.9"),))])


def test_so_often_and_not_more() -> None:
    quota, asker, other = Quota(), IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")
    assert all(quota.take(asker, 5.0) for _ in range(int(MOST_SAVED)))
    assert not quota.take(asker, 5.0)
    assert quota.take(other, 5.0), "others are not its fault"
    assert quota.take(asker, 5.01)
    assert not all(quota.take(asker, 5.01) for _ in range(11))


def message(name: str, kind: int = dns.A) -> bytes:
    encoded = dns.encode_name(name)
    assert encoded is not None
    return struct.pack("!HHHHHH", 7, dns.RD, 1, 0, 0, 0) + encoded + struct.pack("!HH", kind, 1)


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Its port."""
    with socket.socket() as sock:
        sock.bind((SERVER, 0))
        port: int = sock.getsockname()[1]
    made = Resolver("lo", 1, [NETWORK], lambda _asker: View((ZONE,), ()), port=port)
    await made.start()
    try:
        yield port
    finally:
        made.close()
        await asyncio.sleep(0)


async def over_udp(port: int, data: bytes, source: str = "127.77.0.5", seconds: float = 5) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind((source, 0))
        sock.connect((SERVER, port))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, data)
        try:
            return await asyncio.wait_for(loop.sock_recv(sock, 2000), seconds)
        except TimeoutError:
            return None


async def test_who_is_answered() -> None:
    async with serving() as port:
        found = await over_udp(port, message("DB"))
        assert found is not None and found.endswith(b"\x7f\x4d\x00\x09")
        assert await over_udp(port, message("db"), "127.0.0.1", 0.2) is None, "no address of the bridge"
        refused = await over_udp(port, message("example.org"))
        assert refused is not None and dns.rcode_of(refused) == dns.REFUSED
        assert await over_udp(port, b"\0" * 5, seconds=0.2) is None
        assert await over_udp(port, message("db")[:2] + b"\x80" + message("db")[3:], seconds=0.2) is None, "an answer"


async def test_over_tcp_one_after_the_other() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection(SERVER, port, local_addr=("127.77.0.5", 0))
        for name in ("db", "www", "nobody"):
            data = message(name)
            writer.write(struct.pack("!H", len(data)) + data)
            [length] = struct.unpack("!H", await reader.readexactly(2))
            found = await reader.readexactly(length)
            assert dns.rcode_of(found) == (dns.REFUSED if name == "nobody" else dns.NOERROR)
        writer.write(struct.pack("!H", dns.LONGEST_QUERY + 1))
        assert await reader.read() == b"", "too long for a query"
        writer.close()


async def test_only_so_many_connections_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "IDLE_S", 0.3)
    async with serving() as port:
        pairs = [
            await asyncio.open_connection(SERVER, port, local_addr=("127.77.0.5", 0))
            for _ in range(resolver.CONNECTIONS_EACH + 1)
        ]
        assert await pairs[-1][0].read() == b"", "one too many"
        assert not any(reader.at_eof() for reader, _ in pairs[:-1])
        for reader, _ in pairs[:-1]:
            assert await reader.read() == b"", "idle for too long"
        for _, writer in pairs:
            writer.close()


def on_bridges(handle: str, number: int, *bridges: Bridge, names: Names = Names()) -> Snapshot:  # noqa: B008
    links = tuple(
        Link(LinkKind.BRIDGE, one.name, f"eth{place}", 2 + place, addresses=(f"10.{place}.0.{number}/24",), bridge=one.device)
        for place, one in enumerate(bridges)
    )
    return replace(PLAIN, handle=handle, hostname="same", network="", links=links, spec=replace(PLAIN.spec, names=names))


WEB, INNER = Bridge("web", "10.0.0.0/24"), Bridge("inner", "10.1.0.0/24", internal=True)


async def test_what_each_asker_may_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "host_text", lambda: b"nameserver 192.0.2.1\nnameserver nonsense\n")
    snapshots = [
        on_bridges("one", 2, WEB),
        on_bridges("two", 3, WEB, INNER),
        on_bridges("own", 4, WEB, names=Names(servers=("192.0.2.9",))),
    ]
    made = Resolvers(EngineSettings(), lambda: snapshots)

    async def none() -> list[Bridge]:
        return []

    await made.settle(none)
    made._bridges = {one.device: one for one in (WEB, INNER)}
    view = made._view(IPv4Address("10.0.0.2"))
    assert (len(view.zones), view.servers) == (1, ("192.0.2.1",))
    assert len(view.zones[0].names[(b"same",)]) == 3
    assert len(made._view(IPv4Address("10.1.0.3")).zones) == 2
    assert made._view(IPv4Address("10.0.0.4")).servers == ("192.0.2.9",)
    assert made._view(IPv4Address("10.0.0.77")) == View((), ()), "nobody has that address"
    snapshots[:] = [on_bridges("kept", 3, INNER)]
    made.changed()
    assert made._view(IPv4Address("10.0.0.3")).servers == (), "an internal bridge leads nowhere"
