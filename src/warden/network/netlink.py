"""rtnetlink messages as bytes, for links, addresses and routes: rtnetlink(7), linux/if_link.h.

Pure: builds batches, sends nothing. Traffic control is tc.py's. Every message asks for an acknowledgement, and its
number in the batch is its sequence number. Interface indices are chosen by us, which the
kernel allows in RTM_NEWLINK (since 3.7), so that a whole batch can be written before any of it exists.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 20, 24
RTM_SETLINK, AF_BRIDGE, IFLA_PROTINFO, IFLA_BRPORT_MODE = 19, 7, 12, 4
NLM_F_REQUEST, NLM_F_ACK, NLM_F_ECHO = 0x1, 0x4, 0x8
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
IFF_UP = 1
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_AF_SPEC, IFLA_NET_NS_FD = 3, 4, 18, 26, 28
IFLA_INET_CONF, IPV4_DEVCONF_FORWARDING = 1, 1
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
VETH_INFO_PEER = 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_OIF, RTA_GATEWAY = 4, 5
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 3, 0, 1
NESTED = 0x8000

#: The child's network namespace is at this descriptor after `clone` (docs/plan-format.md).
CHILD_NETNS_FD = 100
LOOPBACK_INDEX = 1


def attribute(kind: int, value: bytes) -> bytes:
    """One rtattr, padded to four bytes."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def ifinfo(*, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def batch(messages: Sequence[tuple[int, int, bytes]]) -> bytes:
    """(type, flags, body) each become a nlmsghdr and its body, numbered from 1."""
    out = []
    for sequence, (kind, flags, body) in enumerate(messages, 1):
        length = 16 + len(body)
        header = struct.pack("=IHHII", length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, 0)
        out.append(header + body + b"\0" * (-length % 4))
    return b"".join(out)


Message = tuple[int, int, bytes]


def add_veth(name: str, index: int, peer: str, peer_index: int, *, netns_fd: int, mtu: int) -> Message:
    """ip link add NAME type veth peer name PEER netns FD: the peer is born where it belongs, moving one costs 16 ms."""
    peer_data = ifinfo(index=peer_index) + text(IFLA_IFNAME, peer) + number(IFLA_MTU, mtu)
    peer_data += number(IFLA_NET_NS_FD, netns_fd)
    data = attribute(IFLA_INFO_DATA | NESTED, attribute(VETH_INFO_PEER | NESTED, peer_data))
    info = attribute(IFLA_LINKINFO | NESTED, text(IFLA_INFO_KIND, "veth") + data)
    body = ifinfo(index=index) + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu) + info
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def add_ifb(name: str, index: int, *, mtu: int) -> Message:
    """ip link add NAME type ifb, and up at once."""
    info = attribute(IFLA_LINKINFO | NESTED, text(IFLA_INFO_KIND, "ifb"))
    body = ifinfo(index=index, flags=IFF_UP, change=IFF_UP) + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu) + info
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def delete_link(index: int) -> Message:
    """ip link delete."""
    return RTM_DELLINK, 0, ifinfo(index=index)


def set_up(index: int, *, forwarding: bool = False) -> Message:
    """ip link set up; *forwarding*: and the link's net.ipv4.conf.NAME.forwarding=1, which the kernel takes here too."""
    spec = b""
    if forwarding:
        conf = attribute(IFLA_INET_CONF | NESTED, number(IPV4_DEVCONF_FORWARDING, 1))
        spec = attribute(IFLA_AF_SPEC | NESTED, attribute(socket.AF_INET | NESTED, conf))
    return RTM_NEWLINK, 0, ifinfo(index=index, flags=IFF_UP, change=IFF_UP) + spec


def add_address(index: int, interface: IPv4Interface) -> Message:
    """ip address add; raises nothing, the kernel checks."""
    head = struct.pack("=BBBBI", socket.AF_INET, interface.network.prefixlen, 0, RT_SCOPE_UNIVERSE, index)
    packed = interface.ip.packed
    return RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)


def add_default_route(index: int, gateway: IPv4Address) -> Message:
    """ip route add default via GATEWAY."""
    head = struct.pack(
        "=BBBBBBBBI",
        socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0,
    )  # fmt: skip
    body = head + attribute(RTA_GATEWAY, gateway.packed) + number(RTA_OIF, index)
    return RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body


def set_hairpin(index: int) -> Message:
    """bridge link set dev PORT hairpin on."""
    head = struct.pack("=BxHiII", AF_BRIDGE, 0, index, 0, 0)
    return RTM_SETLINK, 0, head + attribute(IFLA_PROTINFO | NESTED, attribute(IFLA_BRPORT_MODE, b"\1"))
