"""Containers that stand still, on the running kernel, v1 and v2 alike (scripts/test-vm runs these on pure v2)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_cgroup_groups import Child, Ready, daemonize, directories, fork_without_end

from warden.cgroup import kill
from warden.cgroup.driver import ContainerGroup, JobGroup, Manager
from warden.errors import KernelRefused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cgroups need root")

PARENT = f"warden-freeze-{os.getpid()}"


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
    assert not [path for path in directories() if PARENT in path]


def job_of(group: ContainerGroup, number: int) -> JobGroup:
    job = group.job(number)
    job.create()
    return job


def count(ready: Ready) -> None:
    """Says that it lives, again and again."""
    while True:
        ready()
        time.sleep(0.002)


def is_counting(child: Child, seconds: float = 0.2) -> bool:
    """Whether a byte comes within a while; what it said before is dropped."""
    os.set_blocking(child._end, False)
    deadline = time.monotonic() + seconds
    _drain(child._end)
    while time.monotonic() < deadline:
        if _drain(child._end):
            return True
        time.sleep(0.005)
    return False


def goes_on(child: Child) -> bool:
    """The same of one that must, however busy the machine is."""
    return is_counting(child, 30)


def _drain(fd: int) -> int:
    try:
        return len(os.read(fd, 65536))
    except BlockingIOError:
        return 0


def is_gone(child: Child) -> bool:
    return os.waitpid(child.pid, os.WNOHANG)[0] != 0


def test_everything_stands_still_and_goes_on(group: ContainerGroup) -> None:
    children = [Child(job_of(group, number), count).ready() for number in (1, 2)]
    for _ in range(2):
        group.freeze()
        group.freeze()
        assert [is_counting(child) for child in children] == [False, False]
        group.thaw()
        group.thaw()
        assert all(map(goes_on, children))
    group.kill()
    assert [child.wait() for child in children] == [-signal.SIGKILL] * 2


def test_one_that_was_stopped_already_stands_still(group: ContainerGroup) -> None:
    def stop(ready: Ready) -> None:
        ready()
        os.kill(os.getpid(), signal.SIGSTOP)
        count(ready)

    child = Child(job := job_of(group, 1), stop).ready()
    assert os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT) is not None
    group.freeze()
    os.kill(child.pid, signal.SIGCONT)
    assert not is_counting(child)
    group.thaw()
    assert goes_on(child)
    group.freeze()
    job.kill()
    assert child.wait() == -signal.SIGKILL


def test_nothing_and_what_is_gone_can_be_frozen(group: ContainerGroup) -> None:
    group.freeze()
    job = job_of(group, 1)
    group.thaw()
    job.kill()
    job.remove()
    job.kill()


def test_a_job_of_a_frozen_container_is_killed_and_the_others_stand_still(group: ContainerGroup) -> None:
    jobs = [job_of(group, number) for number in (1, 2, 3)]
    victim, other = Child(jobs[0], daemonize).ready(4), Child(jobs[1], count).ready()
    group.freeze()
    _drain_all(other)
    jobs[0].kill()
    assert jobs[0].pids() == []
    assert victim.wait() == -signal.SIGKILL
    assert not is_counting(other)
    group.thaw()
    assert goes_on(other)
    group.kill()
    assert other.wait() == -signal.SIGKILL


def _drain_all(child: Child) -> None:
    os.set_blocking(child._end, False)
    _drain(child._end)


def test_no_instruction_of_a_killed_job_runs(group: ContainerGroup) -> None:
    """v1 thaws it to let it die: the signal must be the first thing it meets."""
    child = Child(job := job_of(group, 1), count).ready()
    group.freeze()
    _drain_all(child)
    job.kill()
    assert os.waitpid(child.pid, 0)[1] == signal.SIGKILL
    assert _drain(child._end) == 0
    os.close(child._end)


def test_a_frozen_container_is_emptied_and_stays_paused(group: ContainerGroup) -> None:
    children = [Child(job_of(group, number), daemonize).ready(4) for number in (1, 2)]
    group.freeze()
    group.kill()
    assert group.pids() == []
    assert [child.wait() for child in children] == [-signal.SIGKILL] * 2
    assert group._freezer.is_on()
    group.thaw()
    late = Child(job_of(group, 3), count).ready()
    assert goes_on(late)
    group.kill()
    assert late.wait() == -signal.SIGKILL


@pytest.mark.parametrize("way", ["the kernel's best", "frozen"])
def test_kills_at_once_in_a_container_that_is_paused_and_resumed(
    group: ContainerGroup, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "frozen":
        monkeypatch.setattr(kill, "_round_for", lambda path, is_v2: kill._kill_frozen)
    jobs = [job_of(group, number) for number in range(8)]
    children = [Child(job, count).ready() for job in jobs]
    stays = Child(job_of(group, 9), count).ready()
    with ThreadPoolExecutor(10) as pool:
        work = [pool.submit(job.kill) for job in jobs[:4]]
        work += [pool.submit(act) for act in (group.freeze, group.thaw, group.freeze)]
        work += [pool.submit(job.kill) for job in jobs[4:]]
        for item in work:
            item.result(30)
    assert [child.wait() for child in children] == [-signal.SIGKILL] * 8
    group.freeze()
    assert not is_counting(stays)
    group.thaw()
    assert goes_on(stays)
    group.kill()
    assert stays.wait() == -signal.SIGKILL


def test_a_fork_bomb_is_frozen(group: ContainerGroup) -> None:
    child = Child(job_of(group, 1), fork_without_end).ready()
    group.freeze()
    before = group.pids()
    time.sleep(0.1)
    assert group.pids() == before
    group.kill()
    assert child.wait() == -signal.SIGKILL


def test_what_a_crash_left_frozen_goes_on(group: ContainerGroup) -> None:
    """An engine that died in the middle of a kill: a job's own switch is on."""
    job = job_of(group, 1)
    child = Child(job, count).ready()
    [place] = [place for place in (job._at("freezer"),) if place]
    kill.switch(place[0], on=True)
    group.thaw()
    assert goes_on(child)
    kill.switch(place[0], on=True)
    group.freeze()
    group.kill()
    assert child.wait() == -signal.SIGKILL


def test_a_container_that_is_gone_says_so(group: ContainerGroup) -> None:
    gone = Manager(PARENT).container("gone")
    assert not gone._freezer.is_on()
    gone.thaw()
    gone.kill()
    with pytest.raises(KernelRefused):
        gone.freeze()


def test_io_of_a_job_is_counted_where_the_kernel_does(group: ContainerGroup, tmp_path: Path) -> None:
    def write_through(ready: Ready) -> None:
        fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR, 0o600)
        os.write(fd, bytes(1 << 20))
        os.fsync(fd)

    job = job_of(group, 1)
    before = job.usage().io
    assert before is None or before == (0, 0, 0, 0)
    assert Child(job, write_through).wait() == 0
    after = job.usage().io
    assert (after is None) is (before is None)
    assert after is None or min(after) >= 0


def test_processor_time_is_read_alone(group: ContainerGroup) -> None:
    def burn(ready: Ready) -> None:
        while time.process_time() < 0.05:
            pass

    job = job_of(group, 1)
    assert job.cpu_s() == 0.0
    assert Child(job, burn).wait() == 0
    use = job.usage()
    assert job.cpu_s() == pytest.approx(use.cpu_user_s + use.cpu_system_s, abs=2e-6)  # v2 rounds each
