"""What an engine does when the kernel killed for memory: see and tell it, find the victims, do as the container wants."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from warden.cgroup.watch import OomWatch
from warden.engine import stopping
from warden.engine.events import OutOfMemory
from warden.model.info import State
from warden.model.job import Verdict
from warden.model.limits import OomPolicy

if TYPE_CHECKING:
    from warden.engine.container import Container

OUT_OF_MEMORY = "out of memory"
#: v1 tells of an OOM just before it kills: the counts follow within these seconds.
LOOKS_S = (0.0, 0.002, 0.01, 0.05, 0.2)


class MemoryWatch:
    """One container's. Sees that the kernel killed, and has it dealt with."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._told = 0  # kills
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._watch: OomWatch | None = None

    def watch(self) -> None:
        """Sees processes killed for memory from now on; twice is fine."""
        if self._watch is None:
            self._watch = self._container.group.watch_oom()
            asyncio.get_running_loop().add_reader(self._watch.fileno(), self._on_oom)

    def close(self) -> None:
        """Sees no more; twice is fine."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None

    def _on_oom(self) -> None:
        if self._watch is not None:
            self._watch.drain()
            self.look()

    def look(self) -> None:
        """If it watches at all. One look at a time: v2 wakes at every reclaim at the limit, not only at kills."""
        if self._watch is None:
            return
        if self._looking is not None and not self._looking.done():
            self._look_again = True
            return
        self._look_again = False
        self._looking = asyncio.ensure_future(after_oom(self._container))
        self._looking.add_done_callback(self._looked)
        self._container.site.in_background(self._looking)

    def _looked(self, _task: asyncio.Task[None]) -> None:
        if self._look_again:
            self.look()

    def catch_up(self) -> None:
        """After a restart of the engine: what is among the container's events was told."""
        if OUT_OF_MEMORY in self._container.snapshot.events:
            self._told = self._container.group.oom_kills()

    def tell(self) -> bool:
        """Records and tells that it wanted memory, once for each time that the kernel killed; whether it did."""
        kills = self._container.group.oom_kills()
        if kills <= self._told:
            return False
        self._told = kills
        self._container.add_event(OUT_OF_MEMORY)
        self._container.tell(OutOfMemory)
        return True


async def after_oom(container: Container) -> None:
    """Adds the event; stops the container, or ends the jobs that lost a process, as its policy says."""
    killed = False
    for delay in LOOKS_S:
        await asyncio.sleep(delay)
        killed = (bool(container.pid) and container.memory.tell()) or killed
        if not container.pid or not killed:
            continue
        policy = container.snapshot.spec.limits.oom_policy
        if policy is not OomPolicy.KILL_JOB:
            if container.state is State.ACTIVE:
                container.save(container.snapshot.with_state(State.STOPPED))
                await stopping.end_stopped(container, kill=policy is OomPolicy.KILL_CONTAINER)
            return
        victims = [job for job in container.jobs() if job.result is None and job.group.oom_kills()]
        for job in victims:
            await job.kill(Verdict.OUT_OF_MEMORY)
        if victims:
            return
