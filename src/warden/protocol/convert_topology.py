"""Topology to its message and back, as pure functions; fields have the same names on both sides."""

from __future__ import annotations

from typing import Any

from warden.model.topology import Node, Space, Topology
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import raw, text
from warden.records import fields


def topology_to_response(topology: Topology) -> pb.TopologyResponse:
    return pb.TopologyResponse(spaces=map(_space, topology.spaces), gone=map(raw, topology.gone))


def _space(space: Space) -> pb.NetSpace:
    return pb.NetSpace(links=map(_link, space.links), **{k: v for k, v in _raw(space).items() if k != "links"})


def _link(node: Node) -> pb.NetSpace.Link:
    return pb.NetSpace.Link(**_raw(node))


def _raw(value: Any) -> dict[str, Any]:
    return {item.name: _encoded(getattr(value, item.name)) for item in fields(value)}


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return raw(value)
    return [_encoded(item) for item in value] if isinstance(value, tuple) else value


def response_to_topology(response: pb.TopologyResponse) -> Topology:
    spaces = (
        Space(links=tuple(Node(**_decoded(Node, link)) for link in space.links), **_decoded(Space, space))
        for space in response.spaces
    )
    return Topology(tuple(spaces), tuple(map(text, response.gone)))


def _decoded(kind: type, message: Any) -> dict[str, Any]:
    found = {}
    for item in fields(kind):
        value = getattr(message, item.name)
        if item.name != "links":
            found[item.name] = value if isinstance(value, (bool, int)) else _text(value)
    return found


def _text(value: Any) -> Any:
    return text(value) if isinstance(value, bytes) else tuple(map(text, value))
