"""Limits of a container's groups on the running kernel, v1 and v2 alike (scripts/test-vm runs these on pure v2)."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.cgroup.driver import ContainerGroup, Manager
from warden.errors import BadInput, NotSupported, WardenError
from warden.model import resources
from warden.model.limits import Limits

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cgroups need root")

MIB = 1 << 20
PARENT = f"warden-test-limits-{os.getpid()}"


def directories() -> list[str]:
    return sorted(path for path, _, _ in os.walk("/sys/fs/cgroup") if PARENT in path.split("/"))


@pytest.fixture
def group() -> Iterator[ContainerGroup]:
    manager = Manager(PARENT)
    manager.prepare()
    group = manager.container("one")
    group.create()
    yield group
    group.kill()
    group.remove()
    manager.remove_parent_if_empty()
    assert directories() == []


def put(group: ContainerGroup, *settings: tuple[str, str], before: Limits | None = None) -> Limits:
    """Sets them above *before* and returns all."""
    before = before or Limits()
    after = resources.apply(before, settings)
    group.set_limits(after, before, also=[resources.find(name)[0] for name, _ in settings])
    return after


def possible(group: ContainerGroup, name: str) -> bool:
    return name in group.limits_in_force(Limits())


def sleeper(group: ContainerGroup) -> int:
    """A process in job 1."""
    job = group.job(1)
    job.create()
    joins = job.open_join()
    pid = os.fork()
    if not pid:
        try:
            for fd in joins:
                os.write(fd, b"0")
            time.sleep(600)
        finally:
            os._exit(0)
    for fd in joins:
        os.close(fd)
    deadline = time.monotonic() + 30
    while pid not in job.pids() and time.monotonic() < deadline:
        time.sleep(0.005)
    return pid


CASES = [
    ("memory.max", str(64 * MIB + 1), str(64 * MIB)),
    ("memory.high", str(32 * MIB), str(32 * MIB)),
    ("memory.low", str(4 * MIB), str(4 * MIB)),
    ("memory.swappiness", "10", "10"),
    ("memory.oom_kill_disable", "1", "1"),
    ("cpu.weight", "57", "57"),
    ("cpus", "1.5", "150000 100000"),
    ("cpu.max", "max 50000", "max 50000"),
    ("cpu.idle", "1", "1"),
    ("cpu.rt_runtime_us", "1000", "1000"),
    ("cpuset.cpus", "0", "0"),
    ("cpuset.mems", "0", "0"),
    ("pids.max", "77", "77"),
    ("hugetlb.max", "2MB 4M", f"2MB {4 * MIB}"),
    ("net_cls.classid", "10:1", str(0x100001)),
]


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_a_limit_is_in_force_and_goes_again(group: ContainerGroup, name: str, text: str, expected: str) -> None:
    row = resources.find(name)[0]
    usual = group.limits_in_force(Limits())
    if row not in usual:
        with pytest.raises(WardenError, match=row.replace(".", r"\.")):
            put(group, (name, text))
        assert group.limits_in_force(Limits()) == usual
        return
    after = put(group, (name, text))
    assert group.limits_in_force(after)[row] == expected
    group.set_limits(Limits(), after)
    assert group.limits_in_force(Limits())[row] == usual[row]


def test_burst_follows_its_quota(group: ContainerGroup) -> None:
    limits = put(group, ("cpus", "1"), ("cpu.max.burst", "60000"))
    assert group.limits_in_force(limits)["cpu.max.burst"] == "60000"
    limits = put(group, ("cpus", "0.5"), before=limits)
    assert group.limits_in_force(limits)["cpu.max"] == "50000 100000"
    assert group.limits_in_force(limits)["cpu.max.burst"] == "50000"
    group.set_limits(Limits(), limits)
    assert group.limits_in_force(Limits())["cpu.max.burst"] == "0"


def test_an_idle_group_takes_a_weight(group: ContainerGroup) -> None:
    limits = put(group, ("cpu.idle", "1"))
    limits = put(group, ("cpu.weight", "300"), before=limits)
    limits = put(group, ("cpu.idle", "0"), before=limits)
    assert group.limits_in_force(limits)["cpu.weight"] == "300"


def test_all_or_none(group: ContainerGroup) -> None:
    before = put(group, ("memory.max", "64M"), ("pids.max", "50"), ("cpus", "1"))
    in_force = group.limits_in_force(before)
    wrong = ("memory.low", "4M") if not possible(group, "memory.low") else ("memory.swappiness", "10")
    wanted = [("memory.max", "96M"), ("pids.max", "9"), ("cpus", "2"), ("cpuset.cpus", "0"), ("io.max", "7:9999 rbps=1M")]
    for last in (wrong, ("cpuset.cpus", "0-4000"), ("io.max", "259:77 rbps=1M")):
        with pytest.raises(WardenError):
            put(group, *wanted, last, before=before)
        assert group.limits_in_force(before) == in_force, last


def test_best_effort_sets_the_rest(group: ContainerGroup) -> None:
    wrong = ("memory.low", "4M") if not possible(group, "memory.low") else ("memory.swappiness", "10")
    wanted = resources.apply(Limits(), [("pids.max", "9"), wrong, ("memory.max", "64M")])
    skipped = group.set_limits(wanted, Limits(), best_effort=True)
    assert [item.reason.split(":")[0] for item in skipped] == [wrong[0]]
    assert group.limits_in_force(wanted)["pids.max"] == "9"
    assert group.limits_in_force(wanted)["memory.max"] == str(64 * MIB)


def test_an_impossible_cpuset_names_what_is_possible(group: ContainerGroup) -> None:
    if not possible(group, "cpuset.cpus"):
        pytest.skip("no cpuset controller here")
    allowed = group.limits_in_force(Limits())["cpuset.cpus"]
    with pytest.raises(BadInput, match=rf"cpuset\.cpus: '4000' is not to be had \(the group above has {allowed}\)"):
        put(group, ("cpuset.cpus", "4000"))


def test_what_runs_is_moved_into_a_new_hierarchy_and_what_follows_joins_it(group: ContainerGroup) -> None:
    if not possible(group, "cpuset.cpus"):
        pytest.skip("no cpuset controller here")
    pid = sleeper(group)
    cpus = os.sched_getaffinity(pid)
    limits = put(group, ("cpuset.cpus", "0"))
    assert os.sched_getaffinity(pid) == {0}
    group.set_limits(Limits(), limits)
    assert os.sched_getaffinity(pid) == cpus
    place = group.place("cpuset")
    assert place is not None
    if not place.is_v2:
        assert group.extras_made() == 1
        assert str(pid) in Path(place.path, "cgroup.procs").read_text().split()
        Path(place.root, "cgroup.procs").write_text(str(pid))  # as a job that was just starting
        group.gather()
        assert str(pid) in Path(place.path, "cgroup.procs").read_text().split()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_device_rules_hold_at_open(group: ContainerGroup) -> None:
    """null may be used, zero only read, and nothing else; the rules of v1's files and of v2's program are the same."""
    limits = put(group, ("devices.allow", "c 1:3 rwm, c 1:5 r"))
    job = group.job(1)
    job.create()
    wanted = {
        ("/dev/null", os.O_RDWR): 0,
        ("/dev/zero", os.O_RDONLY): 0,
        ("/dev/zero", os.O_RDWR): errno.EPERM,
        ("/dev/urandom", os.O_RDONLY): errno.EPERM,
    }
    assert _opened(job.open_join(), list(wanted)) == list(wanted.values())
    limits = put(group, ("devices.allow", "a *:* r"), before=limits)
    assert _opened(job.open_join(), [("/dev/urandom", os.O_RDONLY), ("/dev/null", os.O_WRONLY)]) == [0, errno.EPERM]
    group.set_limits(Limits(), limits)
    assert _opened(job.open_join(), list(wanted)) == [0] * len(wanted)


def _opened(joins: list[int], files: list[tuple[str, int]]) -> list[int]:
    """What a process in the job gets: 0 or errno for each file."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            for fd in joins:
                os.write(fd, b"0")
            for path, flags in files:
                try:
                    os.close(os.open(path, flags))
                    os.write(writer, bytes([0]))
                except OSError as error:
                    os.write(writer, bytes([error.errno or 255]))
        finally:
            os._exit(0)
    for fd in (*joins, writer):
        os.close(fd)
    os.waitpid(pid, 0)
    answers = list(os.read(reader, 100))
    os.close(reader)
    return answers


