"""What a container's interfaces are made of, as netlink messages for its plan. Pure.

One batch is the host's part, one the container's, however many interfaces there are. What has another end or a parent on
the host is born in the container's namespace; only a link of the host itself is moved.
"""

from __future__ import annotations

import struct

from warden.light import TYPE_CHECKING, MappingProxyType, late
from warden.model.further import NOTHING, Further
from warden.model.interfaces import MIN_MTU_IPV6, Link, LinkKind
from warden.network import netlink
from warden.network.links import Part, ifb_name
from warden.network.netlink import CHILD_NETNS_FD, Message, attribute, number
from warden.plainaddress import IPv4Address, ip_address, ip_interface

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from warden.network import further
else:  # few links have more than addresses
    ipaddress, further = late("ipaddress"), late("warden.network.further")

IFLA_MACVLAN_MODE, IFLA_IPVLAN_MODE, IFLA_VLAN_ID = 1, 1, 1
IFLA_IPVLAN_FLAGS = 2
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}


ON_A_LINK = frozenset({LinkKind.MACVLAN, LinkKind.IPVLAN, LinkKind.VLAN})


def extra_index(container_id: str, place: int) -> int:
    """The index of the host's end of interface number *place* (0 to 15), where mode warden's link has another."""
    # Beside those of links.host_index and its ifb; ids in use never share the bits taken here (engine/ids.py).
    return 0x4000_0000 | (int(container_id, 32) & 0x03FF_FFFF) << 4 | place


def extra_name(container_id: str, place: int) -> str:
    """The name of that end; 0 to 2 are links.py's."""
    return f"w-{container_id}-{'3456789abcdefghi'[place]}"


def extra_ifb(host_name: str) -> str:
    """The name of the device that shapes what comes from the end called *host_name*, one of `extra_name`'s."""
    return host_name[:-1] + "jklmnopqrstuvwxy"["3456789abcdefghi".index(host_name[-1])]


def ifb_names(container_id: str) -> list[str]:
    """Of all the devices that may shape what a container sends."""
    return [ifb_name(container_id), *(extra_ifb(extra_name(container_id, place)) for place in range(16))]


def host_part(
    links: Iterable[Link], parents: Mapping[str, int], mtu: int, more: Mapping[int, Further] = MappingProxyType({})
) -> Part:
    """For the host's namespace, between clone and release. *parents*: indices of the host's links and of bridges'
    devices by name, 0 for a pair whose end is no port of any; *mtu* of links that name none; *more*: what they have
    beside that, by their indices inside."""
    messages: list[Message] = []
    words: list[str] = []
    for link in links:
        own = more.get(link.index, NOTHING)
        outside: Part = further.outside(own.outside) if own.outside != NOTHING.outside else ([], "")
        for made, said in (_host(link, parents, mtu, own), outside):
            messages += made
            words += [said] if said else []
    return messages, "; ".join(words)


def _host(link: Link, parents: Mapping[str, int], mtu: int, own: Further) -> Part:
    if link.kind is LinkKind.BRIDGE:
        return _port(link, parents[link.bridge or link.parent], link.mtu or mtu, own)
    if link.kind is LinkKind.PHYSICAL:
        index = 0 if link.index == link.host_index else link.index
        moved = netlink.move_link(
            link.host_index, CHILD_NETNS_FD, name=link.name, new_index=index, mac=link.mac, mtu=link.mtu
        )
        return [moved], f"ip link set {link.parent} netns CHILD name {link.name}"
    made = netlink.add_link(
        link.kind.value,
        birth_name(link),
        link.index,
        parent=parents[link.parent],
        netns_fd=CHILD_NETNS_FD,
        mtu=link.mtu,
        mac=link.mac,
        data=_data(link, own),
    )
    more = f" id {link.vlan_id}" if link.kind is LinkKind.VLAN else f" mode {link.mode}"
    return [made], f"ip link add link {link.parent} name {birth_name(link)} netns CHILD type {link.kind.value}{more}"


