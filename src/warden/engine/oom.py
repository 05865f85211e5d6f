"""What an engine does when the kernel killed for memory: find the victims, and follow the container's policy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from warden.model.info import State
from warden.model.job import Verdict
from warden.model.limits import OomPolicy

if TYPE_CHECKING:
    from warden.engine.container import Container

OUT_OF_MEMORY = "out of memory"
#: v1 tells of an OOM just before it kills: the counts follow within these seconds.
LOOKS_S = (0.0, 0.002, 0.01, 0.05, 0.2)


async def after_oom(container: Container) -> None:
    """Adds the event; stops the container, or ends the jobs that lost a process, as its policy says."""
    killed = False
    for delay in LOOKS_S:
        await asyncio.sleep(delay)
        killed = (bool(container.pid) and container.tell_out_of_memory()) or killed
        if not container.pid or not killed:
            continue
        policy = container.snapshot.spec.limits.oom_policy
        if policy is not OomPolicy.KILL_JOB:
            if container.state is State.ACTIVE:
                container.save(container.snapshot.with_state(State.STOPPED))
                await container.end_stopped(kill=policy is OomPolicy.KILL_CONTAINER)
            return
        victims = [job for job in container.jobs() if job.result is None and job.group.oom_kills()]
        for job in victims:
            await job.kill(Verdict.OUT_OF_MEMORY)
        if victims:
            return
