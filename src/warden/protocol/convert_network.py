"""Networks and links on the wire: bridges of ours, who is on them, and what a container's interfaces became. Pure."""

from __future__ import annotations

from warden.model.interfaces import Bridge, BridgeMember, BridgeReport, Link
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import interface_fields, interface_to_message, raw, text


def link_to_message(link: Link) -> pb.NetInterface:
    message = interface_to_message(link)
    message.index = link.index
    if link.host_index:
        message.host_name, message.host_index = raw(link.host_name), link.host_index
    if link.bridge is not None:
        message.bridge = raw(link.bridge)
    return message


def message_to_link(message: pb.NetInterface) -> Link:
    fields = interface_fields(message)
    return Link(
        **{**fields, "name": fields["name"] or ""},
        index=message.index,
        host_name=text(message.host_name),
        host_index=message.host_index,
        bridge=text(message.bridge) if message.HasField("bridge") else None,
    )


def request_to_bridge(request: pb.NetworkCreateRequest) -> tuple[Bridge, bool]:
    """The bridge that is asked for, and whether its IPv6 network is to be chosen. Raises BadInput."""
    subnet6 = text(request.subnet6) or None
    bridge = Bridge(
        name=text(request.name),
        subnet4=text(request.subnet4) or None,
        subnet6=None if subnet6 == AUTO else subnet6,
        internal=request.internal,
        mtu=request.mtu if request.HasField("mtu") else None,
        explicit=True,
    )
    return bridge, subnet6 == AUTO


#: As a network of IPv6: the next of the daemon's pool.
AUTO = "auto"


def report_to_message(report: BridgeReport) -> pb.Network:
    bridge = report.bridge
    message = pb.Network(
        name=raw(bridge.name), internal=bridge.internal, explicit=bridge.explicit, device=raw(bridge.device)
    )
    if bridge.subnet4 is not None:
        message.subnet4 = raw(bridge.subnet4)
    if bridge.subnet6 is not None:
        message.subnet6 = raw(bridge.subnet6)
    if bridge.mtu is not None:
        message.mtu = bridge.mtu
    for member in report.members:
        message.members.add(
            handle=raw(member.handle),
            name=raw(member.name),
            addresses=map(raw, member.addresses),
            mac=None if member.mac is None else raw(member.mac),
            aliases=map(raw, member.aliases),
        )
    return message


def message_to_report(message: pb.Network) -> BridgeReport:
    bridge = Bridge(
        name=text(message.name),
        subnet4=text(message.subnet4) or None,
        subnet6=text(message.subnet6) or None,
        internal=message.internal,
        mtu=message.mtu if message.HasField("mtu") else None,
        explicit=message.explicit,
    )
    return BridgeReport(bridge, tuple(_member(item) for item in message.members))


def _member(item: pb.Network.Member) -> BridgeMember:
    mac = text(item.mac) if item.HasField("mac") else None
    return BridgeMember(
        text(item.handle), text(item.name), tuple(map(text, item.addresses)), mac, tuple(map(text, item.aliases))
    )
