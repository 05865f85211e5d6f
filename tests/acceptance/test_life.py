"""The end of a container, whoever brings it about: stop, destroy, memory, the host, time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from scene import client_of, collect, nothing_new, processes_of, read_until, wait_until

from warden.client.blocking import Client, Container, Result
from warden.errors import UnknownHandle, WardenError, WrongState
from warden.model.info import State
from warden.model.job import Verdict
from warden.protocol import warden_pb2 as pb
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"
HOG = "a=[]\nwhile True: a.append(bytearray(4<<20))"


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    """Afterwards the daemon has what it had before."""
    with client_of(shared_daemon) as client, nothing_new(shared_daemon):
        yield client


@pytest.fixture
def other(shared_daemon: PrivateDaemon, client: Client) -> Iterator[Client]:
    """A second client, for what happens at the same time."""
    with client_of(shared_daemon) as other:
        yield other


class Waiting:
    """A result that a thread waits for."""

    def __init__(self, client: Client, handle: str, job: int) -> None:
        self.result: Result | None = None
        self.error: WardenError | None = None
        self._thread = threading.Thread(target=self._wait, args=(client, handle, job))
        self._thread.start()

    def _wait(self, client: Client, handle: str, job: int) -> None:
        try:
            self.result = client.container(handle).job(job).wait()
        except WardenError as error:
            self.error = error

    def get(self) -> Result:
        self._thread.join(60)
        assert self.error is None
        assert self.result is not None
        return self.result


def is_stopped(container: Container) -> bool:
    return container.info().state is State.STOPPED


def test_stop_lets_a_handler_finish(client: Client) -> None:
    with client.create() as container:
        job = container.spawn("trap 'echo bye; exit 37' TERM; echo up; while :; do sleep 0.05; done")
        read_until(job, b"up\n")
        container.stop()
        result = job.wait()
        assert (result.exit_status, result.stdout, result.verdict) == (37, b"up\nbye\n", Verdict.EXITED)
        assert is_stopped(container)
        assert container.info().pid


def test_stop_kills_at_once_when_asked(client: Client) -> None:
    with client.create() as container:
        job = container.spawn(DEAF)
        read_until(job, b"up\n")
        container.stop(kill=True)
        assert (job.wait().signal, job.id) == (signal.SIGKILL, job.id)


@pytest.mark.slow
def test_stop_kills_what_ignores_it(client: Client) -> None:
    with client.create() as container:
        deaf, polite = container.spawn(DEAF), container.spawn(["sleep", "1000"])
        read_until(deaf, b"up\n")
        container.stop()
        assert (polite.wait().signal, deaf.wait().signal) == (signal.SIGTERM, signal.SIGKILL)


def test_a_stopped_container_can_be_looked_at_and_no_more(client: Client) -> None:
    with client.create(memory="64M") as container:
        container.stop()
        container.stop()
        assert container.limit_memory() == 64 << 20
        assert container.info().state is State.STOPPED
        with pytest.raises(WrongState, match="Container state must be one of 'active', current state is 'stopped'"):
            container.spawn("true")


def test_stop_in_the_background_answers_at_once(client: Client) -> None:
    with client.create() as container:
        job = container.spawn(
            ["bash", "-c", "trap 'read line; exit 3' TERM; echo up; while :; do sleep 0.05; done"], interactive=True
        )
        read_until(job, b"up\n")
        client.call(pb.StopRequest(handle=container.handle.encode(), background=True))
        wait_until(lambda: is_stopped(container))
        with job.attach() as attachment:
            attachment.write(b"now\n")
            for _ in attachment:
                pass
        assert job.wait().exit_status in (3, 255)


def test_stop_reaches_background_processes(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create() as container:
        container.run("setsid sleep 1000 > /dev/null 2>&1 & setsid sleep 1001 & exit 0", check=True)
        container.stop()
        wait_until(lambda: processes_of(shared_daemon) == {container.info().pid})


def test_destroy_while_a_job_runs_and_somebody_waits(client: Client, other: Client) -> None:
    container = client.create()
    job = container.spawn("echo said; sleep 1000")
    read_until(job, b"said\n")
    waiting = [Waiting(other, container.handle, job.id) for _ in range(3)]
    stream = job.stream()
    assert next(stream).data == b"said\n"
    container.destroy()
    for waiter in waiting:
        result = waiter.get()
        assert (result.exit_status, result.verdict) == (255, Verdict.STOPPED)
        assert result.info is not None
    assert list(stream) == []
    assert stream.result is not None
    assert stream.result.verdict is Verdict.STOPPED
    with pytest.raises(UnknownHandle, match="unknown handle"):
        container.info()


def test_destroy_twice_one_after_the_other_and_at_once(client: Client, shared_daemon: PrivateDaemon) -> None:
    container = client.create()
    container.spawn(DEAF)
    errors: list[WardenError] = []

    def destroy() -> None:
        with client_of(shared_daemon) as mine:
            try:
                mine.container(container.handle).destroy()
            except WardenError as error:
                errors.append(error)

    threads = [threading.Thread(target=destroy) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(error, UnknownHandle) for error in errors)
    assert len(errors) < 5
    with pytest.raises(UnknownHandle):
        container.destroy()


def test_destroy_cuts_a_stop_short(client: Client, other: Client) -> None:
    container = client.create()
    job = container.spawn(DEAF)
    read_until(job, b"up\n")
    stopping = threading.Thread(target=_quietly, args=(other.container(container.handle),))
    stopping.start()
    wait_until(lambda: is_stopped(container))
    container.destroy()
    stopping.join()


def _quietly(container: Container) -> None:
    with suppress(WardenError):
        container.stop()


def test_destroy_while_jobs_are_being_started(client: Client, shared_daemon: PrivateDaemon) -> None:
    def start_many(handle: str) -> None:
        with client_of(shared_daemon) as mine, suppress(WardenError):
            for _ in range(500):
                mine.container(handle).run(["true"])

    for _ in range(5):
        container = client.create()
        threads = [threading.Thread(target=start_many, args=(container.handle,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        container.run(["true"])
        container.destroy()
        for thread in threads:
            thread.join()


def test_out_of_memory_kills_the_guilty_job_only(client: Client) -> None:
    with client.create(memory="64M") as container:
        innocent = container.spawn(["bash", "-c", "while read line; do echo got $line; done"], interactive=True)
        guilty = container.run(f"sleep 1000 & python3 -c '{HOG}'; echo survived; sleep 1000")
        assert guilty.verdict is Verdict.OUT_OF_MEMORY
        assert b"survived" not in guilty.stdout or guilty.exit_status == 255
        with innocent.attach() as attachment:
            attachment.write(b"word\n")
            assert next(attachment).data == b"got word\n"
            attachment.close_stdin()
            list(attachment)
        assert innocent.wait().exit_status == 0
        assert container.info().state is State.ACTIVE
        assert "out of memory" in container.info().events
        assert container.run("echo goes on").stdout == b"goes on\n"


def test_out_of_memory_twice_in_one_container(client: Client) -> None:
    with client.create(memory="48M") as container:
        for _ in range(3):
            assert container.run(["python3", "-c", HOG]).verdict is Verdict.OUT_OF_MEMORY
            assert container.run(["true"]).ok


def test_out_of_memory_stops_the_container_where_that_is_the_rule(client: Client) -> None:
    with client.create(memory="64M", oom_policy="stop") as container:
        innocent = container.spawn(["sleep", "1000"])
        guilty = container.spawn(["python3", "-c", HOG])
        assert guilty.wait().verdict is Verdict.OUT_OF_MEMORY
        assert innocent.wait().exit_status == 255
        wait_until(lambda: is_stopped(container))
        assert "out of memory" in container.info().events


def test_memory_written_to_shm_is_charged(client: Client) -> None:
    with client.create(memory="48M") as container:
        result = container.run("head -c 200M /dev/zero > /dev/shm/x; echo $?")
        assert result.verdict is Verdict.OUT_OF_MEMORY
        assert container.run("rm -f /dev/shm/x", timeout=30).verdict in (Verdict.EXITED, Verdict.OUT_OF_MEMORY)


def test_pid_1_killed_by_the_host(client: Client, other: Client) -> None:
    container = client.create()
    running = container.spawn("echo said; sleep 1000")
    ended = container.spawn("echo done; exit 4")
    read_until(running, b"said\n")
    wait_until(lambda: len([job for job in container.info().jobs if job.running]) == 1)
    waiting = Waiting(other, container.handle, running.id)
    os.kill(container.info().pid, signal.SIGKILL)
    result = waiting.get()
    assert (result.exit_status, result.verdict, result.stdout) == (255, Verdict.ENGINE_ERROR, b"said\n")
    assert result.detail
    info = container.info()
    assert (info.state, info.pid) == (State.STOPPED, 0)
    with pytest.raises(WrongState):
        container.run("true")
    assert collect(ended)[0] == b"done\n"
    container.stop()
    container.destroy()


def test_killed_from_the_host_a_job_is_signaled(client: Client, shared_daemon: PrivateDaemon) -> None:
    with client.create() as container:
        job = container.spawn(["sleep", "1000"])
        for pid in processes_of(shared_daemon) - {container.info().pid}:
            os.kill(pid, signal.SIGKILL)
        result = job.wait()
        assert (result.verdict, result.signal, result.exit_status) == (Verdict.SIGNALED, 9, 255)


def test_grace_time_ends_a_container_that_nobody_holds(client: Client, shared_daemon: PrivateDaemon) -> None:
    client.ping()  # a connection made later would hold the container (spec/warden.md §3)
    with Client(shared_daemon.socket) as creator:
        handle = creator.create(grace_time=0).handle
        assert creator.container(handle).run("true").ok
    wait_until(lambda: handle not in client.list())


def test_grace_time_does_not_run_while_somebody_is_connected(client: Client, shared_daemon: PrivateDaemon) -> None:
    with Client(shared_daemon.socket) as creator:
        container = client.container(creator.create(grace_time=0).handle)
        assert container.run("true").ok  # names it: from here on this connection holds it
    assert container.run("echo there").stdout == b"there\n"
    container.destroy()


def test_frozen_by_its_own_root_it_is_destroyed_all_the_same(client: Client) -> None:
    with client.create() as container:
        stopper = container.spawn("kill -STOP -1; echo all; kill -STOP $$", privileged=True)
        read_until(stopper, b"all\n")
        container.spawn("kill -STOP 1; kill -KILL 1; kill -SEGV 1", privileged=True)
        assert container.run("echo works").stdout == b"works\n"


def test_a_fork_bomb_that_is_limited_goes_with_the_container(client: Client) -> None:
    with client.create() as container:
        job = container.spawn("b() { b | b & }; b; sleep 1000", rlimits={"nproc": 60})
        wait_until(lambda: len(container.info().jobs) == 1)
        job.kill()
        job.wait()


def test_what_happens_beside_a_change_of_ports_is_not_taken_back(client: Client, other: Client) -> None:
    """A change of the firewall takes a while, and then only what it changed is written."""

    def forward(container: Container) -> None:
        with suppress(WrongState, UnknownHandle):  # it may come too late
            container.net_in()

    for number in range(20):
        container = client.create(f"was{number}")
        change = threading.Thread(target=forward, args=(container,))
        change.start()
        renamed = other.container(f"was{number}")
        renamed.rename(f"is{number}")
        renamed.stop()
        change.join()
        info = other.container(f"is{number}").info()
        assert (info.handle, info.state) == (f"is{number}", State.STOPPED)
        other.container(f"is{number}").destroy()
        assert other.list() == []
