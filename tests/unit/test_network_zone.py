"""What a bridge's resolver answers by itself."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from warden.network import dns
from warden.network.zone import Member, Zone, local_answer, zone_of

NETWORKS = (IPv4Network("10.1.0.0/24"), IPv6Network("fd00::/64"))
WEB = Member("web", ("web-host", "www"), (IPv4Address("10.1.0.2"), IPv6Address("fd00::2")))
DB = Member("db", ("box7", "www", "WEB"), (IPv4Address("10.1.0.3"),))
ZONE = zone_of(NETWORKS, [WEB, DB])


def query(name: str, kind: int = dns.A, klass: int = 1) -> dns.Query:
    encoded = dns.encode_name(name)
    assert encoded is not None
    return dns.parse_query(struct.pack("!HHHHHH", 1, dns.RD, 1, 0, 0, 0) + encoded + struct.pack("!HH", kind, klass))


def asked(name: str, kind: int = dns.A, zones: tuple[Zone, ...] = (ZONE,)) -> tuple[int, set[bytes]] | None:
    """The code and the data of all records; None: others are to be asked."""
    found = local_answer(query(name, kind), zones)
    if found is None:
        return None
    [count] = struct.unpack_from("!H", found, 6)
    position, data = 12 + len(query(name, kind).question), set()
    for _ in range(count):
        ttl, length = struct.unpack_from("!IH", found, position + 6)
        assert ttl == 5
        data.add(found[position + 12 : position + 12 + length])
        position += 12 + length
    assert position == len(found)
    return dns.rcode_of(found), data


def packed(*texts: str) -> set[bytes]:
    return {ip_address(text).packed for text in texts}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web", dns.A, packed("10.1.0.2")),
        ("WeB", dns.AAAA, packed("fd00::2")),
        ("web-host", dns.ANY, packed("10.1.0.2", "fd00::2")),
        ("db", dns.AAAA, set()),
        ("db", 15, set()),
        ("www", dns.A, packed("10.1.0.2", "10.1.0.3")),
        ("2.0.1.10.in-addr.arpa", dns.PTR, {b"\3web\0"}),
        (IPv6Address("fd00::2").reverse_pointer, dns.PTR, {b"\3web\0"}),
        ("2.0.1.10.in-addr.arpa", dns.A, set()),
    ],
)
def test_what_is_known(name: str, kind: int, expected: set[bytes]) -> None:
    assert asked(name, kind) == (dns.NOERROR, expected)


def test_a_handle_is_nobody_elses_name() -> None:
    """db has the alias WEB."""
    assert asked("web") == (dns.NOERROR, packed("10.1.0.2"))


def test_an_address_of_the_bridge_that_nobody_has() -> None:
    assert asked("9.0.1.10.in-addr.arpa", dns.PTR) == (dns.NXDOMAIN, set())


@pytest.mark.parametrize("name", ["example.org", "", "web.example", "1.0.2.10.in-addr.arpa"])
def test_what_others_know(name: str) -> None:
    encoded = dns.encode_name(name) or b"\0"
    data = struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + encoded + struct.pack("!HH", 1, 1)
    assert local_answer(dns.parse_query(data), (ZONE,)) is None


def test_the_first_bridge_comes_first() -> None:
    other = zone_of([IPv4Network("10.2.0.0/24")], [Member("web", (), (IPv4Address("10.2.0.9"),))])
    assert asked("web", zones=(other, ZONE)) == (dns.NOERROR, packed("10.2.0.9"))
    assert asked("db", zones=(other, ZONE)) == (dns.NOERROR, packed("10.1.0.3"))


def test_another_class_is_refused() -> None:
    found = local_answer(query("web", klass=3), (ZONE,))
    assert found is not None and dns.rcode_of(found) == dns.REFUSED


def test_what_is_no_name_is_left_out() -> None:
    zone = zone_of(NETWORKS, [Member("no name?\n" * 40, ("fine",), (IPv4Address("10.1.0.4"),))])
    assert list(zone.names) == [(b"fine",)]
