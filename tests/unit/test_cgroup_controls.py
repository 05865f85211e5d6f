"""What is written for a change of limits, in v1's and v2's files; and the device program, run on a machine of its own."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.cgroup import controls
from warden.cgroup.controls import CONTROLS, READERS
from warden.cgroup.devices import program
from warden.model import resources
from warden.model.limits import DeviceRule, Limits

BY_NAME = {control.name: control for control in CONTROLS}


def writes(name: str, *settings: tuple[str, str], v2: bool, now: dict[str, str] | None = None,
           before: Limits | None = None) -> list[tuple[str, str]]:  # fmt: skip
    control, files = BY_NAME[name], now or {}
    before = before or Limits()
    translate = control.v2 if v2 else control.v1
    assert translate is not None
    return list(translate(before, resources.apply(before, settings), files.get))


CASES = [
    ("cpu.max", [("cpus", "1.5")], [("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")],
     [("cpu.max", "150000 100000")]),
    ("pids.max", [("pids.max", "5")], [("pids.max", "5")], [("pids.max", "5")]),
    ("io.max", [("io.max", "8:0 rbps=5")],
     [("blkio.throttle.read_bps_device", "8:0 5"), ("blkio.throttle.write_bps_device", "8:0 0"),
      ("blkio.throttle.read_iops_device", "8:0 0"), ("blkio.throttle.write_iops_device", "8:0 0")],
     [("io.max", "8:0 rbps=5 wbps=max riops=max wiops=max")]),
    ("hugetlb.max", [("hugetlb.max", "2MB 4M")], [("hugetlb.2MB.limit_in_bytes", "4194304")], [("hugetlb.2MB.max", "4194304")]),
    ("rdma.max", [("rdma.max", "d hca_handle=1")], [("rdma.max", "d hca_handle=1 hca_object=max")],
     [("rdma.max", "d hca_handle=1 hca_object=max")]),
    ("misc.max", [("misc.max", "sev 2")], [("misc.max", "sev 2")], [("misc.max", "sev 2")]),
    ("memory.high", [("memory.high", "8K")], [("memory.soft_limit_in_bytes", "8192")], [("memory.high", "8192")]),
    ("cpu.weight", [("cpu.weight", "100")], [("cpu.shares", "1024")], [("cpu.weight", "100")]),
    ("cpu.weight", [("cpu.shares", "262144")], [("cpu.shares", "262144")], [("cpu.weight", "10000")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "v1", "v2"), CASES)
def test_both_versions(
    name: str, settings: list[tuple[str, str]], v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    assert writes(name, *settings, v2=False) == v1
    assert writes(name, *settings, v2=True) == v2


def test_what_was_limited_is_lifted() -> None:
    had = resources.apply(Limits(), [("io.max", "8:0 rbps=5"), ("hugetlb.max", "2MB 4M"), ("misc.max", "sev 2")])
    assert writes("io.max", ("io.max", "8:0 rbps=max"), v2=True, before=had) == [
        ("io.max", "8:0 rbps=max wbps=max riops=max wiops=max")
    ]
    assert writes("hugetlb.max", ("hugetlb.max", "2MB max"), v2=False, before=had) == [("hugetlb.2MB.limit_in_bytes", "-1")]
    assert writes("misc.max", ("misc.max", "sev max"), v2=True, before=had) == [("misc.max", "sev max")]


def test_an_idle_group_is_woken_before_its_weight_is_written() -> None:
    assert writes("cpu.weight", ("cpu.weight", "7"), v2=True, now={"cpu.idle": "1\n"}) == [
        ("cpu.idle", "0"), ("cpu.weight", "7")
    ]  # fmt: skip
    assert writes("cpu.weight", ("cpu.idle", "1"), v2=True) == [("cpu.weight", "100"), ("cpu.idle", "1")]


def test_a_burst_never_exceeds_the_quota() -> None:
    now = {"cpu.max.burst": "50000\n"}
    assert writes("cpu.max", ("cpus", "0.2"), ("cpu.max.burst", "10000"), v2=True, now=now) == [
        ("cpu.max.burst", "0"), ("cpu.max", "20000 100000"), ("cpu.max.burst", "10000")
    ]  # fmt: skip


def test_device_list_of_v1_is_written_anew() -> None:
    assert writes("devices.allow", ("devices.allow", "c 1:3 rwm, a 8:* r"), v2=False) == [
        ("devices.deny", "a"), ("devices.allow", "c 1:3 rwm"), ("devices.allow", "b 8:* r"), ("devices.allow", "c 8:* r")
    ]  # fmt: skip
    assert writes("devices.allow", ("devices.allow", "all"), v2=False) == [("devices.allow", "a")]


def test_every_field_of_limits_is_some_controls() -> None:
    fields = {name for control in CONTROLS for name in control.fields}
    elsewhere = {"oom_policy", "bandwidth_in", "bandwidth_out", "disk"}  # the engine's, the link's, the file system's
    assert fields | elsewhere == set(Limits.__dataclass_fields__)
    assert set(READERS) <= set(resources.BY_NAME)


def test_reading_back_v1() -> None:
    now = {
        "memory.limit_in_bytes": "67108864\n", "memory.memsw.limit_in_bytes": "100663296\n", "cpu.cfs_quota_us": "-1\n",
        "cpu.cfs_period_us": "50000\n", "blkio.throttle.read_bps_device": "8:0 5\n8:16 7\n",
        "blkio.throttle.write_iops_device": "8:0 9\n", "devices.list": "a *:* rwm\n",
    }.get  # fmt: skip
    assert READERS["memory.swap.max"][1](now) == str(32 << 20)
    assert READERS["cpu.max"][1](now) == "max 50000"
    assert READERS["io.max"][1](now) == "8:0 rbps=5 wiops=9, 8:16 rbps=7"
    assert READERS["devices.allow"][1](now) == "all"
    assert READERS["io.max"][1]({}.get) is None


def test_what_a_version_cannot_do_is_said() -> None:
    assert "cgroup v1 cannot limit it" in str(controls.refused(BY_NAME["memory.low"], is_v2=False))


# ---- a machine for the few instructions that a device program has, written from the kernel's instruction-set.rst


def run(code: bytes, kind: int, access: int, major: int, minor: int) -> int:
    context = struct.pack("=III", access << 16 | kind, major, minor)
    registers: list[object] = [0, "context", 0, 0, 0, 0]
    place = 0
    for _ in range(1000):
        opcode, pair, offset, immediate = struct.unpack_from("=BBhi", code, place * 8)
        target, source = pair & 15, pair >> 4
        place += 1
        if opcode == 0x61:
            assert registers[source] == "context"
            registers[target] = struct.unpack_from("=I", context, offset)[0]
        elif opcode == 0xB7:
            registers[target] = immediate
        elif opcode == 0xBF:
            registers[target] = registers[source]
        elif opcode == 0x57:
            registers[target] = int(registers[target]) & immediate  # type: ignore[call-overload]
        elif opcode == 0x77:
            registers[target] = int(registers[target]) >> immediate  # type: ignore[call-overload]
        elif opcode in (0x55, 0x5D):
            other = immediate if opcode == 0x55 else registers[source]
            place += offset if registers[target] != other else 0
        elif opcode == 0x95:
            return int(registers[0])  # type: ignore[call-overload]
        else:
            raise AssertionError(f"instruction {opcode:#x}")
    raise AssertionError("no end")


RULE = st.builds(
    DeviceRule,
    st.sampled_from("abc"),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
    st.sampled_from(["r", "w", "m", "rw", "rwm", "wm"]),
)


@given(st.lists(RULE, max_size=6), st.sampled_from("bc"), st.integers(1, 7), st.integers(0, 3), st.integers(0, 3))
def test_a_device_program_decides_as_its_rules_say(
    rules: list[DeviceRule], kind: str, access: int, major: int, minor: int
) -> None:
    wanted = {letter for bit, letter in ((1, "m"), (2, "r"), (4, "w")) if access & bit}
    allowed = any(
        rule.kind in ("a", kind)
        and rule.major in (None, major)
        and rule.minor in (None, minor)
        and wanted <= set(rule.access)
        for rule in rules
    )
    assert run(program(rules), {"b": 1, "c": 2}[kind], access, major, minor) == int(allowed)
