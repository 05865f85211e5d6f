"""The cgroup of a job that has ended: it goes when nobody is in it any more, and that may be a moment later.

Who lets go of the job's pipes may need a while until it is dead, most of all on a busy machine, and an empty group can
stay busy for a moment. Who lives on keeps the group until the container goes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from warden.engine.site import Site
from warden.errors import WardenError

log = logging.getLogger("warden.job")

#: Between two looks; the last is some 13 s after the first.
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)


class Group(Protocol):
    """Of one job. Both are blocking and fine with one that is gone."""

    def populated(self) -> bool: ...

    def remove(self) -> None: ...


class Sweep:
    """The removal of one job's group: `now` by a worker, and `later` by the loop after it."""

    def __init__(self, site: Site, group: Group, job_id: int) -> None:
        self._site = site
        self._group = group
        self._job_id = job_id
        self._pauses = list(PAUSES_S)
        self._done = False
        self._next: asyncio.TimerHandle | None = None

    def now(self) -> None:
        """Blocking: removes it if nobody is in it."""
        try:
            if not self._group.populated():
                self._group.remove()
                self._done = True
        except WardenError as error:
            if not self._pauses:
                log.warning("job %d: its cgroup stays until the container goes: %s", self._job_id, error)

    def later(self) -> None:
        """Looks again, so often as there are pauses, if it is still there."""
        if not self._done and self._pauses:
            self._next = asyncio.get_running_loop().call_later(self._pauses.pop(0), self._begin)

    def close(self) -> None:
        """Looks no more: there may soon be no worker to do it."""
        self._pauses.clear()
        if self._next is not None:
            self._next.cancel()

    def _begin(self) -> None:
        self._site.in_background(asyncio.ensure_future(self._again()))

    async def _again(self) -> None:
        await self._site.blocking(self.now)
        self.later()
