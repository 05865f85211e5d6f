"""Which addresses are still to be forgotten, and what of conntrack is over."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from ipaddress import ip_address, ip_network

import pytest

from warden.network.conntrack import Address, Entry
from warden.network.leavings import Leavings
from warden.network.netlink import NESTED, attribute

ONE, TWO, SIX = (ip_address(text) for text in ("10.0.0.1", "10.0.0.2", "fd00::1"))
ADMITTED = bytes(13) + b"\x20\0\0"


#: CTA_ZONE, and a CTA_TUPLE_REPLY with CTA_TUPLE_ZONE.
ZONE, ONE_WAY = attribute(18, b"\0\7"), attribute(2 | NESTED, attribute(3, b"\0\7"))


def entry(sender: Address, labels: bytes = b"", zone: bytes = b"") -> Entry:
    body = zone + (attribute(22, labels) if labels else b"")
    return Entry(sender.packed, sender.packed, body, 2)


class Kernel:
    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self.asked: list[set[Address]] = []
        self.fails: int | None = 0

    def forget(self, addresses: Collection[Address], is_over: Callable[[Entry], bool]) -> int:
        if self.fails != 0:
            raise TimeoutError("no") if self.fails is None else OSError(self.fails, "no")
        self.asked.append(set(addresses))
        return 0

    def forget_if(self, is_ours: Callable[[bytes], bool], is_over: Callable[[Entry], bool]) -> int:
        before = len(self.entries)
        self.entries = [one for one in self.entries if not (is_ours(one.sender) and is_over(one))]
        return before - len(self.entries)

    def close(self) -> None:
        """Holds nothing."""


def test_all_that_is_left_is_forgotten_at_once_and_once() -> None:
    kernel = Kernel()
    leavings = Leavings(lambda: kernel)
    leavings.leave([ONE])
    leavings.leave([ONE, SIX])
    leavings.forget()
    leavings.forget()
    assert kernel.asked == [{ONE, SIX}]


def test_whoever_comes_waits_only_for_an_address_of_his_own() -> None:
    kernel = Kernel()
    leavings = Leavings(lambda: kernel)
    leavings.leave([ONE])
    leavings.forget([TWO])
    assert kernel.asked == []
    leavings.forget([TWO, ONE])
    assert kernel.asked == [{ONE}]


def test_a_kernel_that_refuses_costs_nobody_his_end() -> None:
    kernel = Kernel()
    kernel.fails = errno.EPERM
    leavings = Leavings(lambda: kernel)
    leavings.leave([ONE])
    leavings.forget()
    kernel.fails = 0
    leavings.forget()
    assert kernel.asked == [], "it would refuse for ever"
    assert Leavings(None).keep_admitted([ONE]) == 0


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM, None])
def test_what_failed_once_is_tried_again_but_not_of_who_has_the_address_by_now(number: int | None) -> None:
    kernel = Kernel()
    leavings = Leavings(lambda: kernel)
    leavings.leave([ONE, SIX])
    kernel.fails = number
    leavings.forget([ONE])
    kernel.fails = 0
    leavings.forget()
    assert kernel.asked == [{SIX}]


def test_in_a_zone_of_conntrack_only_what_was_let_through_is_ours() -> None:
    """Another program's network of the same addresses, kept apart by zones."""
    theirs = [entry(ONE, zone=ZONE), entry(ONE, zone=ONE_WAY)]
    kernel = Kernel(entry(ONE), entry(ONE, ADMITTED, zone=ZONE), *theirs)
    Leavings(lambda: kernel).keep_only([ip_network("10.0.0.0/24")], [])
    assert kernel.entries == theirs
    assert Leavings(lambda: kernel).keep_admitted([ONE]) == 0


def test_of_our_networks_only_the_living_keep_what_they_have() -> None:
    kernel = Kernel(entry(ONE), entry(TWO), entry(SIX), entry(ip_address("10.9.0.1")))
    Leavings(lambda: kernel).keep_only([ip_network("10.0.0.0/24"), ip_network("fd00::/64")], [TWO])
    assert [one.sender for one in kernel.entries] == [TWO.packed, ip_address("10.9.0.1").packed]


def test_what_was_admitted_goes_on() -> None:
    strays = [entry(ONE), entry(ONE, b"\xff" * 13 + b"\xdf\xff\xff"), entry(ONE, b"\xff" * 8)]
    kernel = Kernel(entry(ONE, ADMITTED), *strays, entry(TWO))
    assert Leavings(lambda: kernel).keep_admitted([ONE]) == 3
    assert kernel.entries == [entry(ONE, ADMITTED), entry(TWO)]
