"""Which connections keep which containers alive, and the timers of those that none does (spec/warden.md §3).

A new connection references every container there is, and later each that it names. When a container's last reference
goes, its grace time starts; any new reference stops it. Destroying is done by the caller's function.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from warden.errors import UnknownHandle, WrongState
from warden.server.ports import Engine

log = logging.getLogger("warden.server.grace")


RETRY_S = 1.0  # at least, for one that cannot be destroyed yet


class GraceTimers:
    """Every method runs in the event loop. *connection* is any hashable object."""

    def __init__(self, engine: Engine, destroy: Callable[[str], Awaitable[None]]) -> None:
        self._engine = engine
        self._destroy = destroy
        self._references: dict[str, set[object]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._expiring: set[asyncio.Task[None]] = set()
        self._paused = False

    def start(self) -> None:
        """Containers taken up at the start have no connection, so their time runs at once."""
        for handle in self._engine.handles():
            self._arm(handle)

    def connected(self, connection: object) -> None:
        for handle in self._engine.handles():
            self.reference(connection, handle)

    def reference(self, connection: object, handle: str) -> None:
        self._references.setdefault(handle, set()).add(connection)
        self._disarm(handle)

    def disconnected(self, connection: object) -> None:
        for handle, connections in list(self._references.items()):
            if connection in connections:
                connections.discard(connection)
                self._release(handle)

    def created(self, connection: object, handle: str, *, connected: bool) -> None:
        """The creator may be gone by now: then the time runs from here."""
        if connected:
            self.reference(connection, handle)
        else:
            self._release(handle)

    def forget(self, handle: str) -> None:
        """The container is gone."""
        self._references.pop(handle, None)
        self._disarm(handle)

    def renamed(self, old: str, new: str) -> None:
        """Whoever keeps it alive goes on to."""
        self._references[new] = self._references.pop(old, set())
        self._disarm(old)
        if not self._references[new]:
            self._release(new)

    def pause(self) -> None:
        """The daemon is ending: what runs now is stopped and nothing starts; the next daemon begins anew."""
        self._paused = True
        for handle in list(self._timers):
            self._disarm(handle)

    def close(self) -> None:
        self.pause()
        for task in self._expiring:
            task.cancel()

    def _release(self, handle: str) -> None:
        if not self._references.get(handle):
            self._references.pop(handle, None)
            self._arm(handle)

    def _arm(self, handle: str, least: float = 0.0) -> None:
        if self._paused:
            return
        try:
            grace_time = self._engine.get(handle).grace_time
        except UnknownHandle:
            return
        if grace_time is not None:
            self._disarm(handle)
            self._timers[handle] = asyncio.get_running_loop().call_later(
                max(grace_time, least), self._expired, handle
            )

    def _disarm(self, handle: str) -> None:
        timer = self._timers.pop(handle, None)
        if timer is not None:
            timer.cancel()

    def _expired(self, handle: str) -> None:
        self._timers.pop(handle, None)
        task = asyncio.get_running_loop().create_task(self._end(handle))
        self._expiring.add(task)
        task.add_done_callback(self._expiring.discard)

    async def _end(self, handle: str) -> None:
        log.info("%s: grace time is over, destroying", handle)
        try:
            await self._destroy(handle)
        except WrongState as error:  # others share its network: again when this time has passed once more
            log.info("%s: %s", handle, error)
            self._arm(handle, least=RETRY_S)
        except Exception:
            log.exception("%s: destroy after the grace time failed", handle)
