"""Parsers of /proc/PID/net: interfaces, addresses and routes of a process's network namespace, proc_pid_net(5).

Pure functions over the files' texts. Reading these files needs neither setns(2) nor a helper program.
"""

from __future__ import annotations

import os
import struct

from warden.light import TYPE_CHECKING, late
from warden.records import dataclass

if TYPE_CHECKING:
    import ipaddress
else:
    ipaddress = late("ipaddress")

_RTF_UP, _RTF_GATEWAY = 1, 2


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """A line of net/dev: what was received and sent since the link was made."""

    name: str
    rx_bytes: int
    rx_packets: int
    tx_bytes: int
    tx_packets: int
    rx_errors: int = 0
    rx_drops: int = 0
    tx_errors: int = 0
    tx_drops: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A line of net/route: *gateway* None for what is reached directly."""

    link: str
    network: ipaddress.IPv4Network
    gateway: ipaddress.IPv4Address | None


def parse_dev(text: bytes) -> list[LinkCounters]:
    """The interfaces in the text of net/dev, in the kernel's order."""
    found = []
    for line in text.splitlines()[2:]:
        name, _colon, rest = line.rpartition(b":")
        numbers = rest.split()
        if name and len(numbers) >= 12:
            picked = (int(numbers[column]) for column in (0, 1, 8, 9, 2, 3, 10, 11))
            found.append(LinkCounters(os.fsdecode(name.strip()), *picked))
    return found


def local_addresses(text: bytes) -> list[str]:
    """The namespace's own IPv4 addresses in the text of net/fib_trie: its leaves marked `host LOCAL`, each once."""
    found: dict[str, None] = {}
    leaf = ""
    for line in map(bytes.strip, text.splitlines()):
        if line.startswith(b"|-- "):
            leaf = line[4:].decode()
        elif leaf and line == b"/32 host LOCAL":
            found[leaf] = None
    return list(found)


def parse_local_addresses(text: bytes) -> list[ipaddress.IPv4Address]:
    """The same as addresses."""
    return list(map(ipaddress.IPv4Address, local_addresses(text)))


def parse_route(text: bytes) -> list[Route]:
    """The routes in the text of net/route, which shows the main table's in hexadecimal and host byte order."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 8 and int(fields[3], 16) & _RTF_UP:
            network = ipaddress.IPv4Network((_ipv4(fields[1]), str(_ipv4(fields[7]))), strict=False)
            gateway = _ipv4(fields[2]) if int(fields[3], 16) & _RTF_GATEWAY else None
            found.append(Route(os.fsdecode(fields[0]), network, gateway))
    return found


def _ipv4(field: bytes) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(struct.pack("=I", int(field, 16)))


def parse_if_inet6(text: bytes) -> list[tuple[str, ipaddress.IPv6Address, int]]:
    """Interface, address and length of its prefix, from the text of net/if_inet6."""
    rows = (line.split() for line in text.splitlines())
    return [(os.fsdecode(row[5]), ipaddress.IPv6Address(int(row[0], 16)), int(row[2], 16)) for row in rows if len(row) == 6]


def link_of(address: ipaddress.IPv4Address, routes: list[Route]) -> str | None:
    """The interface that has *address*: the one with the narrowest direct route to it; lo for 127.0.0.0/8."""
    if address.is_loopback:
        return "lo"
    near = [route for route in routes if route.gateway is None and address in route.network]
    best = max(near, key=lambda route: route.network.prefixlen, default=None)
    return None if best is None else best.link
