"""Values of control files in human units, and which of them say nothing."""

from __future__ import annotations

import pytest

from warden.explain.lookup import note_of
from warden.explain.note import Unit
from warden.explain.values import duration, human, is_default, show


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        (Unit.BYTES, "67108864", "64.0 MiB"),
        (Unit.BYTES, "max", "unlimited"),
        (Unit.BYTES, "9223372036854771712", "unlimited"),
        (Unit.BYTES, "0", "0 B"),
        (Unit.US, "-1", "unlimited"),
        (Unit.US, "100000", "100 ms"),
        (Unit.NS, "1500000000", "1.5 s"),
        (Unit.TICKS, "250", "2.5 s"),
        (Unit.PAGES, "1", "4.0 KiB"),
        (Unit.FLAG, "1", "1 (yes)"),
        (Unit.COUNT, "512", "512"),
        (Unit.COUNT, "-1", "-1"),
        (Unit.WORD, "THAWED", "THAWED"),
        (Unit.NS, "nonsense", "nonsense"),
    ],
)
def test_one_number(unit: Unit, text: str, expected: str) -> None:
    assert human(unit, text, "en") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (3e-9, "3 ns"), (25e-6, "25 µs"), (0.0031, "3.1 ms"), (90, "90 s"), (300, "5.0 min"), (7200, "2.0 h")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def shown(name: str, raw: str, *, v2: bool = True, lang: str = "en", everything: bool = False) -> str:
    value = show(note_of(name, is_v2=v2), raw, lang, everything=everything)
    return value.value or "; ".join(f"{line.name} {line.value}".strip() for line in value.lines)


def test_quota_is_told_in_processors() -> None:
    assert shown("cpu.max", "150000 100000\n") == "150 ms of every 100 ms = 1.5 processors"
    assert shown("cpu.max", "max 100000\n") == "unlimited"
    assert shown("cpu.max", "50000 100000\n", lang="zh") == "每 100 ms 中的 50 ms = 0.5 个处理器"


def test_keyed_files_become_lines_with_units() -> None:
    assert shown("memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n", v2=False) == (
        "oom_kill_disable 0 (no); under_oom 1 (yes); oom_kill 3"
    )
    assert shown("io.stat", "8:0 rbytes=1048576 wbytes=0 rios=12\n") == "8:0 rbytes 1.0 MiB  wbytes 0 B  rios 12"
    assert shown("blkio.throttle.io_service_bytes", "8:0 Read 2048\nTotal 2048\n", v2=False) == "8:0 Read 2.0 KiB; Total 2.0 KiB"
    assert shown("cpuacct.usage_percpu", "1000000000 0 \n", v2=False) == "1 s, 0 s"
    assert shown("cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=2000\n") == (
        "some 1.50 % of 10 s, 0.00 % of 1 min, 0.00 % of 5 min; 2 ms in all"
    )


def test_a_long_file_is_cut_to_what_matters_unless_all_is_asked_for() -> None:
    raw = "".join(f"filler{n} {n}\n" for n in range(30)) + "anon 1048576\nfile 0\npgfault 7\n"
    note = note_of("memory.stat", is_v2=True)
    compact, whole = (show(note, raw, "en", everything=everything) for everything in (False, True))
    assert [(line.name, line.value) for line in compact.lines] == [("anon", "1.0 MiB"), ("pgfault", "7")]
    assert compact.hidden == 31
    assert (len(whole.lines), whole.hidden) == (33, 0)


def test_an_unknown_file_is_shown_as_it_is() -> None:
    assert shown("vendor.file", "a b\n") == "a b"
    assert shown("vendor.file", "a\nb\n") == "a; b"


@pytest.mark.parametrize(
    ("name", "raw", "v2"),
    [
        ("memory.max", "max\n", True),
        ("memory.limit_in_bytes", "9223372036854771712\n", False),
        ("hugetlb.2MB.limit_in_bytes", "9223372036852678656\n", False),
        ("cpu.shares", "1024\n", False),
        ("memory.swap.current", "0\n", True),
        ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", True),
        ("cgroup.stat", "nr_descendants 0\nnr_subsys_memory 4\n", True),
        ("blkio.throttle.io_serviced", "Total 0\n", False),
        ("io.max", "", True),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=999\n", True),
        ("vendor.file", "\n", True),
    ],
)
def test_what_says_nothing_is_a_default(name: str, raw: str, v2: bool) -> None:
    assert is_default(note_of(name, is_v2=v2), raw)


@pytest.mark.parametrize(
    ("name", "raw", "v2"),
    [
        ("memory.max", "67108864\n", True),
        ("memory.limit_in_bytes", "67108864\n", False),
        ("memory.max", "0\n", True),
        ("pids.max", "0\n", True),
        ("cpu.max", "50000 100000\n", True),
        ("memory.events", "low 0\noom_kill 1\n", True),
        ("io.max", "8:0 rbps=1048576 wbps=max\n", True),
        ("freezer.state", "FROZEN\n", False),
        ("cpu.pressure", "some avg10=0.00 avg60=0.01 avg300=0.00 total=999\n", True),
        ("vendor.file", "0\n", True),
    ],
)
def test_what_says_something_is_none(name: str, raw: str, v2: bool) -> None:
    assert not is_default(note_of(name, is_v2=v2), raw)
