"""Lines of jobs with a log_tag on their way to a syslog socket: a real socket, a real log, no container."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.engine import logtag
from warden.engine.logtag import PIECE, Syslog, TagStream, lines_of
from warden.process.joblog import JobLog

FORM = re.compile(rb"<(14|11)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\S+): (.*)", re.DOTALL)


class Receiver:
    """Syslog's end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def taken(self) -> list[tuple[bytes, bytes, bytes]]:
        """Priority, tag and line of everything that has come."""
        found = []
        while True:
            try:
                datagram = self.socket.recv(65536)
            except BlockingIOError:
                return found
            match = FORM.fullmatch(datagram)
            assert match, datagram
            found.append((match[1], match[3], match[4]))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(str(tmp_path / "log"))
    yield made
    made.socket.close()


class Scene:
    """A job's log and its tag, with the tasks that were started."""

    def __init__(self, directory: Path, path: str, *, discard: bool = False) -> None:
        directory.mkdir(exist_ok=True)
        self.tasks: list[asyncio.Task[None]] = []
        self.syslog = Syslog(path)
        self.log = JobLog(str(directory), limit=1 << 24, discard=discard)
        self.tag = TagStream("T", str(directory), self.log, self.syslog, self.tasks.append)

    def write(self, stream: int, data: bytes) -> None:
        self.log.append(stream, data)
        self.tag.kick()

    async def settle(self) -> None:
        for task in self.tasks:
            await task

    async def end(self) -> None:
        self.log.finish()
        await self.tag.flush()
        self.close()

    def close(self) -> None:
        self.tag.close()
        self.log.close()
        self.syslog.close()


@pytest.mark.parametrize(
    ("data", "last", "lines"),
    [
        (b"a\nb\n", False, [b"a", b"b"]),
        (b"a\n\nb", False, [b"a", b""]),
        (b"a\n\nb", True, [b"a", b"", b"b"]),
        (b"", True, []),
        (b"x" * PIECE, False, []),
        (b"x" * PIECE + b"\ny\n", False, [b"x" * PIECE, b"y"]),
        (b"x" * (PIECE + 1), False, [b"x" * PIECE]),
        (b"x" * (2 * PIECE + 5) + b"\n", False, [b"x" * PIECE, b"x" * PIECE, b"x" * 5]),
    ],
)
def test_lines(data: bytes, last: bool, lines: list[bytes]) -> None:
    found = lines_of(data, 100, last=last)
    assert [line for line, _ in found] == lines
    if last or data.endswith(b"\n"):
        assert sum(length for _, length in found) == len(data)


def test_no_more_lines_than_asked_for() -> None:
    assert len(lines_of(b"\n" * 1000, 7, last=True)) == 7


async def test_both_streams_in_loggers_form(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path / "job", receiver.path)
    scene.write(0, b"one\ntw")
    scene.write(1, b"bad \xff\n")
    await scene.settle()
    assert receiver.taken() == [(b"14", b"warden.T", b"one"), (b"11", b"warden.T", b"bad \xff")]
    scene.write(0, b"o\nlast")
    await scene.end()
    assert receiver.taken() == [(b"14", b"warden.T", b"two"), (b"14", b"warden.T", b"last")]
    assert scene.log.read_all() == (b"one\ntwo\nlast", b"bad \xff\n")


@pytest.mark.parametrize("cut", [b"one\n", b"one\ntwo\nthr"])
async def test_a_restart_repeats_nothing_and_misses_nothing(tmp_path: Path, receiver: Receiver, cut: bytes) -> None:
    whole = b"one\ntwo\nthree\n"
    scene = Scene(tmp_path / "job", receiver.path)
    scene.write(0, cut)
    await scene.settle()
    before = receiver.taken()
    scene.close()
    later = Scene(tmp_path / "job", receiver.path)
    later.write(0, whole[len(cut) :])
    await later.end()
    assert [line for _, _, line in before + receiver.taken()] == [b"one", b"two", b"three"]


async def test_what_was_written_while_nobody_sent_follows(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path / "job", receiver.path)
    scene.log.append(0, b"kept\n")
    scene.close()
    later = Scene(tmp_path / "job", receiver.path)
    await later.end()
    assert [line for _, _, line in receiver.taken()] == [b"kept"]


async def test_output_that_is_not_kept_is_sent(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path / "job", receiver.path, discard=True)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"a\nb")
    assert scene.log.move(1, reader) == 3
    scene.tag.kick()
    await scene.settle()
    assert scene.log.move(1, reader) is None
    os.close(writer)
    assert scene.log.move(1, reader) == 0
    os.close(reader)
    await scene.end()
    assert [(priority, line) for priority, _, line in receiver.taken()] == [(b"11", b"a"), (b"11", b"b")]
    assert os.listdir(tmp_path / "job") == []


async def test_a_slow_reader_gets_all_in_order(tmp_path: Path, receiver: Receiver) -> None:
    """Far more than its queue holds; the event loop goes on meanwhile."""
    scene = Scene(tmp_path / "job", receiver.path)
    scene.write(0, b"".join(b"%d\n" % number for number in range(3000)))
    found: list[bytes] = []
    while len(found) < 3000:
        await asyncio.sleep(0)
        found += [line for _, _, line in receiver.taken()]
    assert found == [b"%d" % number for number in range(3000)]
    await scene.end()


async def test_a_reader_that_stands_still_costs_lines_and_one_warning(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logtag, "PATIENCE_S", 0.01)
    scene = Scene(tmp_path / "job", receiver.path)
    with caplog.at_level(logging.WARNING):
        scene.write(0, b"x\n" * 5000)
        await scene.settle()
    assert len(caplog.records) == 1
    assert "too slow" in caplog.text
    assert 0 < len(receiver.taken()) < 5000
    scene.write(0, b"again\n")
    await scene.end()
    assert receiver.taken()[-1][2] == b"again"


async def test_an_absent_reader_costs_one_warning_and_is_found_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "log")
    scene = Scene(tmp_path / "job", path)
    with caplog.at_level(logging.WARNING):
        scene.write(0, b"lost\n" * 50)
        await scene.settle()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        f"syslog {path}: No such file or directory"
    ]
    receiver = Receiver(path)
    scene.write(0, b"found\n")
    await scene.settle()
    assert [line for _, _, line in receiver.taken()] == [b"found"]
    receiver.socket.close()
    os.unlink(path)
    again = Receiver(path)  # syslog was restarted: the old connection is refused, the next line finds the new one
    scene.write(0, b"1\n2\n")
    await scene.end()
    assert [line for _, _, line in again.taken()] == [b"2"]
    again.socket.close()


async def test_a_tag_cannot_forge_a_line(tmp_path: Path, receiver: Receiver) -> None:
    scene = Scene(tmp_path / "job", receiver.path)
    scene.tag = TagStream("a\n<0>b", str(tmp_path / "job"), scene.log, scene.syslog, scene.tasks.append)
    scene.write(0, b"x\n")
    await scene.end()
    assert receiver.taken() == [(b"14", b"warden.a_<0>b", b"x")]
