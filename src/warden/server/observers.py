"""Who watches requests in this process: before, around and after each, as the original's plugins could.

Owns the order: before, around entered in the order of joining, the work, around left in reverse, after. What has
happened to containers, whoever asked for it, is engine/events.py's.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

log = logging.getLogger("warden.server.requests")

#: The request's name as the command has it, such as "net_in", and its message, which must not be changed.
Before = Callable[[str, Any], None]
Around = Callable[[str, Any], AbstractAsyncContextManager[object]]
#: The name, "ok" or the error's code, and how long it took in seconds; also for what could not be decoded.
After = Callable[[str, str, float], None]


class Observers:
    """Of one server. Nothing is paid for while nobody watches."""

    def __init__(self) -> None:
        self._before: list[Before] = []
        self._around: list[Around] = []
        self._after: list[After] = []

    def before(self, watch: Before) -> None:
        """*watch* is called first; what it raises is the request's answer, and nothing is done."""
        self._before.append(watch)

    def around(self, watch: Around) -> None:
        """The work is done inside of what *watch* returns, which sees the error and may replace it."""
        self._around.append(watch)

    def after(self, watch: After) -> None:
        """*watch* is called when all is over; what it raises is logged."""
        self._after.append(watch)

    @asynccontextmanager
    async def watching(self, name: str, request: Any) -> AsyncIterator[None]:
        """Around one request."""
        for watch in self._before:
            watch(name, request)
        async with AsyncExitStack() as stack:
            for enter in self._around:
                await stack.enter_async_context(enter(name, request))
            yield

    @property
    def watched(self) -> bool:
        """Whether `watching` has anything to do."""
        return bool(self._before or self._around)

    def tell_after(self, name: str, code: str, seconds: float) -> None:
        """One request is over."""
        for watch in self._after:
            try:
                watch(name, code, seconds)
            except Exception:
                log.exception("a watcher of requests failed")
