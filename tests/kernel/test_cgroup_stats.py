"""Statistics of real groups, v1 and v2 alike (scripts/test-vm runs these on pure v2): numbers move when something is done."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_cgroup_groups import IS_V2, MIB, PARENT, Child, Ready, directories, hold, sleep

from warden.cgroup import files
from warden.cgroup.driver import ContainerGroup, JobGroup, Manager
from warden.cgroup.jobio import count_devices
from warden.cgroup.stats import name_devices, read_group
from warden.errors import KernelRefused
from warden.kernel.loop import open_loop
from warden.model.limits import Limits
from warden.model.stats import MemoryStats

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="cgroups need root")]


@pytest.fixture
def group() -> Iterator[ContainerGroup]:
    assert directories() == []
    manager = Manager(PARENT)
    manager.prepare()
    group = manager.container("one")
    group.create()
    yield group
    children = group.pids()
    group.kill()
    for pid in children:  # a zombie would be a child of this process for all tests that follow
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    group.remove()
    manager.remove_parent_if_empty()
    assert directories() == []


@pytest.fixture
def job(group: ContainerGroup) -> JobGroup:
    job = group.job(1)
    job.create()
    return job


def burn(seconds: float) -> Callable[[Ready], None]:
    def action(ready: Ready) -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
        ready()
        time.sleep(600)

    return action


def test_of_an_idle_group(group: ContainerGroup) -> None:
    found = read_group(group)
    assert found.memory.current is not None and found.memory.current < MIB
    assert found.memory.limit is None
    assert found.memory.stat["pgfault"] == 0
    assert found.memory.events["oom_kill"] == 0
    assert found.cpu.usage_s is not None and found.cpu.usage_s < 0.1
    assert (found.cpu.periods, found.cpu.throttled_periods, found.cpu.throttled_s) == (0, 0, 0)
    assert (found.pids.current, found.pids.limit, found.processes) == (0, None, 0)
    assert found.io == ()
    assert set(found.pressure) <= ({"cpu", "memory", "io"} if IS_V2 else set())


def test_numbers_move_with_what_is_done(group: ContainerGroup, job: JobGroup) -> None:
    group.set_limits(Limits(memory_bytes=64 * MIB))
    Child(job, burn(0.3)).ready()
    Child(job, hold(16 * MIB)).ready()
    found = read_group(group)
    memory, cpu = found.memory, found.cpu
    assert memory.limit == 64 * MIB
    assert memory.current is not None and 16 * MIB <= memory.current <= 64 * MIB
    assert memory.peak is None or memory.peak >= 16 * MIB
    assert memory.stat.get("anon", memory.stat.get("rss", 0)) >= 16 * MIB
    assert memory.stat["pgfault"] > 0  # few where pages are huge
    assert cpu.usage_s is not None and cpu.usage_s >= 0.3
    assert cpu.user_s is not None and cpu.system_s is not None
    assert abs(cpu.user_s + cpu.system_s - cpu.usage_s) < 0.1
    assert (found.pids.current, found.processes) == (2, 2)
    assert found.pids.peak is None or found.pids.peak >= 2
    brief = read_group(group, brief=True)
    assert brief.memory.current is not None and brief.memory.stat == {}
    assert brief.memory == MemoryStats(brief.memory.current, limit=64 * MIB)


def test_every_number_of_memory_stat(group: ContainerGroup) -> None:
    place = group.where("memory")
    assert place is not None
    names = {line.split()[0] for line in files.read(f"{place[0]}/memory.stat").splitlines()}
    wanted = {name.removeprefix("total_") for name in names}
    assert set(read_group(group).memory.stat) == wanted


def test_swap_is_what_the_kernel_counts(group: ContainerGroup) -> None:
    group.set_limits(Limits(memory_bytes=8 * MIB))
    memory = read_group(group).memory
    place = group.where("memory")
    assert place is not None
    counted = os.path.exists(f"{place[0]}/{'memory.swap.max' if IS_V2 else 'memory.memsw.limit_in_bytes'}")
    assert (memory.swap_limit, memory.swap) == ((0, 0) if counted else (None, memory.swap))


def test_want_of_memory_is_counted(group: ContainerGroup, job: JobGroup) -> None:
    group.set_limits(Limits(memory_bytes=8 * MIB))
    assert Child(job, hold(32 * MIB)).wait() == -signal.SIGKILL
    events = read_group(group).memory.events
    assert events["oom_kill"] == 1
    assert events["max"] if IS_V2 else "failcnt" in events  # v1's stays 0 on some kernels, such as 6.18
    job.remove()
    assert read_group(group).memory.events["oom_kill"] == 1, "the kills of jobs that are gone too"


def test_throttling_is_counted(group: ContainerGroup, job: JobGroup) -> None:
    place = group.where("cpu")
    assert place is not None
    if IS_V2:
        files.write(f"{place[0]}/cpu.max", "10000 100000")
    else:
        files.write(f"{place[0]}/cpu.cfs_quota_us", "10000")
    child = Child(job, burn(0.1)).ready()
    cpu = read_group(group).cpu
    assert cpu.periods and cpu.throttled_periods and cpu.throttled_s
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A block device that nobody else uses."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(4 * MIB)
    fd, path = open_loop(str(image))
    yield path
    os.close(fd)


def test_devices_are_counted(group: ContainerGroup, job: JobGroup, device: str) -> None:
    def write_and_read(ready: Ready) -> None:
        area = mmap.mmap(-1, MIB)
        fd = os.open(device, os.O_RDWR | os.O_DIRECT)
        os.writev(fd, [area])
        os.lseek(fd, 0, os.SEEK_SET)
        for _ in range(2):
            os.readv(fd, [area])
        ready()
        time.sleep(600)

    blkio = Manager(PARENT).layout.hierarchies.get("blkio")
    if blkio is not None:
        count_devices(f"{blkio}/{PARENT}")
    Child(job, write_and_read).ready()
    [found] = [item for item in name_devices(read_group(group).io, {}) if f"/dev/{item.name}" == device]
    assert os.stat(device).st_rdev == os.makedev(found.major, found.minor)
    assert (found.written_bytes, found.read_bytes) == (MIB, 2 * MIB)
    assert found.writes and found.reads and found.reads > found.writes
    [brief] = [item for item in read_group(group, brief=True).io if item.minor == found.minor and item.major == found.major]
    assert brief.written_bytes == MIB


def test_a_group_that_is_gone_is_an_error(group: ContainerGroup) -> None:
    group.remove()
    with pytest.raises(KernelRefused) as caught:
        read_group(group)
    assert caught.value.errno in files.GONE


def test_no_descriptor_is_left(group: ContainerGroup, job: JobGroup) -> None:
    Child(job, sleep).ready()
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        read_group(group)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.skipif(not IS_V2, reason="v1 has no pressure of groups")
def test_pressure_is_there_where_the_kernel_keeps_it(group: ContainerGroup) -> None:
    place = group.where("freezer")
    assert place is not None
    kept = {name for name in ("cpu", "memory", "io") if os.path.exists(f"{place[0]}/{name}.pressure")}
    found = read_group(group).pressure
    assert set(found) in (kept, set())  # psi=0 on the kernel's command line: files without content
    assert all(pressure.some is not None for pressure in found.values())
