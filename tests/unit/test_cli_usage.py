"""`warden stats` and `warden top` with a client that answers from a list, and top on a terminal of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect, screen, top
from warden.cli.main import main
from warden.cli.rates import Usage
from warden.client.blocking import Client
from warden.model.info import State
from warden.model.stats import CpuStats, InterfaceStats, MemoryStats, PidStats, Stats
from warden.testing.serving import serving_in_thread


def at(moment: float, handle: str = "box", cpu: float = 1.0) -> Stats:
    return Stats(
        handle, f"id-{handle}", State.ACTIVE, moment, moment, MemoryStats(16 << 20, limit=64 << 20, stat={"rss": 7}),
        CpuStats(cpu), PidStats(3), network=(InterfaceStats("w", rx_bytes=2048, tx_bytes=10),), jobs=1,
    )  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


def test_stats_once_is_a_table_of_two_measurements(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10)], [at(12, cpu=2.0), at(12, "new")]]
    assert main(["stats", "box"]) == 0
    assert world.calls == [("follow_stats", ("box",), 0.25, True)]
    assert capsys.readouterr().out.splitlines() == [
        "HANDLE  CPU     MEMORY / LIMIT       MEM     PIDS  NET IN / OUT    READ / WRITTEN  DISK",
        "box     50.0 %  16.0 MiB / 64.0 MiB  25.0 %  3     2.0 KiB / 10 B  -               -",
        "new     -       16.0 MiB / 64.0 MiB  25.0 %  3     2.0 KiB / 10 B  -               -",
    ]


def test_stats_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10), at(10, "web")]] * 2
    assert main(["stats", "--json"]) == main(["stats", "--json", "--all-fields", "web"]) == 0
    assert world.calls == [("stats", (), True), ("stats", ("web",), False)]
    first, _second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [found["handle"] for found in first] == ["box", "web"]
    assert "pressure" not in first[0]


def test_stats_followed_as_json_is_one_object_a_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10), at(10, "web")], [], [at(11)]]
    assert main(["stats", "-f", "--json", "--interval", "500ms"]) == 0
    assert world.calls == [("follow_stats", (), "500ms", True)]
    assert [json.loads(line)["time"] for line in capsys.readouterr().out.splitlines()] == [10, 10, 11]


def test_stats_followed_is_a_table_again_and_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10)], [at(11, cpu=1.5)]]
    assert main(["stats", "--follow"]) == 0
    out = capsys.readouterr().out
    assert "\033" not in out, "no terminal, no sequences"
    first, second = out.split("\n\n")
    assert "50.0 %" in second and "50.0 %" not in first


def test_all_fields_have_full_names(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10)]]
    assert main(["stats", "--all-fields"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["memory.stat.rss"] == "7"
    assert lines["network[0].rx_bytes"] == "2048"
    assert "memory.swap" not in lines


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["stats", "--interval", "2"], "with --follow only"),
        (["top", "-n", "0"], "--count: 0"),
        (["top", "--sort", "x"], "'x' is not a key"),
        (["top", "--interval", "1ms"], "out of range"),
        (["top", "--interval", "soon"], "not a duration"),
    ],
)
def test_wrong_words_are_refused(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(words) == 2
    assert text in capsys.readouterr().err
    assert world.calls == []


# ---- top, as a function

BUSY = Usage("busy", 95.0, 60 << 20, 64 << 20, 9, 1, 1, 1, 1, 100, 10.0, 20.0)
IDLE = Usage("idle", 0.0, 70 << 20, None, 1, 1, 1, 1, 1, None, 30.0, 5.0)
NEW = Usage("a-new-one", None, 1 << 20, None, 2, None, None, None, None, None)


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("", "busy idle a-new-one"),
        ("r", "idle busy a-new-one"),
        ("m", "idle busy a-new-one"),
        ("mr", "a-new-one busy idle"),
        ("p", "busy a-new-one idle"),
        ("n", "idle busy a-new-one"),
        ("i", "busy idle a-new-one"),
        ("d", "busy idle a-new-one"),
        ("h", "a-new-one busy idle"),
        ("hr", "idle busy a-new-one"),
        ("rc", "busy idle a-new-one"),
        ("zZ\x7f1", "busy idle a-new-one"),
    ],
)
def test_keys_sort(keys: str, order: str) -> None:
    view = top.press(top.View(), keys)
    assert [row.handle for row in top.arranged([IDLE, NEW, BUSY], view)] == order.split()


def test_keys_change_the_interval_and_quit() -> None:
    view = top.View(interval=2.0)
    assert top.press(view, "+").interval == 5.0
    assert top.press(view, "--").interval == 0.5
    assert top.press(view, "+" * 50).interval == 60.0
    assert top.press(view, "-" * 50).interval == 0.1
    assert top.press(view, "q").over


def test_a_frame_fits_and_shows_what_is_much() -> None:
    lines = list(top.frame([BUSY, IDLE], top.View(), 10))
    assert [style for text, style in lines[3] if text.strip() == "95.0 %"] == ["red"]
    assert len(list(top.frame([BUSY] * 50, top.View(), 10))) == 10
    assert list(top.frame([BUSY] * 50, top.View(), 10))[-1] == [("and 44 more", "dim")]
    assert len(list(top.frame([BUSY] * 7, top.View(), 10))) == 10
    assert next(top.frame([], top.View(), 1))[0][0].startswith("warden top")


def test_a_line_is_cut_before_it_wraps() -> None:
    line = [("字字字", "red"), ("abc", "")]
    assert screen.render(line, 7, colour=False) == "字字字a"
    assert screen.render(line, 7, colour=True) == "\033[31m字字字\033[0ma"
    assert screen.render(line, 3, colour=True) == "\033[31m字\033[0ma"
    assert screen.pad("字", 4) == "字  "
    assert screen.pad("abc", 5, right=True) == "  abc"
    assert screen.width("e\u0301") == 1


def test_top_without_a_terminal_is_tables(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.rounds = [[at(10)], [at(12, cpu=2.0)], [at(14, cpu=4.0)]]
    assert main(["top", "-n", "2", "--interval", "100ms"]) == 0
    out = capsys.readouterr().out
    assert "\033" not in out
    tables = [line.split()[1] for line in out.splitlines() if line.startswith("box")]
    assert tables == ["50.0", "100.0"]
    assert world.calls == [("stats", (), True)] * 3


# ---- top, on a terminal


class Terminal:
    """`warden top` on a pseudo terminal, against a daemon with the fake engine."""

    def __init__(self, socket: str, *words: str, environment: dict[str, str] | None = None) -> None:
        self.master, self._slave = pty.openpty()
        self.resize(30, 120)
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "warden.cli.main", "--socket", socket, "top", "--interval", "200ms", *words],
            stdin=self._slave, stdout=self._slave, stderr=self._slave,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
        )  # fmt: skip
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, seconds: float = 0.05) -> None:
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536).decode()
            except OSError:
                return

    def until(self, is_so: Callable[[str], object]) -> str:
        """The text of what is on the screen, once it is as wanted."""
        deadline = time.monotonic() + 60
        while True:
            self.read()
            frame = re.sub(r"\033\[[0-9;?]*[A-Za-z]|\r", "", self.seen.rpartition("\033[H")[2])
            if is_so(frame):
                return frame
            assert time.monotonic() < deadline, repr(self.seen[-2000:])

    def ended(self) -> int:
        """Its exit code, after it has given the terminal back as it was."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline
        self.read()
        assert self.restored()
        assert termios.tcgetattr(self._slave) == self.before
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the last that was said of screen and cursor is: as before."""
        shows = [self.seen.rfind(text) for text in ("\033[?1049l", "\033[?25h")]
        hides = [self.seen.rfind(text) for text in ("\033[?1049h", "\033[?25l")]
        return min(shows) > max(hides) > -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    socket = str(tmp_path / "w.sock")
    with serving_in_thread(socket), Client(socket) as client:
        for number in range(3):
            client.create(f"box{number}")
        yield socket


@pytest.fixture
def terminal(served: str) -> Iterator[Terminal]:
    made = Terminal(served)
    made.until(lambda frame: "box2" in frame)
    yield made
    made.close()


def test_top_shows_sorts_and_quits(terminal: Terminal) -> None:
    terminal.until(lambda frame: re.search(r"box0 +[0-9]+\.[0-9] %", frame))
    terminal.press("hr")
    terminal.until(lambda frame: "by handle reversed" in frame and frame.index("box2") < frame.index("box0"))
    terminal.press("+")
    terminal.until(lambda frame: "every 0.25 s" in frame)
    terminal.press("\033[A")  # an arrow; no letter of it is a key
    terminal.press("q")
    assert terminal.ended() == 0


def test_top_follows_the_size_of_its_window(terminal: Terminal) -> None:
    terminal.resize(5, 40)
    frame = terminal.until(lambda frame: "more" in frame)
    assert len(frame.splitlines()) == 5
    assert all(len(line) <= 40 for line in frame.splitlines())
    terminal.press("q")
    assert terminal.ended() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 130)]
)
def test_top_gives_the_terminal_back_on_a_signal(terminal: Terminal, number: int, code: int) -> None:
    terminal.process.send_signal(number)
    assert terminal.ended() == code


def test_top_ends_by_control_c(terminal: Terminal) -> None:
    terminal.press("\x03")
    assert terminal.ended() == 130


def test_top_stops_and_goes_on(terminal: Terminal) -> None:
    # The default action of TSTP is void in an orphaned process group, which a test's session is: STOP shows the same.
    terminal.process.send_signal(signal.SIGTSTP)
    terminal.until(lambda _frame: terminal.seen.count("\033[?1049l") == 1 or terminal.seen.count("\033[?1049h") == 2)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.until(lambda frame: terminal.seen.count("\033[?1049h") == 2 and "box2" in frame)
    terminal.press("q")
    assert terminal.ended() == 0


def test_top_gives_the_terminal_back_when_the_daemon_goes(tmp_path: Path) -> None:
    socket = str(tmp_path / "w.sock")
    with serving_in_thread(socket):
        terminal = Terminal(socket)
        terminal.until(lambda frame: "0 containers" in frame)
    try:
        assert terminal.ended() == 69
        assert "warden: connect" in terminal.seen or "warden: connection" in terminal.seen
        assert terminal.seen.rindex("\033[?1049l") < terminal.seen.rindex("warden: "), "the error is seen afterwards"
    finally:
        terminal.close()


@pytest.mark.parametrize(("environment", "words"), [({"TERM": "dumb"}, ["-n", "1"]), ({}, ["-b", "-n", "1"])])
def test_top_is_plain_where_that_is_wanted(served: str, environment: dict[str, str], words: list[str]) -> None:
    terminal = Terminal(served, *words, environment=environment)
    try:
        terminal.process.wait(60)
        terminal.read()
        assert "box0" in terminal.seen and "\033" not in terminal.seen
    finally:
        terminal.close()


def test_top_without_colour(served: str) -> None:
    terminal = Terminal(served, "-n", "1", environment={"NO_COLOR": "1"})
    try:
        assert terminal.ended() == 0
        assert "\033[7m" not in terminal.seen and "\033[31m" not in terminal.seen
    finally:
        terminal.close()


def test_count_of_measurements(world: World) -> None:
    world.rounds = [[replace(at(10), handle="x")]]
    assert main(["top", "-b", "-n", "1", "--interval", "100ms"]) == 0