def test_limits_are_known_again_after_a_crash_before_the_record(group: ContainerGroup) -> None:
    """What was set and never recorded is overwritten when all is written."""
    device = next((f"{name}" for name in _disks()), None)
    settings = [("pids.max", "5"), ("cpus", "0.5")] + ([("io.max", f"{device} rbps=1M")] if device else [])
    if not possible(group, "io.max"):
        settings = settings[:2]
    put(group, *settings)
    group.set_limits(Limits(memory_bytes=64 * MIB))
    found = group.limits_in_force(Limits())
    assert (found["memory.max"], found["pids.max"], found["cpu.max"]) == (str(64 * MIB), "max", "max 100000")
    assert found.get("io.max", "max") == "max"


def _disks() -> Iterator[str]:
    for name in os.listdir("/sys/block"):
        size = Path("/sys/block", name, "size").read_text().strip()
        if size != "0":
            yield Path("/sys/block", name, "dev").read_text().strip()


def test_raw_shows_the_kernels_files(group: ContainerGroup) -> None:
    put(group, ("memory.max", "64M"), ("pids.max", "5"))
    raw = dict(group.raw_limits())
    assert all(path.startswith("/sys/fs/cgroup/") and PARENT in path for path in raw)
    by_name = {os.path.basename(path): text for path, text in raw.items()}
    assert by_name["pids.max"] == "5"
    assert str(64 * MIB) in (by_name.get("memory.max"), by_name.get("memory.limit_in_bytes"))


