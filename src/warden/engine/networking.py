"""What a container may be reached by and may reach: net_in and net_out, and its place in the firewall."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, ip_interface
from typing import TYPE_CHECKING

from warden.depot.snapshot import Snapshot
from warden.errors import BadInput, WrongState
from warden.model.interfaces import Bridge, BridgeMember, BridgeReport, Link, LinkKind, bridge_device
from warden.model.net import NetRule, PortMap, check_port
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network import shaping
from warden.network.interfaces import extra_ifb
from warden.network.links import Attachment, container_link, host_index, host_link, ifb_name
from warden.network.nft import Guest, GuestLink, Policy
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
    links += [_port(item) for item in snapshot.links if item.bridge == bridge_device(item.parent)]
    if not links:
        return None
    ports = tuple(PortMap(None, host, inside) for host, inside in snapshot.net_in)
    return Guest(snapshot.container_id, tuple(links), ports, snapshot.net_out)


def _port(link: Link) -> GuestLink:
    """Of a bridge of ours. What the host bridges itself, or the kernel connects past it, is not the firewall's."""
    addresses = tuple(ip_interface(text).ip for text in link.addresses)
    return GuestLink(link.host_name, addresses, link.mac, link.bridge)


def policy(settings: EngineSettings) -> Policy:
    """Raises BadInput when a network is not one."""
    return Policy(
        settings.nft_table,
        network(settings.pool_network, "network.pool_network"),
        tuple(network(text, "network.allow_networks") for text in settings.allow_networks),
        tuple(network(text, "network.deny_networks") for text in settings.deny_networks),
        settings.allow_host_access,
    )


def network(text: str, setting: str) -> IPv4Network:
    """Raises BadInput naming *setting*."""
    try:
        return IPv4Network(text, strict=False)
    except ValueError as error:
        raise BadInput(f"{setting}: {text!r} is not an IPv4 network: {error}") from error


async def net_in(container: Container, host_port: int | None, container_port: int | None) -> tuple[int, int]:
    """Forwards a TCP port of the host, the next of the pool when none is named; see Container.net_in."""
    for field, port in (("host_port", host_port), ("container_port", container_port)):
        if port is not None:
            check_port(port, f"net_in: {field}")
    pool, snapshot = container.site.pools.ports, container.snapshot
    with_network(snapshot, "net_in")
    async with AsyncUndo() as undo:
        if host_port is None:
            host_port = pool.acquire(time.monotonic())
            owned = True
        else:
            owned = pool.take(host_port, time.monotonic())
        if owned:
            undo.add("port", pool.release, host_port, time.monotonic())
        pair = (host_port, container_port or host_port)
        ports = (*snapshot.ports, host_port) if owned else snapshot.ports
        await _apply(container, replace(snapshot, ports=ports, net_in=(*snapshot.net_in, pair)), undo)
        undo.release()
    return pair


async def net_out(container: Container, rule: NetRule) -> None:
    """Allows traffic; see Container.net_out."""
    snapshot = container.snapshot
    with_network(snapshot, "net_out")
    async with AsyncUndo() as undo:
        await _apply(container, replace(snapshot, net_out=(*snapshot.net_out, rule)), undo)
        undo.release()


def with_network(snapshot: Snapshot, request: str) -> None:
    """Raises WrongState when the container has no network of its own."""
    if not snapshot.network:
        mode = snapshot.spec.network.value
        raise WrongState(f"{request}: container {snapshot.handle} has no network of its own: it was made with {mode}")


async def _apply(container: Container, after: Snapshot, undo: AsyncUndo) -> None:
    """First the kernel, then the record; without the record the kernel's part is taken back."""
    site, old, new = container.site, guest(container.snapshot), guest(after)
    await site.blocking(site.firewall.put, new)
    undo.add("firewall", site.blocking, site.firewall.put, old)
    container.remember(net_in=after.net_in, net_out=after.net_out, ports=after.ports)


def report(bridge: Bridge, users: Iterable[tuple[str, Link]], handles: Mapping[str, str]) -> BridgeReport:
    """*users*: ids of containers and their links; one that is still made has no handle yet."""
    members = [
        BridgeMember(handles[owner], link.name, link.addresses, link.mac, link.aliases)
        for owner, link in users
        if owner in handles
    ]
    return BridgeReport(bridge, tuple(sorted(members, key=lambda member: member.handle)))


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
