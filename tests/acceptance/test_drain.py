"""The daemon's ends by signal with the real engine: USR2 lets requests finish, TERM and INT end at once, and the next
daemon takes up every container and job (spec/warden.md §8 and §9)."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import client_of, collect, configured_daemon, holdings, processes_of, read_until, roomy_daemon, wait_until

from warden.client.blocking import Client, Container, JobHandle
from warden.errors import Unreachable, WardenError
from warden.model.info import State
from warden.model.job import Verdict
from warden.protocol import codec
from warden.protocol import warden_pb2 as wire
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

AWAIT = "while ! [ -e /flags/go ]; do sleep 0.01; done; "


@pytest.fixture
def pidfile(tmp_path: Path) -> Path:
    return tmp_path / "warden.pid"


@pytest.fixture
def drained(pidfile: Path) -> Iterator[PrivateDaemon]:
    """A daemon with a pid file; each test ends it in its own way."""
    with configured_daemon(server={"pidfile": str(pidfile)}, network={"release_delay": 0}) as private:
        yield private


@pytest.fixture
def client(drained: PrivateDaemon) -> Iterator[Client]:
    with client_of(drained) as client:
        yield client


class Waiter(threading.Thread):
    """Waits for a job on a connection of its own; *error* is what it ended with."""

    def __init__(self, private: PrivateDaemon, job: JobHandle, handle: str, *, stream: bool) -> None:
        super().__init__()
        self.error: WardenError | None = None
        self.seen = b""
        self._private, self._id, self._handle, self._stream = private, job.id, handle, stream
        self.start()

    def run(self) -> None:
        with client_of(self._private) as client:
            job = client.container(self._handle).job(self._id)
            try:
                if self._stream:
                    with job.stream() as stream:
                        for chunk in stream:
                            self.seen += chunk.data
                else:
                    job.wait()
            except WardenError as error:
                self.error = error


@pytest.mark.parametrize("end", [PrivateDaemon.drain, PrivateDaemon.stop])
def test_waiting_clients_see_the_end_and_jobs_go_on(
    drained: PrivateDaemon, client: Client, flags: Path, pidfile: Path, end: object
) -> None:
    """The three cases: a job that ended before, one that ends while no daemon is there, one that still runs."""
    with client.create(mounts=[(str(flags), "/flags")]) as container:
        before, meanwhile = container.spawn("echo before; exit 3"), container.spawn(f"echo a; {AWAIT} echo b; exit 4")
        going = container.spawn("for i in $(seq 1000); do echo $i; sleep 0.01; done; read never < <(sleep 1000)")
        wait_until(lambda: [job.running for job in container.info().jobs] == [False, True, True])
        linker = Waiter(drained, meanwhile, container.handle, stream=False)
        streamer = Waiter(drained, going, container.handle, stream=True)
        wait_until(lambda: b"5\n" in streamer.seen)
        assert int(pidfile.read_text()) == drained.pid
        assert end(drained) == 0  # type: ignore[operator]
        linker.join()
        streamer.join()
        assert isinstance(linker.error, Unreachable)
        assert isinstance(streamer.error, Unreachable)
        assert not pidfile.exists()
        (flags / "go").touch()
        wait_until(lambda: len(processes_of(drained)) >= 2)
        drained.start()
        assert int(pidfile.read_text()) == drained.pid
        early, late = before.wait(), meanwhile.wait()
        assert (early.stdout, early.exit_status) == (b"before\n", 3)
        assert (late.stdout, late.exit_status, late.verdict) == (b"a\nb\n", 4, Verdict.EXITED)
        read_until(going, b"\n20\n")
        going.kill()
        stdout, _, result = collect(going)
        numbers = stdout.split()
        assert numbers == [b"%d" % number for number in range(1, len(numbers) + 1)]
        assert result.signal == signal.SIGKILL
        wait_until(lambda: not holdings(drained)["jobs"])


def test_a_drain_under_load_finishes_what_was_begun() -> None:
    """Twenty clients create, use and destroy; whatever was answered is true, and nothing half made is left."""
    with roomy_daemon() as private:
        made: set[str] = set()
        unexpected: list[WardenError] = []
        began = threading.Barrier(21)

        def churn(number: int) -> None:
            with client_of(private) as client:
                client.ping()
                began.wait()
                try:
                    for turn in range(1000):
                        container = client.create(f"box-{number}-{turn}")
                        made.add(container.handle)
                        assert container.run("echo x").stdout == b"x\n"
                        if turn % 2:
                            made.discard(container.handle)
                            container.destroy()
                            # cut off before the answer, it may or may not have been done
                except Unreachable:
                    pass
                except WardenError as error:
                    unexpected.append(error)

        threads = [threading.Thread(target=churn, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        began.wait()
        wait_until(lambda: len(made) >= 20)
        assert private.drain() == 0
        for thread in threads:
            thread.join()
        assert not unexpected
        private.start()
        with client_of(private) as client:
            found = {info.handle for info in client.containers() if info.state is State.ACTIVE}
            assert made <= found
            for handle in found:
                assert client.container(handle).run("echo works").stdout == b"works\n"
            ids = {info.id for info in client.containers()}
            wait_until(lambda: holdings(private)["directories"] == ids)


class Raw:
    """A connection that sends requests without reading the answers."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)

    def send(self, name: str, message: object) -> None:
        self.socket.sendall(codec.encode(codec.KINDS[name], message))

    def rest(self) -> bytes:
        """Everything up to the end of file."""
        found = b""
        while piece := self.socket.recv(65536):
            found += piece
        return found

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def slow_stop(container: Container, raw: Raw) -> JobHandle:
    """A stop that takes a second, asked for on *raw* and in work; its job."""
    job = container.spawn("trap 'sleep 1; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    read_until(job, b"ready\n")
    raw.send("Stop", wire.StopRequest(handle=container.handle.encode()))
    wait_until(lambda: container.info().state is State.STOPPED)
    return job


def test_requests_in_work_are_answered_and_queued_ones_dropped(drained: PrivateDaemon, client: Client) -> None:
    """A stop that must wait for its job is in work when the drain comes; the ping behind it is not looked at."""
    with client.create() as container, Raw(drained.socket) as raw, Raw(drained.socket) as idle:
        job = slow_stop(container, raw)
        raw.send("Ping", wire.PingRequest())
        assert drained.drain() == 0
        assert raw.rest() == codec.encode(codec.KINDS["Stop"], wire.StopResponse())
        assert idle.rest() == b""
        drained.start()
        assert job.wait().exit_status == 7


def test_a_run_that_is_just_starting_does_not_hold_up_the_drain(drained: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        raws = [Raw(drained.socket) for _ in range(10)]
        for raw in raws:
            raw.send("Run", wire.RunRequest(handle=container.handle.encode(), script=b"echo begun; exec sleep 1000"))
        wait_until(lambda: container.info().jobs)
        assert drained.drain() == 0
        for raw in raws:
            assert raw.rest() == b""
            raw.socket.close()
        drained.start()
        for info in container.info().jobs:
            read_until(container.job(info.id), b"begun\n")


def test_a_client_that_reads_nothing_does_not_hold_up_the_drain(drained: PrivateDaemon, client: Client) -> None:
    with Raw(drained.socket) as raw:
        raw.send("Echo", wire.EchoRequest(message=b"x" * 3_000_000))  # read whole; the answer is more than fits
        client.ping()
        assert drained.drain() == 0
        assert len(raw.rest()) < 3_000_000


def test_a_second_signal_is_ignored(drained: PrivateDaemon, client: Client) -> None:
    with client.create() as container, Raw(drained.socket) as raw:
        slow_stop(container, raw)
        for _ in range(3):
            os.kill(drained.pid, signal.SIGUSR2)
            with pytest.raises(WardenError):
                while True:
                    Client(drained.socket).ping()
        assert drained.drain() == 0
        assert raw.rest() == codec.encode(codec.KINDS["Stop"], wire.StopResponse())
        drained.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_no_container_dies_because_its_connection_was_ended(
    drained: PrivateDaemon, client: Client, number: signal.Signals
) -> None:
    """A grace time of nothing is counted from a client's leaving, never from the daemon's."""
    keeper = Client(drained.socket)
    container = keeper.create(grace_time=0)
    pid = container.info().pid
    with client.create() as other, Raw(drained.socket) as raw:
        slow_stop(other, raw)  # so that a drain lasts a moment
        assert drained._end_by(number) == 0
        assert pid in processes_of(drained)
        keeper.close()
        drained.start()
        wait_until(lambda: len(holdings(drained)["directories"]) == 1, "now its time has run out, nobody is connected")
