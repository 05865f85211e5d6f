"""The emitter, and the operator's programs as real processes; no container is needed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from warden.engine.events import ContainerCreated, ContainerFacts, Emitter, Event, JobEnded, OutOfMemory
from warden.engine.hooks import Hooks
from warden.errors import ConfigError, HookFailed
from warden.model.job import JobResult, Verdict
from warden.model.settings import Hook
from warden.server.config import parse

FACTS = ContainerFacts("my box", "1abc", "active", "/depot/1abc", 42, "10.0.0.1", "10.0.0.2", "host", 1.5)


def test_the_emitter_tells_all_and_survives_a_bad_listener(caplog: pytest.LogCaptureFixture) -> None:
    emitter, seen = Emitter(), list[Event]()
    assert not emitter

    def broken(event: Event) -> None:
        raise RuntimeError("no")

    end_broken, end = emitter.subscribe(broken), emitter.subscribe(seen.append)
    emitter.emit(ContainerCreated(FACTS))
    assert seen == [ContainerCreated(FACTS)]
    assert "a listener failed on ContainerCreated" in caplog.text
    end()
    end_broken()
    assert not emitter


def script(directory: Path, text: str) -> str:
    path = directory / f"hook-{len(os.listdir(directory))}"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def hooks(path: str, *, point: str = "after_create", must_succeed: bool = True, timeout_s: float = 30.0) -> Hooks:
    return Hooks({point: (Hook(path, ("one", "two words"), timeout_s, must_succeed),)})


async def test_what_a_hook_is_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = script(tmp_path, f"cat > {tmp_path}/stdin; env > {tmp_path}/env; pwd; printf '%s|' \"$@\"; ps -o sid= -p $$")
    with caplog.at_level(logging.INFO):
        await hooks(path).run("after_create", FACTS)
        await hooks(path).run("before_stop", FACTS)  # nothing is configured there
    data = json.loads((tmp_path / "stdin").read_text())
    assert (data["event"], data["container"]["handle"], data["container"]["pid"]) == ("after_create", "my box", 42)
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    wanted = {"WARDEN_EVENT": "after_create", "WARDEN_HANDLE": "my box", "WARDEN_ID": "1abc", "WARDEN_PID": "42"}
    assert wanted.items() <= environment.items()
    assert set(environment) <= {
        "PATH",
        "LANG",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        *(n for n in environment if "WARDEN_" in n),
    }
    lines = [record.getMessage().removeprefix(f"hook after_create {path}: ") for record in caplog.records]
    assert lines[0] == "/"
    assert lines[1].startswith("one|two words|")
    assert int(lines[1].rpartition("|")[2]) != os.getsid(0)


@pytest.mark.parametrize(
    ("text", "timeout_s", "failure"),
    [
        ("echo first; echo the reason >&2; exit 3", 30.0, "exit status 3 (the reason)"),
        ("kill -SEGV $$", 30.0, "killed by signal 11"),
        ("sleep 1000", 0.05, "killed after 0.05 seconds"),
        ("trap '' TERM; while :; do sleep 0.01; done", 0.05, "killed after 0.05 seconds"),
    ],
)
async def test_failures_are_named(tmp_path: Path, text: str, timeout_s: float, failure: str) -> None:
    path = script(tmp_path, text)
    with pytest.raises(HookFailed) as failed:
        await hooks(path, timeout_s=timeout_s).run("after_create", FACTS)
    assert str(failed.value) == f"hook after_create {path}: {failure}"


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file or directory"), ("", "Permission denied")])
async def test_a_program_that_cannot_run(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(HookFailed) as failed:
        await hooks(str(tmp_path / name)).run("after_create", FACTS)
    assert str(failed.value).endswith(f": exec: {reason}")


async def test_an_ignored_failure_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await hooks(script(tmp_path, "exit 1"), must_succeed=False).run("after_create", FACTS)
    assert "exit status 1; ignored" in caplog.text


async def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    task = asyncio.ensure_future(hooks(path).run("after_create", FACTS))
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        await asyncio.sleep(0.01)
    child = int((tmp_path / "child").read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while alive(child):
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_others_go_on_while_one_runs(tmp_path: Path) -> None:
    """Two hooks that need each other: the second makes what the first waits for."""
    waits = script(tmp_path, f"until [ -e {tmp_path}/flag ]; do sleep 0.01; done")
    makes = script(tmp_path, f"touch {tmp_path}/flag")
    await asyncio.gather(hooks(waits).run("after_create", FACTS), hooks(makes).run("after_create", FACTS))


async def test_a_child_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child")
    await hooks(path).run("after_create", FACTS)
    os.kill(int((tmp_path / "child").read_text()), 9)


async def test_hooks_of_events(tmp_path: Path) -> None:
    path = script(tmp_path, f"cat > {tmp_path}/stdin; echo $WARDEN_JOB_ID > {tmp_path}/job; exit 1")
    made = hooks(path, point="on_job_end", must_succeed=False)
    event = JobEnded(FACTS, 7, "true", JobResult(3, Verdict.EXITED))
    assert made.wants(event)
    assert not made.wants(OutOfMemory(FACTS))
    assert not made.wants(ContainerCreated(FACTS))
    await made.after(event)
    job = json.loads((tmp_path / "stdin").read_text())["job"]
    assert (job["id"], job["exit_status"], job["verdict"], job["command"]) == (7, 3, "exited", "true")
    assert (tmp_path / "job").read_text() == "7\n"


def test_the_configuration() -> None:
    config = parse(
        "hooks:\n  after_create:\n    - {path: /bin/a, args: [x], timeout: 2, on_failure: fail}\n    - path: /bin/b\n"
        "  on_job_end: [{path: /bin/c}]\n"
    )
    settings = config.engine_settings()
    assert settings.hooks["after_create"] == (Hook("/bin/a", ("x",), 2.0, True), Hook("/bin/b"))
    assert set(settings.hooks) == {"after_create", "on_job_end"}
    assert parse(config.to_yaml()).engine_settings().hooks == settings.hooks


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("after_create: /bin/a", "expected a list of hooks"),
        ("after_create: [{args: [x]}]", "expected a hook with a path"),
        ("after_create: [{path: a}]", "expected an absolute path"),
        ("after_create: [{path: /a, arg: x}]", "'arg' is not a key of a hook"),
        ("after_create: [{path: /a, timeout: 0}]", "more than 0 seconds"),
        ("after_create: [{path: /a, on_failure: stop}]", "one of ignore, fail"),
        ("after_destroy: [{path: /a, on_failure: fail}]", "nothing can be refused any more"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"hooks:\n  {text}\n", "w.yml")
    assert str(refused.value).startswith("w.yml:2:")
    assert reason in str(refused.value)
