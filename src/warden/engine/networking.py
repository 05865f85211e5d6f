"""What a container may be reached by and may reach: ports and rules, and its place in the firewall."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from warden.depot.snapshot import Snapshot
from warden.engine import ports
from warden.engine.events import NOBODY, Emitter, NetworkCreated, NetworkDestroyed
from warden.errors import BadInput, WrongState
from warden.model.interfaces import Bridge, BridgeMember, BridgeReport, Link, LinkKind, bridge_device
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, check_connections, check_port, with_ipv6
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network import shaping
from warden.network.forwarding import have_loopback6
from warden.network.interfaces import extra_ifb
from warden.network.links import Attachment, container_link, host_index, host_link, ifb_name
from warden.network.nft import Guest, GuestLink, Policy
from warden.records import replace
from warden.undo import AsyncUndo

if TYPE_CHECKING:
    from warden.engine.container import Container
    from warden.engine.site import Site

log = logging.getLogger("warden.container")


def attachment(snapshot: Snapshot, mtu: int) -> Attachment | None:
    """The link of a container, None when it has none of its own."""
    if not snapshot.network:
        return None
    return Attachment(snapshot.container_id, IPv4Network((snapshot.network, 30)), mtu)


def shaped(snapshot: Snapshot, mtu: int) -> tuple[shaping.Link, ...]:
    """The links of a container that its bandwidth limits hold for, each by itself: those with an end on the host."""
    own = attachment(snapshot, mtu)
    first: tuple[shaping.Link, ...] = () if own is None else (own,)
    ports = (link for link in snapshot.links if link.kind is LinkKind.BRIDGE)
    return first + tuple(
        shaping.Port(
            link.host_name,
            link.host_index,
            ifb_name(snapshot.container_id)
            if link.host_name == host_link(snapshot.container_id)
            else extra_ifb(link.host_name),
            0,
            link.mtu or mtu,
        )
        for link in ports
    )


def can_shape(spec: ContainerSpec) -> bool:
    """Whether one made of *spec* has such a link."""
    return spec.network is NetworkMode.WARDEN or any(item.kind is LinkKind.BRIDGE for item in spec.interfaces)


def counted(snapshot: Snapshot) -> dict[str, int]:
    """The links that are counted at their end on the host: names inside, and indices outside."""
    found = {} if not snapshot.network else {container_link(snapshot.container_id): host_index(snapshot.container_id)}
    return found | {link.name: link.host_index for link in snapshot.links if link.kind is LinkKind.BRIDGE}


def guest(snapshot: Snapshot) -> Guest | None:
    """The container as the firewall knows it, None when it has no link of its own."""
    link = attachment(snapshot, 0)
    links = [] if link is None else [GuestLink(link.host_name, (link.container_ip,))]
    links += [_port(item) for item in snapshot.links if item.bridge is not None]
    if not links:
        return None
    rules, policy = snapshot.net_out, snapshot.net_policy
    return Guest(
        snapshot.container_id, tuple(links), ports.wanted(snapshot), rules, policy, snapshot.net_connections
    )


def _port(link: Link) -> GuestLink:
    """On a bridge of the host it may not pass for another, and that is all. What the kernel connects past the host is not
    the firewall's at all."""
    addresses = tuple(ip_interface(text).ip for text in link.addresses)
    foreign = link.bridge != bridge_device(link.parent)
    return GuestLink(link.host_name, addresses, link.mac, link.bridge, foreign=foreign)


def require_judged(snapshot: Snapshot) -> None:
    """Raises BadInput when a container was to have ports or a policy, and all its links are on bridges of the host."""
    known = guest(snapshot)
    asked = {"publish": snapshot.published, "net_policy": snapshot.net_policy, "net_connections": snapshot.net_connections}
    name = next((name for name, value in asked.items() if value), None)
    if known is not None and not known.addresses and name is not None:
        hint = "give it a network of ours too: warden network create"
        bridge = known.links[0].bridge
        raise BadInput(f"{name}: what crosses {bridge}, a bridge of the host, is not ours to rule", hint=hint)


def policy(settings: EngineSettings) -> Policy:
    """Raises BadInput when a network is not one."""
    return Policy(
        settings.nft_table,
        network(settings.pool_network, "network.pool_network"),
        tuple(any_network(text, "network.allow_networks") for text in settings.allow_networks),
        tuple(any_network(text, "network.deny_networks") for text in with_ipv6(settings.deny_networks)),
        settings.allow_host_access,
        settings.max_connections,
        have_loopback6(),
    )


def network(text: str, setting: str) -> IPv4Network:
    """Raises BadInput naming *setting*."""
    try:
        return IPv4Network(text, strict=False)
    except ValueError as error:
        raise BadInput(f"{setting}: {text!r} is not an IPv4 network: {error}") from error


