"""A restart or a stop by hand that a crash cuts short is what it was meant to be under the next daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, wait_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, WardenError
from warden.model.info import State
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

#: Ends when it may, whatever is asked; says that it was asked. What allows it allows no other run.
SLOW = "trap ': > /flags/asked' TERM; echo run >> /flags/runs; until [ -e /flags/go ]; do sleep 0.05; done; rm /flags/go; : > /flags/ended"
#: Ends at once when it is asked.
QUICK = "trap 'exit 0' TERM; echo run >> /flags/runs; while :; do sleep 0.05; done"


def started(client: Client, flags: Path, script: str = SLOW, **options: object) -> Container:
    mounts = [(str(flags), "/flags", "rw")]
    options = {"stop_timeout": 60, **options}
    container = client.create(main=["bash", "-c", script], mounts=mounts, network="none", **options)  # type: ignore[arg-type]
    container.start()
    wait_until((flags / "runs").exists)
    return container


def runs(flags: Path) -> int:
    return len((flags / "runs").read_text().splitlines())


def main_runs(container: Container) -> bool:
    info = container.info()
    return any(job.running for job in info.jobs if job.id == info.main_job)


def it_alone_runs(container: Container) -> bool:
    info = container.info()
    return [job.id for job in info.jobs if job.running] == [info.main_job]


def in_background(daemon: PrivateDaemon, what: Callable[[Client], object]) -> threading.Thread:
    def work() -> None:
        with suppress(WardenError), client_of(daemon) as other:
            what(other)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def cut_short(daemon: PrivateDaemon, flags: Path, what: Callable[[Client], object]) -> None:
    """*what* begins; when the main job was asked to end the daemon is killed, and the main job ends under none."""
    thread = in_background(daemon, what)
    wait_until((flags / "asked").exists)
    daemon.kill()
    thread.join()
    (flags / "go").touch()
    wait_until((flags / "ended").exists)


@pytest.mark.parametrize("options", [{}, {"auto_remove": True}, {"restart": "always"}], ids=["plain", "rm", "always"])
def test_a_restart_is_carried_on(client: Client, flags: Path, daemon: PrivateDaemon, options: dict[str, object]) -> None:
    container = started(client, flags, **options)
    first = container.info().main_job
    cut_short(daemon, flags, lambda other: other.container(container.handle).restart())
    daemon.start()
    wait_until(lambda: runs(flags) == 2)
    wait_until(lambda: main_runs(container))
    info = container.info()
    assert (info.state, info.restarts) == (State.ACTIVE, 0)
    assert info.main_job != first
    daemon.kill()
    daemon.start()
    time.sleep(0.3)
    assert (runs(flags), container.info().main_job) == (2, info.main_job), "it was asked for once"
    (flags / "go").touch()
    if options.get("auto_remove"):
        wait_until(lambda: container.handle not in client.list())
    else:
        container.destroy()


def test_a_restart_is_carried_on_where_the_main_job_still_runs(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    container = started(client, flags)
    thread = in_background(daemon, lambda other: other.container(container.handle).restart())
    wait_until((flags / "asked").exists)
    daemon.kill()
    thread.join()
    daemon.start()
    (flags / "go").touch()
    wait_until(lambda: runs(flags) == 2)


@pytest.mark.parametrize(("policy", "again"), [("always", True), ("unless-stopped", False), ("no", False)])
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "runs"])
def test_a_stop_is_carried_on(
    client: Client, flags: Path, daemon: PrivateDaemon, policy: str, again: bool, ended: bool
) -> None:
    container = started(client, flags, restart=policy)
    if ended:
        cut_short(daemon, flags, lambda other: other.container(container.handle).stop())
        daemon.start()
    else:
        thread = in_background(daemon, lambda other: other.container(container.handle).stop())
        wait_until((flags / "asked").exists)
        daemon.kill()
        thread.join()
        daemon.start()
        (flags / "go").touch()
        wait_until((flags / "ended").exists)
    if again:
        wait_until(lambda: runs(flags) == 2)
        wait_until(lambda: main_runs(container))
    else:
        wait_until(lambda: container.info().state is State.STOPPED and not main_runs(container))
        time.sleep(0.3)
        assert (runs(flags), container.info().state) == (1, State.STOPPED)


def test_killed_at_any_instant_of_restarts_it_runs(client: Client, flags: Path, daemon: PrivateDaemon) -> None:
    container = started(client, flags, QUICK)
    for number in range(12):
        thread = in_background(daemon, lambda other: other.container(container.handle).restart())
        time.sleep(0.003 + number * 0.009)
        daemon.kill()
        thread.join()
        daemon.start()
        wait_until(lambda: it_alone_runs(container), lambda number=number: f"round {number}: {container.info()}")  # type: ignore[misc]


def test_without_a_main_job_nothing_is_stopped(client: Client) -> None:
    container = client.create(network="none")
    job = container.spawn("sleep 1000")
    with pytest.raises(BadInput, match="it has no main job"):
        container.restart()
    assert [one.running for one in container.info().jobs] == [True]
    job.kill()
