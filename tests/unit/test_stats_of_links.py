"""Counters of links as rtnetlink messages: what is asked, what is answered, and whose view it is."""

from __future__ import annotations

import struct

from warden.model.stats import InterfaceStats
from warden.network import counters, tc
from warden.network.netlink import NESTED, attribute, text


def test_what_is_asked() -> None:
    kind, flags, body = counters.get_counters(7)
    assert (kind, flags, struct.unpack("=BBHII", body)) == (94, 0, (0, 0, 0, 7, 1))
    kind, flags, body = counters.get_counters(None)
    assert (kind, flags, struct.unpack("=BBHII", body)) == (94, 0x300, (0, 0, 0, 0, 1))


def test_what_is_answered() -> None:
    values = range(1, 26)  # struct rtnl_link_stats64 has 25 of them today
    head = struct.pack("=BBHII", 0, 0, 0, 42, 1)
    found = counters.parse_counters(head + attribute(1, struct.pack("=25Q", *values)))
    assert found == (42, counters.LinkCounters(1, 2, 3, 4, 5, 6, 7, 8))
    assert counters.parse_counters(head) is None
    assert counters.parse_counters(head + attribute(1, bytes(8))) is None


def test_the_container_sees_the_other_end() -> None:
    outer = counters.LinkCounters(rx_packets=1, tx_packets=2, rx_bytes=3, tx_bytes=4, rx_errors=5, tx_errors=6, rx_drops=7, tx_drops=8)
    assert counters.from_inside("eth", outer) == InterfaceStats(
        "eth", rx_bytes=4, rx_packets=2, rx_errors=6, rx_drops=8, tx_bytes=3, tx_packets=1, tx_errors=5, tx_drops=7
    )


def test_nothing_is_asked_for_nobody() -> None:
    assert counters.read_counters([]) == {}


def test_drops_of_a_bucket() -> None:
    head = struct.pack("=BxxxiIII", 0, 5, 0x10000, 0xFFFFFFFF, 2)
    queue = attribute(3, struct.pack("=IIIII", 1, 2, 33, 4, 5))
    for nested in (0, NESTED):
        reply = head + text(tc.TCA_KIND, "tbf") + attribute(7 | nested, attribute(1, bytes(16)) + queue)
        assert tc.parse_queue(reply) == (33, 5)
    assert tc.parse_queue(head + text(tc.TCA_KIND, "noqueue") + attribute(7, queue)) is None
    assert tc.parse_queue(head + text(tc.TCA_KIND, "tbf")) is None
