"""What each request about the network of a container does, as handlers.py has it of the others."""

from __future__ import annotations

from warden.errors import BadInput
from warden.model.net import PortMap
from warden.protocol import convert, convert_net
from warden.protocol import warden_pb2 as pb
from warden.server.connection import Connection
from warden.server.context import Context
from warden.server.ports import Container


async def net_in(
    _context: Context, _connection: Connection, container: Container, request: pb.NetInRequest
) -> pb.NetInResponse:
    """The original's, unless it says what only ours can: then the container has the port alone."""
    host_port = request.host_port if request.HasField("host_port") else None
    container_port = request.container_port if request.HasField("container_port") else None
    if request.HasField("protocol") or request.HasField("host_ip"):
        host_ip, protocol = convert.text(request.host_ip) or None, convert.text(request.protocol) or "tcp"
        port = await container.publish(PortMap(host_ip, host_port or 0, container_port or 0, protocol))
        return pb.NetInResponse(host_port=port.host_port, container_port=port.container_port)
    host_port, container_port = await container.net_in(host_port, container_port)
    return pb.NetInResponse(host_port=host_port, container_port=container_port)


async def port_remove(
    _context: Context, _connection: Connection, container: Container, request: pb.PortRemoveRequest
) -> pb.PortRemoveResponse:
    host_ip, protocol = convert.text(request.host_ip) or None, convert.text(request.protocol) or "tcp"
    await container.remove_port(request.host_port, protocol, host_ip)
    return pb.PortRemoveResponse()


async def net_out(
    _context: Context, _connection: Connection, container: Container, request: pb.NetOutRequest
) -> pb.NetOutResponse:
    await container.net_out(convert.request_to_rule(request))
    return pb.NetOutResponse()


async def net_show(
    _context: Context, _connection: Connection, container: Container, _request: pb.NetShowRequest
) -> pb.NetShowResponse:
    return convert_net.state_to_response(container.net_state())


async def net_remove(
    _context: Context, _connection: Connection, container: Container, request: pb.NetRemoveRequest
) -> pb.NetRemoveResponse:
    if request.HasField("index") == request.HasField("rule"):
        raise BadInput("net_remove: a rule is named by its index or by itself, one of the two")
    if request.HasField("index"):
        await container.remove_rule(request.index)
    else:
        await container.remove_rule(rule=convert_net.message_to_rule(request.rule))
    return pb.NetRemoveResponse()


async def net_replace(
    _context: Context, _connection: Connection, container: Container, request: pb.NetReplaceRequest
) -> pb.NetReplaceResponse:
    policy = convert_net.message_to_policy(request.policy) if request.HasField("policy") else None
    if policy is not None and request.usual_policy:
        raise BadInput("net_replace: usual_policy: a policy is given too")
    await container.replace_rules(
        None if request.keep_rules else tuple(map(convert_net.message_to_rule, request.rules)),
        policy=policy,
        keep_policy=policy is None and not request.usual_policy,
        connections=request.connections if request.HasField("connections") else None,
        keep_connections=not request.HasField("connections") and not request.usual_policy,
    )
    return pb.NetReplaceResponse()


async def net_refused(
    _context: Context, _connection: Connection, container: Container, _request: pb.NetRefusedRequest
) -> pb.NetRefusedResponse:
    return convert_net.refusals_to_response(await container.refusals())


async def firewall_repair(
    context: Context, _connection: Connection, request: pb.FirewallRepairRequest
) -> pb.FirewallRepairResponse:
    faults = await context.engine.firewall_faults(repair=not request.check_only)
    return pb.FirewallRepairResponse(faults=map(convert.raw, faults))
