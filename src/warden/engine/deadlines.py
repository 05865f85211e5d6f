"""When a job's time is up: its wall clock limit by one timer, its limit of processor time by looks at its cgroup.

A look is put where the limit can be reached at the earliest, so an idle job is hardly looked at, and one that computes is
looked at ever more often only as its end comes near. Owns timers; what has run out is told to the job.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from warden.cgroup.files import GONE
from warden.errors import KernelRefused
from warden.model.job import Verdict

log = logging.getLogger("warden.job")

#: How exact the limit of processor time is: a look that comes late by this much of wall time is not noticed.
NEAREST_LOOK_S = 0.01
#: The same for a job that did nothing at all since the last look.
NEAREST_IDLE_LOOK_S = 0.02


def next_look(left_s: float, cpus: int, *, idle: bool) -> float:
    """Seconds until a job with *left_s* of processor time left can have used it at the earliest, on *cpus* at once."""
    return max(left_s / max(cpus, 1), NEAREST_IDLE_LOOK_S if idle else NEAREST_LOOK_S)


class Deadlines:
    """Of one job. *cpu_s* tells what it has used so far; *expire* is called once, with the verdict."""

    def __init__(
        self,
        wall_limit_s: float | None,
        cpu_limit_s: float | None,
        cpu_s: Callable[[], float],
        expire: Callable[[Verdict], None],
    ) -> None:
        self._wall_limit_s = wall_limit_s
        self._cpu_limit_s = cpu_limit_s
        self._cpu_s = cpu_s
        self._expire = expire
        self._used_s = -1.0  # at the last look
        self._wall: asyncio.TimerHandle | None = None
        self._cpu: asyncio.TimerHandle | None = None

    def start(self, elapsed_s: float) -> None:
        """*elapsed_s*: since the job's start, which may lie before this engine's."""
        loop = asyncio.get_running_loop()
        if self._wall_limit_s is not None:
            left = max(self._wall_limit_s - elapsed_s, 0)
            self._wall = loop.call_later(left, self._over, Verdict.WALL_TIMEOUT)
        if self._cpu_limit_s is not None:
            self._look(self._cpu_limit_s)

    def _look(self, limit_s: float) -> None:
        try:
            used = self._cpu_s()
        except KernelRefused as error:
            if error.errno in GONE:  # its end is on its way
                return
            log.error("processor time: %s; it is looked at again", error)
            used = self._used_s
        if used >= limit_s:
            self._over(Verdict.CPU_TIMEOUT)
            return
        pause = next_look(limit_s - used, os.cpu_count() or 1, idle=used == self._used_s)
        self._used_s = used
        self._cpu = asyncio.get_running_loop().call_later(pause, self._look, limit_s)

    def _over(self, verdict: Verdict) -> None:
        self.cancel()
        self._expire(verdict)

    def cancel(self) -> None:
        for timer in (self._wall, self._cpu):
            if timer is not None:
                timer.cancel()


def elapsed_since(started_ns: int) -> float:
    """Seconds since *started_ns* of CLOCK_BOOTTIME."""
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started_ns) / 1e9


def overrun(wall_s: float, cpu_s: float, wall_limit_s: float | None, cpu_limit_s: float | None) -> Verdict | None:
    """What an ended job had passed, whether or not somebody was there to end it. Pure."""
    if cpu_limit_s is not None and cpu_s >= cpu_limit_s:
        return Verdict.CPU_TIMEOUT
    if wall_limit_s is not None and wall_s >= wall_limit_s:
        return Verdict.WALL_TIMEOUT
    return None
