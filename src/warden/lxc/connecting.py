"""The network of a container of LXC's: its interfaces, as this host can have them, become messages for its plan.

Owns what only the host knows (links, VLANs of a bridge, switches in /proc/sys), and the record of what a container
changes on links that stay, so that its end, or the next start after a kill -9, takes that back. Blocking.
"""

from __future__ import annotations

import errno
import os

from warden.errors import BadInput, KernelRefused
from warden.light import TYPE_CHECKING, suppress
from warden.lxc.place import OUTSIDE, write_down
from warden.model.further import Further, Outside
from warden.model.interfaces import Bridge, Link
from warden.model.spec import ContainerSpec
from warden.network import links
from warden.plainjson import loads
from warden.plan.container import Batch
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warden.lxc.networks import End
    from warden.lxc.translate import Translation
    from warden.model.interfaces import Interface
    from warden.network.hostlink import HostLink
    from warden.network.netlink import Message
    from warden.network.route import Route
    from warden.undo import Undo

MTU = 1500


@dataclass(frozen=True, slots=True)
class Connected:
    """*host*, *inside*: messages for both namespaces, None for none. *outside*: what is changed on links that stay."""

    host: Batch | None = None
    inside: Batch | None = None
    links: tuple[Link, ...] = ()
    outside: tuple[Outside, ...] = ()
    answers: tuple[Message, ...] = ()

    def answer(self) -> None:
        """When the container's ends are up: the host's answer for its gateways. Raises KernelRefused."""
        if self.answers:
            from warden.network.route import Route

            with Route() as route:
                for message in self.answers:
                    route.ask(message, "ip neighbour add proxy")


def connected(container_id: str, spec: ContainerSpec, translation: Translation) -> Connected:
    """Changes nothing. Raises WardenError."""
    first = [links.LOOPBACK] if translation.loopback else []
    if not spec.interfaces:
        return Connected(inside=_batch(*first) if first else None)
    from warden.engine import assignment  # a container without interfaces must not pay for them
    from warden.network.further import answering, writes
    from warden.network.interfaces import host_part
    from warden.network.route import Route

    ends = translation.ends
    with Route() as route:
        asked = list(zip(spec.interfaces, ends, strict=True))
        parents: list[HostLink | Bridge] = [_parent(route, item, end) for item, end in asked]
        indices = {parent.name: parent.index for parent in parents if not isinstance(parent, Bridge)}
        sought = [_gateways(route, end, item.parent, indices[item.parent]) for item, end in asked]
        more = [_further(route, item, end, indices) for item, end in asked]
    made = assignment.with_gateways(assignment.links_of(container_id, spec, parents, MTU), spec, sought)
    pairs = list(zip(made, ends, strict=True))
    made = tuple(replace(link, host_name=end.host_name or link.host_name) for link, end in pairs)
    host = _batch(host_part(made, indices, MTU, {link.index: one for link, one in zip(made, more, strict=True)}))
    written = tuple(pair for link, one in zip(made, more, strict=True) for pair in writes(link.host_name, one))
    return Connected(
        replace(host, writes=written),
        _batch(*first, _inside(pairs)),
        made,
        tuple(one.outside for one in more if one.outside.addresses),
        tuple(item for link, one in zip(made, more, strict=True) for item in answering(link.host_index, one)),
    )


def _inside(pairs: Sequence[tuple[Link, End]]) -> links.Part:
    from warden.network.interfaces import container_part

    down = [link.index for link, end in pairs if not end.up]
    out = [(link.index, version) for link, end in pairs for version in end.out]
    last = {(link.index, at): to for link, end in pairs for at, to in end.broadcasts}
    beyond = [(link.index, gateway) for link, end in pairs for gateway in end.beyond]
    return container_part([link for link, _ in pairs], down, out, last, beyond)


