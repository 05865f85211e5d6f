"""Requests about volumes; each is one call of the engine."""

from __future__ import annotations

from warden.protocol import convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_life import volume_to_message
from warden.server.connection import Connection
from warden.server.context import Context


async def create(
    context: Context, _connection: Connection, request: pb.VolumeCreateRequest
) -> pb.VolumeCreateResponse:
    volume = await context.engine.volumes.create(convert.text(request.name) or None)
    return pb.VolumeCreateResponse(volume=volume_to_message(volume))


async def list_all(
    context: Context, _connection: Connection, _request: pb.VolumeListRequest
) -> pb.VolumeListResponse:
    return pb.VolumeListResponse(volumes=map(volume_to_message, await context.engine.volumes.all()))


async def inspect(
    context: Context, _connection: Connection, request: pb.VolumeInspectRequest
) -> pb.VolumeInspectResponse:
    return pb.VolumeInspectResponse(volume=volume_to_message(await context.engine.volumes.get(convert.text(request.name))))


async def remove(
    context: Context, _connection: Connection, request: pb.VolumeRemoveRequest
) -> pb.VolumeRemoveResponse:
    await context.engine.volumes.remove(convert.text(request.name))
    return pb.VolumeRemoveResponse()


async def prune(
    context: Context, _connection: Connection, request: pb.VolumePruneRequest
) -> pb.VolumePruneResponse:
    return pb.VolumePruneResponse(names=map(convert.raw, await context.engine.volumes.prune(every=request.all)))
