"""What interfaces become: names, indices, addresses of links, gateways. Pure: what is there and free is told by the
caller."""

from __future__ import annotations

from warden.errors import BadInput, WardenError, WrongState
from warden.light import TYPE_CHECKING, blake2b, late
from warden.model.interfaces import MODES, Bridge, Interface, Link, LinkKind, check_mtu
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network.hostlink import HostLink
from warden.network.interfaces import ON_A_LINK, extra_index, extra_name
from warden.network.links import CONTAINER_INDEX, host_index, host_link
from warden.plainaddress import ip_address, ip_interface
from warden.records import replace

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Sequence

    from warden.model.settings import EngineSettings
    from warden.network import addresses as subnets
else:
    ipaddress, subnets = late("ipaddress"), late("warden.network.addresses")


def links_of(
    container_id: str, spec: ContainerSpec, parents: Sequence[HostLink | Bridge], mtu: int
) -> tuple[Link, ...]:
    """One for each interface of *spec*; of bridges of ours without addresses, of all without gateways."""
    indices = _indices(container_id, spec, parents)
    own_end = spec.network is NetworkMode.NONE  # mode warden's link has the first names otherwise
    found = []
    for place, (item, parent) in enumerate(zip(spec.interfaces, parents, strict=True)):
        link = Link(
            kind=item.kind,
            parent=item.parent,
            name=item.name or f"eth{place}",
            index=indices[place],
            mode=item.mode or next(iter(MODES.get(item.kind, ())), None),
            vlan_id=item.vlan_id,
            addresses=tuple(str(ip_interface(text)) for text in item.addresses),
            mac=item.mac or _own_mac(container_id, place, item),
            mtu=item.mtu,
            aliases=item.aliases,
        )
        if item.kind is LinkKind.BRIDGE:
            link = _port(link, container_id, place, parent, mtu, first=own_end)
            own_end = False
        elif isinstance(parent, HostLink) and item.kind is LinkKind.PHYSICAL:
            link = replace(link, host_name=parent.name, host_index=parent.index, mac=item.mac or parent.mac)
        found.append(link)
    return tuple(found)


def _port(link: Link, container_id: str, place: int, parent: HostLink | Bridge, mtu: int, *, first: bool) -> Link:
    usual = (parent.mtu or mtu) if isinstance(parent, Bridge) else parent.mtu
    if isinstance(parent, Bridge) and parent.mtu and link.mtu and link.mtu > parent.mtu:
        raise BadInput(f"interface mtu: {link.mtu} is more than {parent.mtu}, that of network {parent.name}")
    if isinstance(parent, Bridge) and parent.subnet6 and link.mtu:  # the bridge would have the least of its ports'
        check_mtu(link.mtu, "interface mtu", ipv6=True)
    return replace(
        link,
        mtu=link.mtu or usual,
        bridge=parent.device if isinstance(parent, Bridge) else parent.name,
        host_name=host_link(container_id) if first else extra_name(container_id, place),
        host_index=host_index(container_id) if first else extra_index(container_id, place),
    )


def _indices(container_id: str, spec: ContainerSpec, parents: Sequence[HostLink | Bridge]) -> list[int]:
    """Inside. A lent link keeps its number where it can, so that the kernel gives it back with it; a link on a link has
    one that the host's links do not have (network/interfaces.py)."""
    used = {1, CONTAINER_INDEX} if spec.network is NetworkMode.WARDEN else {1}
    chosen: dict[int, int] = {}
    for place, (item, parent) in enumerate(zip(spec.interfaces, parents, strict=True)):
        if item.kind in ON_A_LINK:
            chosen[place] = extra_index(container_id, place)
        elif isinstance(parent, HostLink) and item.kind is LinkKind.PHYSICAL and parent.index not in used:
            chosen[place] = parent.index
            used.add(parent.index)
    for place in range(len(parents)):
        if place not in chosen:
            chosen[place] = next(number for number in range(2, len(parents) * 2 + 4) if number not in used)
            used.add(chosen[place])
    return [chosen[place] for place in range(len(parents))]


def _own_mac(container_id: str, place: int, item: Interface) -> str | None:
    """Of a pair and of a macvlan; a passthru has its parent's, the others too."""
    if item.kind is LinkKind.BRIDGE or (item.kind is LinkKind.MACVLAN and item.mode != "passthru"):
        return "02:" + blake2b(f"{container_id}/{place}".encode(), digest_size=5).digest().hex(":")
    return None


def with_addresses(link: Link, item: Interface, pools: Sequence[subnets.AddressPool]) -> Link:
    """On a bridge of ours: those that were asked for, and one of each family that it has and was not asked for. They are
    taken from *pools*. Raises BadInput, PoolExhausted, and then none is."""
    if not pools:
        return link
    addresses = [full_address(text, pools) for text in item.addresses]
    taken: list[str] = []
    try:
        for address in addresses:
            next(pool for pool in pools if pool.subnet.version == address.version).take(address.ip)
            taken.append(str(address))
        for pool in pools:
            if all(address.version != pool.subnet.version for address in addresses):
                taken.append(f"{pool.acquire()}/{pool.subnet.prefixlen}")
    except WardenError:
        give(pools, taken)
        raise
    return replace(link, addresses=tuple(taken))


