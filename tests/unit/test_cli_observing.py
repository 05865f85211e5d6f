"""logs, events, wait, inspect, jobs, attach: words to requests, answers to lines; without a daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cli_fakes import FakeClient, World, some_info

from warden.cli import connect
from warden.cli.attaching import KeyWatch, chosen_job, parse_keys
from warden.cli.main import main
from warden.cli.observing import Stamped
from warden.cli.picking import as_text, pick
from warden.errors import BadInput, UnknownJob, WrongState
from warden.model.events import EventRecord
from warden.model.job import Chunk, JobResult, Verdict

RECORD = EventRecord(
    5, 1_700_000_000.25, "job", "die", "box", "18abc", {"command": "echo \x1b[31m", "verdict": "exited"}
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(containers=["box"], info=some_info())
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


def test_logs_options(world: World) -> None:
    words = ["logs", "-f", "--since", "10m", "--until", "0s", "-n", "5", "--stream", "stderr", "box"]
    assert main(words) == 0
    wanted = {"since": "10m", "until": "0s", "tail": 5, "stream": "stderr", "lasting": True}
    assert world.calls == [("logs", None, True, wanted)]
    assert main(["logs", "--tail", "all", "box"]) == 0
    assert world.calls[-1] == ("logs", None, False, {})


def test_times_before_lines_that_come_in_pieces(world: World, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    world.chunks = (
        Chunk("stdout", b"a\nb", 1.0, 0, 1),
        Chunk("stderr", b"e\r\n", 2.5, 0, 1),
        Chunk("stdout", b"b\n\n", 3.0, 3, 1),
        Chunk("stdout", b"other\n", 4.0, 0, 2),
    )
    assert main(["logs", "-t", "box"]) == 0
    out, err = capfdbinary.readouterr()
    assert out == (
        b"1970-01-01T00:00:01.000000Z a\n1970-01-01T00:00:01.000000Z bb\n1970-01-01T00:00:03.000000Z \n"
        b"1970-01-01T00:00:04.000000Z other\n"
    )
    assert err == b"1970-01-01T00:00:02.500000Z e\r\n"
    assert Stamped()(Chunk("stdout", b"x\x0by", 0.0)).count(b"Z ") == 1


def test_events_in_lines_and_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.records = [RECORD, EventRecord(6, 1.0, "network", "create")]
    assert main(["events", "-f", "type=job", "-f", "event=die", "-f", "event=start", "--since", "1h"]) == 0
    assert world.calls == [("events", {"since": "1h", "types": ["job"], "events": ["die", "start"]})]
    assert capsys.readouterr().out == (
        "2023-11-14T22:13:20.250000Z job die box (id=18abc, command=echo \\x1b[31m, verdict=exited)\n"
        "1970-01-01T00:00:01.000000Z network create\n"
    )
    assert main(["events", "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {
        "seq": 5, "time": 1_700_000_000.25, "type": "job", "event": "die", "container": "box", "id": "18abc",
        "attributes": {"command": "echo \x1b[31m", "verdict": "exited"},
    }  # fmt: skip
    world.records = [RECORD]
    assert main(["events", "--format", ".attributes.verdict"]) == 0
    assert capsys.readouterr().out == "exited\n"
    assert main(["events", "--filter", "label"]) == 2


def test_wait_prints_codes_and_goes_on_after_a_failure(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.containers = ["a", "b"]
    world.result = JobResult(255, Verdict.SIGNALED, 15)
    assert main(["wait", "a", "ghost", "b"]) == 3
    assert capsys.readouterr() == ("143\n143\n", "warden: ghost: unknown handle\n")
    assert main(["wait", "--condition", "removed", "--job", "3", "a"]) == 0
    assert world.calls[-1] == ("wait", "a", 3, "removed")
    assert main(["wait", "--job", "3", "a", "b"]) == 2
    assert main(["wait", "--condition", "always", "a"]) == 2
    assert main(["wait", "--timeout", "1", "a"]) == 124


def test_inspect(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.containers = ["a", "b"]
    assert main(["inspect", "a", "ghost", "b"]) == 3
    out, err = capsys.readouterr()
    assert [document["handle"] for document in json.loads(out)] == ["a", "b"]
    assert err == "warden: ghost: unknown handle\n"
    assert main(["inspect", "--format", ".jobs[*].id", "a", "b"]) == 0
    assert capsys.readouterr().out == "1\n2\n1\n2\n"
    assert main(["inspect", "--format", "a[b", "a"]) == 2


def test_jobs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.info = some_info()
    assert main(["jobs", "box"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["JOB", "STATE", "AGE", "COMMAND"]
    assert lines[1].split()[:2] == ["1", "running"]
    assert lines[2].split()[:3] == ["2", "exited", "0"]
    assert main(["jobs", "-q", "box"]) == 0
    assert capsys.readouterr().out == "1\n2\n"
    assert main(["jobs", "--json", "box"]) == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == [1, 2]


DOCUMENT = {"a": {"b.c": 1, "b": {"d": [1, {"e": None}]}}, "list": [], "x.y": {"z": "text"}}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".", [DOCUMENT]),
        (".a.b.d[0]", [1]),
        ("a.b.d.1.e", [None]),
        (".a.b.d[-1].e", [None]),
        ('.a["b.c"]', [1]),
        (".x.y.z", ["text"]),
        (".a.b.d[*]", [1, {"e": None}]),
        (".list[*]", []),
    ],
)
def test_paths(path: str, wanted: list[object]) -> None:
    assert pick(DOCUMENT, path) == wanted


@pytest.mark.parametrize(
    "path", [".q", ".a.q", ".list[0]", ".a.b.d[7]", ".a.b.d.x", ".x.y.z.w", "..a", ".a[", ".a.b.c.d"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(BadInput, match="--format"):
        pick(DOCUMENT, path)


def test_values_as_text() -> None:
    assert [as_text(value) for value in ("a b", None, True, 1.5, [1])] == ["a b", "", "true", "1.5", "[1]"]


def test_keys() -> None:
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("ctrl-@,a,ctrl-[,ctrl-_,ctrl-Z") == b"\x00a\x1b\x1f\x1a"
    assert parse_keys("") == b""
    for wrong in ("ctrl-", "ctrl-1", "ab", "é", "ctrl-pq"):
        with pytest.raises(BadInput, match="--detach-keys"):
            parse_keys(wrong)


@pytest.mark.parametrize(
    ("pieces", "passed", "found"),
    [
        ([b"ab"], b"ab", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11b"], b"a", True),
        ([b"\x10", b"\x10", b"\x11"], b"\x10", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10", b"x\x11"], b"\x10\x10x\x11", False),
    ],
)
def test_keys_in_what_is_typed(pieces: list[bytes], passed: bytes, found: bool) -> None:
    watch, seen, ended = KeyWatch(b"\x10\x11"), b"", False
    for piece in pieces:
        data, ended = watch.feed(piece)
        seen += data
    assert (seen, ended) == (passed, found)
    assert KeyWatch(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


def test_which_job_is_attached_to() -> None:
    info = some_info()
    assert chosen_job(info, None).id == 1
    assert chosen_job(info, 1).id == 1
    with pytest.raises(WrongState, match="job 2: it has ended"):
        chosen_job(info, 2)
    with pytest.raises(UnknownJob):
        chosen_job(info, 3)
    with pytest.raises(WrongState, match="no job runs"):
        chosen_job(some_info(jobs=()), None)


def test_ps_filters_and_picks(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.info = some_info()
    assert main(["ps", "--format", ".handle,.jobs[*].id,.rootfs"]) == 0
    assert capsys.readouterr().out == "box\t1 2\t\n"
    both = ["state=active", "state=paused"]
    for words, shown in ((["name=bo"], "box\n"), (["name=zz"], ""), (both, "box\n"), (["id=18", "name=qq"], "")):
        assert main(["ps", "-q", *(word for each in words for word in ("-f", each))]) == 0
        assert capsys.readouterr().out == shown
    assert main(["ps", "--filter", "name"]) == 2


def test_kill_takes_several_but_one_job(world: World) -> None:
    world.containers = ["a", "b"]
    assert main(["kill", "a", "b"]) == 0
    assert world.calls == [("kill", "a"), ("kill", "b")]
    assert main(["kill", "--job", "1", "a", "b"]) == 2
