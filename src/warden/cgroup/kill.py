"""The processes of one group and everything below it: listing them, and killing all of them without a race.

Knows one directory of one hierarchy; which one is the caller's choice.
"""

from __future__ import annotations

import errno
import os
import time

from warden.cgroup import files
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, contextmanager, late, signal, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warden.cgroup import tables
else:
    tables = late("warden.cgroup.tables")

KILL_TIMEOUT_S = 2.0
_ROUND_S = 0.1  # how long one round of signals is waited for before the next one
_FREEZE_S = 0.1  # a task in uninterruptible sleep does not freeze; it is signalled all the same


def pids(path: str) -> list[int]:
    """Every process in *path* and below, by its number here; [] when the group is gone. Zombies are not listed."""
    found: list[int] = []
    for group in files.walk(path):
        # 0 stands for a process outside this pid namespace (cgroups(7)): it cannot be named here.
        found += [pid for word in (_procs(group) or "").split() if (pid := int(word)) > 0]
    return found


def populated(path: str, *, is_v2: bool) -> bool:
    """Whether a living process is in *path* or below; False when the group is gone."""
    if not is_v2:
        return bool(pids(path))
    with _gone_is_fine():
        return tables.parse_flat(files.read(f"{path}/cgroup.events")).get("populated", 0) > 0
    return False


def kill_group(path: str, *, is_v2: bool, timeout_s: float = KILL_TIMEOUT_S) -> None:
    """SIGKILL every process in *path* and below, and wait until none is left; nothing when the group is gone.

    Raises KernelRefused (EBUSY) when *timeout_s* passed in which none went: a thousand take their time.
    """
    deadline, left = time.monotonic() + timeout_s, len(pids(path))
    one_round = _round_for(path, is_v2)
    while populated(path, is_v2=is_v2):
        if time.monotonic() > deadline:
            found = pids(path)
            if len(found) >= left:
                names = ", ".join(map(str, found[:5]))
                hint = f"still there: {names}; waiting for a device or a mount?"
                raise KernelRefused("kill", path, errno.EBUSY, hint=hint)
            deadline, left = time.monotonic() + timeout_s, len(found)
        one_round(path)
        _wait_until_empty(path, is_v2, min(deadline, time.monotonic() + _ROUND_S))


def _round_for(path: str, is_v2: bool) -> Callable[[str], None]:
    if is_v2 and os.path.exists(f"{path}/cgroup.kill"):
        return _kill_by_file
    if is_v2 or os.path.exists(f"{path}/freezer.state"):
        return _kill_frozen
    return signal_group


def _kill_by_file(path: str) -> None:
    """Since 5.14: one write kills the tree, and what forks meanwhile."""
    with _gone_is_fine():
        files.write(f"{path}/cgroup.kill", "1")


def _kill_frozen(path: str) -> None:
    """Nobody can fork, or see a neighbour die, between the first signal and the last.

    In v1 the signal is delivered after the thaw; v2 kills frozen tasks.
    """
    with _frozen(path):
        signal_group(path)


def signal_group(path: str, number: int = signal.SIGKILL) -> None:
    """One signal to every process, by pidfd. A number still listed after its pidfd was opened is nobody else's."""
    handles = {pid: fd for pid in pids(path) if (fd := _pidfd_open(pid)) is not None}
    try:
        for pid in set(pids(path)) & handles.keys():
            _send(handles[pid], number)
    finally:
        for fd in handles.values():
            os.close(fd)


def _pidfd_open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _send(handle: int, number: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


@contextmanager
def _frozen(path: str) -> Iterator[None]:
    try:
        switch(path, on=True)
        with _gone_is_fine():
            wait_until(lambda: is_frozen(path), time.monotonic() + _FREEZE_S)
        yield
    finally:
        switch(path, on=False)


def _is_v1(path: str) -> bool:
    return os.path.exists(f"{path}/freezer.state")


def switch(path: str, *, on: bool) -> None:
    """Begins to freeze the group *path* and what is below, or thaws it; nothing when it is gone."""
    with _gone_is_fine():
        if _is_v1(path):
            files.write(f"{path}/freezer.state", "FROZEN" if on else "THAWED")
        else:
            files.write(f"{path}/cgroup.freeze", "1" if on else "0")


def is_switched_on(path: str) -> bool:
    """Whether the group itself, not one above it, is to be frozen; False when it is gone."""
    with _gone_is_fine():
        return files.read(f"{path}/{'freezer.self_freezing' if _is_v1(path) else 'cgroup.freeze'}").strip() == "1"
    return False


def is_frozen(path: str) -> bool:
    """v1 shows FREEZING until a read finds every task frozen; v2 says so in cgroup.events."""
    if _is_v1(path):
        return files.read(f"{path}/freezer.state").strip() == "FROZEN"
    return tables.parse_flat(files.read(f"{path}/cgroup.events")).get("frozen") == 1


def _wait_until_empty(path: str, is_v2: bool, deadline: float) -> None:
    wait_until(lambda: not populated(path, is_v2=is_v2), deadline)


def wait_until(true: Callable[[], bool], deadline: float) -> None:
    """Asks again in growing intervals, of 10 ms at most, until *deadline* of time.monotonic()."""
    pause = 0.0001
    while not true() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _procs(path: str) -> str | None:
    try:
        return files.read(f"{path}/cgroup.procs")
    except KernelRefused as error:
        # EOPNOTSUPP: a threaded group (v2); its processes are listed by the group above it.
        if error.errno in files.GONE or error.errno == errno.EOPNOTSUPP:
            return None
        raise


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except KernelRefused as error:
        if error.errno not in files.GONE:
            raise
