"""Requests that wait for a job: link, run, stream, attach, logs, wait.

Owns what a client's disappearance does to each: link and run go on and collect the job, stream and attach leave it as
it is (spec/warden.md §4). Memory stays constant: a piece of output is read when the one before it is on its way.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

from warden.errors import UnknownJob, WardenError
from warden.model.job import Chunk, WaitCondition
from warden.model.logs import LogPlace
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_info import info_to_response
from warden.protocol.convert_logs import (
    message_to_place,
    piece_to_response,
    place_to_message,
    request_to_selection,
)
from warden.server.collect import Collector
from warden.server.connection import Connection
from warden.server.context import Context, log
from warden.server.ports import Container, Job

STREAM, ATTACH, LOGS, WAIT = (codec.KINDS[name] for name in ("Stream", "Attach", "Logs", "Wait"))
INPUT_PATIENCE_S = 5.0
_TURN = 64  # chunks between two turns of the event loop: a peer that reads as fast never makes a send wait


async def link(
    context: Context, connection: Connection, container: Container, request: pb.LinkRequest
) -> pb.LinkResponse:
    job = context.collectors.job(container, request.job_id)
    return cast(pb.LinkResponse, await _collect(context, connection, container, job, pb.LinkResponse()))


async def run(context: Context, connection: Connection, container: Container, request: pb.RunRequest) -> pb.RunResponse:
    job = await container.spawn(convert.request_to_job(request))
    response = pb.RunResponse()
    await _collect(context, connection, container, job, response, want_info=request.want_info)
    return response


async def _collect(
    context: Context, connection: Connection, container: Container, job: Job, response: Any, *, want_info: bool = True
) -> Any:
    async with context.collectors.collect(container, job) as collector:
        with connection.waiting(abandon_on_close=False):
            result = await job.wait()
        response.stdout, response.stderr = await _output(collector)
        convert.fill_result(response, result)
        if want_info:
            await _add_info(context, collector, response)
    return response


async def _output(collector: Collector) -> tuple[bytes, bytes]:
    try:
        return await collector.job.output()
    except WardenError:
        if collector.obituary is None:
            raise
        return b"", b""  # its output went with the container


async def _add_info(context: Context, collector: Collector, response: Any) -> None:
    info = collector.obituary or await context.info(collector.container)
    if info is not None:
        response.info.CopyFrom(info_to_response(info))


async def stream(context: Context, connection: Connection, container: Container, request: pb.StreamRequest) -> None:
    job = context.collectors.job(container, request.job_id)
    async with context.collectors.collect(container, job) as collector:
        last = await _follow(context, connection, collector, STREAM, pb.StreamResponse)
    await connection.send(STREAM, last)


async def attach(context: Context, connection: Connection, container: Container, request: pb.AttachRequest) -> None:
    job = context.collectors.job(container, request.job_id)
    place = await _begin_attached(connection, job, request)
    pump = asyncio.get_running_loop().create_task(_feed(connection, job))
    try:
        last = await _follow(context, connection, Collector(container, job), ATTACH, pb.AttachResponse, place)
    finally:
        await _end_input(connection, pump)
    await connection.send(ATTACH, last)


async def _end_input(connection: Connection, pump: asyncio.Task[None]) -> None:
    """What a client has sent before it went is the job's, as far as that takes it soon."""
    try:
        if not connection.connected:
            await asyncio.wait([pump], timeout=INPUT_PATIENCE_S)
    finally:
        pump.cancel()


async def _begin_attached(connection: Connection, job: Job, request: pb.AttachRequest) -> LogPlace | None:
    """Where it begins, which is told to whoever knows of places."""
    if request.HasField("place"):
        place = message_to_place(request.place)
    elif request.HasField("tail"):
        place = job.place(request.tail)
    else:
        return None
    await connection.send(ATTACH, pb.AttachResponse(place=place_to_message(place)))
    return place


async def _follow(
    context: Context, connection: Connection, collector: Collector, kind: int, cls: Any, place: LogPlace | None = None
) -> Any:
    """Sends the job's output as it comes; returns the last response, which the caller sends."""
    with connection.waiting(abandon_on_close=True):
        async with aclosing(cast(Any, collector.job.follow(place=place))) as chunks:
            async for chunk in chunks:
                response = cls(name=convert.raw(chunk.stream), data=chunk.data)
                if place is not None:
                    response.offset = chunk.offset
                await connection.send(kind, response)
        result = await collector.job.wait()
    last = cls()
    convert.fill_result(last, result)
    await _add_info(context, collector, last)
    return last


async def _feed(connection: Connection, job: Job) -> None:
    """Gives the connection's AttachInput frames to the job; a job that takes no more does not end the attach."""
    while (payload := await connection.next_input()) is not None:
        try:
            await _apply(job, codec.decode_request(codec.KINDS["AttachInput"], payload))
        except (WardenError, OSError) as error:
            log.info("job %d: input refused: %s", job.id, error)


async def _apply(job: Job, request: pb.AttachInputRequest) -> None:
    if request.data:
        await job.write_stdin(request.data)
    if request.HasField("rows") and request.HasField("columns"):
        await job.resize(request.rows, request.columns)
    if request.eof:
        await job.close_stdin()


async def wait(_context: Context, connection: Connection, container: Container, request: pb.WaitRequest) -> None:
    condition = convert.wait_condition(request.condition)
    job: Job | None = container.job(request.job_id) if request.HasField("job_id") else _main_job(container, condition)
    if condition is WaitCondition.NEXT_EXIT and job is not None and job.result is not None:
        job = None  # it will not end again
    await connection.send(WAIT, pb.WaitResponse(job_id=None if job is None else job.id))
    last = pb.WaitResponse(end=True)
    with connection.waiting(abandon_on_close=True):
        try:
            async with asyncio.timeout(request.timeout_ms / 1000 if request.HasField("timeout_ms") else None):
                convert.fill_result(last, await container.wait(job, condition))
        except TimeoutError:
            last.timed_out = True
    await connection.send(WAIT, last)


def _main_job(container: Container, condition: WaitCondition) -> Job | None:
    """None where one can wait without: for the next end of a job, or for the removal."""
    try:
        return container.main_job()
    except UnknownJob:
        if condition is WaitCondition.NOT_RUNNING:
            raise
        return None


async def logs(_context: Context, connection: Connection, container: Container, request: pb.LogsRequest) -> None:
    selection = request_to_selection(request)
    with connection.waiting(abandon_on_close=True):
        async with aclosing(cast(Any, container.logs(selection))) as pieces:
            count = 0
            async for piece in pieces:
                if not isinstance(piece, Chunk) and not request.HasField("lasting"):
                    continue  # an older client knows nothing of places
                await connection.send(LOGS, piece_to_response(piece))
                count += 1
                if count % _TURN == 0:
                    await asyncio.sleep(0)
    await connection.send(LOGS, pb.LogsResponse(end=True))
