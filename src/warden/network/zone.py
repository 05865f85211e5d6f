"""Names of the containers on one bridge, and what is answered to who asks for them. Pure.

A container's handle comes before other containers' host names and aliases: nobody takes a name away from one that has it
as its handle.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from warden.network import dns
from warden.records import dataclass, field

Address = IPv4Address | IPv6Address
Labels = tuple[bytes, ...]

#: Containers come and go: whoever remembers an answer does so for this long, in seconds.
TTL_S = 5
MOST_RECORDS = 64
REMEMBERED = 8192  # what was made of a name; zones are made anew whenever a container comes or goes


@dataclass(frozen=True, slots=True)
class Member:
    """A container on a bridge. *names*: beside its handle."""

    handle: str
    names: tuple[str, ...]
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """*networks*: those whose addresses nobody else knows names of."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    names: dict[Labels, tuple[Address, ...]] = field(default_factory=dict)
    reverse: dict[Address, bytes] = field(default_factory=dict)


def zone_of(networks: Iterable[IPv4Network | IPv6Network], members: Sequence[Member]) -> Zone:
    """What cannot be a name of DNS is left out."""
    zone = Zone(tuple(networks))
    others: dict[Labels, tuple[Address, ...]] = {}
    for member in members:
        for place, name in enumerate((member.handle, *member.names)):
            found = _encoded(name)
            if found is None:
                continue
            labels, encoded = found
            table = others if place else zone.names
            table[labels] = table.get(labels, ()) + member.addresses
            for address in member.addresses:
                zone.reverse.setdefault(address, encoded)
    for labels, addresses in others.items():
        zone.names.setdefault(labels, tuple(dict.fromkeys(addresses)))
    return zone


@functools.lru_cache(REMEMBERED)
def _encoded(name: str) -> tuple[Labels, bytes] | None:
    """How it is looked for, and how it is written; None for what cannot be a name."""
    encoded = dns.encode_name(name)
    return None if encoded is None else (tuple(label.encode().lower() for label in name.rstrip(".").split(".")), encoded)


def local_answer(query: dns.Query, zones: Sequence[Zone]) -> bytes | None:
    """The answer to *query* from *zones*, the first that knows the name; None: others have to be asked."""
    if query.klass not in (dns.INTERNET, dns.ANY):
        return dns.answer(query, dns.REFUSED, own=False)
    for zone in zones:
        found = zone.names.get(query.labels)
        if found is not None:
            return dns.answer(query, dns.NOERROR, _records(query.kind, found), ttl=TTL_S)
    address = dns.reversed_address(query.labels)
    if address is None:
        return None
    for zone in zones:
        if any(address in network for network in zone.networks if network.version == address.version):
            return _pointer(query, zone.reverse.get(address))
    return None


def _records(kind: int, addresses: Sequence[Address]) -> list[tuple[int, bytes]]:
    """Of several the order changes, so that all are used."""
    found = [(dns.A if address.version == 4 else dns.AAAA, address.packed) for address in addresses]
    wanted = [record for record in found if kind in (record[0], dns.ANY)]
    return random.sample(wanted, min(len(wanted), MOST_RECORDS))


def _pointer(query: dns.Query, name: bytes | None) -> bytes:
    if name is None:
        return dns.answer(query, dns.NXDOMAIN)
    records = [(dns.PTR, name)] if query.kind in (dns.PTR, dns.ANY) else []
    return dns.answer(query, dns.NOERROR, records, ttl=TTL_S)
