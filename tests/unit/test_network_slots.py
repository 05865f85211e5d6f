"""The pools: against a model that is too simple to be wrong, and Warden's rules by hand."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from warden.errors import BadInput, PoolExhausted
from warden.network.pool import NetworkPool
from warden.network.slots import Slots

COUNT, DELAY = 6, 5.0


class Model(RuleBasedStateMachine):
    """One list in the order of handing out: fresh slots are there from the start, released ones come to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(COUNT, delay=DELAY)
        self.now = 100.0
        self.queue = [(slot, 0.0) for slot in range(COUNT)]
        self.used: set[int] = set()

    @rule()
    def acquire(self) -> None:
        slot = self.slots.acquire(self.now)
        if self.queue and self.queue[0][1] <= self.now:
            assert slot == self.queue.pop(0)[0]
            assert slot not in self.used
            self.used.add(slot)
        else:
            assert slot is None

    @rule(slot=st.integers(-1, COUNT))
    def take(self, slot: int) -> None:
        entry = next((entry for entry in self.queue if entry[0] == slot), None)
        possible = entry is not None and entry[1] <= self.now
        assert self.slots.take(slot, self.now) is possible
        if entry is not None and possible:
            self.queue.remove(entry)
            self.used.add(slot)

    @rule(slot=st.integers(-1, COUNT))
    def release(self, slot: int) -> None:
        self.slots.release(slot, self.now)
        if slot in self.used:
            self.used.discard(slot)
            self.queue.append((slot, self.now + DELAY))

    @rule(seconds=st.sampled_from([0.5, DELAY, 2 * DELAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.free == len(self.queue) == COUNT - len(self.used)


TestSlotsAgainstModel = Model.TestCase
TestSlotsAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_fresh_ones_first_then_released_ones_in_their_order() -> None:
    slots = Slots(3)
    assert [slots.acquire(0) for _ in range(4)] == [0, 1, 2, None]
    for slot in (2, 0):
        slots.release(slot, 0)
    assert [slots.acquire(0) for _ in range(3)] == [2, 0, None]


def test_a_released_one_rests_to_the_end_of_its_delay() -> None:
    slots = Slots(1, delay=5)
    assert slots.acquire(10) == 0
    slots.release(0, 10)
    assert slots.acquire(14.9) is None
    assert not slots.take(0, 14.9)
    assert slots.acquire(15) == 0


def test_a_head_that_rests_holds_up_the_queue() -> None:
    """As Warden does: only the head is looked at."""
    slots = Slots(2, delay=5)
    slots.acquire(0)
    slots.acquire(0)
    slots.release(0, 10)
    slots.release(1, 0)  # a clock that went back
    assert slots.acquire(12) is None
    assert [slots.acquire(15), slots.acquire(15)] == [0, 1]


def test_releasing_twice_hands_out_once() -> None:
    slots = Slots(1)
    slots.acquire(0)
    slots.release(0, 0)
    slots.release(0, 0)
    assert [slots.acquire(0), slots.acquire(0)] == [0, None]


def test_an_empty_pool() -> None:
    slots = Slots(0)
    assert (slots.acquire(0), slots.take(0, 0), slots.free) == (None, False, 0)


def test_a_huge_pool_costs_nothing() -> None:
    slots = Slots(2**40)
    assert slots.take(2**39, 0)
    assert [slots.acquire(0), slots.acquire(0), slots.free] == [0, 1, 2**40 - 3]


def pool(text: str = "10.254.0.0/28", delay: float = 5.0) -> NetworkPool:
    return NetworkPool(IPv4Network(text), release_delay=delay)


def test_networks_come_in_order_and_end() -> None:
    networks = pool()
    assert [str(networks.acquire(0)) for _ in range(4)] == [
        "10.254.0.0/30", "10.254.0.4/30", "10.254.0.8/30", "10.254.0.12/30",
    ]  # fmt: skip
    with pytest.raises(PoolExhausted, match=r"^Could not acquire network \(all networks of 10\.254\.0\.0/28 are") as caught:
        networks.acquire(0)
    assert caught.value.message == "Could not acquire network"  # Warden's text


def test_a_wanted_address_gets_the_network_it_lies_in() -> None:
    networks = pool()
    assert str(networks.acquire_address("10.254.0.6", 0)) == "10.254.0.4/30"
    with pytest.raises(PoolExhausted, match=r"^Could not acquire network: 10\.254\.0\.4$"):
        networks.acquire_address("10.254.0.5", 0)
    assert [str(networks.acquire(0)) for _ in range(3)] == ["10.254.0.0/30", "10.254.0.8/30", "10.254.0.12/30"]


@pytest.mark.parametrize("address", ["10.253.255.255", "10.254.0.16", "0.0.0.0", "255.255.255.255"])
def test_an_address_outside_is_not_to_be_had(address: str) -> None:
    with pytest.raises(PoolExhausted, match=r"^Could not acquire network: "):
        pool().acquire_address(address, 0)


@pytest.mark.parametrize("address", ["", "box", "10.254.0", "10.254.0.0/30", "::1", "10.254.0.256", "1" * 50])
def test_what_is_no_address_is_bad_input(address: str) -> None:
    with pytest.raises(BadInput, match=r"^network: "):
        pool().acquire_address(address, 0)


def test_a_released_network_rests() -> None:
    networks = pool("10.0.0.0/30")
    network = networks.acquire(0)
    networks.release(network, 1)
    assert networks.free == 1
    with pytest.raises(PoolExhausted):
        networks.acquire(5.9)
    assert networks.acquire(6) == network


def test_a_network_of_another_pool_is_not_taken_back() -> None:
    networks = pool("10.0.0.0/30")
    networks.acquire(0)
    for other in ("10.0.0.4/30", "9.255.255.252/30"):
        networks.release(IPv4Network(other), 0)
    assert networks.free == 0


def test_a_pool_smaller_than_one_network_is_empty() -> None:
    with pytest.raises(PoolExhausted):
        pool("10.0.0.0/31").acquire(0)