def any_network(text: str, setting: str) -> IPv4Network | IPv6Network:
    """The same of either family."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise BadInput(f"{setting}: {text!r} is not a network: {error}") from error


def net_in_wish(host_port: int | None, container_port: int | None) -> PortMap:
    """What net_in is asked for, 0 where nothing is given. Raises BadInput."""
    for field, port in (("host_port", host_port), ("container_port", container_port)):
        if port is not None:
            check_port(port, f"net_in: {field}")
    return PortMap(None, host_port or 0, container_port or host_port or 0)


async def net_in(container: Container, wish: PortMap, *, alone: bool) -> PortMap:
    """Forwards a port of the host, the next of the pool when none is named; see Container.net_in and publish."""
    site, snapshot = container.site, container.snapshot
    with_network(snapshot, "net_in")
    async with AsyncUndo() as undo:
        (port,), owned = ports.choose(site, container.id, [wish])
        for one in owned:
            undo.add("port", site.pools.ports.release, one, time.monotonic())
        changes: dict[str, Any] = {"ports": (*snapshot.ports, *owned)}
        if alone:
            changes["published"] = (*snapshot.published, port)
        else:
            changes["net_in"] = (*snapshot.net_in, (port.host_port, port.container_port))
        await _apply(container, changes, undo, alone=alone)
        undo.release()
    return port


async def remove_port(container: Container, host_port: int, protocol: str, host_ip: str | None) -> None:
    """See Container.remove_port."""
    snapshot = container.snapshot
    after = ports.without(snapshot, host_port, protocol, host_ip)
    changes = {"published": after.published, "net_in": after.net_in, "ports": after.ports}
    async with AsyncUndo() as undo:
        await _apply(container, changes, undo)
        undo.release()
    for port in set(snapshot.ports) - set(after.ports):
        container.site.pools.ports.release(port, time.monotonic())


async def net_out(container: Container, rule: NetRule) -> None:
    """Allows traffic; see Container.net_out."""
    with_network(container.snapshot, "net_out")
    before = container.snapshot
    await replace_rules(container, (*before.net_out, rule), before.net_policy, before.net_connections)


async def remove_rule(container: Container, index: int | None, rule: NetRule | None) -> None:
    """See Container.remove_rule."""
    snapshot = container.snapshot
    with_network(snapshot, "net_remove")
    rules = list(snapshot.net_out)
    hint = f"warden net {snapshot.handle} lists them"
    if index is not None:
        if not 1 <= index <= len(rules):
            raise BadInput(f"net_remove: index: there is no rule {index}, but {len(rules)} in all", hint=hint)
        del rules[index - 1]
    elif rule in rules:
        rules.remove(rule)
    else:
        raise BadInput("net_remove: rule: the container has no such rule", hint=hint)
    await replace_rules(container, rules, snapshot.net_policy, snapshot.net_connections)


async def replace_rules(
    container: Container, rules: Sequence[NetRule], policy: NetPolicy | None, connections: int | None
) -> None:
    """See Container.replace_rules."""
    check_connections(connections, "net_replace: connections")
    with_network(container.snapshot, "net_replace")
    async with AsyncUndo() as undo:
        changes = {"net_out": tuple(rules), "net_policy": policy, "net_connections": connections}
        await _apply(container, changes, undo)
        undo.release()


def state(snapshot: Snapshot) -> NetState:
    """What it may reach and be reached by."""
    return NetState(snapshot.net_out, snapshot.net_policy, ports.wanted(snapshot), snapshot.net_connections)


def with_network(snapshot: Snapshot, request: str) -> None:
    """Raises WrongState when the container has no network of its own, or none that the firewall rules."""
    known = guest(snapshot)
    if known is not None and not known.addresses:
        where = known.links[0].bridge
        raise WrongState(f"{request}: container {snapshot.handle} is on {where}, a bridge of the host: no rules hold there")
    if known is None:
        mode = snapshot.spec.network.value
        raise WrongState(f"{request}: container {snapshot.handle} has no network of its own: it was made with {mode}")


async def _apply(
    container: Container, changes: Mapping[str, Any], undo: AsyncUndo, *, alone: bool = False
) -> None:
    """First the kernel, then the record; without the record the kernel's part is taken back. Meanwhile the container may
    have been stopped or renamed, or its main job have ended: of the record only *changes* are written."""
    site, old, new = container.site, guest(container.snapshot), guest(replace(container.snapshot, **changes))
    assert old is not None
    assert new is not None
    await site.blocking(partial(ports.admit, site, old, new, alone=alone))
    undo.add("firewall", site.blocking, partial(ports.admit, site, new, old, alone=False))
    if new.ports != old.ports:
        await site.blocking(ports.open_links, new, old)
    container.record.write(replace(container.snapshot, **changes))


def report(bridge: Bridge, users: Iterable[tuple[str, Link]], handles: Mapping[str, str]) -> BridgeReport:
    """*users*: ids of containers and their links; one that is still made has no handle yet."""
    members = [
        BridgeMember(handles[owner], link.name, link.addresses, link.mac, link.aliases)
        for owner, link in users
        if owner in handles
    ]
    return BridgeReport(bridge, tuple(sorted(members, key=lambda member: member.handle)))


def teller(events: Emitter) -> Callable[[Bridge, bool], None]:
    """Tells in this loop, from whatever thread, that a bridge was made or is gone (False)."""
    loop = asyncio.get_running_loop()

    def tell(bridge: Bridge, made: bool) -> None:
        subnets = ",".join(filter(None, (bridge.subnet4, bridge.subnet6)))
        event = NetworkCreated(NOBODY, bridge.name, subnets) if made else NetworkDestroyed(NOBODY, bridge.name)
        loop.call_soon_threadsafe(events.emit, event)

    return tell


async def leave(site: Site, container_id: str) -> None:
    """Gives back what a container's interfaces were made of. The kernel is not waited for, but for links of the host."""
    await site.blocking(site.lending.fetch, container_id)
    site.resolvers.changed()
    unused = await site.blocking(site.networks.release, container_id)
    site.in_background(asyncio.ensure_future(_tidy(site, unused)))


async def _tidy(site: Site, unused: bool) -> None:
    if unused:
        await site.blocking(site.networks.tidy)
    await settle_resolvers(site)


async def settle_resolvers(site: Site) -> None:
    """Each bridge that a container is on has one."""

    async def used() -> list[Bridge]:
        return [bridge for bridge, members in await site.blocking(site.networks.members) if members]

    await site.resolvers.settle(used)
