"""Containers that no daemon owns: what LXC's tools run, by the directory that each has while it runs. Read only.

STATE/ID has `lock`, held by whoever starts, watches or cleans up after it; `container.json`, what is known of it; and
`journal`, its states, one a line. Imports nothing heavy: LXC's small tools begin with this.
"""

from __future__ import annotations

import fcntl
import os

from warden.light import TYPE_CHECKING, suppress
from warden.plainjson import loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from warden.model.info import Info

USUAL = "/run/warden-lxc"
STATES = ("STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED")
_MOST = 1 << 20


def state_directory() -> str:
    """The environment can move it."""
    return os.environ.get("WARDEN_LXC_STATE", USUAL)


def entries(state: str) -> list[str]:
    """Ids of those that have a directory."""
    try:
        return sorted(name for name in os.listdir(state) if not name.startswith("."))
    except OSError:
        return []


def is_held(directory: str) -> bool:
    """Whether somebody is at work on a container: starts it, watches it, or cleans up after it."""
    try:
        lock = os.open(f"{directory}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def recalled(directory: str) -> dict[str, Any]:
    """What was written down of it. Raises OSError, ValueError."""
    with open(f"{directory}/container.json", encoding="utf-8", errors="surrogateescape") as file:
        found: dict[str, Any] = loads(file.read())
    return found


def words(directory: str) -> list[str]:
    """Everything in its journal so far. Raises OSError."""
    with open(f"{directory}/journal", "rb") as file:
        return file.read(_MOST).decode(errors="replace").splitlines()


def state_of(directory: str) -> str:
    """The steady state: one that was thawed runs. STOPPED when nobody is at work on it, whatever its journal says."""
    if not is_held(directory):
        return "STOPPED"
    try:
        found = next((line for line in reversed(words(directory)) if line in STATES), "STARTING")
    except OSError:
        return "RUNNING" if os.path.exists(f"{directory}/container.json") else "STOPPED"
    return "RUNNING" if found == "THAWED" else found


def infos() -> Iterator[Info]:
    """Those that have a first process, as the engine's own are described."""
    from warden.model.info import Info, MemoryUse, State
    from warden.model.spec import ContainerSpec

    state = state_directory()
    for identity in entries(state):
        directory = f"{state}/{identity}"
        with suppress(OSError, ValueError, KeyError):
            data, word = recalled(directory), state_of(directory)
            if data["pid"] and word != "STOPPED":
                yield Info(
                    handle=data["name"],
                    id=identity,
                    state=State.ACTIVE,
                    spec=ContainerSpec(handle=data["name"], rootfs=data.get("rootfs") or "/"),
                    created=os.stat(f"{directory}/lock").st_mtime,
                    path=f"{data['lxcpath']}/{data['name']}",
                    pid=data["pid"],
                    memory=MemoryUse(current=_memory(data.get("groups", {}))),
                    paused=word == "FROZEN",
                )


def find(handle: str) -> Info | None:
    """By name, or by id."""
    return next((info for info in infos() if handle in (info.handle, info.id)), None)


def _memory(groups: dict[str, str]) -> int:
    for controller, name in (("memory", "memory.usage_in_bytes"), ("", "memory.current")):
        with suppress(OSError, KeyError), open(f"{groups[controller]}/{name}", encoding="ascii") as file:
            return int(file.read())
    return 0
