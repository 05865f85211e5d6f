"""Requests for statistics: once, and again and again.

Owns when a stream measures and when it ends. A client that reads slowly gets fewer measurements, not older ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from warden.errors import BadInput, UnknownHandle
from warden.model.stats import MAX_INTERVAL_S, MIN_INTERVAL_S, Stats
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_stats import stats_to_message
from warden.server.connection import Connection
from warden.server.context import Context
from warden.server.ports import Container, Engine

STREAM = codec.KINDS["StatsStream"]
_CHUNK = 100  # translated between two turns of the event loop: 2 ms
_LOOK_S = 0.5  # a stream with a long interval ends no later after its last container


async def once(context: Context, connection: Connection, request: pb.StatsRequest) -> pb.StatsResponse:
    containers = _named(context, connection, request.handles)
    handles = [container.handle for container in containers] if containers else None
    response = pb.StatsResponse()
    with connection.abandoned_on_close():
        await _fill(response, await context.engine.stats(handles, brief=request.brief))
    return response


async def stream(context: Context, connection: Connection, request: pb.StatsStreamRequest) -> None:
    interval = request.interval_ms / 1000
    if not MIN_INTERVAL_S <= interval <= MAX_INTERVAL_S:
        hint = f"{MIN_INTERVAL_S * 1000:.0f} to {MAX_INTERVAL_S * 1000:.0f} milliseconds"
        raise BadInput(f"interval_ms: {request.interval_ms} is out of range", hint=hint)
    containers = _named(context, connection, request.handles)
    loop, engine = asyncio.get_running_loop(), context.engine
    turn = loop.time()
    with connection.waiting(abandon_on_close=True):
        while not containers or (containers := _alive(engine, containers)):
            handles = [container.handle for container in containers] if containers else None
            found = await engine.stats(handles, brief=request.brief)
            response = pb.StatsStreamResponse()
            await _fill(response, found)
            await connection.send(STREAM, response)
            turn = max(turn + interval, loop.time())
            await _sleep_until(turn, engine, containers)
    await connection.send(STREAM, pb.StatsStreamResponse(end=True))


def _named(context: Context, connection: Connection, handles: Iterable[bytes]) -> list[Container]:
    """The containers asked for, which this connection keeps alive; raises UnknownHandle. None named: all are meant."""
    containers = [context.engine.get(convert.text(handle)) for handle in handles]
    for container in containers:
        if connection.connected:
            context.grace.reference(connection, container.handle)
    return containers


def _alive(engine: Engine, containers: Sequence[Container]) -> list[Container]:
    """Those that are not destroyed; a new one with the same handle is another."""
    found = []
    for container in containers:
        with suppress(UnknownHandle):
            if engine.get(container.handle) is container:
                found.append(container)
    return found


async def _sleep_until(moment: float, engine: Engine, containers: Sequence[Container]) -> None:
    """Sleeps less when none of *containers* is left, if any were named."""
    loop = asyncio.get_running_loop()
    while (left := moment - loop.time()) > 0 and (not containers or _alive(engine, containers)):
        await asyncio.sleep(min(left, _LOOK_S) if containers else left)


async def _fill(response: pb.StatsResponse | pb.StatsStreamResponse, stats: Sequence[Stats]) -> None:
    for first in range(0, len(stats), _CHUNK):
        response.stats.extend(map(stats_to_message, stats[first : first + _CHUNK]))
        await asyncio.sleep(0)
