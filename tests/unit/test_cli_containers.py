"""`warden ps`, `info`, `logs`, `stop`, `destroy`, `image`, `doctor`, `ping`, `version`, and every help text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cli_fakes import FakeClient, World, some_info

from warden.cli import connect, containers, output
from warden.cli.main import COMMANDS, main, overview
from warden.model.info import BandwidthStat, DiskStat, State
from warden.model.job import Chunk


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(containers=["box", "web"], info=some_info())
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


@pytest.mark.usefixtures("world")
def test_ps_is_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers.time, "time", lambda: 1_700_000_000.0 + 7300)
    assert main(["ps"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "HANDLE  STATE   IMAGE  ADDRESS     MEMORY   LIMIT     JOBS  AGE",
        "box     active  host   10.254.0.2  1.0 MiB  64.0 MiB  1/2   2 h",
    ]


def test_ps_hides_stopped_containers_unless_all(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.info = some_info(state=State.STOPPED)
    main(["ps", "-q"])
    assert capsys.readouterr().out == ""
    main(["ps", "-aq"])
    assert capsys.readouterr().out == "box\n"


@pytest.mark.usefixtures("world")
def test_ps_and_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ps", "--json"])
    (listed,) = json.loads(capsys.readouterr().out)
    main(["info", "--json", "box"])
    assert json.loads(capsys.readouterr().out) == listed
    assert listed["memory"] == {"current": 1 << 20, "peak": 2 << 20, "limit": 64 << 20, "oom_kills": 1}
    assert listed["jobs"][1] == {
        "id": 2,
        "command": "true",
        "running": False,
        "started": 2.0,
        "exit_status": 0,
        "verdict": "exited",
    }


@pytest.mark.usefixtures("world")
def test_info_shows_what_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "box"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "state:     active" in lines
    assert "limit:     64.0 MiB" in lines
    assert "2    exited 0  true" in lines


def test_info_shows_limits_where_they_are_set(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "box"])
    plain = capsys.readouterr().out
    assert "rate" not in plain and "disk:" not in plain
    world.info = replace(some_info(), bandwidth=BandwidthStat(2048, 512, 1 << 20, 64), disk=DiskStat(3 << 20, 7))
    main(["info", "box"])
    lines = capsys.readouterr().out.splitlines()
    assert "rate in:   2.0 KiB a second, 512 B at once" in lines
    assert "rate out:  1.0 MiB a second, 64 B at once" in lines
    assert "disk:      3.0 MiB in 7 files" in lines
    main(["info", "--json", "box"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["bandwidth"] == {"in_rate": 2048, "in_burst": 512, "out_rate": 1 << 20, "out_burst": 64}
    assert shown["disk"] == {"bytes_used": 3 << 20, "inodes_used": 7}


def test_unknown_handle_is_a_sentence_and_code_3(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.info = None
    assert main(["info", "ghost"]) == 3
    assert capsys.readouterr().err == "warden: ghost: unknown handle\n"


def test_logs_are_bytes_on_their_streams(world: World, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    world.chunks = (Chunk("stdout", b"\xffout"), Chunk("stderr", b"err"))
    assert main(["logs", "--job", "3", "-f", "box"]) == 0
    assert capfdbinary.readouterr() == (b"\xffout", b"err")
    assert world.calls == [("logs", 3, True, {})]


def test_destroy_tries_every_handle(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["destroy", "ghost", "box", "web"]) == 3
    assert world.containers == []
    assert capsys.readouterr().err == "warden: ghost: unknown handle\n"


def test_stop(world: World) -> None:
    assert main(["stop", "--kill", "box"]) == 0
    assert world.stopped == [("box", True)]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_pause_and_resume_try_every_handle(world: World, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "ghost", "box", "web"]) == 3
    assert world.calls == [(command, "box"), (command, "web")]
    assert capsys.readouterr().err == "warden: ghost: unknown handle\n"


@pytest.mark.usefixtures("world")
def test_a_paused_container_is_shown_as_such(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.info = some_info(paused=True)
    main(["ps"])
    assert " paused " in capsys.readouterr().out.splitlines()[1]
    main(["info", "box"])
    assert "state:     active, paused\n" in capsys.readouterr().out
    main(["info", "--json", "box"])
    found = json.loads(capsys.readouterr().out)
    assert (found["paused"], found["state"]) == (True, "active")


def test_kill_is_for_all_jobs_or_one_and_any_signal(world: World) -> None:
    assert main(["kill", "box"]) == main(["kill", "-s", "9", "box"]) == 0
    assert world.calls == [("kill", "box")] * 2
    for words in (["--job", "7", "-s", "sigterm"], ["--signal", "10"], ["--job", "7"], ["-s", "HUP"]):
        assert main(["kill", *words, "box"]) == 0
    assert world.signals == [15, 10, 9, 1]


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "NOSUCH", "SIG", "9x"])
def test_kill_of_no_signal_is_refused(world: World, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["kill", f"--signal={text}", "box"]) == 2
    assert "is not a signal" in capsys.readouterr().err
    assert (world.calls, world.signals) == ([], [])


def test_ping_is_silent(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ping"]) == 0
    assert capsys.readouterr() == ("", "")
    assert world.calls == ["ping"]


def test_the_overview_names_every_command() -> None:
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name:<12}{summary}\n" in overview()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    out, _ = capsys.readouterr()
    assert ended.value.code == 0
    assert out.startswith(f"usage: warden {name}")
    assert f"warden {name}" in out.partition("examples:\n")[2]


def test_no_command_shows_the_overview_with_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main([]) == 2
    assert capsys.readouterr().out == overview()
    assert main(["help"]) == main(["--help"]) == 0


def test_table_has_no_blanks_at_line_ends() -> None:
    assert output.table(("A", "B"), [("x", ""), ("long", "y")]) == "A     B\nx\nlong  y\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 3, "3 d")]
)
def test_age(seconds: float, text: str) -> None:
    assert containers.age(seconds) == text


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.colour("x", "red") == "x"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.colour("x", "red") == "\033[31mx\033[0m"
    monkeypatch.setenv("NO_COLOR", "")
    assert output.colour("x", "red") == "x"
