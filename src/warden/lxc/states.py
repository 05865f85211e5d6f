"""The states of a container, and the journal of them: STATE/ID/journal, one word a line, appended by who changes it.

Who reads on from where he was misses none. "EXITED N" is the first process's status as wait(2) gives it. A container
whose journal nobody can continue, since whoever was at work on it was killed, is stopped.
"""

from __future__ import annotations

import os

from warden.depot.systems import STATES, state_of, words
from warden.light import TYPE_CHECKING, NamedTuple, suppress
from warden.lxc import place
from warden.lxc.place import Running, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALIVE", "STATES", "Seen", "every", "exit_status", "find", "open_journal", "state_of", "words", "write"]

#: What a container is in that somebody can be attached to.
ALIVE = ("RUNNING", "FROZEN", "FREEZING", "THAWED")


class Seen(NamedTuple):
    """A container and its *state* now."""

    running: Running
    state: str


def open_journal(directory: str) -> int:
    """For writing; made where it lacks."""
    return os.open(f"{directory}/journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def write(journal: int, word: str) -> None:
    os.write(journal, f"{word}\n".encode())


def every(site: Site) -> Iterator[Seen]:
    """All that are not stopped."""
    for running in place.present(site):
        state = state_of(f"{site.state}/{running.container_id}")
        if state != "STOPPED":
            yield Seen(running, state)


def find(site: Site, lxcpath: str, name: str) -> Seen | None:
    """One of them; None for one that is stopped, or is not there at all."""
    for running in place.present(site):
        if (running.name, running.lxcpath) == (name, lxcpath):
            state = state_of(f"{site.state}/{running.container_id}")
            if state != "STOPPED":
                return Seen(running, state)
    return None


def exit_status(directory: str) -> int | None:
    """As wait(2) has it; None while it has none."""
    with suppress(OSError):
        for line in reversed(words(directory)):
            if line.startswith("EXITED "):
                return int(line.removeprefix("EXITED "))
    return None
