"""Requests about the networks that containers share."""

from __future__ import annotations

from warden.protocol import convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_network import report_to_message, request_to_bridge
from warden.protocol.convert_topology import topology_to_response
from warden.server.connection import Connection
from warden.server.context import Context


async def create(
    context: Context, _connection: Connection, request: pb.NetworkCreateRequest
) -> pb.NetworkCreateResponse:
    wanted, choose6 = request_to_bridge(request)
    report = await context.engine.create_network(wanted, choose6=choose6)
    return pb.NetworkCreateResponse(network=report_to_message(report))


async def list_all(
    context: Context, _connection: Connection, _request: pb.NetworkListRequest
) -> pb.NetworkListResponse:
    return pb.NetworkListResponse(networks=map(report_to_message, await context.engine.networks()))


async def inspect(
    context: Context, _connection: Connection, request: pb.NetworkInspectRequest
) -> pb.NetworkInspectResponse:
    (report,) = await context.engine.networks(convert.text(request.name))
    return pb.NetworkInspectResponse(network=report_to_message(report))


async def topology(
    context: Context, _connection: Connection, _request: pb.TopologyRequest
) -> pb.TopologyResponse:
    return topology_to_response(await context.engine.topology())


async def remove(
    context: Context, _connection: Connection, request: pb.NetworkRemoveRequest
) -> pb.NetworkRemoveResponse:
    await context.engine.remove_network(convert.text(request.name))
    return pb.NetworkRemoveResponse()
