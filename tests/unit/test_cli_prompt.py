"""The prompt and the batch: spec/warden.md §11 and §15, against the fake client and against a real server."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect, prompt
from warden.cli.completion import candidates
from warden.cli.main import main
from warden.errors import BadInput, Unreachable
from warden.protocol import warden_pb2 as wire
from warden.testing.serving import serving_in_thread


class Client(FakeClient):
    """Answers by the kind of request; a job's exit status is its script."""

    cut_off = False

    def is_cut_off(self) -> bool:
        return self.cut_off

    def list(self) -> list[str]:
        return ["box", "my box"]

    def call(self, message: object) -> object:
        self._world.calls.append(message)
        if isinstance(message, wire.EchoRequest):
            return wire.EchoResponse(message=message.message)
        if isinstance(message, wire.SpawnRequest):
            return wire.SpawnResponse(job_id=int(message.script))
        return wire.PingResponse()

    def call_stream(self, message: object) -> Iterator[object]:
        assert isinstance(message, wire.StreamRequest)
        yield wire.StreamResponse(exit_status=message.job_id)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: Client(made))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield made
    assert made.open_clients == 0


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_batch_runs_every_line(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "# a comment\n\n  echo --message 'two  words'\necho --message two#parts\n")
    assert main([]) == 0
    assert capsys.readouterr().out == "message : two  words\nmessage : two#parts\n"
    assert len(world.calls) == 2


@pytest.mark.parametrize(("switches", "code", "said"), [([], 7, "message : end\n"), (["--exit_on_error"], 7, "")])
def test_batch_ends_with_the_first_status_that_is_not_0(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    switches: list[str],
    code: int,
    said: str,
) -> None:
    give(monkeypatch, "run --handle h --script 0\nrun --handle h --script 7\nnonesuch\necho --message end\n")
    assert main(["--repl", *switches]) == code
    assert capsys.readouterr().out == said


def test_errors_are_one_line_each(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "nonesuch\necho --message 'x\ndestroy\n")
    assert main([]) == BadInput.exit_code
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Command: 'nonesuch' is non-existent.", 'Unmatched quote: "echo --message \'x"']
    assert lines[2].startswith("Field handle is required but nil")
    assert len(lines) == 3
    assert not world.calls


def test_trace_shows_each_command_first(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "echo --message 'a b'\n# not this\n")
    assert main(["--trace"]) == 0
    assert capsys.readouterr().out == "+ echo --message 'a b'\nmessage : a b\n"


def test_help_needs_no_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give(monkeypatch, "help\nnet_out --help\n")
    assert main(["--socket", "/nonesuch", "--repl"]) == 0
    out = capsys.readouterr().out
    assert "\tlimit_memory  " in out
    assert "--protocol TCP|UDP|ICMP|ALL" in out


def test_a_command_beside_repl_is_refused() -> None:
    assert main(["--repl", "ping"]) == 2


def test_reconnects_only_when_the_connection_broke(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = prompt.Session("/x")
    assert session.execute("ping") == session.execute("ping") == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(Client, "cut_off", True)
    assert session.execute("echo --message again") == 0
    assert capsys.readouterr().out == "Reconnecting...\nmessage : again\n"
    session.close()


def test_a_daemon_that_came_back_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "s")
    session = prompt.Session(path)
    assert session.execute("ping") == Unreachable.exit_code
    for _ in range(2):
        with serving_in_thread(path):
            assert session.execute("echo --message here") == 0
    session.close()
    out, err = capsys.readouterr()
    assert out == "message : here\nReconnecting...\nmessage : here\n"
    assert len(err.splitlines()) == 1