def give(pools: Sequence[subnets.AddressPool], addresses: Iterable[str]) -> None:
    """Back to *pools*."""
    for address in map(ipaddress.ip_interface, addresses):
        for pool in pools:
            if pool.subnet.version == address.version:
                pool.release(address.ip)


def own_gateways(bridge: Bridge | None) -> tuple[str, ...]:
    """The addresses of a bridge that lead out of it."""
    given = () if bridge is None or bridge.internal else (bridge.gateway4, bridge.gateway6)
    return tuple(text.partition("/")[0] for text in given if text)


def full_address(text: str, pools: Sequence[subnets.AddressPool]) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """On a bridge of ours: with its network's prefix where none is given. Raises BadInput when it has no such network,
    or another prefix."""
    address = ipaddress.ip_interface(text)
    subnet = next((pool.subnet for pool in pools if pool.subnet.version == address.version), None)
    if subnet is None:
        raise BadInput(f"interface address: {text}: the network has no IPv{address.version}")
    if address.network.prefixlen not in (subnet.prefixlen, address.max_prefixlen):
        raise BadInput(f"interface address: {text} has another prefix than {subnet}")
    return ipaddress.ip_interface(f"{address.ip}/{subnet.prefixlen}")


def preview(container_id: str, spec: ContainerSpec, settings: EngineSettings) -> tuple[Link, ...]:
    """What `links_of` and the rest would come to on a host where everything asked for is there and free."""
    subnet = subnets.next_subnet(settings.bridge_pool, settings.bridge_prefix, (), "network.bridge_pool")
    parents: list[HostLink | Bridge] = [
        Bridge(item.parent, subnet) if item.kind is LinkKind.BRIDGE else HostLink(item.parent, 2 + place)
        for place, item in enumerate(spec.interfaces)
    ]
    pools = (subnets.AddressPool(ipaddress.ip_network(subnet)),)
    links = tuple(
        with_addresses(link, item, pools if item.kind is LinkKind.BRIDGE else ())
        for link, item in zip(links_of(container_id, spec, parents, settings.mtu), spec.interfaces, strict=True)
    )
    offered = [own_gateways(parent if isinstance(parent, Bridge) else None) for parent in parents]
    return with_gateways(links, spec, offered)


def with_gateways(links: Sequence[Link], spec: ContainerSpec, assigned: Sequence[tuple[str, ...]]) -> tuple[Link, ...]:
    """Those that were asked for, and of each family without one the first link's that was *assigned* some. Raises
    BadInput for two default routes, and for a gateway that is out of reach."""
    have = {4} if spec.network is NetworkMode.WARDEN else set()
    chosen: list[list[str]] = [list(item.gateways) for item in spec.interfaces]
    for link, gateways in zip(links, chosen, strict=True):
        for text in gateways:
            gateway = ip_address(text)
            if gateway.version in have:
                raise BadInput(f"interface gateway: {text}: there is another default route of IPv{gateway.version}")
            if not any(gateway in ip_interface(address).network for address in link.addresses):
                raise BadInput(f"interface gateway: {text} is in no network of {link.name}'s addresses")
            have.add(gateway.version)
    for place, offered in enumerate(assigned):
        for text in offered:
            version = ip_address(text).version
            if version not in have:
                have.add(version)
                chosen[place].append(text)
    return tuple(replace(link, gateways=tuple(given)) for link, given in zip(links, chosen, strict=True))


def check_beside(links: Sequence[Link], others: Iterable[Link]) -> None:
    """What *links* of one container cannot be beside those of the *others*, and of it. Raises BadInput, WrongState."""
    there = list(others)
    for link in links:
        for other in there:
            if link.parent == other.parent:
                _check_pair(link, other)
        there.append(link)


_EXCLUSIVE = {LinkKind.MACVLAN, LinkKind.IPVLAN}


def _check_pair(link: Link, other: Link) -> None:
    """Of one parent: the kernel's rules, so that they are told by name."""
    if link.mac and link.mac == other.mac and link.kind is not LinkKind.VLAN:
        raise BadInput(f"interface mac: {link.mac} is in use on {link.parent}")
    if link.kind is other.kind is LinkKind.VLAN and link.vlan_id == other.vlan_id:
        raise WrongState(f"interface vlan_id: {link.vlan_id} is in use on {link.parent}")
    if {link.kind, other.kind} == _EXCLUSIVE:
        raise WrongState(f"interface kind: there is an {other.kind.value} on {link.parent}, and they exclude each other")
    if link.kind is other.kind is LinkKind.MACVLAN and "passthru" in (link.mode, other.mode):
        raise WrongState(f"interface mode: passthru suffers no other macvlan on {link.parent}, and there is one")
