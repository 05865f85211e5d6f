"""Pause, resume and kill: what stands still can be ended at once, and nothing of it is forgotten over a restart."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from scene import client_of, collect, nothing_new, processes_of, read_until, wait_until

from warden.client.blocking import Client, Container, JobHandle
from warden.errors import UnknownJob, WrongState
from warden.model.info import State
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done"
DEAF = "trap '' TERM; echo up; while :; do sleep 0.02; done"


@pytest.fixture(scope="module")
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as client:
        yield client


@pytest.fixture
def box(shared_daemon: PrivateDaemon, client: Client) -> Iterator[Container]:
    with nothing_new(shared_daemon), client.create() as container:
        yield container


def counter(container: Container) -> JobHandle:
    """A job that counts, and has begun to."""
    job = container.spawn(COUNT)
    wait_until(lambda: count_of(container) > 0)
    return job


def count_of(container: Container) -> int:
    """How far it came, seen from outside: nothing can run in a paused container."""
    try:
        with open(f"/proc/{container.info().pid}/root/tmp/count") as file:
            return int(file.read() or 0)
    except FileNotFoundError:
        return 0


def stands_still(container: Container) -> bool:
    before = count_of(container)
    time.sleep(0.15)
    return count_of(container) == before


def goes_on(container: Container) -> None:
    before = count_of(container)
    wait_until(lambda: count_of(container) > before, "it does not go on")


def test_pause_and_resume_and_both_twice(box: Container) -> None:
    job = counter(box)
    for _ in range(2):
        box.pause()
        box.pause()
        info = box.info()
        assert (info.paused, info.state) == (True, State.ACTIVE)
        assert stands_still(box)
        box.resume()
        box.resume()
        assert not box.info().paused
        goes_on(box)
    job.kill()
    assert job.wait().verdict is Verdict.STOPPED


def test_no_job_starts_in_a_paused_container(box: Container) -> None:
    box.pause()
    with pytest.raises(WrongState, match=r"it is paused \(resume it first\)"):
        box.run("true")
    box.resume()
    assert box.run("echo on").stdout == b"on\n"


def test_a_paused_container_is_looked_at_and_copied_from(box: Container, tmp_path: object) -> None:
    counter(box)
    box.pause()
    assert box.limit_memory("256M") == 256 << 20
    box.copy_out("/tmp/count", f"{tmp_path}/count")
    assert box.info().jobs[0].running
    box.resume()


def test_one_job_of_a_paused_container_is_killed(box: Container) -> None:
    victim = box.spawn("(setsid sleep 1000 &) ; echo up; sleep 1000")
    read_until(victim, b"up\n")
    counter(box)
    box.pause()
    victim.kill()
    result = victim.wait()
    assert (result.verdict, result.signal, result.stdout) == (Verdict.STOPPED, signal.SIGKILL, b"up\n")
    assert stands_still(box)
    box.resume()
    goes_on(box)


def test_all_jobs_of_a_paused_container_are_killed_and_it_stays_paused(box: Container) -> None:
    jobs = [counter(box), box.spawn(DEAF)]
    box.pause()
    box.kill()
    assert [job.wait().verdict for job in jobs] == [Verdict.STOPPED] * 2
    assert box.info().paused
    box.resume()
    assert box.run("echo usable").stdout == b"usable\n"


@pytest.mark.parametrize("kill", [False, True])
def test_a_paused_container_is_stopped(box: Container, shared_daemon: PrivateDaemon, kill: bool) -> None:
    kind = box.spawn("trap 'echo told; exit 37' TERM; echo up; while :; do sleep 0.02; done")
    read_until(kind, b"up\n")
    box.pause()
    box.stop(kill=kill)
    result = kind.wait()
    assert result.verdict is (Verdict.STOPPED if kill else Verdict.EXITED)
    assert (result.exit_status, result.stdout) == ((255, b"up\n") if kill else (37, b"up\ntold\n"))
    info = box.info()
    assert (info.state, info.paused) == (State.STOPPED, False)
    wait_until(lambda: processes_of(shared_daemon) == {info.pid})
    for act in (box.pause, box.resume, box.kill):
        with pytest.raises(WrongState):
            act()


def test_a_paused_container_is_destroyed_while_somebody_waits(client: Client, shared_daemon: PrivateDaemon) -> None:
    with nothing_new(shared_daemon):
        container = client.create()
        job = container.spawn(DEAF)
        stream = job.stream()
        assert next(stream).data == b"up\n"
        container.pause()
        container.destroy()
        assert list(stream) == []
        assert stream.result is not None
        assert stream.result.verdict is Verdict.STOPPED


def test_the_wall_clock_goes_on_and_processor_time_does_not(box: Container) -> None:
    timed = box.spawn("sleep 1000", timeout=0.4)
    burning = box.spawn("while :; do :; done", cpu_timeout=2.5)
    box.pause()
    assert timed.wait().verdict is Verdict.WALL_TIMEOUT
    assert box.info().paused
    time.sleep(2.6)
    assert [job.running for job in box.info().jobs if job.id == burning.id] == [True]
    box.resume()
    assert burning.wait().verdict is Verdict.CPU_TIMEOUT


def test_a_pause_survives_crashes(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, client.create() as container:
        counter(container)
        timed = container.spawn("sleep 1000", timeout=2)
        container.pause()
        for _ in range(2):
            daemon.kill()
            daemon.start()
            assert container.info().paused
            assert stands_still(container)
        assert timed.wait().verdict is Verdict.WALL_TIMEOUT
        container.resume()
        daemon.kill()
        daemon.start()
        assert not container.info().paused
        goes_on(container)
        container.pause()
        daemon.kill()
        daemon.start()
        container.stop()
        assert container.info().state is State.STOPPED


def test_a_paused_container_that_was_half_destroyed_goes(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, nothing_new(daemon):
        container = client.create()
        container.spawn(DEAF)
        container.pause()
        path = container.info().path
        daemon.kill()
        subprocess.run(["rm", f"{path}/snapshot.json"], check=True)
        daemon.start()
        assert client.list() == []


def test_a_thousand_processes(box: Container) -> None:
    job = box.spawn("for i in $(seq 1000); do sleep 1000 & done; echo up; wait", rlimits={"nproc": 2000})
    read_until(job, b"up\n")
    box.pause()
    assert box.info().paused
    box.resume()
    box.pause()
    job.kill()
    assert job.wait().verdict is Verdict.STOPPED
    box.resume()


def test_jobs_end_and_start_while_it_is_paused_and_resumed(box: Container) -> None:
    ended = 0
    for number in range(20):
        jobs = []
        for _ in range(3):
            jobs.append(box.spawn(f"sleep 0.0{number % 5}; exit 3"))
        box.pause()
        jobs[0].kill()
        box.resume()
        results = [job.wait() for job in jobs]
        assert {result.verdict for result in results} <= {Verdict.EXITED, Verdict.STOPPED}
        ended += sum(result.exit_status == 3 for result in results)
    assert ended >= 40


def test_kill_ends_every_tree_and_leaves_the_container(box: Container, shared_daemon: PrivateDaemon) -> None:
    runaway = (
        "import os, time\nfor _ in range(3):\n    if os.fork(): break\n    os.setsid()\n"
        "signal = __import__('signal')\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "print('up', flush=True)\ntime.sleep(1000)"
    )
    jobs = [box.spawn(["python3", "-c", runaway]) for _ in range(3)]
    for job in jobs:
        read_until(job, b"up\nup\nup\nup\n")
    box.run("(setsid sleep 1000 > /dev/null 2>&1 &); exit 0", check=True)  # of a job that has ended
    box.kill()
    assert {(result.verdict, result.signal) for result in (job.wait() for job in jobs)} == {(Verdict.STOPPED, 9)}
    wait_until(lambda: processes_of(shared_daemon) == {box.info().pid})
    box.kill()
    assert box.run("echo usable").stdout == b"usable\n"


def warden(daemon: PrivateDaemon, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands(box: Container, shared_daemon: PrivateDaemon) -> None:
    first, second = box.spawn("trap 'exit 9' HUP; echo up; while :; do sleep 0.02; done"), box.spawn("sleep 1000")
    read_until(first, b"up\n")
    assert warden(shared_daemon, "pause", box.handle).returncode == 0
    assert "paused" in warden(shared_daemon, "ps").stdout
    assert "active, paused" in warden(shared_daemon, "info", box.handle).stdout
    assert warden(shared_daemon, "resume", box.handle).returncode == 0
    assert warden(shared_daemon, "kill", "--job", str(first.id), "-s", "hup", box.handle).returncode == 0
    assert first.wait().exit_status == 9
    assert warden(shared_daemon, "kill", box.handle).returncode == 0
    assert second.wait().verdict is Verdict.STOPPED
    failed = warden(shared_daemon, "pause", "nonesuch")
    assert (failed.returncode, failed.stderr) == (3, "warden: nonesuch: unknown handle\n")
    with pytest.raises(UnknownJob):
        second.wait()


def test_the_command_that_uses_up_its_processor_time(shared_daemon: PrivateDaemon) -> None:
    done = warden(shared_daemon, "run", "--cpu-timeout", "300ms", "--", "sh", "-c", "while :; do :; done")
    told = re.fullmatch(r"warden: processor time used up: (\d+\.\d) s\n", done.stderr)
    assert done.returncode == 152
    assert told is not None and float(told[1]) >= 0.3, done.stderr


def test_output_until_the_kill_is_kept(box: Container) -> None:
    job = box.spawn("echo before; sleep 1000")
    read_until(job, b"before\n")
    box.kill()
    assert collect(job)[0] == b"before\n"
