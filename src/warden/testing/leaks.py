"""Leak check: what this machine has of ours before and after, as sets of names that can be compared.

Owns looking only. Nothing is cleaned up here: a leak that is tidied away is a leak that is not found.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

from warden.records import dataclass

_CGROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Held:
    """One look at the machine. Every member is a set of short texts that a failed comparison shows as they are."""

    descriptors: frozenset[str]
    cgroups: frozenset[str]
    processes: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    namespaces: frozenset[str]
    loops: frozenset[str]

    def minus(self, before: Held) -> dict[str, list[str]]:
        """What is there now and was not there *before*, by kind; empty when nothing is."""
        more = {name: sorted(getattr(self, name) - getattr(before, name)) for name in Held.__dataclass_fields__}
        return {name: found for name, found in more.items() if found}


def look(cgroup_parent: str, *paths: str) -> Held:
    """What there is now: cgroups below *cgroup_parent* and processes in them, mounts below *paths*, our links, ..."""
    cgroups = frozenset(_cgroups(cgroup_parent))
    return Held(
        descriptors=frozenset(_descriptors()),
        cgroups=cgroups,
        processes=frozenset(_processes(cgroups)),
        mounts=frozenset(_mounts(paths)),
        links=frozenset(name for _, name in socket.if_nameindex() if name.startswith("w-")),
        namespaces=frozenset(_bound_namespaces()),
        loops=frozenset(_loops(paths)),
    )


def leaks(before: Held, cgroup_parent: str, *paths: str, patience_s: float = 30.0) -> dict[str, list[str]]:
    """What is new since *before*. Looks again until nothing is or *patience_s* is over.

    The kernel frees network namespaces with their links, and empty cgroups, some time after the last process ended.
    """
    deadline = time.monotonic() + patience_s
    while True:
        found = look(cgroup_parent, *paths).minus(before)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""  # it ended or was removed while we looked


def _descriptors() -> Iterator[str]:
    for number in _listing("/proc/self/fd"):
        try:
            yield f"{number} {os.readlink('/proc/self/fd/' + number)}"
        except FileNotFoundError:
            continue  # the one that listdir itself had open


def _cgroups(parent: str) -> Iterator[str]:
    """Directories named *parent* in any hierarchy (v1 ones, v2, and hybrid's), and all below them."""
    hierarchies = ["", *(name for name in _listing(_CGROUPS) if os.path.isdir(f"{_CGROUPS}/{name}"))]
    for hierarchy in hierarchies:
        for directory, _, _ in os.walk(os.path.join(_CGROUPS, hierarchy, parent)):
            yield directory


def _processes(cgroups: frozenset[str]) -> Iterator[str]:
    for pid in {pid for directory in cgroups for pid in _read(directory + "/cgroup.procs").split()}:
        yield f"{pid} {_read(f'/proc/{pid}/comm').strip()}"


def _mounts(paths: tuple[str, ...]) -> Iterator[str]:
    for line in _read("/proc/self/mountinfo").splitlines():
        point = line.split()[4]
        if any(point == path or point.startswith(path.rstrip("/") + "/") for path in paths):
            yield point


def _bound_namespaces() -> Iterator[str]:
    """Namespaces that a mount keeps alive. Others die with their last process, and processes are looked at."""
    for line in _read("/proc/self/mountinfo").splitlines():
        if " - nsfs " in line:
            yield line.split()[3] + " " + line.split()[4]


def _loops(paths: tuple[str, ...]) -> Iterator[str]:
    for name in _listing("/sys/block"):
        backing = _read(f"/sys/block/{name}/loop/backing_file").strip()
        if backing and any(backing.startswith(path) for path in paths):
            yield f"{name} {backing}"
