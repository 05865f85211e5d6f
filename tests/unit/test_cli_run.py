"""`warden run`, `exec`, `create`: options to requests, output, signals, exit codes. The client is a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import FakeClient, World, some_info

from warden.cli import connect
from warden.cli.main import main
from warden.errors import ALL, JobFailed, PoolExhausted
from warden.model.job import Chunk, JobResult, Usage, Verdict
from warden.model.spec import Mount


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


def spoken(*pieces: tuple[str, bytes]) -> tuple[Chunk, ...]:
    return tuple(Chunk(stream, data) for stream, data in pieces)


def test_output_is_passed_on_byte_for_byte(world: World, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    world.chunks = spoken(("stdout", b"\x00\xff\n"), ("stderr", b"oh\r"), ("stdout", b"end"))
    assert main(["run", "--", "cat", "-A", "--", "x"]) == 0
    assert capfdbinary.readouterr() == (b"\x00\xff\nend", b"oh\r")
    assert world.spawned[0][0] == ["cat", "-A", "--", "x"]
    assert world.containers == []


def test_options_of_the_container_reach_it(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "run -m 64M --name box --image busybox -v ./src:/dst:ro -v /a:/b --network none --hostname h true"
    assert main(words.split()) == 0
    handle, wanted = world.created[0]
    assert handle == "box"
    assert wanted["memory"] == 64 << 20
    assert wanted["mounts"] == (Mount(f"{tmp_path}/src", "/dst", True), Mount("/a", "/b", False))
    assert (wanted["image"], wanted["network"], wanted["hostname"]) == ("busybox", "none", "h")
    assert wanted["grace_time"] == 10, "a run that is killed outright leaves no container"


def test_options_of_the_job_reach_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_CALLER", "yes")
    monkeypatch.delenv("ABSENT", raising=False)
    words = (
        "run -e A=1=2 -e FROM_CALLER -e ABSENT -w /srv -u bob --timeout 1.5m --output-limit 1K --rlimit nofile=9 "
        "--cpu-timeout 300ms -- id"
    )
    assert main(words.split()) == 0
    job = world.spawned[0][1]
    assert job["env"] == {"A": "1=2", "FROM_CALLER": "yes"}
    assert (job["cwd"], job["user"], job["timeout"], job["output_limit"]) == ("/srv", "bob", 90.0, 1024)
    assert (job["rlimits"], job["cpu_timeout"]) == ({"nofile": 9}, 0.3)


def test_script_file_is_sent_as_bytes(world: World, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_bytes(b"echo \xe9\n")
    assert main(["run", "--script", str(tmp_path / "job.sh")]) == 0
    assert world.spawned[0][0] == b"echo \xe9\n"


@pytest.mark.parametrize(
    ("result", "code", "says"),
    [
        (JobResult(3, Verdict.EXITED), 3, ""),
        (JobResult(255, Verdict.SIGNALED, signal=15), 143, ""),
        (JobResult(255, Verdict.SIGNALED, signal=11, detail="killed by SIGSEGV"), 139, "killed by SIGSEGV"),
        (JobResult(255, Verdict.SIGNALED, signal=2, detail="killed by SIGINT"), 130, ""),
        (JobResult(255, Verdict.WALL_TIMEOUT, signal=9, usage=Usage(wall_s=2.04)), 124, "timeout: killed after 2.0 s"),
        (
            JobResult(255, Verdict.OUT_OF_MEMORY, signal=9, usage=Usage(peak_memory_bytes=64 << 20)),
            137,
            "out of memory: peak 64.0 MiB of 64.0 MiB",
        ),
        (JobResult(255, Verdict.OUT_OF_MEMORY, signal=9), 137, "out of memory: peak 2.0 MiB of 64.0 MiB"),
        (JobResult(255, Verdict.CPU_TIMEOUT, signal=24), 152, "processor time used up: 0.0 s"),
        (JobResult(255, Verdict.OUTPUT_LIMIT, signal=9), 153, "output limit reached, the job was killed"),
        (JobResult(1, Verdict.DISK_FULL), 1, "the container's disk is full"),
        (JobResult(1, Verdict.DISK_FULL, detail="/dev/shm is full"), 1, "/dev/shm is full"),
        (JobResult(255, Verdict.STOPPED, signal=15), 143, ""),
        (JobResult(255, Verdict.STOPPED), 137, "the container was stopped under the job"),
        (JobResult(255, Verdict.ENGINE_ERROR, detail="lost"), 70, "the engine failed: lost"),
        (JobResult(0, Verdict.EXITED, truncated=True), 0, "output was cut at the limit"),
        (JobResult(0, Verdict.EXITED, truncated=True, detail="the disk is full"), 0, "the disk is full"),
    ],
)
def test_verdict_becomes_exit_code_and_sentence(
    world: World, capsys: pytest.CaptureFixture[str], result: JobResult, code: int, says: str
) -> None:
    world.result, world.info = result, some_info()
    assert main(["run", "true"]) == code
    assert capsys.readouterr().err == (f"warden: {says}\n" if says else "")


def test_every_verdict_has_an_exit_code(world: World) -> None:
    codes = {}
    for verdict in Verdict:
        world.result = JobResult(0, verdict)
        codes[verdict] = main(["run", "true"])
    assert [verdict for verdict, code in codes.items() if code == 0] == [Verdict.EXITED, Verdict.SIGNALED]


def test_json_is_one_object(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.chunks = spoken(("stdout", b"a\xff"), ("stderr", b"e"), ("stdout", b"b"))
    world.result = JobResult(2, Verdict.EXITED, usage=Usage(0.5, 0.25, 1.5, 4096, 1), truncated=True)
    assert main(["run", "--json", "--name", "x", "true"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "handle": "x",
        "exit_status": 2,
        "verdict": "exited",
        "signal": 0,
        "truncated": True,
        "stdout": "a�b",
        "stderr": "e",
        "usage": {
            "cpu_user_s": 0.5, "cpu_system_s": 0.25, "wall_s": 1.5, "peak_memory_bytes": 4096,
            "io_read_bytes": 1, "io_write_bytes": None, "io_read_ops": None, "io_write_ops": None,
        },
        "detail": "",
    }


def test_keep_keeps_and_run_removes_even_when_the_job_cannot_start(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fail_spawn = JobFailed("exec nonesuch: no such file or directory")
    assert main(["run", "nonesuch"]) == 126
    assert capsys.readouterr().err == "warden: exec nonesuch: no such file or directory\n"
    assert world.containers == []
    world.fail_spawn = None
    assert main(["run", "--keep", "--name", "stay", "true"]) == 0
    assert world.containers == ["stay"]
    assert "grace_time" not in world.created[-1][1]


def test_detach_prints_the_handle_and_keeps(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-d", "--name", "bg", "sleep", "9"]) == 0
    assert capsys.readouterr().out == "bg\n"
    assert world.containers == ["bg"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_job_and_the_container_is_removed(world: World, number: signal.Signals) -> None:
    world.chunks = spoken(("stdout", b"1"), ("stdout", b"2"))
    world.during_job = lambda: os.kill(os.getpid(), number)
    world.result = JobResult(255, Verdict.SIGNALED, signal=number)
    before = signal.getsignal(number)
    assert main(["run", "sleep", "9"]) == 128 + number
    assert world.signals == [number]
    assert world.containers == []
    assert signal.getsignal(number) is before


def test_the_third_signal_kills_the_job(world: World) -> None:
    world.chunks = spoken(("stdout", b"1"))

    def three_times() -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)

    world.during_job = three_times
    main(["run", "stubborn"])
    assert (world.signals, world.kills) == ([2, 2], 1)


def test_a_signal_before_the_job_removes_the_container(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create = FakeClient.create

    def interrupted(self: FakeClient, *args: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return create(self, *args, **options)

    monkeypatch.setattr(FakeClient, "create", interrupted)
    assert main(["run", "true"]) == 128 + signal.SIGTERM
    assert world.spawned == []
    assert world.containers == []


def test_a_reader_that_goes_away_ends_job_and_container_quietly(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError

    world.chunks = spoken(("stdout", b"1"))
    monkeypatch.setattr("warden.cli.output.write_bytes", closed)
    # what it does to the real standard output is test_a_closed_pipe_is_quiet's subject
    monkeypatch.setattr("warden.cli.main._silence_stdout", lambda: 141)
    assert main(["run", "yes"]) == 141
    assert (world.kills, world.containers) == (1, [])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["run", "--memroy", "1M", "x"], "did you mean --memory"),
        (["run", "-m", "lots", "x"], "--memory: 'lots' is not a size"),
        (["run", "--timeout", "soon", "x"], "--timeout: 'soon' is not a duration"),
        (["run", "-v", "nowhere", "x"], "-v: 'nowhere' is not SRC:DST[:ro|rw]"),
        (["run", "-v", "/a:/b:zz", "x"], "is not SRC:DST"),
        (["run", "-v", "/a:/b/../c", "x"], "must not contain '..'"),
        (["run", "--rlimit", "nofile=many", "x"], "--rlimit: 'nofile=many'"),
        (["run", "--rm", "--keep", "x"], "--rm excludes"),
        (["run", "--image", "a", "--rootfs", "/b", "x"], "exclude each other"),
        (["run", "--script", "/no/such/file"], "--script /no/such/file: No such file"),
        (["run", "--script", "x", "--", "y"], "either a command or --script"),
        (["run", "-t", "--json", "x"], "--json and -t"),
        (["run", "-it", "x"], "not a terminal"),
        (["run"], "no command given"),
        (["run", "--network", "token-ring", "x"], "is unknown"),
        (["exec"], "HANDLE"),
        (["frobnicate"], "unknown command 'frobnicate'"),
        (["stpo"], "did you mean 'stop'?"),
        (["--sokcet", "x"], "unknown option --sokcet"),
        (["--socket"], "a path is missing"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], about: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("warden: ")
    assert err.count("\n") == 1
    assert about in err
    assert (world.created, world.spawned) == ([], [])


def test_exec_uses_the_container_and_leaves_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.containers = ["box"]
    world.chunks = spoken(("stdout", b"hi\n"))
    world.result = JobResult(5, Verdict.EXITED)
    assert main(["exec", "--privileged", "box", "--", "ls", "-i"]) == 5
    assert world.spawned[0][0] == ["ls", "-i"]
    assert world.spawned[0][1]["privileged"] is True
    assert capsys.readouterr().out == "hi\n"
    assert world.containers == ["box"]


def test_create_prints_the_handle(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--grace-time", "2m", "--oom-policy", "stop", "--no-user-namespace"]) == 0
    assert capsys.readouterr().out == "generated\n"
    wanted = world.created[0][1]
    assert (wanted["grace_time"], wanted["oom_policy"], wanted["user_namespace"]) == (120.0, "stop", False)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("cls", ALL)
def test_errors_end_with_their_class_exit_code(
    capsys: pytest.CaptureFixture[str], cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise cls("create box: no")

    monkeypatch.setattr(FakeClient, "create", refuse)
    assert main(["create"]) == cls.exit_code
    assert capsys.readouterr().err.startswith("warden: create box: no")


def test_debug_lets_the_traceback_through(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fail_spawn = PoolExhausted("no network left")
    monkeypatch.setenv("WARDEN_DEBUG", "1")
    with pytest.raises(PoolExhausted):
        main(["run", "true"])


@pytest.mark.usefixtures("world")
def test_an_unforeseen_error_is_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(FakeClient, "create", broken)
    assert main(["create"]) == 70
    assert capsys.readouterr().err == "warden: ZeroDivisionError: by nought (WARDEN_DEBUG=1 shows where)\n"


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    loaded = (
        run_python(
            f"import sys; from warden.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
            "print('MODULES', *sys.modules)"
        )
        .rpartition("MODULES")[2]
        .split()
    )
    heavy = {"asyncio", "google.protobuf", "msgspec", "yaml", "warden.client", "subprocess", "difflib", "logging"}
    assert heavy & set(loaded) == set()
