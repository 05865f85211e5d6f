"""Waiting for a container's main job, or for its own end, without collecting anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from warden.engine.events import ContainerDestroyed, Event, JobEnded
from warden.engine.job import Job
from warden.errors import UnknownJob, WrongState
from warden.model.info import State
from warden.model.job import JobResult, Verdict, WaitCondition

if TYPE_CHECKING:
    from warden.engine.container import Container


def main_job(container: Container) -> Job:
    """The last one of the job that the container was made for; of a container that was made for none, the first that is
    known. Raises UnknownJob."""
    found = container.main.job()
    if found is not None:
        return found
    jobs = container.jobs()
    if not jobs:
        hint = "a job whose result was collected is forgotten; --job N names another"
        raise UnknownJob(f"container {container.handle}: it has no job", hint=hint)
    return min(jobs, key=lambda job: job.id)


async def wait(container: Container, job: Job | None, condition: WaitCondition) -> JobResult:
    """See Container.wait."""
    if condition is WaitCondition.REMOVED:
        return await _wait_for_removal(container, job)
    return await (_wait_for_next(container) if job is None else job.wait())


async def _wait_for_next(container: Container) -> JobResult:
    def ended(event: Event) -> JobResult | Exception | None:
        if isinstance(event, ContainerDestroyed):
            return WrongState(f"container {container.handle}: it was destroyed")
        return event.result if isinstance(event, JobEnded) else None

    return await _first(container, ended)


async def _wait_for_removal(container: Container, job: Job | None) -> JobResult:
    def removed(event: Event) -> JobResult | None:
        if not isinstance(event, ContainerDestroyed):
            return None
        return (job.result if job is not None else None) or JobResult(0, Verdict.EXITED)

    return await _first(container, removed)


async def _first(container: Container, found: Callable[[Event], JobResult | Exception | None]) -> JobResult:
    future: asyncio.Future[JobResult] = asyncio.get_running_loop().create_future()

    def listen(event: Event) -> None:
        if event.container.id != container.id or future.done():
            return
        answer = found(event)
        if isinstance(answer, JobResult):
            future.set_result(answer)
        elif answer is not None:
            future.set_exception(answer)

    if container.state is State.DESTROYED:
        raise WrongState(f"container {container.handle}: it was destroyed")
    unsubscribe = container.site.events.subscribe(listen)
    try:
        return await future
    finally:
        unsubscribe()
