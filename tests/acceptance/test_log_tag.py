"""Jobs with a log_tag and the real daemon: every line once in syslog, and still all of it to the client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scene import client_of, configured_daemon, read_until, wait_until

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
        made.bind(str(tmp_path / "log"))
        yield made


@pytest.fixture
def tagging(tmp_path: Path, syslog: socket.socket) -> Iterator[PrivateDaemon]:
    with configured_daemon(server={"syslog_socket": str(tmp_path / "log")}) as private:
        yield private


@pytest.fixture
def client(tagging: PrivateDaemon) -> Iterator[Client]:
    with client_of(tagging) as client:
        yield client


class Taken:
    """What has come, as priority and line; the time between them is left out."""

    @contextmanager
    def always(self) -> Iterator[None]:
        """Takes what comes at once: the queue is short, and a full one would be a slow reader."""
        over = threading.Event()

        def take() -> None:
            while not over.wait(0.002):
                self.has(0)

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def __init__(self, syslog: socket.socket, tag: str) -> None:
        self._socket, self._tag = syslog, f" warden.{tag}: ".encode()
        self.lines: list[tuple[bytes, bytes]] = []

    def has(self, count: int) -> bool:
        try:
            while True:
                head, _, line = self._socket.recv(65536).partition(self._tag)
                self.lines.append((head[: head.index(b">") + 1], line))
        except BlockingIOError:
            return len(self.lines) >= count


def test_lines_go_to_syslog_and_to_the_client(client: Client, syslog: socket.socket) -> None:
    taken = Taken(syslog, "T")
    with client.create() as container:
        result = container.run("echo out; echo bad >&2; printf end", log_tag="T")
        assert (result.stdout, result.stderr) == (b"out\nend", b"bad\n")
        wait_until(lambda: taken.has(3))
        assert sorted(taken.lines) == [(b"<11>", b"bad"), (b"<14>", b"end"), (b"<14>", b"out")]
        container.run("echo hidden", log_tag="T", discard_output=True)
        wait_until(lambda: taken.has(4))
        assert taken.lines[3] == (b"<14>", b"hidden")
        container.run("echo untagged")
        assert not taken.has(5)


def test_no_line_twice_or_missing_across_crashes(tagging: PrivateDaemon, client: Client, syslog: socket.socket) -> None:
    taken = Taken(syslog, "T")
    with client.create() as container, taken.always():
        job = container.spawn("for i in $(seq 120); do echo line $i; sleep 0.01; done", log_tag="T")
        for seen in (b"line 20\n", b"line 60\n"):
            read_until(job, seen)
            tagging.kill()
            tagging.start()
        wait_until(lambda: len(taken.lines) >= 120)
        assert [line for _, line in taken.lines] == [b"line %d" % number for number in range(1, 121)]
        assert job.wait().stdout.count(b"\n") == 120


def test_without_a_syslog_jobs_go_on(tmp_path: Path) -> None:
    with configured_daemon(server={"syslog_socket": str(tmp_path / "none")}) as private, client_of(private) as client:
        with client.create() as container:
            for _ in range(2):
                assert container.run("seq 20000", log_tag="T").stdout.count(b"\n") == 20000
        assert private.log_tail().count("are dropped until it takes them") == 1
