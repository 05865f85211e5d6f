"""Containers that no daemon owns: what LXC's tools run, by the directory that each has while it runs. Read only.

STATE/ID has `lock`, held by whoever starts, watches or cleans up after it; `container.json`, what is known of it; and
`journal`, its states, one a line. Imports nothing heavy: LXC's small tools begin with this.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from warden.light import TYPE_CHECKING, NamedTuple, contextmanager, suppress
from warden.plainjson import loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

USUAL, USUAL_PARENT = "/run/warden-lxc", "lxc.warden"
#: Before the name of one where warden's own are named too.
PREFIX = "lxc:"
STATES = ("STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED")
_MOST = 1 << 20
_DIGITS = frozenset("0123456789abcdefghijklmnopqrstuv")


class Record(NamedTuple):
    """One that runs. *pid*: of its first process; *state*: one of STATES; *since*: seconds since the epoch."""

    identity: str
    name: str
    lxcpath: str
    rootfs: str
    pid: int
    state: str
    since: float


def state_directory() -> str:
    """The environment can move it."""
    return os.environ.get("WARDEN_LXC_STATE", USUAL)


def cgroup_parent() -> str:
    """Of their cgroups; the environment can move it too."""
    return os.environ.get("WARDEN_LXC_CGROUP", USUAL_PARENT)


def entries(state: str) -> list[str]:
    """Ids of those that have a directory."""
    try:
        return sorted(name for name in os.listdir(state) if not name.startswith("."))
    except OSError:
        return []


def is_held(directory: str) -> bool:
    """Whether somebody is at work on a container: starts it, watches it, or cleans up after it."""
    try:
        with _opened(f"{directory}/lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def recalled(directory: str) -> dict[str, Any]:
    """What was written down of it. Raises OSError, ValueError."""
    found: dict[str, Any] = loads(_text(f"{directory}/container.json").decode("utf-8", "surrogateescape"))
    return found


def words(directory: str) -> list[str]:
    """Everything in its journal so far. Raises OSError."""
    return _text(f"{directory}/journal").decode(errors="replace").splitlines()


def state_of(directory: str) -> str:
    """The steady state: one that was thawed runs. STOPPED when nobody is at work on it, whatever its journal says."""
    if not is_held(directory):
        return "STOPPED"
    try:
        found = next((line for line in reversed(words(directory)) if line in STATES), "STARTING")
    except OSError:
        return "RUNNING" if os.path.exists(f"{directory}/container.json") else "STOPPED"
    return "RUNNING" if found == "THAWED" else found


def records() -> Iterator[Record]:
    """Those that run. What is no whole record is passed over: anybody may have put it there."""
    state = state_directory()
    for identity in filter(_DIGITS.issuperset, entries(state)):
        directory = f"{state}/{identity}"
        with suppress(OSError, ValueError, KeyError, TypeError):
            data, word = recalled(directory), state_of(directory)
            name, lxcpath, pid = data["name"], data["lxcpath"], data["pid"]
            if not isinstance(name, str) or not isinstance(lxcpath, str) or type(pid) is not int:
                continue
            if pid > 1 and word != "STOPPED":
                rootfs, since = str(data.get("rootfs") or "/"), os.stat(f"{directory}/lock").st_mtime
                yield Record(identity, name, lxcpath, rootfs, pid, word, since)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """For reading, and a regular file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield fd
    finally:
        os.close(fd)


def _text(path: str) -> bytes:
    """Bounded. Raises OSError."""
    with _opened(path) as fd:
        data = b""
        while len(data) < _MOST and (more := os.read(fd, _MOST - len(data))):
            data += more
    return data
