"""Limits by name: what people write, what is refused and how, and that every value shown can be written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model import resources
from warden.model.limits import (
    MAX_BYTES,
    Bandwidth,
    CpuQuota,
    DeviceRule,
    DiskLimits,
    IoLimit,
    Limits,
    OomPolicy,
    RdmaLimit,
    Shaping,
    format_list,
    parse_list,
)

#: name, value, the field of Limits and what it becomes
GOOD: list[tuple[str, str, str, object]] = [
    ("memory.max", "64M", "memory_bytes", 64 << 20),
    ("memory.max", "max", "memory_bytes", None),
    ("memory.high", "1.5G", "memory_high", 3 << 29),
    ("memory.low", "4096", "memory_low", 4096),
    ("memory.swap.max", "0", "swap_bytes", 0),
    ("memory.swap.max", "max", "swap_bytes", MAX_BYTES),
    ("memory.swap.max", "default", "swap_bytes", None),
    ("memory.swappiness", "10", "swappiness", 10),
    ("memory.oom_kill_disable", "1", "oom_kill_disable", True),
    ("oom.policy", "kill_container", "oom_policy", OomPolicy.KILL_CONTAINER),
    ("cpu.weight", "50", "cpu_weight", 50),
    ("cpu.weight", "default", "cpu_weight", None),
    ("cpu.shares", "512", "cpu_shares", 512),
    ("cpu.max", "20000 50000", "cpu_quota", CpuQuota(20000, 50000)),
    ("cpu.max", "20000", "cpu_quota", CpuQuota(20000, 100000)),
    ("cpu.max", "max", "cpu_quota", None),
    ("cpu.max", "max 50000", "cpu_quota", CpuQuota(None, 50000)),
    ("cpus", "1.5", "cpu_quota", CpuQuota(150000, 100000)),
    ("cpu.cfs_period_us", "50000", "cpu_quota", CpuQuota(None, 50000)),
    ("cpu.cfs_quota_us", "-1", "cpu_quota", None),
    ("cpu.idle", "1", "cpu_idle", True),
    ("cpu.rt_runtime_us", "5000", "cpu_rt_us", (5000, 1_000_000)),
    ("cpuset.cpus", "0-2,7", "cpuset_cpus", "0-2,7"),
    ("cpuset.mems", "", "cpuset_mems", None),
    ("pids.max", "100", "pids_max", 100),
    ("io.weight", "500", "io_weight", 500),
    ("blkio.bfq.weight", "500", "io_weight", 500),
    ("io.max", "8:0 rbps=1M wiops=9", "io_max", (IoLimit("8:0", read_bps=1 << 20, write_iops=9),)),
    ("blkio.throttle.write_bps_device", "8:0 4096", "io_max", (IoLimit("8:0", write_bps=4096),)),
    ("devices.allow", "c 1:3 rwm, b 8:* r", "devices", (DeviceRule("c", 1, 3), DeviceRule("b", 8, None, "r"))),
    ("devices.allow", "none", "devices", ()),
    ("devices.allow", "all", "devices", None),
    ("devices.deny", "a", "devices", ()),
    ("hugetlb.max", "2MB 64M", "hugetlb", (("2MB", 64 << 20),)),
    ("hugetlb.2MB.max", "64M", "hugetlb", (("2MB", 64 << 20),)),
    ("hugetlb.1GB.limit_in_bytes", "1G", "hugetlb", (("1GB", 1 << 30),)),
    ("rdma.max", "mlx5_0 hca_handle=2 hca_object=max", "rdma", (RdmaLimit("mlx5_0", 2, None),)),
    ("misc.max", "sev 3", "misc", (("sev", 3),)),
    ("net_cls.classid", "10:1", "net_class", 0x100001),
    ("net_cls.classid", "0x100001", "net_class", 0x100001),
    ("net_prio.ifpriomap", "eth0 5", "net_priorities", (("eth0", 5),)),
    ("bandwidth", "1M 64K", "shaping", Shaping(Bandwidth(1 << 20, 64 << 10), Bandwidth(1 << 20, 64 << 10))),
    ("bandwidth", "max", "shaping", Shaping()),
    ("bandwidth.in", "1M 64K", "shaping", Shaping(into=Bandwidth(1 << 20, 64 << 10))),
    ("bandwidth.out", "8mbit 2M", "shaping", Shaping(out=Bandwidth(1_000_000, 2 << 20))),
    ("bandwidth.out", "1Gbit/s", "bandwidth_out", Bandwidth(125_000_000, 2_500_000)),
    ("disk.max", "1M", "disk", DiskLimits(block_hard=1024)),
    ("disk.max", "1", "disk", DiskLimits(block_hard=1)),
    ("disk.inodes", "50", "disk", DiskLimits(inode_hard=50)),
    ("memory.limit_in_bytes", "-1", "memory_bytes", None),
    ("memory.soft_limit_in_bytes", "32M", "memory_high", 32 << 20),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_a_value_as_people_write_it(name: str, text: str, field: str, value: object) -> None:
    limits = resources.apply(Limits(), [(name, text)])
    assert getattr(limits, field) == value
    assert resources.apply(limits, []) == limits


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_what_is_shown_can_be_written_again(name: str, text: str, field: str, value: object) -> None:
    limits = resources.apply(Limits(), [(name, text)])
    shown = {k: v for k, v in resources.shown(limits).items() if k != "cpu.weight" or "shares" not in v}
    again = resources.apply(Limits(), shown.items())
    if name != "cpu.shares":
        assert getattr(again, field) == value


#: name, value, what the error must say
BAD = [
    ("memory.max", "64Q", r"memory\.max: '64Q' is not a size"),
    ("memory.max", "-5", r"memory\.max: '-5' is not a size"),
    ("memory.max", "99999999999T", r"memory\.max: .* out of range \(0 to"),
    ("memory.swappiness", "201", r"memory\.swappiness: 201 is out of range \(0 to 200\)"),
    ("cpu.weight", "0", r"cpu\.weight: 0 is out of range \(1 to 10000\)"),
    ("cpu.weight", "many", r"cpu\.weight: 'many' is not a whole number"),
    ("cpu.max", "10", r"cpu\.max: quota: 10 is out of range \(1000 to"),
    ("cpu.max", "5000 5", r"cpu\.max: period: 5 is out of range \(1000 to 1000000 microseconds\)"),
    ("cpu.max.burst", "5", r"cpu\.max\.burst: there is no quota"),
    ("cpus", "0", r"cpus: '0' is not a number of processors"),
    ("cpus", "nan", r"cpus: 'nan'"),
    ("cpuset.cpus", "1-", r"cpuset\.cpus: '1-' is not a list"),
    ("cpuset.cpus", "3-1", r"cpuset\.cpus: '3-1': the last is below"),
    ("pids.max", "4194305", r"pids\.max: 4194305 is out of range"),
    ("io.weight", "10001", r"io\.weight"),
    ("io.max", "sda rbps=1", r"io\.max: 'sda' is not a device"),
    ("io.max", "8:0", r"io\.max: '8:0': nothing is limited"),
    ("io.max", "8:0 rbps=0", r"io\.max: read_bps: 0 is out of range"),
    ("io.max", "8:0 rbsp=1", r"io\.max: 'rbsp=1' is unknown \(one of rbps="),
    ("devices.allow", "c 1:3 rwx", r"devices\.allow: 'c 1:3 rwx' is not a rule"),
    ("devices.allow", "c 4096:3 r", r"devices\.allow: major: 4096"),
    ("devices.deny", "c 1:3 r", r"devices\.deny: .* all devices are allowed"),
    ("hugetlb.max", "3XB 5", r"hugetlb"),
    ("oom.policy", "pray", r"oom\.policy: 'pray' is unknown \(one of kill_job"),
    ("bandwidth", "0", r"bandwidth: rate: 0 is out of range"),
    ("bandwidth.in", "1 2 3", r"bandwidth\.in: '1 2 3' is not a rate"),
    ("bandwidth.out", "7xbit", r"bandwidth\.out: rate: '7xbit' is not a size"),
    ("bandwidth.out", "1M 0", r"bandwidth: burst: 0 is out of range"),
    ("disk.max", "1X", r"disk\.max: '1X' is not a size"),
    ("net_cls.classid", "red", r"net_cls\.classid: 'red' is not a class"),
    ("memory.memsw.limit_in_bytes", "5", r"set memory\.limit_in_bytes first"),
    ("memroy.max", "5", r"limit: 'memroy.max' is not a resource \(did you mean memory.max\?\)"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_a_mistake_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resources.apply(Limits(), [(name, text)])


def test_shares_and_weight_replace_each_other() -> None:
    limits = resources.apply(Limits(), [("cpu.shares", "512"), ("cpu.weight", "20")])
    assert (limits.cpu_shares, limits.cpu_weight) == (None, 20)
    limits = resources.apply(limits, [("cpu.shares", "99")])
    assert (limits.cpu_shares, limits.cpu_weight) == (99, None)


def test_one_device_is_changed_apart() -> None:
    limits = resources.apply(Limits(), [("io.max", "8:0 rbps=1M"), ("io.max", "8:16 wbps=2M"), ("io.max", "8:0 wiops=7")])
    assert set(limits.io_max) == {
        IoLimit("8:0", read_bps=1 << 20, write_iops=7),
        IoLimit("8:16", write_bps=2 << 20),
    }
    limits = resources.apply(limits, [("io.max", "8:0 rbps=max wiops=max")])
    assert limits.io_max == (IoLimit("8:16", write_bps=2 << 20),)


def test_a_lower_quota_takes_the_burst_with_it() -> None:
    limits = resources.apply(Limits(), [("cpu.max.burst", "80000"), ("cpus", "1")])
    assert limits.cpu_burst_us == 80000, "the order in which they are given does not matter"
    limits = resources.apply(limits, [("cpus", "0.5")])
    assert limits.cpu_burst_us == 50000
    assert resources.apply(limits, [("cpu.max", "max")]).cpu_burst_us is None


def test_v1_list_of_devices_grows_and_shrinks() -> None:
    limits = resources.apply(
        Limits(), [("devices.deny", "a"), ("devices.add", "c 1:3 rwm"), ("devices.add", "c 1:5 r")]
    )
    assert limits.devices == (DeviceRule("c", 1, 3), DeviceRule("c", 1, 5, "r"))
    assert resources.apply(limits, [("devices.deny", "c 1:3 rwm")]).devices == (DeviceRule("c", 1, 5, "r"),)


def test_short_words_become_settings() -> None:
    given = {"cpus": 1.5, "pids": 7, "io_max": ["8:0 rbps=1", "8:16 rbps=2"], "devices": ["c 1:3 r", "c 1:5 r"],
             "cpu_idle": True, "limits": {"memory.high": "1M"}}  # fmt: skip
    assert resources.settings_of(given) == [
        ("cpus", "1.5"),
        ("cpu.idle", "1"),
        ("pids.max", "7"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 rbps=2"),
        ("devices.allow", "c 1:3 r, c 1:5 r"),
        ("memory.high", "1M"),
    ]


def test_every_short_word_and_alias_is_a_resource() -> None:
    for name in (*resources.WORDS.values(), *resources.ALIASES):
        assert resources.find(name)[0] in resources.BY_NAME


@given(st.sets(st.integers(0, 300), min_size=1))
def test_lists_of_processors(numbers: set[int]) -> None:
    assert parse_list(format_list(frozenset(numbers))) == numbers


@given(st.text(max_size=30), st.sampled_from(sorted({*resources.BY_NAME, *resources.ALIASES})))
def test_nothing_but_bad_input_is_raised(text: str, name: str) -> None:
    try:
        resources.apply(Limits(), [(name, text)])
    except BadInput as error:
        assert str(error)


def test_bandwidth_sets_both_directions_and_one_can_be_changed_after_it() -> None:
    limits = resources.apply(Limits(), [("bandwidth.out", "5M 1M"), ("bandwidth", "1M 64K")])
    assert limits.shaping == Shaping(Bandwidth(1 << 20, 64 << 10), Bandwidth(5 << 20, 1 << 20))
    assert resources.shown(limits) == {"bandwidth.in": "1048576 65536", "bandwidth.out": "5242880 1048576"}
    assert resources.rows_of("bandwidth") == ("bandwidth.in", "bandwidth.out")
    assert resources.rows_of("bandwidth.in") == ("bandwidth.in",)
    assert resources.apply(limits, [("bandwidth.out", "max")]).shaping == Shaping(into=limits.bandwidth_in)
