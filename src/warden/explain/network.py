"""Links, addresses and routes of a process's network namespace, from /proc/PID/net: no setns(2), no helper program."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TypeVar

from warden.explain.process import Problem, ProcessDir
from warden.kernel import procnet
from warden.records import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Link:
    """An interface with its addresses, written as ADDRESS/PREFIX."""

    counters: procnet.LinkCounters
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """*loose*: addresses of which /proc does not tell the interface."""

    links: tuple[Link, ...] = ()
    routes: tuple[procnet.Route, ...] = ()
    loose: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them without the loopback's, and without the prefix."""
        found = [address for link in self.links if link.counters.name != "lo" for address in link.addresses]
        return tuple(address.partition("/")[0] for address in [*found, *self.loose])


def read_network(directory: ProcessDir) -> Network:
    """What the process sees; a file that the kernel refuses becomes a Problem."""

    def read(name: str) -> bytes:
        # IPv6 may be switched off as a whole; then its file does not exist, and nothing is missing.
        return directory.attempt(name, lambda: directory.read(name), b"")

    before = len(directory.problems)
    dev, trie, route = read("net/dev"), read("net/fib_trie"), read("net/route")
    problems = tuple(directory.problems[before:])
    return build(dev, trie, route, read("net/if_inet6"), problems)


def build(dev: bytes, trie: bytes, route: bytes, inet6: bytes, problems: tuple[Problem, ...] = ()) -> Network:
    """The same from the files' texts; pure."""
    routes = procnet.parse_route(route)
    addresses: dict[str | None, list[str]] = {}
    for address in procnet.parse_local_addresses(trie):
        link = procnet.link_of(address, routes)
        addresses.setdefault(link, []).append(f"{address}/{_prefix(str(link), address, routes)}")
    for name, address6, prefix in procnet.parse_if_inet6(inet6):
        addresses.setdefault(name, []).append(f"{address6}/{prefix}")
    counters = procnet.parse_dev(dev)
    links = tuple(Link(counter, tuple(addresses.pop(counter.name, ()))) for counter in counters)
    loose = tuple(text for texts in addresses.values() for text in texts)
    return Network(links, tuple(routes), loose, problems)


def _prefix(link: str, address: IPv4Address, routes: list[procnet.Route]) -> int:
    if link == "lo" and address.is_loopback:
        return 8
    near = (r.network.prefixlen for r in routes if r.link == link and r.gateway is None and address in r.network)
    return max(near, default=32)
