"""Pause and resume: a container's processes stand still, nothing new starts in it, and a restart leaves it so.

Owns the order: spawns that are under way are let through first, because a process that joins a frozen cgroup would
never report its start; then the record, then the kernel, so that a crash between them freezes again rather than
forgets. Resuming goes the other way round.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from warden.engine.events import ContainerPaused, ContainerResumed
from warden.errors import EngineFault, WardenError, WrongState
from warden.model.info import State
from warden.records import replace

if TYPE_CHECKING:
    from warden.engine.container import Container

log = logging.getLogger("warden.container")

#: How long a spawn that is under way is waited for; starting takes milliseconds.
SPAWNS_S = 10.0


class Gate:
    """Who may start jobs: everybody while it is open; whoever closes it waits until nobody is in it."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.contextmanager
    def passing(self, container: Container) -> Iterator[None]:
        """Raises WrongState while the container is paused, or about to be."""
        if self._closed or container.snapshot.paused:
            raise WrongState(f"container {container.handle}: it is paused", hint="resume it first")
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Inside, no spawn is under way and none begins. Raises EngineFault when one does not end."""
        self._closed = True
        try:
            await asyncio.wait_for(self._empty.wait(), SPAWNS_S)
            yield
        except TimeoutError:
            raise EngineFault("pause: a job that is being started does not start", hint="try again") from None
        finally:
            self._closed = False


async def pause(container: Container, gate: Gate) -> None:
    """See Container.pause."""
    container.require(State.ACTIVE)
    async with container.changing():
        container.require(State.ACTIVE)
        if container.snapshot.paused:
            return
        async with gate.closed():
            _record(container, paused=True)
            try:
                await container.site.blocking(container.group.freeze)
            except WardenError:  # not a cancellation: what was begun in a thread is done
                _record(container, paused=False)
                raise
        container.tell(ContainerPaused)


async def resume(container: Container) -> None:
    """See Container.resume."""
    container.require(State.ACTIVE)
    async with container.changing():
        container.require(State.ACTIVE)
        await lift(container)


async def lift(container: Container) -> None:
    """Lets its processes go on, if they stood still. Raises KernelRefused, and then they stand still as before."""
    if container.snapshot.paused:
        await container.site.blocking(container.group.thaw)
        _record(container, paused=False)
        container.tell(ContainerResumed)


def reapply(container: Container) -> None:
    """Blocking, after a restart: as the record says. Thawed, too: an engine that died in the middle of a kill may have
    left a group frozen."""
    try:
        if container.snapshot.paused and container.state is State.ACTIVE:
            container.group.freeze()
        else:
            container.group.thaw()
    except WardenError as error:
        log.error("container %s: %s", container.handle, error)


def _record(container: Container, *, paused: bool) -> None:
    container.save(replace(container.snapshot, paused=paused))
