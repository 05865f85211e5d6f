"""Events as a stream: what is kept of the past, then what happens.

A reader that is so slow that what it has not read is no longer kept is told so and gets no more; it costs no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from warden.model.events import EventRecord, EventSelection
from warden.protocol import codec
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_events import record_to_response, request_to_events
from warden.server.connection import Connection
from warden.server.context import Context

KIND = codec.KINDS["Events"]


async def stream(context: Context, connection: Connection, request: pb.EventsRequest) -> None:
    wanted, history = request_to_events(request), context.engine.history
    at = _begin(wanted, history.last, history.before)
    changed = asyncio.Event()
    unwatch = history.watch(changed.set)
    try:
        with connection.waiting(abandon_on_close=True):
            await connection.send(KIND, pb.EventsResponse(seq=at))
            over = False
            while not over:
                changed.clear()
                records = history.after(at)
                for record in records:
                    at = record.seq
                    if wanted.until is not None and record.time > wanted.until:
                        over = True
                        break
                    await _send(connection, wanted, record)
                else:
                    over = not records and await _wait(changed, wanted.until)
                await asyncio.sleep(0)
    finally:
        unwatch()
    await connection.send(KIND, pb.EventsResponse(end=True))


def _begin(wanted: EventSelection, last: int, before: Callable[[float], int]) -> int:
    if wanted.after is not None:
        return min(wanted.after, last)
    return last if wanted.since is None else before(wanted.since)


async def _send(connection: Connection, wanted: EventSelection, record: EventRecord) -> None:
    if wanted.wants(record):
        await connection.send(KIND, record_to_response(record))


async def _wait(changed: asyncio.Event, until: float | None) -> bool:
    """Waits for an event; whether *until* came first."""
    try:
        async with asyncio.timeout(None if until is None else until - time.time()):
            await changed.wait()
    except TimeoutError:
        return True
    return False
