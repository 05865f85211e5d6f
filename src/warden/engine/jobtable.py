"""The jobs of one container, as PID 1 tells of them: which are being started, which there are, what was missed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from functools import partial
from typing import TYPE_CHECKING

from warden.engine import spawn
from warden.engine.events import JobStarted
from warden.engine.job import Job
from warden.errors import EngineFault, UnknownJob
from warden.model.job import Verdict
from warden.process import channel
from warden.process.channel import Record

if TYPE_CHECKING:
    from warden.engine.container import Container

#: A killed job is reaped within moments; PID 1 keeps its record until then.
RELEASE_TRIES_S = (0.001, 0.01, 0.05, 0.2)


class JobTable:
    """One container's."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._jobs: dict[int, Job] = {}
        self._starting: dict[int, tuple[Job, asyncio.Future[Record]]] = {}

    def get(self, job_id: int) -> Job:
        """Raises UnknownJob."""
        if job_id not in self._jobs:
            raise UnknownJob()
        return self._jobs[job_id]

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def starting(self) -> list[Job]:
        return [job for job, _ in self._starting.values()]

    def add(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._container.site.janitor.add_record(self._container)

    def remove(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._container.site.janitor.add_record(self._container)

    def expect_start(self, job: Job) -> asyncio.Future[Record]:
        """The record that says whether a job just asked for has started; then it is one of the container's."""
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._starting[job.id] = job, future
        return future

    def take(self, kind: int, record: Record) -> None:
        """What PID 1 tells: STARTED or ENDED."""
        job, future = self._starting.pop(record.job, (None, None))
        if job is not None and record.state != channel.STATE_FAILED:
            # At once, not when the spawner runs again: the end may be the very next packet.
            self.add(job)
            job.arm(record)
            self._container.tell(partial(JobStarted, job_id=job.id, command=job.about.command))
        if future is not None and not future.done():
            future.set_result(record)
        job = self._jobs.get(record.job)
        if job is not None and kind == channel.ENDED and job.result is None:
            if record.state == channel.STATE_ENDED:
                job.end(record)
            else:  # an earlier engine asked for it and did not live to see that it could not start
                job.lose(Verdict.ENGINE_ERROR, f"it could not be started: {os.strerror(record.error)}")

    def missed(self) -> None:
        """The connection was lost and is there again."""
        self._container.site.in_background(asyncio.ensure_future(self._learn()))

    async def _learn(self) -> None:
        """What happened while nobody listened: PID 1 keeps every record until it is released."""
        with contextlib.suppress(EngineFault):  # lost again, and dealt with there
            await self._take_all()
            self._container.init.caught_up()

    async def _take_all(self) -> None:
        for record in await self._container.init.records():
            job = self._jobs.get(record.job)
            if record.over and record.job not in self._starting and (job is None or job.result is not None):
                await self._container.connection().request(channel.RELEASE, record.job)
            elif record.state != channel.STATE_STARTING:
                self.take(channel.ENDED if record.over else channel.STARTED, record)

    async def abandon(self, job: Job) -> None:
        """A job whose start failed or was cancelled: nothing of it stays."""
        self._starting.pop(job.id, None)
        self._jobs.pop(job.id, None)
        job.close()
        await self._container.site.blocking(spawn.remove_traces, self._container, job.id, job.group)
        for pause in RELEASE_TRIES_S:
            with contextlib.suppress(EngineFault):
                reply = await self._container.connection().request(channel.RELEASE, job.id)
                if reply.error != errno.EBUSY:
                    return
            await asyncio.sleep(pause)

    def lose(self, cause: Verdict, detail: str = "") -> None:
        """PID 1 is gone, and with it every job."""
        for _, future in self._starting.values():
            if not future.done():
                future.set_exception(EngineFault(f"container {self._container.handle}: its PID 1 is gone"))
        self._starting.clear()
        for job in self.all():
            job.lose(cause, detail)

    def close(self) -> None:
        """Lets go of them; they go on."""
        for job in self._jobs.values():
            job.close()
