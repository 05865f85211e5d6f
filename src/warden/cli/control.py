"""`warden pause`, `resume`, `kill`: what runs in a container stands still, goes on, or ends."""

from __future__ import annotations

import signal
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput, UnknownJob, WardenError

if TYPE_CHECKING:
    from warden.client.blocking import Container


def signal_number(text: str, option: str = "--signal") -> int:
    """A signal by its number, or its name with or without SIG, in any case. Raises BadInput."""
    if text.isdecimal() and 0 < int(text) < 65:
        return int(text)
    name = text.upper().removeprefix("SIG")
    try:
        return signal.Signals["SIG" + name]
    except KeyError:
        names = ", ".join(number.name.removeprefix("SIG") for number in signal.Signals)
        raise BadInput(f"{option}: {text!r} is not a signal", hint=f"1 to 64, or one of {names}") from None


def _each(options: Namespace, act: Callable[[Container], None]) -> int:
    """Every handle is tried; the exit code is the first failure's."""
    code = 0
    with closing(connect.open_client(options)) as client:
        for handle in options.handles:
            try:
                act(client.container(handle))
            except WardenError as error:
                output.say(f"{handle}: {error}")
                code = code or error.exit_code
    return code


def pause(options: Namespace) -> int:
    """`warden pause`."""
    return _each(options, lambda container: container.pause())


def resume(options: Namespace) -> int:
    """`warden resume`."""
    return _each(options, lambda container: container.resume())


def kill(options: Namespace) -> int:
    """`warden kill`."""
    number = signal_number(options.signal)
    if options.job is not None and len(options.handles) > 1:
        raise BadInput("--job: a job belongs to one container", hint="give one HANDLE")

    def act(container: Container) -> None:
        if options.job is not None:
            container.job(options.job).signal(number)
        elif number == signal.SIGKILL:
            container.kill()
        else:
            _signal_all(container, number)

    return _each(options, act)


def start(options: Namespace) -> int:
    """`warden start`."""
    return _each(options, lambda container: container.start())


def restart(options: Namespace) -> int:
    """`warden restart`."""
    return _each(options, lambda container: container.restart(kill=options.kill))


def rename(options: Namespace) -> int:
    """`warden rename`."""
    with closing(connect.open_client(options)) as client:
        client.container(options.handle).rename(options.new_name)
    return 0


def _signal_all(container: Container, number: int) -> None:
    for job in container.info().jobs:
        if job.running:
            with suppress(UnknownJob):  # it ended and was collected meanwhile
                container.job(job.id).signal(number)


COMMANDS = {
    "pause": Command(
        "HANDLE...",
        "Lets all processes of containers stand still, also over a restart of the daemon. They can be stopped, killed and\n"
        "destroyed all the same; no job starts in them. Deadlines by the wall clock go on, processor time does not.",
        ("handles",),
        "warden pause box\nwarden pause web worker",
        pause,
    ),
    "resume": Command(
        "HANDLE...",
        "Lets the processes of paused containers go on.",
        ("handles",),
        "warden resume box",
        resume,
    ),
    "kill": Command(
        "[--job N] [-s SIGNAL] HANDLE...",
        "Sends a signal to every process of one job or of all jobs. The container stays; `warden stop` ends it as well.\n"
        "A job that KILL ends has the verdict stopped.",
        ("job", "signal", "handles"),
        "warden kill box\nwarden kill web worker\nwarden kill --job 3 box\nwarden kill -s HUP box",
        kill,
    ),
    "start": Command(
        "HANDLE...",
        "Starts the main job of containers, the command that they were made for, unless it runs. One that was stopped is\n"
        "active again.",
        ("handles",),
        "warden start box\nwarden start web worker",
        start,
    ),
    "restart": Command(
        "[--kill] HANDLE...",
        "Stops containers as `warden stop` does, and starts their main job.",
        ("kill", "handles"),
        "warden restart web\nwarden restart --kill web worker",
        restart,
    ),
    "rename": Command(
        "HANDLE NEW",
        "Gives a container another handle.",
        ("handle", "new_name"),
        "warden rename box web",
        rename,
    ),
}
