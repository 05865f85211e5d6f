"""What every request handler is given: the engine, the defaults, the registries.

Owns nothing itself; the server fills it once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from warden.model.info import Info
from warden.protocol.convert import CreateDefaults
from warden.records import dataclass, field
from warden.server.collect import Collectors
from warden.server.grace import GraceTimers
from warden.server.observers import Observers
from warden.server.ports import Container, Engine

log = logging.getLogger("warden.server")


@dataclass(slots=True)
class Context:
    """Shared by all connections of one server."""

    engine: Engine
    defaults: CreateDefaults = field(default_factory=CreateDefaults)
    collectors: Collectors = field(default_factory=Collectors)
    observers: Observers = field(default_factory=Observers)
    grace: GraceTimers = field(init=False)
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.grace = GraceTimers(self.engine, self.destroy)

    async def destroy(self, handle: str) -> None:
        """Destroys *handle*, and leaves those that wait for its jobs the information taken just before."""
        container = self.engine.get(handle)
        waiting = self.collectors.waiting(container)
        obituary = await self.info(container) if waiting else None
        for collector in waiting:
            collector.obituary = obituary
        await container.destroy()
        self.grace.forget(handle)

    async def info(self, container: Container) -> Info | None:
        """Information for a reply that is worth sending without it too."""
        try:
            return await container.info()
        except Exception as error:
            log.warning("%s: no information: %s", container.handle, error)
            return None

    def run_in_background(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Its error is logged and goes nowhere else."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed: %s", task.get_name(), error)
