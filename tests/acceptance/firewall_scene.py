"""A daemon in the middle of a world of namespaces, its containers, and what they reach: for tests of the firewall.

The fixtures `place`, `closed` and `container` are every module's here (conftest.py).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from netns import HOST, ICMP_TIMESTAMP, OTHER, OUTSIDE, THIRD, Namespace, World, icmp, tcp, udp, world

from warden.client.blocking import Client, Container
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon


def table(host: Namespace, daemon: PrivateDaemon) -> str:
    """As nft lists it, without what packets add to it, and without what shuts links in of containers that are gone."""
    deadline = time.monotonic() + 30
    while True:
        text = host.run("nft", "list", "table", "inet", daemon.nft_table)
        text = re.sub(r"\tset (refused|pace|over|knocks)\w* \{.*?\n\t\}\n", "", text, flags=re.DOTALL)
        named = Counter(re.findall(r'"(w-\w+-\d+)"', text))
        if 1 not in named.values():  # of a container that is there: its addresses too
            return text
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def daemon_in(place: World, *network: str) -> Iterator[tuple[PrivateDaemon, Client]]:
    private = PrivateDaemon(netns=place.host.path, network=network)
    before = leaks.look(private.cgroup_parent, private.root)
    with private:
        client = Client(private.socket)
        try:
            yield private, client
        finally:
            client.close()
    found = leaks.leaks(before, private.cgroup_parent, private.root)
    assert not found, f"left behind: {found}"
    assert private.nft_table not in place.host.run("nft", "list", "tables")
    deadline = time.monotonic() + 30
    while "w-" in place.host.run("ip", "-o", "link"):
        assert time.monotonic() < deadline, "a link was left behind"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def closed(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    """A daemon as it is by default: containers reach nothing."""
    with daemon_in(place) as pair:
        yield pair


@pytest.fixture
def container(closed: tuple[PrivateDaemon, Client]) -> Iterator[Container]:
    with closed[1].create() as made:
        yield made


def inside(container: Container) -> Namespace:
    return Namespace(f"/proc/{container.info().pid}/ns/net")


PROBES: dict[str, Callable[[Namespace], str]] = {
    "tcp 80": lambda at: tcp(at, OUTSIDE, 80),
    "tcp 81": lambda at: tcp(at, OUTSIDE, 81),
    "tcp 8080": lambda at: tcp(at, OUTSIDE, 8080),
    "tcp 8090": lambda at: tcp(at, OUTSIDE, 8090),
    "tcp 8091": lambda at: tcp(at, OUTSIDE, 8091),
    "tcp 80 other": lambda at: tcp(at, OTHER, 80),
    "tcp 80 third": lambda at: tcp(at, THIRD, 80),
    "udp 53": lambda at: udp(at, OUTSIDE, 53),
    "udp 54": lambda at: udp(at, OUTSIDE, 54),
    "udp 53 third": lambda at: udp(at, THIRD, 53),
    "echo": lambda at: icmp(at, OUTSIDE),
    "echo third": lambda at: icmp(at, THIRD),
    "timestamp": lambda at: icmp(at, OUTSIDE, ICMP_TIMESTAMP),
}


def opened(at: Namespace) -> set[str]:
    """The probes that were answered. Every other one must have been refused aloud, none may vanish."""
    answers = {name: probe(at) for name, probe in PROBES.items()}
    assert "silent" not in answers.values(), answers
    seen = {answer for answer in answers.values() if answer not in ("refused", "answered")}
    assert seen <= {HOST}, "what leaves carries the host's address"
    return {name for name, answer in answers.items() if answer != "refused"}


TCP_OUTSIDE = {"tcp 80", "tcp 81", "tcp 8080", "tcp 8090", "tcp 8091"}


def eventually(check: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)
