"""Finding the PID 1 of a container's directory by asking its socket, against a peer that plays it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wshd_peer import ENDED, Peer

from warden.depot.depot import ContainerDirectory
from warden.engine.recovery import init_of
from warden.process.channel import HAS_PIDFD, PING
from warden.process.launch import listen_at


@pytest.fixture
def directory(tmp_path: Path) -> ContainerDirectory:
    (tmp_path / "run").mkdir()
    return ContainerDirectory(str(tmp_path))


@pytest.fixture
def listener(directory: ContainerDirectory) -> Iterator[socket.socket]:
    with listen_at(directory / "run") as made:
        yield made


def asked(directory: ContainerDirectory, listener: socket.socket, answer: Callable[[Peer], None]) -> int | None:
    """What init_of finds when its one request is answered by *answer*."""

    def serve() -> None:
        peer = Peer(listener.accept()[0])
        assert peer.receive().kind == PING
        answer(peer)
        peer.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        return init_of(directory)
    finally:
        server.join()


def test_the_pidfd_of_who_answers_is_close_on_exec(directory: ContainerDirectory, listener: socket.socket) -> None:
    own = os.pidfd_open(os.getpid())
    found = asked(directory, listener, lambda peer: peer.send(PING, flags=HAS_PIDFD, a=1, fds=(own,)))
    assert found is not None
    assert not os.get_inheritable(found)
    assert f"Pid:\t{os.getpid()}\n" in Path(f"/proc/self/fdinfo/{found}").read_text()
    os.close(found)
    os.close(own)


def test_events_of_jobs_before_the_answer_are_passed_over(directory: ContainerDirectory, listener: socket.socket) -> None:
    own = os.pidfd_open(os.getpid())

    def answer(peer: Peer) -> None:
        peer.event(ENDED, 3)
        peer.send(PING, flags=HAS_PIDFD, a=1, fds=(own,))

    found = asked(directory, listener, answer)
    assert found is not None
    os.close(found)
    os.close(own)


def test_who_hangs_up_or_sends_no_pidfd_is_nobody(directory: ContainerDirectory, listener: socket.socket) -> None:
    assert asked(directory, listener, lambda peer: None) is None
    assert asked(directory, listener, lambda peer: peer.send(PING, a=1)) is None


def test_nobody_listens(directory: ContainerDirectory) -> None:
    assert init_of(directory) is None
    listen_at(directory / "run").close()
    assert init_of(directory) is None
