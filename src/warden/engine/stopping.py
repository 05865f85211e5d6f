"""Ending what runs in a container that goes on to exist: asked first, then killed. Owns the order and the patience."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from warden.engine import pausing
from warden.engine.events import ContainerStopped
from warden.errors import EngineFault
from warden.model.job import Verdict
from warden.process import channel

if TYPE_CHECKING:
    from warden.engine.container import Container


async def end_stopped(container: Container, *, kill: bool) -> None:
    """Ends what runs in a container that was just recorded as stopped, and tells it."""
    await end_jobs(container, kill=kill)
    container.tell(ContainerStopped)


async def end_jobs(container: Container, *, kill: bool) -> None:
    """Every process but PID 1: TERM, after `stop_timeout` KILL, or KILL at once. Waits until all jobs were judged. The
    container may have a signal and a time of its own."""
    spec = container.snapshot.spec
    for job in container.jobs():  # not on disk: after a crash the container's state says it
        job.ask()
    async with container.alone():
        if not kill:
            await _signal_everything(container, spec.stop_signal or signal.SIGTERM)
            await pausing.lift(container)  # the signal is the first thing that they see
            patience = container.site.settings.stop_timeout if spec.stop_timeout is None else spec.stop_timeout
            kill = not await _empty_within(container, patience)
        if kill:
            for job in container.jobs():
                job.blame(Verdict.STOPPED, lasting=False)
            await _signal_everything(container, signal.SIGKILL)
            await container.site.blocking(container.group.kill)
            await pausing.lift(container)
        await asyncio.gather(*(job.wait() for job in container.jobs()))


async def kill_jobs(container: Container) -> None:
    """SIGKILL to every process of every job; waits until those that ran were judged. The container goes on."""
    running = [job for job in container.jobs() if job.result is None]
    for job in (*running, *container.table.starting()):
        job.blame(Verdict.STOPPED)
    await container.site.blocking(container.group.kill)
    await asyncio.gather(*(job.wait() for job in running))


async def _signal_everything(container: Container, number: int) -> None:
    with contextlib.suppress(EngineFault):  # without a PID 1 there is nobody left to signal
        await container.connection().request(channel.SIGNAL, 0, a=number)


async def _empty_within(container: Container, seconds: float) -> bool:
    """Whether all processes ended in time. Asked again in growing intervals, of 100 ms at most."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 0.002
    while container.group.pids():
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return True
