"""Groups of containers and jobs on the running kernel, v1 and v2 alike (scripts/test-vm runs these on pure v2)."""

from __future__ import annotations

import errno
import mmap
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from warden.cgroup import files, kill
from warden.cgroup.driver import ContainerGroup, JobGroup, Manager
from warden.cgroup.tables import STAT_NAMES
from warden.errors import KernelRefused
from warden.model.limits import Limits

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cgroups need root")

MIB = 1 << 20
PARENT = f"warden-test-{os.getpid()}"
IS_V2 = any(hierarchy.is_v2 for hierarchy in Manager(PARENT).layout.used())


def directories() -> list[str]:
    """Every group of ours in every mounted hierarchy."""
    return sorted(path for path, _, _ in os.walk("/sys/fs/cgroup") if PARENT in path.split("/"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def manager() -> Iterator[Manager]:
    assert directories() == []
    before = descriptors()
    manager = Manager(PARENT)
    manager.prepare()
    yield manager
    manager.remove_parent_if_empty()
    assert directories() == []
    assert descriptors() == before


@pytest.fixture
def group(manager: Manager) -> Iterator[ContainerGroup]:
    group = manager.container("one")
    group.create()
    yield group
    group.kill()
    group.remove()


@pytest.fixture
def job(group: ContainerGroup) -> JobGroup:
    job = group.job(1)
    job.create()
    return job


Ready = Callable[[], object]


class Child:
    """A forked process that joined *job* and then calls *action*; `ready` waits until *action* says so."""

    def __init__(self, job: JobGroup, action: Callable[[Ready], None]) -> None:
        joins = job.open_join()
        self._end, write_end = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._run(joins, write_end, action)
        for fd in (*joins, write_end):
            os.close(fd)

    @staticmethod
    def _run(joins: list[int], write_end: int, action: Callable[[Ready], None]) -> None:
        try:
            for fd in joins:
                os.write(fd, b"0")
            action(lambda: os.write(write_end, b"x"))
            os._exit(0)
        finally:
            os._exit(99)

    def ready(self, times: int = 1) -> Child:
        assert all(os.read(self._end, 1) == b"x" for _ in range(times))
        return self

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def sleep(ready: Ready) -> None:
    ready()
    time.sleep(600)


def hold(size: int) -> Callable[[Ready], None]:
    """Touch *size* bytes of anonymous memory and keep them."""

    def action(ready: Ready) -> None:
        area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, size, mmap.PAGESIZE):
            area[offset] = 1
        ready()
        time.sleep(600)

    return action


def daemonize(ready: Ready) -> None:
    """A tree of four: each level leaves its parent's session, one level loses its parent."""
    for _ in range(3):
        if os.fork():
            sleep(ready)
        os.setsid()
    if os.fork():
        os._exit(0)
    sleep(ready)


def fork_without_end(ready: Ready) -> None:
    for number in range(400):
        if not os.fork():
            time.sleep(600)
        if number == 20:
            ready()
    time.sleep(600)


def test_groups_of_a_container_and_nothing_else(manager: Manager) -> None:
    before = directories()
    group = manager.container("one")
    group.create()
    made = {path for path in set(directories()) - set(before) if "/blkio/" not in path}  # of the jobs' I/O alone
    assert len(made) == len(manager.layout.used())
    assert all(path.endswith(f"/{PARENT}/instance-one") for path in made)
    assert manager.leftovers() == ["one"]
    group.remove()
    group.remove()
    assert directories() == before
    assert manager.leftovers() == []


def test_a_container_that_exists_is_left_alone(group: ContainerGroup, manager: Manager) -> None:
    before = directories()
    with pytest.raises(KernelRefused) as caught:
        manager.container("one").create()
    assert caught.value.errno == errno.EEXIST
    assert directories() == before


def test_a_create_that_fails_half_way_leaves_nothing(manager: Manager) -> None:
    in_the_way = Path(manager.layout.used()[-1].root, PARENT, "instance-two")
    in_the_way.mkdir()
    before = directories()
    with pytest.raises(KernelRefused):
        manager.container("two").create()
    assert directories() == before
    in_the_way.rmdir()


def test_limit_is_rounded_down_to_a_page(group: ContainerGroup) -> None:
    assert group.memory_limit() is None
    for wanted, got in ((64 * MIB + 1, 64 * MIB), (128 * MIB, 128 * MIB), (32 * MIB, 32 * MIB), (None, None)):
        group.set_limits(Limits(wanted))
        assert group.memory_limit() == got


def test_shares_are_clamped_and_read_back(group: ContainerGroup) -> None:
    assert group.cpu_shares() == 1024
    for asked, got in ((512, 512), (1, 2), (0, 2), (10**9, 262144), (1024, 1024)):
        group.set_limits(Limits(cpu_shares=asked))
        assert group.cpu_shares(asked) == got
    group.set_limits(Limits(cpu_shares=512))
    group.set_limits(Limits(64 * MIB), Limits())
    assert abs(group.cpu_shares() - 512) <= 16, "setting another limit must not touch the shares"


def test_limit_below_use(group: ContainerGroup, job: JobGroup) -> None:
    """Refused, and what was set is kept; v2's kernel would take it and kill."""
    group.set_limits(Limits(256 * MIB))
    child = Child(job, hold(48 * MIB)).ready()
    with pytest.raises(KernelRefused) as caught:
        group.set_limits(Limits(8 * MIB))
    assert caught.value.errno == errno.EBUSY
    assert "more than that" in caught.value.hint
    assert group.memory_limit() == 256 * MIB
    group.kill()
    assert child.wait() == -signal.SIGKILL


def test_memory_statistics_have_the_protocols_names(group: ContainerGroup, job: JobGroup) -> None:
    group.set_limits(Limits(64 * MIB))
    child = Child(job, hold(8 * MIB)).ready()
    use = group.memory_use()
    assert 8 * MIB <= use.current <= 64 * MIB
    assert use.peak is None or use.peak >= 8 * MIB
    assert (use.limit, use.oom_kills) == (64 * MIB, 0)
    assert use.stat["rss"] == use.stat["total_rss"] >= 7 * MIB
    assert use.stat["hierarchical_memory_limit"] == 64 * MIB
    names = {name.removeprefix("total_").removeprefix("hierarchical_") for name in use.stat}
    assert {"pgfault", "cache", "active_anon"} <= names <= {*STAT_NAMES, "memory_limit", "memsw_limit"}
    job.kill()
    assert child.wait() == -signal.SIGKILL


def test_processor_time_of_a_job_and_its_container(group: ContainerGroup, job: JobGroup) -> None:
    def burn(ready: Ready) -> None:
        start = time.process_time()
        while time.process_time() - start < 0.06:
            pass

    assert Child(job, burn).wait() == 0
    use = job.usage()
    assert use.cpu_user_s + use.cpu_system_s >= 0.06
    job.remove()
    assert group.cpu().usage_ns >= 60_000_000


def test_a_child_joins_every_hierarchy(group: ContainerGroup, job: JobGroup, manager: Manager) -> None:
    assert not job.populated()
    child = Child(job, sleep).ready()
    mine = [line for line in Path(f"/proc/{child.pid}/cgroup").read_text().split() if PARENT in line]
    own = [line for line in mine if line.endswith(f"/{PARENT}/instance-one/job-1")]
    shared = [line for line in mine if line.endswith(f"/{PARENT}/instance-one")]
    used = manager.layout.used()
    assert (len(own), len(shared)) == (sum(h.per_job for h in used), sum(not h.per_job for h in used))
    assert job.pids() == group.pids() == [child.pid]
    assert job.populated()
    assert group.existing_jobs() == [1]
    job.kill()
    assert child.wait() == -signal.SIGKILL
    assert not job.populated()


def test_descriptors_to_join_are_not_inherited(job: JobGroup) -> None:
    joins = job.open_join()
    assert joins
    assert not any(os.get_inheritable(fd) for fd in joins)
    for fd in joins:
        os.close(fd)


@pytest.mark.parametrize("way", ["the kernel's best", "frozen", "by signals"])
def test_kill_reaches_a_tree_that_hides(
    group: ContainerGroup, job: JobGroup, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_job = group.job(2)
    other_job.create()
    neighbour = Child(other_job, sleep).ready()
    child = Child(job, daemonize).ready(4)
    assert len(job.pids()) >= 4
    if way != "the kernel's best":
        chosen = kill._kill_frozen if way == "frozen" else kill.signal_group
        monkeypatch.setattr(kill, "_round_for", lambda path, is_v2: chosen)
    job.kill()
    assert (job.pids(), job.populated()) == ([], False)
    assert child.wait() == -signal.SIGKILL
    assert other_job.pids() == [neighbour.pid]
    other_job.kill()
    assert neighbour.wait() == -signal.SIGKILL


@pytest.mark.parametrize("frozen", [False, True])
def test_kill_outruns_a_fork_bomb(job: JobGroup, frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(job, fork_without_end).ready()
    if frozen:
        monkeypatch.setattr(kill, "_round_for", lambda path, is_v2: kill._kill_frozen)
    job.kill()
    assert job.pids() == []
    assert child.wait() == -signal.SIGKILL


def test_killing_nothing(group: ContainerGroup, job: JobGroup) -> None:
    job.kill()
    job.remove()
    job.kill()
    assert (job.pids(), job.populated()) == ([], False)


def test_out_of_memory_is_told_of_the_job_it_happened_in(group: ContainerGroup, job: JobGroup) -> None:
    group.set_limits(Limits(16 * MIB))
    other_job = group.job(2)
    other_job.create()
    neighbour = Child(other_job, sleep).ready()
    with group.watch_oom() as watch:
        assert watch.oom_kills() == 0
        hog = Child(job, hold(64 * MIB))
        assert select.select([watch], [], [], 60)[0] == [watch]
        assert hog.wait() == -signal.SIGKILL
        watch.drain()
        assert (job.usage().oom_kills, other_job.usage().oom_kills) == (1, 0)
        assert watch.oom_kills() == 1
        peak = job.usage().peak_memory_bytes
        assert peak is None or 8 * MIB < peak < 64 * MIB  # v2 charges a dying victim beyond the limit
        job.remove()
        assert watch.oom_kills() == group.memory_use().oom_kills == 1
    assert watch.fileno() == -1
    assert other_job.pids() == [neighbour.pid]
    group.kill()
    assert neighbour.wait() == -signal.SIGKILL


def test_no_wake_up_without_a_kill(group: ContainerGroup, job: JobGroup) -> None:
    with group.watch_oom() as watch:
        assert Child(job, lambda ready: None).wait() == 0
        assert select.select([watch], [], [], 0)[0] == []
        watch.drain()


def test_kill_together(group: ContainerGroup, job: JobGroup) -> None:
    """v2 ends the victim's whole job; in v1 it is the engine that must."""
    group.set_limits(Limits(16 * MIB))
    job.set_kill_together()
    bystander = Child(job, sleep).ready()
    assert Child(job, hold(64 * MIB)).wait() == -signal.SIGKILL
    if not IS_V2:
        assert job.pids() == [bystander.pid]
        job.kill()
    assert bystander.wait() == -signal.SIGKILL


def test_remove_is_refused_while_a_process_is_left(group: ContainerGroup, job: JobGroup) -> None:
    child = Child(job, sleep).ready()
    with pytest.raises(KernelRefused) as caught:
        group.remove()
    assert caught.value.errno == errno.EBUSY
    group.kill()
    assert child.wait() == -signal.SIGKILL
    group.remove()
    assert group.existing_jobs() == []


def test_groups_made_inside_go_too(group: ContainerGroup, job: JobGroup, manager: Manager) -> None:
    for hierarchy in manager.layout.used():
        Path(hierarchy.root, PARENT, "instance-one", "inner", "most").mkdir(parents=True)
    group.remove()
    assert manager.leftovers() == []


def test_what_is_asked_of_a_container_that_is_gone(manager: Manager) -> None:
    gone = manager.container("gone")
    assert (gone.pids(), gone.existing_jobs()) == ([], [])
    for ask in (gone.memory_use, gone.cpu, gone.watch_oom, gone.job(1).usage, gone.job(1).open_join):
        with pytest.raises(KernelRefused):
            ask()
    gone.kill()
    gone.job(1).remove()
    gone.remove()


def test_supervisors_have_a_group_outside_every_limit(manager: Manager) -> None:
    places = [*manager.supervisor_joins(), *filter(None, [manager.supervisor_into()])]
    assert len(places) == len(manager.layout.used())
    assert all(f"/{PARENT}/wshd" in place and os.path.exists(place) for place in places)


def test_parent_stays_while_a_container_is_there(group: ContainerGroup, manager: Manager) -> None:
    before = directories()
    manager.remove_parent_if_empty()
    assert directories() == before


def test_parent_stays_while_a_supervisor_is_there(manager: Manager) -> None:
    before = directories()
    supervisor = Child(JobGroup((), "", 0, lambda killed: None), sleep).ready()
    for place in [*manager.supervisor_joins(), *filter(None, [manager.supervisor_into()])]:
        file = place if place.endswith("/tasks") else f"{place}/cgroup.procs"
        Path(file).write_text(str(supervisor.pid))
    manager.remove_parent_if_empty()
    assert directories() == before
    os.kill(supervisor.pid, signal.SIGKILL)
    assert supervisor.wait() == -signal.SIGKILL


def test_nested_parent_goes_with_what_was_made_above_it() -> None:
    manager = Manager(f"{PARENT}/inner/warden")
    manager.prepare()
    group = manager.container("one")
    group.create()
    group.set_limits(Limits(32 * MIB))
    group.remove()
    manager.remove_parent_if_empty()
    assert directories() == []


@pytest.mark.skipif(Manager(PARENT).layout.v2 is None, reason="no cgroup v2 is mounted")
def test_nothing_is_written_above_what_was_delegated(monkeypatch: pytest.MonkeyPatch) -> None:
    above = f"{Manager(PARENT).layout.v2}/{PARENT}"
    written: list[str] = []
    write = files.write

    def watch(path: str, value: str, *, hint: str = "") -> None:
        written.append(os.path.dirname(path))
        write(path, value, hint=hint)

    os.mkdir(above)
    os.mkdir(f"{above}/theirs")
    manager = Manager(f"{PARENT}/theirs/warden")
    try:
        os.setxattr(f"{above}/theirs", "trusted.delegate", b"1")
        monkeypatch.setattr(files, "write", watch)
        manager.prepare()
        group = manager.container("one")
        group.create()
        group.remove()
        assert not {above, os.path.dirname(above)} & set(written)
        if IS_V2:  # nothing was given on to it, so it has nothing to give
            assert f"{above}/theirs" in written
            assert Path(f"{above}/theirs/cgroup.controllers").read_text().split() == []
    finally:
        monkeypatch.undo()
        manager.remove_parent_if_empty()
        for path in directories():
            files.remove_group(path)
    assert directories() == []


def test_two_prepare_at_once() -> None:
    managers = [Manager(PARENT) for _ in range(8)]
    with ThreadPoolExecutor(len(managers)) as pool:
        list(pool.map(Manager.prepare, managers))
    managers[0].remove_parent_if_empty()
    assert directories() == []


def test_nothing_is_missing_here() -> None:
    assert Manager(PARENT).missing() == []


def deep(top: str, levels: int) -> int:
    """A descriptor of the lowest of groups whose path is longer than PATH_MAX."""
    fd = os.open(top, os.O_PATH)
    for _ in range(levels):
        os.mkdir("a" * 200, dir_fd=fd)
        below = os.open("a" * 200, os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


def test_groups_deeper_than_a_path_is_long_are_emptied_and_removed(group: ContainerGroup) -> None:
    """A container that has its own cgroups can make such. Only one that is in use is waited for: 0 s are enough here."""
    for path in set(group.directories().values()):
        os.mkdir(f"{path}/beside")
        os.close(deep(path, 40))
    path = next(path for key, path in group.directories().items() if key in ("", "freezer", "pids", "memory"))
    lowest = deep(f"{path}/beside", 40)
    child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    try:
        fd = os.open("cgroup.procs", os.O_WRONLY, dir_fd=lowest)
        os.write(fd, str(child).encode())
        os.close(fd)
        assert kill.pids(path) == [child]
    finally:
        os.close(lowest)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for path in set(group.directories().values()):
        for name in files.subgroups(path):
            files.remove_group(f"{path}/{name}", timeout_s=0)
