"""Counters and drops of links on the running kernel, in a network namespace of each test's own."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest
from test_network_shaping import LINK, NOTHING, SLOW, each, in_namespace, run

from warden.model.stats import ShapingDrops
from warden.network import counters, shaping
from warden.network.links import host_index

pytestmark = pytest.mark.root


def send(link: str, count: int, size: int = 1000) -> None:
    """Frames on their way out of *link*."""
    run(f"ip link set {LINK.container_name} up")
    while '"operstate":"UP"' not in run(f"ip -j link show {LINK.host_name}"):  # the kernel notices it some time later
        time.sleep(0.01)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((link, 0x88B5))  # an ethertype for experiments
        for _ in range(count):
            with suppress(OSError):  # ENOBUFS: dropped on the way
                sock.send(bytes(12) + b"\x88\xb5" + bytes(size - 14))


@in_namespace
def test_one_link() -> None:
    send(LINK.host_name, 20)
    send(LINK.container_name, 5)
    [(index, outer)] = counters.read_counters([LINK.host_index, LINK.host_index + 1]).items()
    assert index == LINK.host_index == host_index(LINK.container_id)
    inside = counters.from_inside(LINK.container_name, outer)
    assert inside.rx_packets >= 20 and inside.rx_bytes >= 20_000  # the kernel itself sends a little too
    assert inside.tx_packets >= 5 and inside.tx_bytes >= 5_000
    assert inside.rx_bytes > inside.tx_bytes


@in_namespace
def test_many_links_are_one_dump() -> None:
    count = 5 * counters.FEW
    for number in range(count):
        run(f"ip link add c{number} index {1000 + number} type veth peer name d{number}")
    wanted = [1000 + number for number in range(count)]
    found = counters.read_counters([*wanted, LINK.host_index, 0x2FFF_FFFF])
    assert sorted(found) == [*wanted, LINK.host_index]
    one_by_one = {index: counters.read_counters([index])[index] for index in wanted}
    assert {index: found[index] for index in wanted} == one_by_one


@in_namespace
def test_what_a_limit_drops() -> None:
    assert counters.read_drops([LINK]) == ShapingDrops()
    shaping.limit(LINK, each(SLOW), NOTHING)
    assert counters.read_drops([LINK]) == ShapingDrops(0, 0, 0, 0)
    send(LINK.host_name, 300)
    send(LINK.container_name, 300)
    drops = counters.read_drops([LINK])
    assert drops.rx and drops.tx
