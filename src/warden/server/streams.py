"""Requests that wait for a job: link, run, stream, attach, logs.

Owns what a client's disappearance does to each: link and run go on and collect the job, stream and attach leave it as
it is (spec/warden.md §4). Memory stays constant: a piece of output is read when the one before it is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from warden.errors import WardenError
from warden.model.job import Chunk
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_info import info_to_response
from warden.server.collect import Collector
from warden.server.connection import Connection
from warden.server.context import Context, log
from warden.server.ports import Container, Job

STREAM, ATTACH, LOGS = (codec.KINDS[name] for name in ("Stream", "Attach", "Logs"))
_MERGED = 16  # chunks read ahead when several jobs are followed at once


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
    pump = asyncio.get_running_loop().create_task(_feed(connection, job))
    try:
        last = await _follow(context, connection, Collector(container, job), ATTACH, pb.AttachResponse)
    finally:
        pump.cancel()
    await connection.send(ATTACH, last)


async def _follow(context: Context, connection: Connection, collector: Collector, kind: int, cls: Any) -> Any:
    """Sends the job's output as it comes; returns the last response, which the caller sends."""
    with connection.waiting(abandon_on_close=True):
        async with aclosing(cast(Any, collector.job.follow())) as chunks:
            async for chunk in chunks:
                await connection.send(kind, cls(name=convert.raw(chunk.stream), data=chunk.data))
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


async def logs(_context: Context, connection: Connection, container: Container, request: pb.LogsRequest) -> None:
    jobs = [container.job(request.job_id)] if request.HasField("job_id") else container.jobs()
    with connection.waiting(abandon_on_close=True):
        chunks = _merged(jobs) if request.follow and len(jobs) > 1 else _in_turn(jobs, follow=request.follow)
        async with aclosing(cast(Any, chunks)) as pieces:
            async for job, chunk in pieces:
                await connection.send(LOGS, _log_response(job, chunk))
    await connection.send(LOGS, pb.LogsResponse(end=True))


def _log_response(job: Job, chunk: Chunk) -> pb.LogsResponse:
    return pb.LogsResponse(
        name=convert.raw(chunk.stream), data=chunk.data, time_us=round(chunk.time * 1e6), job_id=job.id
    )


async def _in_turn(jobs: Sequence[Job], *, follow: bool) -> AsyncIterator[tuple[Job, Chunk]]:
    for job in jobs:
        async with aclosing(cast(Any, job.follow(follow=follow))) as chunks:
            async for chunk in chunks:
                yield job, chunk


async def _merged(jobs: Sequence[Job]) -> AsyncIterator[tuple[Job, Chunk]]:
    """The output of several running jobs as it comes."""
    queue: asyncio.Queue[tuple[Job, Chunk] | None] = asyncio.Queue(_MERGED)

    async def read(job: Job) -> None:
        async for item in _in_turn([job], follow=True):
            await queue.put(item)
        await queue.put(None)

    async with asyncio.TaskGroup() as readers:
        tasks = [readers.create_task(read(job)) for job in jobs]
        try:
            for _ in jobs:
                while (item := await queue.get()) is not None:
                    yield item
        finally:
            for task in tasks:
                task.cancel()
