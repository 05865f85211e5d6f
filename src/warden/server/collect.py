"""Who waits for the end of which job, and when a collected job may be forgotten.

Several clients may link and stream one job: each gets all of it, and the job is gone for new ones as soon as one has
its answer (spec/warden.md §4). A container's last information is kept for those that wait while it is destroyed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warden.errors import UnknownJob
from warden.model.info import Info
from warden.records import dataclass
from warden.server.ports import Container, Job


@dataclass(eq=False, slots=True)
class Collector:
    """One request that collects a job. *obituary*: information taken just before the container was destroyed."""

    container: Container
    job: Job
    obituary: Info | None = None


class Collectors:
    """All collectors of a server."""

    def __init__(self) -> None:
        self._active: set[Collector] = set()
        self._collected: set[int] = set()  # jobs answered once, still read by somebody else

    def job(self, container: Container, job_id: int) -> Job:
        """Raises UnknownJob, also for a job that another client has collected already."""
        if job_id in self._collected:
            raise UnknownJob()
        return container.job(job_id)

    def waiting(self, container: Container) -> list[Collector]:
        return [collector for collector in self._active if collector.container.handle == container.handle]

    @asynccontextmanager
    async def collect(self, container: Container, job: Job) -> AsyncIterator[Collector]:
        """Leaving the block normally collects the job; by an exception (its reader went away) keeps it."""
        collector = Collector(container, job)
        self._active.add(collector)
        try:
            yield collector
            self._collected.add(job.id)
        finally:
            self._active.discard(collector)
            await self._forget_if_last(job)

    async def _forget_if_last(self, job: Job) -> None:
        if job.id in self._collected and all(other.job.id != job.id for other in self._active):
            try:
                await job.forget()
            finally:
                self._collected.discard(job.id)
