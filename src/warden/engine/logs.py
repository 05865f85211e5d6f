"""The output of a container's jobs as one stream: what was kept, what comes, of jobs that start later too.

Owns when it ends. Which lines are taken is process/logread.py's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from warden.engine.events import Event, JobStarted
from warden.model.info import State
from warden.model.job import Chunk
from warden.model.life import Phase
from warden.model.logs import LogPlace, LogSelection
from warden.process.logread import Reader

if TYPE_CHECKING:
    from warden.engine.container import Container


async def read(container: Container, selection: LogSelection) -> AsyncIterator[Chunk | tuple[LogPlace, ...]]:
    """See Container.logs."""
    jobs = container.jobs() if selection.job is None else [container.job(selection.job)]
    changed = asyncio.Event()
    reader = Reader(selection, changed.set)
    lasting = selection.follow and selection.lasting and selection.job is None
    unsubscribe = _take_in_later_jobs(container, reader, changed) if lasting else None
    try:
        for job in jobs:
            reader.add(job.id, job.log)
        reader.begin()
        if selection.follow:
            yield reader.places()
        while True:
            changed.clear()
            over = lasting and _is_over(container)
            while (chunk := reader.next()) is not None:
                yield chunk
            if not selection.follow or (not changed.is_set() and (over or (not lasting and reader.finished))):
                return
            if not await _wait(changed, selection.until):
                return
    finally:
        if unsubscribe is not None:
            unsubscribe()
        reader.close()


def _take_in_later_jobs(container: Container, reader: Reader, changed: asyncio.Event) -> Callable[[], None]:
    def listen(event: Event) -> None:
        if event.container.id != container.id:
            return
        if isinstance(event, JobStarted):
            job = container.job(event.job_id)
            reader.add(job.id, job.log)
        changed.set()

    return container.site.events.subscribe(listen)


def _is_over(container: Container) -> bool:
    """Whether nothing will be written in it any more, unless somebody starts something by hand: then one follows anew."""
    made_for_a_job = container.snapshot.spec.main is not None and container.main.phase is Phase.OVER
    if container.state is State.STOPPED or made_for_a_job:
        return all(job.result is not None for job in container.jobs())
    return container.state is State.DESTROYED


async def _wait(changed: asyncio.Event, until: float | None) -> bool:
    """Whether there may be more before *until*."""
    if until is None:
        await changed.wait()
        return True
    try:
        async with asyncio.timeout(until - time.time()):
            await changed.wait()
    except TimeoutError:
        return False
    return True
