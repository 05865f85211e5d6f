"""A container's cgroups, removed by the directories that were written down when it was started.

The short way of the end, whose every millisecond somebody waits for: where a process is left in one of them, or one does
not go, nothing is decided here and the engine's own way is taken (place.remove_cgroups).
"""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUPERVISORS = "wshd"


def directories(groups: Iterable[str], joins: Iterable[str]) -> tuple[str, ...]:
    """Of the container's own groups, from those that have its limits and the files by which its processes join."""
    found = dict.fromkeys(groups)
    for path in joins:
        directory = os.path.dirname(path)
        found.setdefault(os.path.dirname(directory) if os.path.basename(directory).startswith("job-") else directory)
    return tuple(found)


def remove(made: Iterable[str]) -> bool:
    """Whether all of them are gone."""
    try:
        for directory in made:
            _remove(directory)
    except OSError:
        return False
    return True


def leave(made: Iterable[str], *, alone: bool) -> None:
    """The groups above them: this process lives there and moves to what is above; where these were the last and nobody
    else (*alone*) is about to use them they are removed."""
    for parent in dict.fromkeys(map(os.path.dirname, made)):
        with suppress(OSError):
            _move_above(parent)
            if alone:
                _remove_parent(parent)


def _remove(directory: str) -> None:
    for name in _below(directory):
        os.rmdir(f"{directory}/{name}")
    with suppress(FileNotFoundError):
        os.rmdir(directory)


def _move_above(parent: str) -> None:
    above = os.path.dirname(parent)
    name = "tasks" if os.path.exists(f"{above}/tasks") else "cgroup.procs"
    try:
        _enter(f"{above}/{name}")
    except OSError:  # v2's "no internal processes" at the root of a container's cgroups: nested.py made room beside
        _enter(f"{above}/init.scope/{name}")


def _remove_parent(parent: str) -> None:
    below = _below(parent)
    if set(below) - {_SUPERVISORS}:
        return
    if below:
        os.rmdir(f"{parent}/{_SUPERVISORS}")
    os.rmdir(parent)


def _enter(path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("0")


def _below(directory: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
