"""OomWatch: a descriptor that becomes readable when a container runs out of memory. Decides nothing."""

from __future__ import annotations

import os

from warden.cgroup import files
from warden.errors import KernelRefused
from warden.kernel import events
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class OomWatch:
    """Wakes a selector when the kernel's OOM killer is at work in one container.

    v1 wakes just before the victim is chosen, so `oom_kills` may still lack it, and once more when the group is
    removed; v2 wakes at every change of memory.events. Compare counts after `drain`. A context manager.
    """

    def __init__(self, fd: int, count: Callable[[], int]) -> None:
        self._fd = fd
        self._count = count

    def fileno(self) -> int:
        """The descriptor to wait on for reading; -1 after `close`."""
        return self._fd

    def drain(self) -> None:
        """Forget the wake-ups so far; call it when the descriptor is readable."""
        if self._fd >= 0:
            events.drain(self._fd)

    def oom_kills(self) -> int:
        """Processes of the container killed for memory so far; raises KernelRefused when the group is gone."""
        return self._count()

    def close(self) -> None:
        """Stop watching; the kernel drops its side with the descriptor. Can be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def watch_v1(group: str, count: Callable[[], int]) -> OomWatch:
    """By eventfd: cgroup.event_control takes "EVENTFD OOM_CONTROL_FD" (kernel's cgroup-v1/memory.rst §9)."""
    watch = OomWatch(events.create_eventfd(), count)
    path = f"{group}/memory.oom_control"
    try:
        control = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.write(f"{group}/cgroup.event_control", f"{watch.fileno()} {control}")
        finally:
            os.close(control)
    except (OSError, KernelRefused) as error:
        watch.close()
        raise files.refused("open", path, error) if isinstance(error, OSError) else error from error
    return watch


def watch_v2(group: str, count: Callable[[], int]) -> OomWatch:
    """By inotify: memory.events is modified whenever a count in it or below it grows (kernel's cgroup-v2.rst)."""
    watch = OomWatch(events.inotify_init1(), count)
    try:
        events.inotify_add_watch(watch.fileno(), f"{group}/memory.events", events.IN_MODIFY)
    except KernelRefused:
        watch.close()
        raise
    return watch
