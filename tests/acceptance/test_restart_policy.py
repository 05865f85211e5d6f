"""A container's main job: started again by its policy, by hand, by the next daemon; and what goes with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, commands_of, nothing_new, processes_of, wait_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, HandleTaken, JobFailed, UnknownHandle, WrongState
from warden.model.info import Info, State
from warden.model.job import JobSpec
from warden.model.life import RestartMode
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

Warden = Callable[..., "subprocess.CompletedProcess[str]"]
#: Notes that it ran, and ends as soon as it is told how; with *go* there it ends at once.
WORK = "echo $$ > /flags/pid; echo run >> /flags/runs; while ! [ -e /flags/go ]; do sleep 0.01; done; exit $(cat /flags/go)"


@pytest.fixture
def warden(daemon: PrivateDaemon) -> Warden:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warden.cli.main", *words]
        environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return run


def started(client: Client, flags: Path, main: str | list[str] = WORK, **options: object) -> Container:
    mounts = [(str(flags), "/flags", "rw")]
    container = client.create(main=main, mounts=mounts, network="none", **options)  # type: ignore[arg-type]
    container.start()
    return container


def runs(flags: Path) -> int:
    path = flags / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def crash(daemon: PrivateDaemon) -> None:
    daemon.kill()
    daemon.start()


def main_runs(info: Info) -> bool:
    return any(job.running for job in info.jobs if job.id == info.main_job)


def kill_main(container: Container, flags: Path) -> None:
    """By somebody else than the engine."""
    assert container.run(["kill", "-9", (flags / "pid").read_text().strip()]).exit_status == 0


def test_on_failure_gives_up_after_so_many(client: Client, flags: Path) -> None:
    (flags / "go").write_text("3")
    container = started(client, flags, restart="on-failure:3")
    wait_until(lambda: runs(flags) == 4 and not main_runs(container.info()))
    info = container.info()
    assert (info.restarts, str(info.spec.restart), info.state) == (3, "on-failure:3", State.ACTIVE)
    assert [(job.exit_status, job.running) for job in info.jobs] == [(3, False)] * 4
    container.start()
    wait_until(lambda: runs(flags) == 8 and container.info().restarts == 3)


def test_on_failure_leaves_success_alone(client: Client, flags: Path) -> None:
    (flags / "go").write_text("0")
    container = started(client, flags, restart="on-failure")
    wait_until(lambda: not main_runs(container.info()))
    container.run("sleep 0.3")
    assert (runs(flags), container.info().restarts) == (1, 0)


def test_a_signal_is_a_failure_and_its_owners_kill_is_none(client: Client, flags: Path) -> None:
    container = started(client, flags, restart="on-failure")
    wait_until(lambda: runs(flags) == 1)
    kill_main(container, flags)
    wait_until(lambda: runs(flags) == 2)
    container.kill()
    container.run("sleep 0.5")
    assert (runs(flags), main_runs(container.info())) == (2, False)


def test_always_goes_on_and_keeps_its_output_in_order(client: Client, flags: Path) -> None:
    line = "n=$(cat /flags/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > /flags/n; echo out $n; [ $n -lt 5 ] || sleep 1000"
    container = started(client, flags, line, restart="always")
    wait_until(lambda: container.info().restarts == 4)
    wait_until(lambda: b"out 5" in b"".join(chunk.data for chunk in container.logs()))
    assert b"".join(chunk.data for chunk in container.logs()) == b"out 1\nout 2\nout 3\nout 4\nout 5\n"


def test_only_the_last_outputs_are_kept(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    line = "n=$(cat /flags/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > /flags/n; [ $n -lt 3 ] || sleep 1000"
    container = started(client, flags, line, restart="always")
    wait_until(lambda: container.info().restarts == 2)
    for _ in range(12):
        (flags / "n").write_text("9")
        container.restart(kill=True)
    wait_until(lambda: [job.running for job in container.info().jobs] == [False] * 9 + [True])
    wait_until(lambda: len(os.listdir(Path(container.info().path) / "jobs")) == 10)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_stop_ends_it(client: Client, flags: Path, daemon: PrivateDaemon, policy: str) -> None:
    container = started(client, flags, restart=policy, stop_timeout=0.2)
    wait_until(lambda: runs(flags) == 1)
    container.stop()
    assert container.info().state is State.STOPPED
    crash(daemon)
    if policy == "always":  # as docker's: until the daemon is started again
        wait_until(lambda: runs(flags) == 2)
        assert container.info().state is State.ACTIVE
        container.stop()
    assert container.info().state is State.STOPPED
    container.start()
    wait_until(lambda: main_runs(container.info()))
    assert container.info().state is State.ACTIVE
    assert container.run("echo still a container").stdout == b"still a container\n"


def test_a_stop_between_two_runs(client: Client, flags: Path) -> None:
    (flags / "go").write_text("1")
    container = started(client, flags, restart="always")
    wait_until(lambda: container.info().restarts >= 3)
    container.stop()
    seen = runs(flags)
    assert (container.info().state, main_runs(container.info())) == (State.STOPPED, False)
    container.start()
    wait_until(lambda: runs(flags) > seen)


def test_a_kill_at_any_moment_of_it(client: Client, flags: Path) -> None:
    (flags / "go").write_text("1")
    container = started(client, flags, restart="always")
    for pause in (0.0, 0.05, 0.1, 0.12, 0.15, 0.3):  # while one runs, ends, waits, starts
        seen = runs(flags)
        wait_until(lambda seen=seen: runs(flags) > seen)  # type: ignore[misc]
        container.run(f"sleep {pause}")
        container.kill()
        told = runs(flags), container.info().restarts, main_runs(container.info())
        container.run("sleep 0.7")
        assert (runs(flags), container.info().restarts, main_runs(container.info())) == told
        assert not told[2]
        container.start()


def test_what_ended_while_no_daemon_ran_is_started_by_the_next(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    container = started(client, flags, restart="always")
    wait_until(lambda: runs(flags) == 1)
    daemon.kill()
    (flags / "go").write_text("0")
    wait_until(lambda: len(processes_of(daemon)) == 1)  # its PID 1 goes on
    (flags / "go").unlink()
    daemon.start()
    wait_until(lambda: runs(flags) == 2 and main_runs(container.info()))
    assert container.info().restarts == 1


def test_crashes_neither_lose_nor_double_it(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    container = started(client, flags, restart="on-failure")
    (flags / "go").write_text("1")
    for _ in range(6):  # at whatever moment of ending, waiting and starting that is
        seen = runs(flags)
        wait_until(lambda seen=seen: runs(flags) > seen)  # type: ignore[misc]
        crash(daemon)
        assert sum(job.running for job in container.info().jobs) <= 1
    (flags / "go").unlink()
    wait_until(lambda: "sleep" in commands_of(daemon).values())  # one that waits, and so did not see it
    assert main_runs(container.info())
    job = container.info().main_job
    crash(daemon)
    info = container.info()
    assert (info.main_job, main_runs(info)) == (job, True), "one that runs goes on"
    assert [one.id for one in info.jobs if one.running] == [job]


def test_a_restart_that_was_counted_and_not_done_is_done(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    """The daemon dies between the two; then the last restart of all would be lost."""
    container = started(client, flags, restart="on-failure:1")
    wait_until(lambda: runs(flags) == 1)
    record = Path(container.info().path) / "snapshot.json"
    daemon.kill()
    written = json.loads(record.read_text())
    written["warden"]["restarts"] = 1
    record.write_text(json.dumps(written))
    (flags / "go").write_text("3")
    wait_until(lambda: len(processes_of(daemon)) == 1, "the main job does not end")
    daemon.start()
    wait_until(lambda: runs(flags) == 2 and not main_runs(container.info()))
    assert container.info().restarts == 1
    container.run("sleep 0.5")
    assert runs(flags) == 2


def test_one_that_cannot_start(client: Client, flags: Path) -> None:
    container = client.create(main=["/no/such/program"], restart="always", network="none")
    with pytest.raises(JobFailed, match="/no/such/program"):
        container.start()
    assert (container.info().jobs, container.info().restarts) == ((), 0)
    tools = client.create(main=["/flags/tool"], restart="on-failure:4", mounts=[(str(flags), "/flags")], network="none")
    (flags / "tool").write_text("#!/bin/sh\nrm -f /flags/tool\nsleep 0.1\nexit 1\n")
    (flags / "tool").chmod(0o755)
    tools.start()
    (flags / "tool").unlink()
    wait_until(lambda: tools.info().restarts == 4)


def test_paused_it_waits(client: Client, flags: Path) -> None:
    container = started(client, flags, restart="always")
    wait_until(lambda: runs(flags) == 1)
    (flags / "go").write_text("0")
    wait_until(lambda: container.info().restarts >= 2)
    container.pause()
    seen = container.info().restarts
    client.create(network="none").run("sleep 0.5")
    assert container.info().restarts in (seen, seen + 1)
    (flags / "go").unlink()
    container.resume()
    wait_until(lambda: main_runs(container.info()))


def test_resumed_it_does_not_wait_for_long(client: Client, flags: Path) -> None:
    """However often it was its turn meanwhile."""
    container = started(client, flags, restart="always")
    wait_until(lambda: runs(flags) == 1)
    (flags / "go").write_text("0")
    wait_until(lambda: container.info().restarts >= 3)
    container.pause()
    seen = container.info().restarts
    client.create(network="none").run("sleep 4")
    (flags / "go").unlink()
    container.resume()
    wait_until(lambda: main_runs(container.info()))
    assert container.info().restarts in (seen, seen + 1)


def test_what_cannot_be_a_main_job(client: Client) -> None:
    for wrong in ({"main": "#" * 300_000}, {"main": ["a", "b" * 300_000]}, {"labels": {f"l{n}": "x" * 4000 for n in range(99)}}):
        with pytest.raises(BadInput, match=r"bytes are too long|characters are too many"):
            client.create(network="none", **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="standard input"):
        client.create(network="none", main=JobSpec(script=b"true", stdin=b"more"))
    assert client.list() == []


def test_restart_by_hand(client: Client, flags: Path) -> None:
    container = started(client, flags)
    other = container.spawn("sleep 1000")
    first = container.info().main_job
    container.start()
    assert container.info().main_job == first, "it runs already"
    wait_until(lambda: runs(flags) == 1)
    container.restart()
    info = container.info()
    assert (info.state, info.restarts, main_runs(info)) == (State.ACTIVE, 0, True)
    assert info.main_job != first
    assert other.wait().verdict.value == "stopped"
    wait_until(lambda: runs(flags) == 2)


def test_stop_signal_and_time(client: Client, flags: Path) -> None:
    script = "trap 'echo asked >> /flags/runs; exit 5' USR1; trap '' TERM; : > /flags/ready; while :; do sleep 0.05; done"
    container = started(client, flags, ["bash", "-c", script], stop_signal=int(signal.SIGUSR1), stop_timeout=20)
    wait_until((flags / "ready").exists)
    container.stop()
    assert container.info().jobs[0].exit_status == 5
    assert runs(flags) == 1
    deaf = started(client, flags, ["bash", "-c", "trap '' TERM; while :; do sleep 0.05; done"], stop_timeout=0)
    deaf.stop()
    assert deaf.info().jobs[0].verdict == "stopped"


def started_again(client: Client, flags: Path) -> Container:
    """One that is removed at its end, which came, and was started before that: on a busy machine at a later attempt."""
    for _ in range(20):
        container = started(client, flags, auto_remove=True)
        with suppress(UnknownHandle):
            (flags / "go").write_text("0")
            wait_until(lambda: not main_runs(container.info()))  # noqa: B023
            (flags / "go").unlink()
            container.start()
            return container
        (flags / "go").unlink(missing_ok=True)
    raise AssertionError("it was always removed before it could be started again")


def test_removed_at_its_end_whatever_somebody_does_beside_it(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    with nothing_new(daemon):
        container = started_again(client, flags)
        container.run("sleep 0.8")
        assert main_runs(container.info()), "it was started again before it was removed"

        def restart(_: int) -> None:
            with client_of(daemon) as other:
                other.container(container.handle).restart(kill=True)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(restart, range(8)))
        container.run("sleep 0.8")
        assert main_runs(container.info())
        (flags / "go").write_text("0")
        with suppress(UnknownHandle):
            container.restart()
        wait_until(lambda: container.handle not in client.list())
        wrong = client.create(main=["/no/such/program"], auto_remove=True, network="none")
        with pytest.raises(JobFailed):
            wrong.start()
        wait_until(lambda: wrong.handle not in client.list())


def test_one_whose_network_is_shared_is_removed_later(client: Client, flags: Path) -> None:
    owner = started(client, flags, auto_remove=True)
    sharer = client.create(network=f"container:{owner.handle}")
    (flags / "go").write_text("0")
    wait_until(lambda: not main_runs(owner.info()))
    sharer.run("sleep 1")
    sharer.destroy()
    wait_until(lambda: owner.handle not in client.list())


def test_without_a_main_job(client: Client) -> None:
    container = client.create(network="none")
    with pytest.raises(BadInput, match="it has no main job"):
        container.start()
    container.stop()
    with pytest.raises(BadInput, match="it has no main job"):
        container.start()
    assert container.info().state is State.STOPPED


def test_one_whose_init_is_gone(client: Client, flags: Path) -> None:
    container = started(client, flags, restart="always")
    os.kill(container.info().pid, signal.SIGKILL)
    wait_until(lambda: container.info().state is State.STOPPED)
    with pytest.raises(WrongState, match="PID 1 is gone"):
        container.start()


def test_it_goes_with_its_main_job(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    with nothing_new(daemon):
        container = started(client, flags, auto_remove=True)
        wait_until(lambda: runs(flags) == 1)
        container.restart()
        wait_until(lambda: runs(flags) == 2)
        assert main_runs(container.info()), "a restart is not its end"
        (flags / "go").write_text("0")
        wait_until(lambda: container.handle not in client.list())
    (flags / "go").unlink()
    stopped = started(client, flags, auto_remove=True)
    stopped.stop()
    wait_until(lambda: stopped.handle not in client.list())
    waiting = started(client, flags, auto_remove=True)
    daemon.kill()
    (flags / "go").write_text("0")
    wait_until(lambda: len(processes_of(daemon)) == 1)
    daemon.start()
    wait_until(lambda: waiting.handle not in client.list())


def test_from_the_command_line(warden: Warden, client: Client, flags: Path) -> None:
    words = ["--name", "web", "--network", "none", "-v", f"{flags}:/flags", "--stop-timeout", "1"]
    done = warden("run", "-d", *words, "--restart", "on-failure:2", "--", "sh", "-c", WORK)
    assert (done.stdout, done.returncode) == ("web\n", 0)
    (flags / "go").write_text("4")
    wait_until(lambda: runs(flags) == 3)
    wait_until(lambda: "on-failure:2, 2 so far" in warden("info", "web").stdout)
    assert warden("restart", "web").returncode == 0
    assert warden("stop", "web").returncode == 0
    (flags / "go").unlink()
    assert warden("start", "web").returncode == 0
    assert client.container("web").info().state is State.ACTIVE
    assert warden("destroy", "web").returncode == 0
    (flags / "go").write_text("0")
    assert warden("run", "-d", "--rm", *words, "--", "sh", "-c", WORK).returncode == 0
    wait_until(lambda: client.list() == [])
    done = warden("run", "-d", *words, "--", "/no/such")
    assert (done.returncode, client.list()) == (126, []), "what did not start does not stay"
    (flags / "go").unlink()
    assert warden("create", *words, "-e", "A=b", "--", "sh", "-c", "echo $A; " + WORK).returncode == 0
    assert client.container("web").info().jobs == ()
    assert warden("start", "web").returncode == 0
    wait_until(lambda: warden("logs", "web").stdout == "b\n")


def test_rename(warden: Warden, client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    container = started(client, flags, handle="old", restart="always", grace_time=None)
    client.create("other", network="none")
    with pytest.raises(HandleTaken):
        container.rename("other")
    with pytest.raises(HandleTaken):
        container.rename("old")
    with pytest.raises(BadInput):
        container.rename("")
    assert warden("rename", "old", "new").returncode == 0
    with pytest.raises(UnknownHandle):
        client.container("old").info()
    renamed = client.container("new")
    assert (renamed.info().handle, main_runs(renamed.info())) == ("new", True)
    assert sorted(client.list()) == ["new", "other"]
    crash(daemon)
    assert sorted(client.list()) == ["new", "other"]
    assert renamed.info().spec.restart.mode is RestartMode.ALWAYS
    client.create("old", network="none").destroy()
    renamed.destroy()
    assert client.list() == ["other"]


def test_rename_reaches_those_who_share_a_network(client: Client) -> None:
    owner = client.create("old", network="none")
    sharer = client.create("sharer", network="container:old")
    owner.rename("new")
    sharer.rename("guest")
    assert sharer.info().spec.network_of == "new"
    with pytest.raises(WrongState, match="shared by guest"):
        owner.destroy()
    sharer.destroy()
    owner.destroy()


def test_rename_keeps_the_grace_time(daemon: PrivateDaemon) -> None:
    with Client(daemon.socket) as client:
        client.create("old", grace_time=0, network="none").rename("new")
        assert client.list() == ["new"]
    wait_until(lambda: not [name for name in os.listdir(daemon.depot) if not name.startswith(".")])


def test_nothing_is_left_of_many(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    (flags / "go").write_text("1")
    with nothing_new(daemon):
        made = [started(client, flags, restart="always") for _ in range(8)]
        wait_until(lambda: all(container.info().restarts > 1 for container in made))
        for container in made:
            container.destroy()
