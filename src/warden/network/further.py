"""What an interface may have on the host beside its link: VLANs of a bridge's port, routes, addresses answered for. Pure.

What lies on the host's end of a pair goes with it; what lies on other links of the host is `Outside`, which somebody
has to take away again.
"""

from __future__ import annotations

import struct

from warden.light import TYPE_CHECKING, late
from warden.model.further import Further, Outside
from warden.network import netlink
from warden.network.netlink import AF_BRIDGE, IFLA_AF_SPEC, NESTED, RTM_DELLINK, RTM_SETLINK, Message, attribute

if TYPE_CHECKING:
    import ipaddress

    from warden.network.links import Part
else:
    ipaddress = late("ipaddress")

_IFLA_BRIDGE_FLAGS, _BRIDGE_FLAGS_MASTER, _IFLA_BRIDGE_VLAN_INFO = 0, 1, 2  # linux/if_bridge.h
_VLAN_PVID, _VLAN_UNTAGGED = 2, 4
ISOLATION = {"bridge": 0, "private": 1, "vepa": 2}  # IPVLAN_F_*, linux/if_link.h


def before_up(index: int, name: str, further: Further) -> Part:
    """VLANs of the port, before a frame can pass."""
    messages, words = [], []
    if further.vlan is not None and further.default and further.default != further.vlan:
        messages.append(_vlan(RTM_DELLINK, index, further.default, 0))
        words.append(f"bridge vlan delete dev {name} vid {further.default}")
    if further.vlan:
        messages.append(_vlan(RTM_SETLINK, index, further.vlan, _VLAN_PVID | _VLAN_UNTAGGED))
        words.append(f"bridge vlan add dev {name} vid {further.vlan} pvid untagged")
    for number in further.tagged:
        messages.append(_vlan(RTM_SETLINK, index, number, 0))
        words.append(f"bridge vlan add dev {name} vid {number}")
    return messages, "; ".join(words)


def _vlan(kind: int, index: int, number: int, flags: int) -> Message:
    head = struct.pack("=BxHiII", AF_BRIDGE, 0, index, 0, 0)
    spec = attribute(_IFLA_BRIDGE_FLAGS, struct.pack("=H", _BRIDGE_FLAGS_MASTER))
    spec += attribute(_IFLA_BRIDGE_VLAN_INFO, struct.pack("=HH", flags, number))
    return kind, 0, head + attribute(IFLA_AF_SPEC | NESTED, spec)


def after_up(index: int, name: str, further: Further) -> Part:
    """Routes to the host's end. For what it answers is told when the other end is up (`answering`)."""
    messages, words = [], []
    if any(":" not in address for address in further.answers):
        messages.append(netlink.set_forwarding(index))
        words.append(f"sysctl -w net.ipv4.conf.{name}.forwarding=1")
    for text in further.routes:
        messages.append(netlink.add_route_by(index, ipaddress.ip_network(text)))
        words.append(f"ip route add {text} dev {name}")
    return messages, "; ".join(words)


def answering(index: int, further: Further) -> list[Message]:
    """The kernel forgets them when the link has no carrier, which a pair has with both ends up (neigh_carrier_down)."""
    return [netlink.proxy_neighbour(index, ipaddress.ip_address(address)) for address in further.answers]


def outside(made: Outside) -> Part:
    """What lies on other links of the host."""
    messages, words = [], []
    for text in made.addresses:
        address = ipaddress.ip_address(text)
        messages.append(netlink.proxy_neighbour(made.link, address))
        words.append(f"ip neighbour add proxy {text} dev {made.link}")
        if made.lo:
            messages.append(netlink.add_route_by(netlink.LOOPBACK_INDEX, ipaddress.ip_network(text)))
            words.append(f"ip route add {text} dev lo")
    return messages, "; ".join(words)


def taken_back(made: Outside) -> list[Message]:
    """The contrary; each may be gone already."""
    messages = []
    for text in made.addresses:
        messages.append(netlink.proxy_neighbour(made.link, ipaddress.ip_address(text), gone=True))
        if made.lo:
            messages.append(
                netlink.add_route_by(netlink.LOOPBACK_INDEX, ipaddress.ip_network(text), gone=True)
            )
    return messages


def writes(name: str, further: Further) -> tuple[tuple[str, str], ...]:
    """What rtnetlink does not take for IPv6 (inet6_set_link_af): files of /proc/sys and their values."""
    if not any(":" in address for address in further.answers):
        return ()
    base = f"/proc/sys/net/ipv6/conf/{name}"
    return ((f"{base}/forwarding", "1"), (f"{base}/proxy_ndp", "1"))
