"""Requests for statistics: once, and again and again.

Owns when a stream measures and when it ends. A client that reads slowly gets fewer measurements, not older ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from warden.errors import BadInput, UnknownHandle
from warden.model.stats import MAX_INTERVAL_S, MIN_INTERVAL_S, Stats
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_stats import stats_to_message
from warden.records import dataclass
from warden.server.connection import Connection
from warden.server.context import Context
from warden.server.ports import Container, Engine

STREAM = codec.KINDS["StatsStream"]
_CHUNK = 100  # translated between two turns of the event loop: 2 ms
_LOOK_S = 0.5  # a stream with a long interval ends no later after its last container


async def once(context: Context, connection: Connection, request: pb.StatsRequest) -> pb.StatsResponse:
    wanted = await _named(context, connection, request.handles)
    response = pb.StatsResponse()
    with connection.abandoned_on_close():
        await _fill(response, await wanted.measure(context.engine, brief=request.brief))
    return response


async def stream(context: Context, connection: Connection, request: pb.StatsStreamRequest) -> None:
    interval = request.interval_ms / 1000
    if not MIN_INTERVAL_S <= interval <= MAX_INTERVAL_S:
        hint = f"{MIN_INTERVAL_S * 1000:.0f} to {MAX_INTERVAL_S * 1000:.0f} milliseconds"
        raise BadInput(f"interval_ms: {request.interval_ms} is out of range", hint=hint)
    wanted = await _named(context, connection, request.handles)
    loop, engine = asyncio.get_running_loop(), context.engine
    turn = loop.time()
    with connection.waiting(abandon_on_close=True):
        await wanted.look(engine)
        while wanted.some_left:
            response = pb.StatsStreamResponse()
            await _fill(response, await wanted.measure(engine, brief=request.brief))
            await connection.send(STREAM, response)
            turn = max(turn + interval, loop.time())
            await _sleep_until(turn, engine, wanted)
            await wanted.look(engine)
    await connection.send(STREAM, pb.StatsStreamResponse(end=True))


async def _named(context: Context, connection: Connection, handles: Sequence[bytes]) -> _Wanted:
    """Ours are kept alive by this connection; LXC's are those that none of ours is called like. Raises UnknownHandle,
    BadInput."""
    engine, known = context.engine, frozenset(context.engine.handles())
    words = [convert.text(handle) for handle in handles]
    others = [word for word in words if word not in known]
    systems = await engine.systems(others) if others else []
    if len(systems) < len(others):
        raise UnknownHandle()
    own = [engine.get(word) for word in words if word in known]
    for container in own:
        if connection.connected:
            context.grace.reference(connection, container.handle)
    return _Wanted(own, systems, not words)


@dataclass(slots=True)
class _Wanted:
    """What a request named: *containers* of ours, and *systems* of LXC's by handles that mean no other later; *everything*
    when it named none."""

    containers: list[Container]
    systems: Sequence[str]
    everything: bool

    @property
    def some_left(self) -> bool:
        return bool(self.everything or self.containers or self.systems)

    async def measure(self, engine: Engine, *, brief: bool) -> Sequence[Stats]:
        if self.everything:
            return await engine.stats(None, brief=brief)
        return await engine.stats([*(item.handle for item in self.containers), *self.systems], brief=brief)

    async def look(self, engine: Engine) -> None:
        """Forgets those that are gone."""
        if self.systems:
            self.systems = await engine.systems(self.systems)
        self.containers = _alive(engine, self.containers)


def _alive(engine: Engine, containers: Sequence[Container]) -> list[Container]:
    """Those that are not destroyed; a new one with the same handle is another."""
    found = []
    for container in containers:
        with suppress(UnknownHandle):
            if engine.get(container.handle) is container:
                found.append(container)
    return found


async def _sleep_until(moment: float, engine: Engine, wanted: _Wanted) -> None:
    """Sleeps less when none of those named is left."""
    loop = asyncio.get_running_loop()
    while (left := moment - loop.time()) > 0 and wanted.some_left:
        await asyncio.sleep(left if wanted.everything else min(left, _LOOK_S))
        await wanted.look(engine)


async def _fill(response: pb.StatsResponse | pb.StatsStreamResponse, stats: Sequence[Stats]) -> None:
    for first in range(0, len(stats), _CHUNK):
        response.stats.extend(map(stats_to_message, stats[first : first + _CHUNK]))
        await asyncio.sleep(0)
