"""What cgroup files say, v1's and v2's, and what is not there: never a 0 that nobody counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.cgroup import stats
from warden.cgroup.groups import ContainerGroup
from warden.cgroup.jobio import JobIo
from warden.cgroup.layout import Hierarchy
from warden.errors import KernelRefused
from warden.model.stats import CpuStats, DeviceStats, MemoryStats, PidStats, Pressure, Stall

MEMORY_STAT_V1 = """\
cache 0
rss 0
pgfault 0
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 100663296
total_cache 8192
total_rss 274432
total_swap 4096
total_pgfault 147
"""
MEMORY_STAT_V2 = "anon 4096\nfile 8192\nkernel 100\npgfault 7\npgmajfault 1\n"
CPU_STAT_V2 = """\
usage_usec 1500000
user_usec 1000000
system_usec 500000
nice_usec 0
nr_periods 10
nr_throttled 3
throttled_usec 250000
nr_bursts 0
burst_usec 0
"""
IO_BYTES_V1 = """\
8:0 Read 4096
8:0 Write 8192
8:0 Sync 12288
8:0 Async 0
8:0 Discard 0
8:0 Total 12288
254:16 Write 512
Total 12800
"""
IO_COUNTS_V1 = "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n"
IO_STAT_V2 = """\
8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0
7:1
254:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.vrate=100.00
"""
PRESSURE = """\
some avg10=1.50 avg60=0.25 avg300=0.00 total=1500000
full avg10=0.50 avg60=0.00 avg300=0.00 total=250000
"""


def test_memory_of_v1_is_the_whole_tree() -> None:
    found = stats.parse_memory_stat_v1(MEMORY_STAT_V1)
    assert found["rss"] == 274432
    assert found["cache"] == 8192
    assert found["hierarchical_memory_limit"] == 67108864
    assert not [name for name in found if name.startswith("total_")]


def test_counts_with_lines_of_another_kind() -> None:
    assert stats.parse_counts("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\n") == {
        "low": 0, "high": 1, "max": 2, "oom": 3, "oom_kill": 4,
    }  # fmt: skip
    assert stats.parse_counts("anon 1\nnew N0=1 N1=2\nfile 2\n") == {"anon": 1, "file": 2}
    assert stats.parse_counts("") == {}


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.integers(0, 2**64 - 1)))
def test_counts_are_read_as_they_were_written(counts: dict[str, int]) -> None:
    assert stats.parse_counts("".join(f"{name} {value}\n" for name, value in counts.items())) == counts


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    stats.parse_counts(text)
    stats.parse_io_v2(text)


def test_devices_of_v1() -> None:
    assert stats.parse_io_v1(IO_BYTES_V1, IO_COUNTS_V1) == (
        DeviceStats(8, 0, None, 4096, 8192, 1, 2),
        DeviceStats(254, 16, None, None, 512, None, None),
    )
    assert stats.parse_io_v1("Total 0\n", "") == ()


def test_devices_of_v2() -> None:
    assert stats.parse_io_v2(IO_STAT_V2) == (
        DeviceStats(8, 0, None, 4096, 8192, 1, 2),
        DeviceStats(254, 16, None, 1, 2, 3, 4),
    )


def test_pressure() -> None:
    both = Pressure(Stall(1.5, 0.25, 0.0, 1.5), Stall(0.5, 0.0, 0.0, 0.25))
    assert stats.parse_pressure(PRESSURE) == both
    assert stats.parse_pressure(PRESSURE.splitlines()[0]) == Pressure(both.some, None)  # cpu before 5.13


@pytest.mark.parametrize(
    ("both", "memory", "swap"), [(None, None, None), (100, 100, 0), (150, 100, 50), (100, None, 100), (50, 100, 0)]
)
def test_swap_limit_of_v1(both: int | None, memory: int | None, swap: int | None) -> None:
    assert stats.swap_limit_v1(both, memory) == swap


V1 = {
    "memory": {
        "memory.usage_in_bytes": "778240\n",
        "memory.max_usage_in_bytes": "800000\n",
        "memory.limit_in_bytes": "67108864\n",
        "memory.stat": MEMORY_STAT_V1,
        "memory.failcnt": "5\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    },
    "cpuacct": {"cpuacct.usage": "2000000000\n", "cpuacct.usage_user": "1500000000\n", "cpuacct.usage_sys": "500000000\n"},
    "cpu": {"cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 30000000\n"},
    "pids": {"pids.current": "3\n", "pids.max": "max\n"},
    "blkio": {
        "blkio.throttle.io_service_bytes": IO_BYTES_V1,
        "blkio.throttle.io_serviced": IO_COUNTS_V1,
    },
}
V2 = {
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "memory.max": "max\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "1024\n",
    "memory.stat": MEMORY_STAT_V2,
    "memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 1\n",
    "cpu.stat": CPU_STAT_V2,
    "pids.current": "3\n",
    "pids.peak": "9\n",
    "pids.max": "64\n",
    "io.stat": IO_STAT_V2,
    "cpu.pressure": PRESSURE,
    "memory.pressure": PRESSURE,
    "cgroup.procs": "",
}
GROUP = "p/instance-one"


def write(root: Path, files: dict[str, str]) -> str:
    (root / GROUP).mkdir(parents=True)
    for name, text in ({"cgroup.procs": "11\n12\n"} | files).items():
        (root / GROUP / name).write_text(text)
    return str(root)


def group_v1(tmp_path: Path, *controllers: str) -> ContainerGroup:
    per_job = {"memory", "cpuacct"}
    trees = [
        Hierarchy(write(tmp_path / name, V1[name]), frozenset({name}), per_job=name in per_job)
        for name in controllers
        if name != "blkio"
    ]
    blkio = write(tmp_path / "blkio", V1["blkio"]) if "blkio" in controllers else None
    return ContainerGroup(trees, "p", "one", io=JobIo(blkio, "p", "one"))


def group_v2(tmp_path: Path, *controllers: str) -> ContainerGroup:
    tree = Hierarchy(write(tmp_path / "v2", V2), frozenset(controllers), is_v2=True, per_job=True)
    return ContainerGroup([tree], "p", "one")


def test_all_of_v1(tmp_path: Path) -> None:
    found = stats.read_group(group_v1(tmp_path, *V1))
    memory = found.memory
    assert (memory.current, memory.peak, memory.limit, memory.swap) == (778240, 800000, 64 << 20, 4096)
    assert memory.swap_limit == 32 << 20
    assert memory.events == {"failcnt": 5, "oom_kill": 2}
    assert memory.stat["pgfault"] == 147
    assert found.cpu == CpuStats(2.0, 1.5, 0.5, 4, 1, 0.03)
    assert found.pids == PidStats(3, None, None)
    assert [device.major for device in found.io] == [8, 254]
    assert found.pressure == {}
    assert found.processes == 2


def test_all_of_v2(tmp_path: Path) -> None:
    found = stats.read_group(group_v2(tmp_path, "memory", "cpu", "pids", "io"))
    assert found.memory == MemoryStats(
        4096, 8192, None, 0, 1024, {"anon": 4096, "file": 8192, "kernel": 100, "pgfault": 7, "pgmajfault": 1},
        {"low": 0, "high": 1, "max": 2, "oom": 3, "oom_kill": 4, "oom_group_kill": 1},
    )  # fmt: skip
    assert found.cpu == CpuStats(1.5, 1.0, 0.5, 10, 3, 0.25)
    assert found.pids == PidStats(3, 9, 64)
    assert len(found.io) == 2
    assert sorted(found.pressure) == ["cpu", "memory"]
    assert found.processes == 0


def test_hybrid_takes_each_from_where_it_lives(tmp_path: Path) -> None:
    v2 = Hierarchy(write(tmp_path / "v2", V2), frozenset({"memory"}), is_v2=True, per_job=True)
    v1 = [Hierarchy(write(tmp_path / name, V1[name]), frozenset({name})) for name in ("cpu", "pids")]
    found = stats.read_group(ContainerGroup([v2, *v1], "p", "one"))
    assert found.memory.current == 4096
    assert found.cpu.usage_s == 1.5
    assert found.pids.current == 3
    assert found.io == ()


def test_what_is_not_mounted_is_absent(tmp_path: Path) -> None:
    found = stats.read_group(group_v1(tmp_path, "cpu"))
    assert found.memory == MemoryStats()
    assert found.cpu == CpuStats(periods=4, throttled_periods=1, throttled_s=0.03)
    assert found.pids == PidStats()
    assert found.io == ()


@pytest.mark.parametrize("name", ["memory.peak", "memory.swap.current", "memory.swap.max", "pids.peak", "cpu.pressure"])
def test_files_that_a_kernel_lacks_are_absent(tmp_path: Path, name: str) -> None:
    group = group_v2(tmp_path, "memory", "pids")
    (tmp_path / "v2" / GROUP / name).unlink()
    found = stats.read_group(group)
    values = {
        "memory.peak": found.memory.peak,
        "memory.swap.current": found.memory.swap,
        "memory.swap.max": found.memory.swap_limit,
        "pids.peak": found.pids.peak,
        "cpu.pressure": found.pressure.get("cpu"),
    }
    assert values[name] is None


def test_brief_reads_little(tmp_path: Path) -> None:
    group = group_v1(tmp_path, *V1)
    unread = ("memory/%s/memory.stat", "cpuacct/%s/cpuacct.usage_user", "pids/%s/cgroup.procs", "cpu/%s/cpu.stat")
    for name in unread:
        (tmp_path / (name % GROUP)).unlink()
    found = stats.read_group(group, brief=True)
    assert found.memory == MemoryStats(778240, limit=64 << 20)
    assert found.cpu == CpuStats(2.0)
    assert found.io[0] == DeviceStats(8, 0, None, 4096, 8192, None, None)
    assert found.processes is None


@pytest.mark.parametrize("name", ["memory.current", "pids.current"])
def test_a_group_that_is_gone_is_an_error(tmp_path: Path, name: str) -> None:
    group = group_v2(tmp_path, "memory", "pids")
    (tmp_path / "v2" / GROUP / name).unlink()
    with pytest.raises(KernelRefused, match=name.replace(".", r"\.")):
        stats.read_group(group)


def test_a_long_file_is_read_to_its_end(tmp_path: Path) -> None:
    group = group_v2(tmp_path, "memory")
    long = "".join(f"name_{number} {number}\n" for number in range(3000))
    (tmp_path / "v2" / GROUP / "memory.stat").write_text(long)
    assert len(stats.read_group(group).memory.stat) == 3000


def test_names_of_devices_are_looked_up_once() -> None:
    names: dict[tuple[int, int], str | None] = {(8, 0): "disk-of-mine"}
    found = stats.name_devices([DeviceStats(8, 0), DeviceStats(4000, 1)], names)
    assert [device.name for device in found] == ["disk-of-mine", None]
    assert names[4000, 1] is None
