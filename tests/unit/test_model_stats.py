"""Stats as JSON, over the wire and back, and as rates: what is absent stays absent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import warden
from warden.cli import rates
from warden.model.info import DiskStat, State
from warden.model.stats import (
    CpuStats,
    DeviceStats,
    InterfaceStats,
    MemoryStats,
    PidStats,
    Pressure,
    ShapingDrops,
    Stall,
    Stats,
    to_data,
)
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_stats import message_to_stats, stats_to_message

BARE = Stats("box", "18abc", State.ACTIVE, 100.0, 5.0)
COUNT = st.integers(0, 2**64 - 1)
MAYBE = st.none() | COUNT
SECONDS = st.none() | st.floats(0, 1e12)
NAMES = st.text(st.characters(max_codepoint=127), min_size=1, max_size=8)
STALLS = st.none() | st.builds(Stall, *([st.floats(0, 100)] * 3), st.floats(0, 1e9))
ANY = st.builds(
    Stats,
    handle=st.binary(min_size=1, max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape")),
    id=NAMES,
    state=st.sampled_from(list(State)),
    time=st.floats(0, 1e11),
    uptime_s=st.floats(0, 1e11),
    memory=st.builds(
        MemoryStats, *([MAYBE] * 5), stat=st.dictionaries(NAMES, COUNT, max_size=4), events=st.dictionaries(NAMES, COUNT, max_size=4)
    ),
    cpu=st.builds(CpuStats, SECONDS, SECONDS, SECONDS, MAYBE, MAYBE, SECONDS),
    pids=st.builds(PidStats, MAYBE, MAYBE, MAYBE),
    io=st.lists(
        st.builds(DeviceStats, st.integers(0, 4095), st.integers(0, 2**20), st.none() | NAMES, *([MAYBE] * 4)), max_size=2
    ).map(tuple),
    network=st.lists(st.builds(InterfaceStats, NAMES, *([COUNT] * 8)), max_size=2).map(tuple),
    shaping=st.none() | st.builds(ShapingDrops, MAYBE, MAYBE, MAYBE, MAYBE),
    disk=st.none() | st.builds(DiskStat, COUNT, COUNT),
    pressure=st.dictionaries(st.sampled_from(["cpu", "memory", "io"]), st.builds(Pressure, STALLS, STALLS)),
    processes=MAYBE,
    jobs=st.integers(0, 1000),
)


def test_the_package_names_it() -> None:
    assert warden.Stats is Stats


@given(ANY)
def test_over_the_wire_and_back(stats: Stats) -> None:
    wire = stats_to_message(stats).SerializeToString()
    assert message_to_stats(pb.ContainerStats.FromString(wire)) == stats


@given(ANY)
def test_json_has_what_is_there_and_nothing_else(stats: Stats) -> None:
    def values(data: Any) -> list[Any]:
        inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else None
        return [data] if inner is None else [data, *(found for item in inner for found in values(item))]

    data = to_data(stats)
    assert not [found for found in values(data) if found is None or found in ({}, [])]
    json.dumps(data)


def test_zero_is_not_absent() -> None:
    data = to_data(BARE)
    assert data == {"handle": "box", "id": "18abc", "state": "active", "time": 100.0, "uptime_s": 5.0, "jobs": 0}
    assert to_data(Stats("b", "i", State.ACTIVE, 1.0, 0.0, memory=MemoryStats(swap=0)))["memory"] == {"swap": 0}


def at(time: float, **more: Any) -> Stats:
    return Stats("box", more.pop("id", "18abc"), State.ACTIVE, time, time, **more)


def test_rates_are_of_what_is_between_two() -> None:
    link = InterfaceStats("w-1", rx_bytes=1000, tx_bytes=500)
    before = at(10, cpu=CpuStats(1.0), network=(link,), io=(DeviceStats(8, 0, "sda", 100, None),))
    more = InterfaceStats("w-1", rx_bytes=3000, tx_bytes=500)
    devices = (DeviceStats(8, 0, "sda", 100, None), DeviceStats(8, 16, "sdb", None, 600))
    usage = rates.usage_of(at(12, cpu=CpuStats(2.5), network=(more,), io=devices), before)
    assert (usage.cpu_percent, usage.network_rate, usage.io_rate) == (75.0, 1000.0, 300.0)
    assert (usage.received, usage.sent, usage.read, usage.written) == (3000, 500, 100, 600)


def test_without_a_measurement_before_there_are_no_rates() -> None:
    now = at(12, cpu=CpuStats(2.5))
    for before in (None, at(12, cpu=CpuStats(1.0)), at(10, id="another", cpu=CpuStats(1.0))):
        assert rates.usage_of(now, before).cpu_percent is None


def test_a_row_for_people() -> None:
    stats = at(12, memory=MemoryStats(32 << 20, limit=64 << 20), pids=PidStats(3), disk=DiskStat(5 << 20, 7))
    assert rates.cells(rates.usage_of(stats, None)) == (
        "box", "-", "32.0 MiB / 64.0 MiB", "50.0 %", "3", "-", "-", "5.0 MiB",
    )  # fmt: skip


@pytest.mark.parametrize(("handle", "shown"), [("a\033[31mb", r"a\x1b[31mb"), ("\udcff\n", r"\udcff\n"), ("字", "字")])
def test_a_handle_commands_no_terminal(handle: str, shown: str) -> None:
    assert rates.cells(rates.usage_of(Stats(handle, "i", State.ACTIVE, 1, 1), None))[0] == shown
