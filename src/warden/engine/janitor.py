"""What need not be done while somebody waits: putting results on disk, removing cgroups and files, in batches.

PID 1 keeps the status of a job until it was here, so a crash before that loses nothing. Batches, because the work of one
job would run beside the next one's start and slow it: on two cores the same work done together costs a third of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from warden.errors import WardenError
from warden.kernel.paths import remove_tree

log = logging.getLogger("warden.janitor")

PAUSE_S = 0.03
AGAIN_S = 2.0  # after a disk was full


class Ended(Protocol):
    """A job whose end was told and whose pipes were read."""

    async def flush(self) -> None:
        """Whatever still reads its files has read them."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether somebody may still collect it."""
        ...

    def settle(self, wanted: bool) -> None:
        """Blocking: its record and its cgroup."""
        ...

    async def settled(self, wanted: bool) -> None: ...


class Recorded(Protocol):
    """A container with a table of its jobs."""

    def job_table(self) -> Callable[[], None]:
        """Puts it on disk as it is now, when it is called: blocking."""
        ...

    @property
    def behind(self) -> bool:
        """Whether that did not work: it is tried again."""
        ...


class Janitor:
    """One engine's. *run* carries a blocking call into a worker thread, *keep* holds a task until it is done."""

    def __init__(
        self, run: Callable[..., Awaitable[None]], keep: Callable[[asyncio.Task[None]], None]
    ) -> None:
        self._run = run
        self._keep = keep
        self._jobs: list[Ended] = []
        self._records: dict[Recorded, None] = {}  # in order, each once
        self._trees: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._behind: dict[Recorded, None] = {}
        self._again: asyncio.TimerHandle | None = None

    def add_job(self, job: Ended, *, at_once: bool = False) -> None:
        self._jobs.append(job)
        self._begin(0.0 if at_once else PAUSE_S)

    def add_record(self, container: Recorded) -> None:
        """Its jobs are not what they were."""
        self._records[container] = None
        self._begin(PAUSE_S)

    def add_tree(self, path: str) -> None:
        """A directory that is out of sight already."""
        self._trees.append(path)
        self._begin(PAUSE_S)

    def _begin(self, pause: float) -> None:
        if self._timer is not None and pause == 0.0:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause, self._start)

    def _start(self) -> None:
        self._timer = None
        self._keep(asyncio.ensure_future(self.clean()))

    async def clean(self) -> None:
        """Does all that waits now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs, self._jobs = self._jobs, []
        trees, self._trees = self._trees, []
        records, self._records = self._records, {}
        if not jobs and not trees and not records:
            return
        for job in jobs:
            await job.flush()
        wanted = [job.wanted for job in jobs]
        tables = [container.job_table() for container in records]
        await self._run(_settle_all, jobs, wanted, tables, trees)
        await asyncio.gather(*(job.settled(want) for job, want in zip(jobs, wanted, strict=True)))
        self._behind |= {container: None for container in records if container.behind}
        if self._behind and self._again is None:
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        behind, self._behind = self._behind, {}
        for container in behind:
            self.add_record(container)

    def close(self) -> None:
        """Nothing is tried again."""
        if self._again is not None:
            self._again.cancel()


def _settle_all(
    jobs: list[Ended], wanted: list[bool], tables: list[Callable[[], None]], trees: list[str]
) -> None:
    for job, want in zip(jobs, wanted, strict=True):
        job.settle(want)
    for write in tables:
        write()
    for path in trees:
        try:
            remove_tree(path)
        except WardenError as error:
            log.error("%s: removed at the next start: %s", path, error)
