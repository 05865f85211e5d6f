"""Requests about the network of a container, built for both clients; and their responses understood. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from warden.client.messages import Request, request
from warden.errors import BadInput
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Refusals, check_connections, check_port
from warden.model.nettext import text_to_ports, words_to_rule
from warden.protocol import codec, convert, convert_net
from warden.protocol import warden_pb2 as pb

#: A rule as itself or as people write it: "tcp 10.0.0.0/8 80:90".
RuleLike = NetRule | str
#: A port as itself or as people write it: "127.0.0.1:8080:80/udp", "8000-8010:80-90", or 80 for one that is chosen.
PortLike = PortMap | str | int


class PolicyOptions(TypedDict, total=False):
    """Keyword arguments of net_replace. *allow*, *deny*: where it may go when no rule says so; what is in neither is
    open. *connections*: that each of its addresses may have begun at once, 0: as many as it likes. *usual*: all of it as it
    is for all. What is not given stays as it is."""

    allow: Sequence[str]
    deny: Sequence[str]
    connections: int
    usual: bool


def rule(like: RuleLike) -> NetRule:
    return words_to_rule(like.split()) if isinstance(like, str) else like


def ports(like: Iterable[PortLike] | PortLike) -> list[PortMap]:
    """Raises BadInput."""
    if isinstance(like, (PortMap, str, int)):
        like = (like,)
    found: list[PortMap] = []
    for one in like:
        found += (one,) if isinstance(one, PortMap) else text_to_ports(str(one))
    return found


def fill_create(
    message: pb.CreateRequest,
    publish: Iterable[PortLike] | PortLike,
    allow: Sequence[str] | None,
    deny: Sequence[str] | None,
    connections: int | None,
) -> None:
    """Puts ports and a policy into a CreateRequest. Raises BadInput."""
    message.publish.extend(map(convert_net.port_to_message, ports(publish)))
    if allow is not None or deny is not None:
        message.net_policy.CopyFrom(convert_net.policy_to_message(_policy(allow, deny)))
    if connections is not None:
        check_connections(connections, "net_connections")
        message.net_connections = connections


def _policy(allow: Sequence[str] | None, deny: Sequence[str] | None) -> NetPolicy:
    return NetPolicy(tuple(allow or ()), tuple(deny or ()))


def net_in(
    handle: str, host_port: int | None, container_port: int | None, protocol: str | None, host_ip: str | None
) -> Request:
    for field, port in (("host_port", host_port), ("container_port", container_port)):
        if port is not None:
            check_port(port, f"net_in: {field}")
    if protocol is not None or host_ip is not None:
        PortMap(host_ip, host_port or 0, container_port or 0, protocol or "tcp")
    return request(
        "NetIn",
        handle=handle,
        host_port=host_port,
        container_port=container_port,
        protocol=protocol,
        host_ip=host_ip,
    )


def remove_port(handle: str, host_port: int, protocol: str, host_ip: str | None) -> Request:
    check_port(host_port, "remove_port: host_port")
    return request("PortRemove", handle=handle, host_port=host_port, protocol=protocol, host_ip=host_ip)


def remove(handle: str, which: int | RuleLike) -> Request:
    message = pb.NetRemoveRequest(handle=convert.raw(handle))
    if isinstance(which, int):
        if not 1 <= which < 2**32:
            raise BadInput(f"net_remove: index: {which} is none", hint="rules are numbered from 1 up")
        message.index = which
    else:
        message.rule.CopyFrom(convert_net.rule_to_message(rule(which)))
    return codec.KINDS["NetRemove"], message


def replace(handle: str, rules: Iterable[RuleLike] | None, options: PolicyOptions) -> Request:
    message = pb.NetReplaceRequest(handle=convert.raw(handle))
    if rules is None:
        message.keep_rules = True
    else:
        message.rules.extend(convert_net.rule_to_message(rule(one)) for one in rules)
    allow, deny = options.get("allow"), options.get("deny")
    if options.get("usual"):
        message.usual_policy = True
    elif allow is not None or deny is not None:
        message.policy.CopyFrom(convert_net.policy_to_message(_policy(allow, deny)))
    if (connections := options.get("connections")) is not None:
        check_connections(connections, "net_replace: connections")
        message.connections = connections
    return codec.KINDS["NetReplace"], message


def show(handle: str) -> Request:
    return request("NetShow", handle=handle)


def state(message: pb.NetShowResponse) -> NetState:
    return convert_net.response_to_state(message)


def refused(handle: str) -> Request:
    return request("NetRefused", handle=handle)


def refusals(message: pb.NetRefusedResponse) -> Refusals:
    return convert_net.response_to_refusals(message)


def repair(*, check_only: bool) -> Request:
    return request("FirewallRepair", check_only=check_only or None)


def faults(message: pb.FirewallRepairResponse) -> list[str]:
    return [convert.text(fault) for fault in message.faults]
