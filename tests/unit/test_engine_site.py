"""Ids, pools and what an engine's parts share."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.engine.ids import DIGITS, LENGTH, IdSource, encode
from warden.engine.site import WORKERS, Site, make_pools, system_lang
from warden.errors import BadInput, PoolExhausted
from warden.model.settings import EngineSettings


@given(st.integers(0, 2**55 - 1))
def test_an_id_is_eleven_digits_of_base_32(number: int) -> None:
    text = encode(number)
    assert len(text) == LENGTH == 11
    assert set(text) <= set(DIGITS)
    assert int(text, 32) == number


def test_ids_as_warden_made_them() -> None:
    """Microseconds since the epoch in base 32, without leading zeros lost."""
    assert encode(0) == "00000000000"
    assert encode(31) == "0000000000v"
    assert encode(1_366_243_372_123_456) == "16" + encode(1_366_243_372_123_456)[2:]


def test_ids_are_the_time_at_first_and_count_up_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_700_000_000.25, 0.0])  # a clock that goes back does not matter
    monkeypatch.setattr("warden.engine.ids.time.time", lambda: next(times))
    source = IdSource()
    found = [int(source.next(), 32) for _ in range(3)]
    assert found == [1_700_000_000_250_000, 1_700_000_000_250_001, 1_700_000_000_250_002]


SMALL = EngineSettings(pool_network="10.1.0.0/29", pool_uid_count=2, id_range_count=2, release_delay=0)


def test_pools_hand_out_what_the_settings_say() -> None:
    pools = make_pools(SMALL)
    assert [pools.take_uid(), pools.take_uid()] == [10000, 10001]
    assert [pools.take_range(), pools.take_range()] == [0x3000_0000, 0x3001_0000]
    assert pools.networks.acquire(0) == IPv4Network("10.1.0.0/30")


def test_empty_pools_tell_what_to_raise() -> None:
    pools = make_pools(SMALL)
    for take in (pools.take_uid, pools.take_range):
        take()
        take()
    with pytest.raises(PoolExhausted, match=r"^no uid available \(raise user\.pool_size"):
        pools.take_uid()
    with pytest.raises(PoolExhausted, match=r"\(raise user\.id_range_count"):
        pools.take_range()


def test_what_is_given_back_is_handed_out_again() -> None:
    pools = make_pools(SMALL)
    uids, ranges = [pools.take_uid(), pools.take_uid()], [pools.take_range(), pools.take_range()]
    pools.give_uid(uids[1])
    pools.give_range(ranges[1])
    assert (pools.take_uid(), pools.take_range()) == (uids[1], ranges[1])


def test_the_ranges_of_the_default_settings_are_apart_and_end_below_the_last_id() -> None:
    settings = EngineSettings()
    assert settings.id_range_start % 65536 == 0
    assert settings.id_range_start + settings.id_range_count * 65536 < 2**31


@pytest.mark.parametrize("text", ["", "box", "10.0.0.0/33", "10.0.0.0/x", "::/64", "10.0.0.0/255.0.255.0"])
def test_what_is_no_network_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match=r"^network\.pool_network: "):
        make_pools(EngineSettings(pool_network=text))


def test_a_network_with_host_bits_is_the_network() -> None:
    assert make_pools(EngineSettings(pool_network="10.1.2.3/24")).networks.network == IPv4Network("10.1.2.0/24")


def site() -> Site:
    nothing = cast("Any", None)
    return Site(
        settings=EngineSettings(),
        depot=nothing,
        images=nothing,
        cgroups=nothing,
        firewall=nothing,
        binary=nothing,
        pools=make_pools(SMALL),
        disks=nothing,
        workers=nothing,
        lang="C",
        seccomp=b"",
        syslog=nothing,
        hooks=nothing,
        networks=nothing,
        resolvers=nothing,
        lending=nothing,
    )


async def test_copies_into_volumes_hold_up_nothing_else() -> None:
    made, over = site(), threading.Event()
    made.workers = ThreadPoolExecutor(WORKERS)
    try:
        copies = [asyncio.ensure_future(made.building(over.wait, 60, copies=True)) for _ in range(2 * WORKERS)]
        await asyncio.sleep(0)
        assert await made.building(int, "1") == 1
        assert await made.blocking(int, "2") == 2
        assert not any(copy.done() for copy in copies)
        over.set()
        assert await asyncio.gather(*copies) == [True] * len(copies)
    finally:
        over.set()
        made.workers.shutdown()
        made.fillers.shutdown()


def test_jobs_are_numbered_over_the_whole_engine() -> None:
    made = site()
    assert [made.next_job() for _ in range(3)] == [1, 2, 3]
    made.last_job = 41
    assert made.next_job() == 42


async def test_a_background_task_is_held_until_it_is_done() -> None:
    made, gate = site(), asyncio.Event()

    async def work() -> None:
        await gate.wait()

    task = asyncio.ensure_future(work())
    made.in_background(task)
    assert made.background == {task}
    gate.set()
    await task
    await asyncio.sleep(0)
    assert made.background == set()


def test_the_language_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert system_lang() == "de_DE.UTF-8"
    monkeypatch.setenv("LANG", "")
    assert system_lang() == "en_US.UTF-8"
    monkeypatch.delenv("LANG")
    assert system_lang() == "en_US.UTF-8"
