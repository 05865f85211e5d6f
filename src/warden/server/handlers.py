"""What each request does: a table of handlers, one short coroutine a request.

Owns the order of checks and the shape of the replies. Translation is protocol.convert's, the work is the engine's,
requests that wait for a job are in streams.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import warden
from warden.errors import KernelRefused, WardenError
from warden.model.limits import Bandwidth
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_disk import limits_to_response, request_to_change
from warden.protocol.convert_info import info_to_response
from warden.protocol.convert_life import create_to_spec
from warden.server import events, nethandlers, networks, statistics, streams, volumes
from warden.server.connection import Connection
from warden.server.context import Context
from warden.server.counters import CUT_OFF, OK
from warden.server.ports import Container

log = logging.getLogger("warden.server.requests")

PROTOCOL_VERSION = 1

#: A handler answers with a response, or None when it has sent everything itself.
Handler = Callable[[Context, Connection, Any], Awaitable[Any]]
ContainerHandler = Callable[[Context, Connection, Container, Any], Awaitable[Any]]


async def create(context: Context, connection: Connection, request: pb.CreateRequest) -> pb.CreateResponse:
    over = threading.Event()
    with connection.when_lost(over.set):
        container = await context.engine.create(create_to_spec(request, context.defaults), over)
    context.grace.created(connection, container.handle, connected=connection.connected)
    return pb.CreateResponse(handle=convert.raw(container.handle), warnings=map(convert.raw, container.warnings))


async def stop(
    context: Context, _connection: Connection, container: Container, request: pb.StopRequest
) -> pb.StopResponse:
    work = container.stop(kill=request.kill)
    if request.background:
        context.run_in_background(f"stop of {container.handle}", work)
    else:
        await work
    return pb.StopResponse()


async def destroy(
    context: Context, _connection: Connection, container: Container, _request: pb.DestroyRequest
) -> pb.DestroyResponse:
    await context.destroy(container.handle)
    return pb.DestroyResponse()


async def info(
    _context: Context, _connection: Connection, container: Container, _request: pb.InfoRequest
) -> pb.InfoResponse:
    return info_to_response(await container.info())


async def spawn(
    _context: Context, _connection: Connection, container: Container, request: pb.SpawnRequest
) -> pb.SpawnResponse:
    job = await container.spawn(convert.request_to_job(request))
    return pb.SpawnResponse(job_id=job.id)


async def limit(
    _context: Context, _connection: Connection, container: Container, request: pb.LimitRequest
) -> pb.LimitResponse:
    settings = convert.settings_from(request.settings)
    return convert.report_to_response(
        await container.limit(settings, best_effort=request.best_effort, raw=request.raw)
    )


@contextlib.contextmanager
def _worded(text: str) -> Iterator[None]:
    """The original's words for what the kernel refused (spec/warden.md §5), and in parentheses what that was."""
    try:
        yield
    except KernelRefused as error:
        hint = "; ".join(part for part in (f"{error.operation} {error.target}".strip(), error.hint) if part)
        raise KernelRefused(text, errno=error.errno, hint=hint) from error


async def limit_memory(
    _context: Context, _connection: Connection, container: Container, request: pb.LimitMemoryRequest
) -> pb.LimitMemoryResponse:
    limit = request.limit_in_bytes if request.HasField("limit_in_bytes") else None
    with _worded("Failed setting memory limit"):
        in_force = await container.limit_memory(limit)
    return pb.LimitMemoryResponse(limit_in_bytes=convert.UNLIMITED_MEMORY if in_force is None else in_force)


async def copy_in(
    _context: Context, connection: Connection, container: Container, request: pb.CopyInRequest
) -> pb.CopyInResponse:
    with connection.abandoned_on_close():
        await container.copy_in(convert.text(request.src_path), convert.text(request.dst_path))
    return pb.CopyInResponse()


async def copy_out(
    _context: Context, connection: Connection, container: Container, request: pb.CopyOutRequest
) -> pb.CopyOutResponse:
    with connection.abandoned_on_close():
        await container.copy_out(
            convert.text(request.src_path), convert.text(request.dst_path), convert.text(request.owner)
        )
    return pb.CopyOutResponse()


async def limit_cpu(
    _context: Context, _connection: Connection, container: Container, request: pb.LimitCpuRequest
) -> pb.LimitCpuResponse:
    shares = request.limit_in_shares if request.HasField("limit_in_shares") else None
    with _worded("Failed setting cpu shares"):
        return pb.LimitCpuResponse(limit_in_shares=await container.limit_cpu(shares))


async def limit_bandwidth(
    _context: Context, _connection: Connection, container: Container, request: pb.LimitBandwidthRequest
) -> pb.LimitBandwidthResponse:
    got = await container.limit_bandwidth(Bandwidth(request.rate, request.burst))
    return pb.LimitBandwidthResponse(rate=got.rate, burst=got.burst)


async def limit_disk(
    _context: Context, _connection: Connection, container: Container, request: pb.LimitDiskRequest
) -> pb.LimitDiskResponse:
    return limits_to_response(await container.limit_disk(request_to_change(request)))


async def signal(
    _context: Context, _connection: Connection, container: Container, request: pb.SignalRequest
) -> pb.SignalResponse:
    await container.job(request.job_id).signal(request.signal, tree=request.tree)
    return pb.SignalResponse()


async def pause(
    _context: Context, _connection: Connection, container: Container, _request: pb.PauseRequest
) -> pb.PauseResponse:
    await container.pause()
    return pb.PauseResponse()