def test_a_controller_that_is_missing_is_named(group: ContainerGroup) -> None:
    if group.place("rdma") is not None:
        pytest.skip("this machine has rdma")
    with pytest.raises(NotSupported, match="no rdma controller"):
        put(group, ("rdma.max", "mlx5_0 hca_handle=2"))


def test_a_setting_again_of_all_keeps_what_it_can(group: ContainerGroup) -> None:
    """After a restart: one limit that cannot be set any more costs none of the others, and nothing is lifted."""
    settings = [("pids.max", "5"), ("devices.allow", "c 1:3 rwm"), ("memory.max", "64M")]
    limits = put(group, *settings)
    wrong = ("memory.low", "4M") if not possible(group, "memory.low") else ("memory.swappiness", "10")
    limits = resources.apply(limits, [wrong])
    skipped = group.set_limits(limits, best_effort=True)
    assert len(skipped) == 1
    found = group.limits_in_force(limits)
    assert (found["pids.max"], found["devices.allow"], found["memory.max"]) == ("5", "c 1:3 rwm", str(64 * MIB))
    job = group.job(1)
    job.create()
    assert _opened(job.open_join(), [("/dev/zero", os.O_RDONLY)]) == [errno.EPERM]


def test_huge_pages_that_nobody_recorded_can_be_lifted(group: ContainerGroup) -> None:
    if not possible(group, "hugetlb.max") or "2MB" not in group.sizes():
        pytest.skip("no huge pages of 2 MiB here")
    put(group, ("hugetlb.2MB.max", "4M"))
    put(group, ("hugetlb.2MB.max", "max"))  # from a record that knows of none
    assert group.limits_in_force(Limits())["hugetlb.max"] == "none"