def _parent(route: Route, item: Interface, end: End) -> HostLink:
    """Of a pair that is on no bridge, nothing but the packet size of the link that is named."""
    from warden.engine.parents import check_kind, find_parent
    from warden.network.hostlink import HostLink, find_link

    if end.free:
        link = find_link(route, end.link) if end.link else None
        if end.link and link is None:
            raise BadInput(f"{end.key}.link: the host has no link {end.link}", hint="ip link shows those that there are")
        return HostLink(item.parent, 0, mtu=link.mtu if link else MTU)
    check_kind(route, item.kind)
    return find_parent(route, item, ())


def _gateways(route: Route, end: End, bridge: str, index: int) -> tuple[str, ...]:
    """The bridge's own addresses, of the IP versions that ask for it. Raises BadInput."""
    from warden.network.hostlink import addresses_of

    have = [address.partition("/")[0] for address in addresses_of(route, index)] if end.seek else []
    found = {version: next((text for text in have if (":" in text) is (version == 6)), "") for version in end.seek}
    for version, text in found.items():
        if not text:
            problem = f"{end.key}.ipv{version}.gateway: auto: {bridge} has no IPv{version} address"
            raise BadInput(problem, hint="give it one, or name the gateway")
    return tuple(found.values())


def _further(route: Route, item: Interface, end: End, indices: dict[str, int]) -> Further:
    """With what the host has to say of it. Raises BadInput where that does not go together."""
    from warden.network.hostlink import find_link, vlans_of

    found = end.further
    if found.vlan is not None or found.tagged:
        filters, default = vlans_of(route, indices[item.parent])
        if not filters:
            hint = f"ip link set {item.parent} type bridge vlan_filtering 1"
            raise BadInput(f"{end.key}.veth.vlan: the bridge {item.parent} looks at no VLANs", hint=hint)
        found = replace(found, default=default)
    if any(":" in address for address in found.answers):
        _switched_on(f"{end.key}.ipv6.gateway", "net/ipv6/conf/all/forwarding")
    if end.proxied:
        addresses = tuple(address.partition("/")[0] for address in item.addresses)
        _check_proxy(end, addresses)
        link = find_link(route, end.link)
        found = replace(found, outside=Outside(link.index if link else 0, addresses, item.kind.value == "ipvlan"))
    return found


def _check_proxy(end: End, addresses: Sequence[str]) -> None:
    if any(":" not in address for address in addresses):
        _switched_on(f"{end.key}.l2proxy", f"net/ipv4/conf/{end.link}/forwarding")
    if any(":" in address for address in addresses):
        for name in ("proxy_ndp", "forwarding"):
            _switched_on(f"{end.key}.l2proxy", f"net/ipv6/conf/{end.link}/{name}")


def _switched_on(key: str, name: str) -> None:
    """What the host's administrator has to want."""
    with suppress(OSError), open(f"/proc/sys/{name}", encoding="ascii") as file:
        if file.read().strip() != "0":
            return
    raise BadInput(f"{key}: {name} is off", hint=f"sysctl -w {name}=1")


def _batch(*parts: links.Part) -> Batch:
    made = links.batch_of(*parts)
    return Batch(made.messages, made.text)


def record_outside(directory: str, made: Sequence[Outside], undo: Undo) -> None:
    """Before it is done, so that nothing is forgotten."""
    if made:
        write_down(f"{directory}/{OUTSIDE}", [[one.link, list(one.addresses), one.lo] for one in made])
        undo.add("links of the host", undo_outside, directory)


def undo_outside(directory: str) -> None:
    """What is gone already is fine. Raises KernelRefused."""
    from warden.network.further import taken_back
    from warden.network.route import Route

    try:
        with open(f"{directory}/{OUTSIDE}", encoding="ascii") as file:
            found = [Outside(link, tuple(addresses), lo) for link, addresses, lo in loads(file.read())]
    except FileNotFoundError:
        return
    with Route() as route:
        for message in (message for one in found for message in taken_back(one)):
            try:
                route.ask(message, "ip neighbour delete proxy")
            except KernelRefused as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ESRCH):
                    raise
    os.unlink(f"{directory}/{OUTSIDE}")
