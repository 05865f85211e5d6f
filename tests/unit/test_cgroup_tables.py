"""Limits and statistics translated to and from both versions' files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.cgroup import tables
from warden.errors import BadInput, NotSupported
from warden.model.info import CpuStat
from warden.model.limits import MAX_BYTES, Limits

MEMORY, MEMSW = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"


def v1_of(limits: Limits, memsw_now: int | None) -> list[tuple[str, str]]:
    return [(file, value) for _, file, value in tables.limits_to_v1(limits, memsw_now)]


def v1(wanted: int | None, memsw_now: int | None) -> list[tuple[str, str]]:
    return v1_of(Limits(wanted), memsw_now)


def test_v1_raises_memsw_first_and_lowers_it_last() -> None:
    assert v1(200, 100) == [(MEMSW, "200"), (MEMORY, "200")]
    assert v1(50, 100) == [(MEMORY, "50"), (MEMSW, "50")]
    assert v1(None, 100) == [(MEMSW, "-1"), (MEMORY, "-1")]


def test_v1_without_swap_accounting() -> None:
    assert v1(200, None) == [(MEMORY, "200")]


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40) | st.none())
def test_v1_memory_never_exceeds_memsw(memory: int, swap: int, wanted: int | None) -> None:
    now = {MEMORY: memory, MEMSW: memory + swap}
    for _, file, value in tables.limits_to_v1(Limits(wanted), now[MEMSW]):
        now[file] = 2**63 if value == "-1" else int(value)
        assert now[MEMORY] <= now[MEMSW]


def test_v2_gives_no_swap_under_a_limit() -> None:
    assert tables.limits_to_v2(Limits(64), have_swap=True) == [
        ("memory", "memory.swap.max", "0"),
        ("memory", "memory.max", "64"),
    ]
    assert tables.limits_to_v2(Limits(), have_swap=True) == [
        ("memory", "memory.swap.max", "max"),
        ("memory", "memory.max", "max"),
    ]
    assert tables.limits_to_v2(Limits(64), have_swap=False) == [("memory", "memory.max", "64")]


@pytest.mark.parametrize("wanted", [-1, 2**63])
def test_limits_out_of_range(wanted: int) -> None:
    with pytest.raises(BadInput, match=r"memory\.max"):
        Limits(wanted)


def test_swap_beside_memory() -> None:
    assert v1_of(Limits(64, swap_bytes=32), 10**9) == [(MEMORY, "64"), (MEMSW, "96")]
    assert v1_of(Limits(64, swap_bytes=32), 50) == [(MEMSW, "96"), (MEMORY, "64")]
    assert v1_of(Limits(64, swap_bytes=MAX_BYTES), 50) == [(MEMSW, "-1"), (MEMORY, "64")]
    assert tables.limits_to_v2(Limits(64, swap_bytes=32), have_swap=True)[0] == ("memory", "memory.swap.max", "32")
    assert tables.limits_to_v2(Limits(swap_bytes=MAX_BYTES), have_swap=True)[0].value == "max"
    with pytest.raises(BadInput, match="together"):
        v1_of(Limits(swap_bytes=5), 0)
    with pytest.raises(NotSupported, match="account swap"):
        tables.limits_to_v1(Limits(64, swap_bytes=5), None)
    with pytest.raises(NotSupported, match="account swap"):
        tables.limits_to_v2(Limits(64, swap_bytes=5), have_swap=False)


@pytest.mark.parametrize("shares,weight", [(0, 1), (2, 1), (1024, 100), (262144, 10000), (2**63, 10000)])
def test_shares_and_weight_meet_at_both_ends_and_at_the_default(shares: int, weight: int) -> None:
    assert tables.shares_to_weight(shares) == weight
    assert tables.weight_to_shares(weight) == min(max(shares, 2), 262144)


@given(st.integers(1, 10000))
def test_a_weight_survives_the_way_through_shares(weight: int) -> None:
    there = tables.shares_to_weight(tables.weight_to_shares(weight))
    # shares are the coarser ones below 1024
    assert abs(there - weight) <= max(1, weight // 5)


@given(st.integers(0, 300_000), st.integers(0, 300_000))
def test_more_shares_are_never_less_weight(one: int, other: int) -> None:
    assert (tables.shares_to_weight(min(one, other))) <= tables.shares_to_weight(max(one, other))


def test_unlimited_in_both_versions() -> None:
    assert tables.parse_limit("max\n") is None
    assert tables.parse_limit("9223372036854771712\n") is None
    assert tables.parse_limit("67108864\n") == 67108864


def test_flat_files_leave_out_what_is_no_number() -> None:
    assert tables.parse_flat("populated 1\nfrozen 0\nsome avg10=0.00\n\n") == {"populated": 1, "frozen": 0}


def test_v1_statistics_are_those_of_all_jobs() -> None:
    text = "cache 0\nrss 0\nrss_huge 3\nhierarchical_memory_limit 99\ntotal_cache 7\ntotal_rss 5\ntotal_rss_huge 3\n"
    assert tables.memory_stat_v1(tables.parse_flat(text)) == {
        "cache": 7,
        "rss": 5,
        "total_cache": 7,
        "total_rss": 5,
        "hierarchical_memory_limit": 99,
    }


def test_v2_statistics_get_the_protocols_names() -> None:
    stat = {"anon": 1, "file": 2, "file_mapped": 3, "pgfault": 4, "pgmajfault": 5, "inactive_anon": 6, "slab": 7}
    found = tables.memory_stat_v2(stat, 8, 100, 20)
    own = {"rss": 1, "cache": 2, "mapped_file": 3, "pgfault": 4, "pgmajfault": 5, "inactive_anon": 6, "swap": 8}
    totals = {f"total_{name}": value for name, value in own.items()}
    assert found == own | totals | {"hierarchical_memory_limit": 100, "hierarchical_memsw_limit": 120}


def test_v2_without_limits_and_swap() -> None:
    found = tables.memory_stat_v2({}, None, None, None)
    assert set(found.values()) == {tables.V1_UNLIMITED}
    assert "swap" not in found


def test_cpu_time_in_both_versions() -> None:
    assert tables.cpu_stat_v1("123456789\n", {"user": 3, "system": 4}) == CpuStat(123456789, 3, 4)
    stat = {"usage_usec": 70_000, "user_usec": 40_000, "system_usec": 30_000}
    assert tables.cpu_stat_v2(stat) == CpuStat(70_000_000, 4, 3)


def test_exact_time_is_shared_out_by_samples() -> None:
    assert tables.split_cpu(4_000_000_000, 1, 3) == (1.0, 3.0)
    assert tables.split_cpu(500_000_000, 0, 0) == (0.5, 0.0)


V1_IO = "8:0 Read 4096\n8:0 Write 100\n8:0 Sync 1\n8:0 Total 4196\n7:1 Read 4\n7:1 Write 0\nTotal 4200\n"
V2_IO = "8:0 rbytes=4096 wbytes=100 rios=3 wios=1 dbytes=7 dios=1\n7:1 rbytes=4 wbytes=0 rios=1 wios=0 cost.usage=5\n259:0 \n"


def test_block_io_is_summed_over_devices() -> None:
    assert tables.block_io_v1(V1_IO, "8:0 Read 3\n8:0 Write 1\n7:1 Read 1\nTotal 5\n") == (4100, 100, 4, 1)
    assert tables.block_io_v2(V2_IO) == (4100, 100, 4, 1)
    assert tables.block_io_v1("Total 0\n", "") == tables.block_io_v2("") == (0, 0, 0, 0)
