"""Ports, rules and refusals of the network: messages to the model and back. Pure."""

from __future__ import annotations

from typing import Any

from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Protocol, Refusals, Refused
from warden.protocol import warden_pb2 as pb
from warden.protocol.text import raw, text


def message_to_port(message: pb.PortMap) -> PortMap:
    """Raises BadInput."""
    return PortMap(
        text(message.host_ip) or None, message.host_port, message.container_port, text(message.protocol) or "tcp"
    )


def port_to_message(port: PortMap) -> pb.PortMap:
    message = pb.PortMap(host_port=port.host_port, container_port=port.container_port, protocol=raw(port.protocol))
    if port.host_ip is not None:
        message.host_ip = raw(port.host_ip)
    return message


def message_to_policy(message: pb.NetPolicy) -> NetPolicy:
    """Raises BadInput."""
    return NetPolicy(tuple(map(text, message.allow)), tuple(map(text, message.deny)))


def policy_to_message(policy: NetPolicy) -> pb.NetPolicy:
    return pb.NetPolicy(allow=map(raw, policy.allow), deny=map(raw, policy.deny))


def message_to_rule(message: pb.NetRule) -> NetRule:
    """Raises BadInput."""
    return NetRule(
        network=text(message.network) or None,
        ports=text(message.ports) or None,
        protocol=Protocol(pb.NetOutRequest.Protocol.Name(message.protocol).lower()),
        icmp_type=_optional(message, "icmp_type"),
        icmp_code=_optional(message, "icmp_code"),
        log=message.log,
    )


def rule_to_message(rule: NetRule) -> pb.NetRule:
    message = pb.NetRule(protocol=rule.protocol.name, log=rule.log)
    for name, value in (("network", rule.network), ("ports", rule.ports)):
        if value is not None:
            setattr(message, name, raw(value))
    for name, number in (("icmp_type", rule.icmp_type), ("icmp_code", rule.icmp_code)):
        if number is not None:
            setattr(message, name, number)
    return message


def state_to_response(state: NetState) -> pb.NetShowResponse:
    response = pb.NetShowResponse(rules=map(rule_to_message, state.rules), ports=map(port_to_message, state.ports))
    if state.policy is not None:
        response.policy.CopyFrom(policy_to_message(state.policy))
    if state.connections is not None:
        response.connections = state.connections
    return response


def response_to_state(response: pb.NetShowResponse) -> NetState:
    return NetState(
        tuple(map(message_to_rule, response.rules)),
        message_to_policy(response.policy) if response.HasField("policy") else None,
        tuple(map(message_to_port, response.ports)),
        response.connections if response.HasField("connections") else None,
    )


def refusals_to_response(refusals: Refusals) -> pb.NetRefusedResponse:
    response = pb.NetRefusedResponse(further=refusals.further, over=refusals.over)
    for one in refusals.destinations:
        response.destinations.add(
            address=raw(one.address), protocol=raw(one.protocol), port=one.port, packets=one.packets
        )
    return response


def response_to_refusals(response: pb.NetRefusedResponse) -> Refusals:
    found = tuple(
        Refused(text(one.address), text(one.protocol), _optional(one, "port"), one.packets)
        for one in response.destinations
    )
    return Refusals(found, response.further, response.over)


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None