async def resume(
    _context: Context, _connection: Connection, container: Container, _request: pb.ResumeRequest
) -> pb.ResumeResponse:
    await container.resume()
    return pb.ResumeResponse()


async def kill(
    _context: Context, _connection: Connection, container: Container, _request: pb.KillRequest
) -> pb.KillResponse:
    await container.kill()
    return pb.KillResponse()


async def start(
    _context: Context, _connection: Connection, container: Container, _request: pb.StartRequest
) -> pb.StartResponse:
    await container.start()
    return pb.StartResponse()


async def restart(
    _context: Context, _connection: Connection, container: Container, request: pb.RestartRequest
) -> pb.RestartResponse:
    await container.restart(kill=request.kill)
    return pb.RestartResponse()


async def rename(
    context: Context, _connection: Connection, container: Container, request: pb.RenameRequest
) -> pb.RenameResponse:
    old, new = container.handle, convert.text(request.new_handle)
    await context.engine.rename(old, new)
    context.grace.renamed(old, new)
    return pb.RenameResponse()


async def inspect(
    _context: Context, _connection: Connection, container: Container, _request: pb.InspectRequest
) -> pb.InspectResponse:
    return pb.InspectResponse(document=json.dumps(await container.inspect()).encode())


async def ping(_context: Context, _connection: Connection, _request: pb.PingRequest) -> pb.PingResponse:
    return pb.PingResponse()


async def list_handles(context: Context, _connection: Connection, _request: pb.ListRequest) -> pb.ListResponse:
    return pb.ListResponse(handles=map(convert.raw, context.engine.handles()))


async def echo(_context: Context, _connection: Connection, request: pb.EchoRequest) -> pb.EchoResponse:
    return pb.EchoResponse(message=request.message)


async def version(_context: Context, _connection: Connection, _request: pb.VersionRequest) -> pb.VersionResponse:
    return pb.VersionResponse(
        version=convert.raw(warden.__version__), protocol=PROTOCOL_VERSION, pid=os.getpid()
    )


def _on_container(handler: ContainerHandler) -> Handler:
    """Looks the handle up before anything else is checked, and keeps the container alive for this connection."""

    async def handle(context: Context, connection: Connection, request: Any) -> Any:
        container = context.engine.get(convert.text(request.handle))
        if connection.connected:
            context.grace.reference(connection, container.handle)
        return await handler(context, connection, container, request)

    return handle


_WITHOUT_CONTAINER: dict[str, Handler] = {
    "Create": create,
    "Ping": ping,
    "List": list_handles,
    "Echo": echo,
    "Version": version,
    "Stats": statistics.once,
    "StatsStream": statistics.stream,
    "NetworkCreate": networks.create,
    "NetworkList": networks.list_all,
    "NetworkInspect": networks.inspect,
    "NetworkRemove": networks.remove,
    "Topology": networks.topology,
    "FirewallRepair": nethandlers.firewall_repair,
    "VolumeCreate": volumes.create,
    "VolumeList": volumes.list_all,
    "VolumeInspect": volumes.inspect,
    "VolumeRemove": volumes.remove,
    "VolumePrune": volumes.prune,
    "Events": events.stream,
}
_WITH_CONTAINER: dict[str, ContainerHandler] = {
    "Stop": stop,
    "Destroy": destroy,
    "Info": info,
    "Spawn": spawn,
    "Link": streams.link,
    "Run": streams.run,
    "Stream": streams.stream,
    "Attach": streams.attach,
    "Logs": streams.logs,
    "Wait": streams.wait,
    "Inspect": inspect,
    "Limit": limit,
    "LimitMemory": limit_memory,
    "LimitCpu": limit_cpu,
    "LimitBandwidth": limit_bandwidth,
    "LimitDisk": limit_disk,
    "Signal": signal,
    "NetIn": nethandlers.net_in,
    "NetOut": nethandlers.net_out,
    "NetShow": nethandlers.net_show,
    "NetRemove": nethandlers.net_remove,
    "NetReplace": nethandlers.net_replace,
    "NetRefused": nethandlers.net_refused,
    "PortRemove": nethandlers.port_remove,
    "CopyIn": copy_in,
    "CopyOut": copy_out,
    "Pause": pause,
    "Resume": resume,
    "Kill": kill,
    "Start": start,
    "Restart": restart,
    "Rename": rename,
}
HANDLERS: dict[int, Handler] = {codec.KINDS[name]: handler for name, handler in _WITHOUT_CONTAINER.items()} | {
    codec.KINDS[name]: _on_container(handler) for name, handler in _WITH_CONTAINER.items()
}


async def dispatch(context: Context, connection: Connection, kind: int, payload: bytes) -> None:
    """Answers one request; every failure becomes an Error reply, and the connection stays usable."""
    began = time.monotonic()
    name, code = codec.NAMES.get(kind, "unknown"), OK
    try:
        request = codec.decode_request(kind, payload)
        if context.observers.watched:
            async with context.observers.watching(name, request):
                response = await HANDLERS[kind](context, connection, request)
        else:
            response = await HANDLERS[kind](context, connection, request)
    except asyncio.CancelledError:
        code = CUT_OFF
        raise
    except Exception as error:
        if not isinstance(error, WardenError):
            log.exception("%s failed", name)
        kind, response = codec.ERROR, convert.error_to_response(error)
        code = convert.text(response.code)
    finally:
        context.observers.tell_after(name, code, time.monotonic() - began)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s (took %.6f)", codec.NAMES[kind], time.monotonic() - began)
    if response is not None:
        await connection.send(kind, response)