class Terminal:
    """`warden` at a terminal of its own; *end* waits for it and returns all that it wrote."""

    def __init__(self, home: Path, *words: str) -> None:
        self._master, slave = pty.openpty()
        environment = {**os.environ, "HOME": str(home), "TERM": "dumb"}
        command = [sys.executable, "-c", "import sys; sys.modules['prompt_toolkit'] = None\n"
                   "from warden.cli.main import main; sys.exit(main())", *words]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def until(self, text: bytes) -> None:
        while text not in self.seen:
            self.seen += os.read(self._master, 4096)

    def until_it_waits(self) -> None:
        """Until it sleeps: after a prompt, for a key."""
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.002)

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def wake(self) -> None:
        """A signal between the prompt and readline's select(2) is seen only at the next key."""
        while not select.select([self._master], [], [], 2)[0]:
            self.type(b" ")

    def end(self) -> int:
        try:
            while piece := os.read(self._master, 4096):
                self.seen += piece
        except OSError:  # EIO: the last process let go of the terminal
            pass
        os.close(self._master)
        return self.process.wait(30)


def test_at_a_terminal(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with serving_in_thread(path):
        terminal = Terminal(tmp_path, "--socket", path)
        terminal.until(b"warden> ")
        terminal.type(b"ech\t--message x\\ y\n")
        terminal.until(b"message : x y\r\nwarden> ")
        terminal.type(b"nonesuch\n")
        terminal.until(b"is non-existent.\r\nwarden> ")
        terminal.type(b"ping\n\x04")
        assert terminal.end() == 0
    assert json.loads((tmp_path / ".warden-history").read_text()) == ["echo --message x\\ y", "nonesuch", "ping"]
    assert (tmp_path / ".warden-history").stat().st_mode & 0o777 == 0o600


def test_ctrl_c_leaves(tmp_path: Path) -> None:
    (tmp_path / ".warden-history").write_text("not JSON")
    terminal = Terminal(tmp_path, "--socket", "/nonesuch")
    terminal.until(b"warden> ")
    terminal.until_it_waits()
    os.kill(terminal.process.pid, 2)
    terminal.wake()
    assert terminal.end() == 0
    assert terminal.seen.endswith(b"\r\n\r\nExiting...\r\n")


def test_exit_on_error_at_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--socket", "/nonesuch", "--exit_on_error")
    terminal.until(b"warden> ")
    terminal.type(b"ping\n")
    assert terminal.end() == Unreachable.exit_code


def test_history_is_loaded_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text(json.dumps([*map(str, range(prompt.HISTORY_LINES)), 5]))
    history = prompt.History(str(path))
    history.add("last")
    history.save()
    kept = json.loads(path.read_text())
    assert (len(kept), kept[0], kept[-1]) == (prompt.HISTORY_LINES, "1", "last")
    assert [item.name for item in tmp_path.iterdir()] == ["history"]


@pytest.mark.parametrize(
    ("before", "some"),
    [
        ("", {"ping", "help", "limit_memory"}),
        ("lim", {"limit", "limit_memory", "limit_cpu", "limit_disk", "limit_bandwidth"}),
        ("help net_o", {"net_out"}),
        ("help net_re", {"net_refused", "net_remove", "net_replace"}),
        ("info --han", {"--handle"}),
        ("info --handle ", {"box", "'my box'"}),
        ("info --handle b", {"box"}),
        ("run --rlimits.nof", {"--rlimits.nofile"}),
        ("net_out --protocol ", {"TCP", "UDP", "ICMP", "ALL"}),
        ("create --bind_mounts[0].mode R", {"RO", "RW"}),
        ("create --bind_mounts[0].src_path /a --bind_mounts[0].s", set()),
        ("create --bind_mounts[0].src_path /a --bind_mounts[1].s", {"--bind_mounts[1].src_path"}),
        ("stop --background --kil", {"--kill"}),
        ("info --handle x --handle", set()),
        ("nonesuch --h", set()),
        ("create --grace_time ", set()),
    ],
)
def test_completion(before: str, some: set[str]) -> None:
    found = candidates(before, lambda: ["box", "my box"])
    assert some <= set(found) if before == "" else some == set(found)


def test_completion_asks_for_handles_only_after_the_flag() -> None:
    def refuse() -> list[str]:
        raise AssertionError("asked")

    assert "--handle" in candidates("info ", refuse)