def birth_name(link: Link) -> str:
    """What a link on a link is called until the child gives it its name.

    Before 6.13 the kernel looks for a link of that number or name in the namespace of who asks, not where it will be
    (rtnl_newlink), and the host has an eth0 too. So both are what nobody else has.
    """
    return f"w-{link.index:x}"


def _port(link: Link, bridge: int, mtu: int, own: Further) -> Part:
    pair = netlink.add_veth(
        link.host_name,
        link.host_index,
        link.name,
        link.index,
        netns_fd=CHILD_NETNS_FD,
        mtu=mtu,
        peer_mac=link.mac,
        master=bridge,
        peer_queues=own.queues,
    )
    port = f"master {link.bridge} " if bridge else ""
    said = f"ip link add {link.host_name} {port}type veth peer name {link.name} netns CHILD"
    quiet = mtu >= MIN_MTU_IPV6  # below, the kernel takes IPv6 from it altogether
    quiet = quiet and bool(bridge)  # a router's end needs its link-local address: by it neighbours are looked for
    up = netlink.set_up(link.host_index, quiet=quiet)
    taken = f"ip link set {link.host_name} up" + (" addrgenmode none" if quiet else "")
    if own == NOTHING:
        return [pair, up], f"{said}; {taken}"
    before, first = further.before_up(link.host_index, link.host_name, own)
    after, last = further.after_up(link.host_index, link.host_name, own)
    return [pair, *before, up, *after], "; ".join(text for text in (said, first, taken, last) if text)


def _data(link: Link, own: Further) -> bytes:
    if link.kind is LinkKind.MACVLAN:
        return number(IFLA_MACVLAN_MODE, MACVLAN_MODES[link.mode or "bridge"])
    if link.kind is LinkKind.IPVLAN:
        mode = attribute(IFLA_IPVLAN_MODE, struct.pack("=H", IPVLAN_MODES[link.mode or "l2"]))
        apart = further.ISOLATION[own.isolation]
        return mode + (attribute(IFLA_IPVLAN_FLAGS, struct.pack("=H", apart)) if apart else b"")
    return attribute(IFLA_VLAN_ID, struct.pack("=H", link.vlan_id or 0))


def container_part(
    links: Sequence[Link],
    down: Collection[int] = (),
    leading_out: Sequence[tuple[int, int]] = (),
    broadcasts: Mapping[tuple[int, str], str] = MappingProxyType({}),
    beyond: Sequence[tuple[int, str]] = (),
) -> Part:
    """For the child in its own namespace, after lo: addresses, links up, and last the default routes, because the way to
    a gateway must be up. *down*: indices of links that the container takes up itself; *leading_out*: index and IP
    version of default routes without a gateway; *broadcasts*: other than usual, by index and address;
    *beyond*: index and gateway of default routes whose gateway is in no network of the link's, but on the link."""
    messages: list[Message] = []
    words: list[str] = []
    for link in links:
        if link.kind in ON_A_LINK:
            messages.append(netlink.change_link(link.index, name=link.name))
            words.append(f"ip link set {birth_name(link)} name {link.name}")
        for address in link.addresses:
            own = broadcasts.get((link.index, address))
            packed = IPv4Address(own) if own else None
            messages.append(netlink.add_address(link.index, ip_interface(address), broadcast=packed))
            words.append(f"ip address add {address}{f' broadcast {own}' if own else ''} dev {link.name}")
        if link.index not in down:
            messages.append(netlink.set_up(link.index))
            words.append(f"ip link set {link.name} up")
    for link in links:
        for gateway in link.gateways:
            messages.append(netlink.add_default_route(link.index, ip_address(gateway)))
            words.append(f"ip route add default via {gateway} dev {link.name}")
    for index, text in beyond:
        way = ip_address(text)
        messages += [netlink.add_route_by(index, ipaddress.ip_network(text)), netlink.add_default_route(index, way)]
        name = next(link.name for link in links if link.index == index)
        words.append(f"ip route add {text} dev {name}; ip route add default via {text} dev {name}")
    for index, version in leading_out:
        messages.append(netlink.add_default_route_by(index, version))
        words.append(f"ip -{version} route add default dev {next(link.name for link in links if link.index == index)}")
    return messages, "; ".join(words)
