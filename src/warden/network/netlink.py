"""rtnetlink messages as bytes, for links, addresses and routes: rtnetlink(7), linux/if_link.h.

Pure: builds batches, sends nothing. Traffic control is tc.py's. Every message asks for an acknowledgement, and its
number in the batch is its sequence number. Interface indices are chosen by us, which the
kernel allows in RTM_NEWLINK (since 3.7), so that a whole batch can be written before any of it exists.
"""

from __future__ import annotations

import struct

from warden.kernel import sockets
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Sequence

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 20, 24
RTM_DELROUTE, RTM_NEWNEIGH, RTM_DELNEIGH, NTF_PROXY, NDA_DST = 25, 28, 29, 8, 1
RTM_SETLINK, AF_BRIDGE, IFLA_PROTINFO, IFLA_BRPORT_MODE = 19, 7, 12, 4
NLM_F_REQUEST, NLM_F_ACK, NLM_F_ECHO = 0x1, 0x4, 0x8
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
IFF_UP, IFF_PROMISC, IFF_ALLMULTI = 0x1, 0x100, 0x200
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
IFLA_AF_SPEC, IFLA_NET_NS_FD, IFLA_NEW_IFINDEX = 26, 28, 49
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INET_CONF, IPV4_DEVCONF_FORWARDING, IPV4_DEVCONF_RP_FILTER = 1, 1, 8
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
VETH_INFO_PEER = 1
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 3, 0, 1
_RT_SCOPE_LINK, _IFA_BROADCAST = 253, 4
RT_TABLE_LOCAL, RTN_LOCAL = 255, 2
NESTED = 0x8000

#: The child's network namespace is at this descriptor after `clone` (docs/plan-format.md).
CHILD_NETNS_FD = 100
LOOPBACK_INDEX = 1


def attribute(kind: int, value: bytes) -> bytes:
    """One rtattr, padded to four bytes."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in *data* by type; what is cut off is left out."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & ~NESTED] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def text(kind: int, value: str) -> bytes:
    """A name of the kernel's is any bytes."""
    return attribute(kind, value.encode(errors="surrogateescape") + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def ifinfo(*, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg."""
    return struct.pack("=BxHiII", sockets.AF_UNSPEC, 0, index, flags, change)


def batch(messages: Sequence[tuple[int, int, bytes]]) -> bytes:
    """(type, flags, body) each become a nlmsghdr and its body, numbered from 1."""
    out = []
    for sequence, (kind, flags, body) in enumerate(messages, 1):
        length = 16 + len(body)
        header = struct.pack("=IHHII", length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, 0)
        out.append(header + body + b"\0" * (-length % 4))
    return b"".join(out)


Message = tuple[int, int, bytes]


def hardware(mac: str) -> bytes:
    """The address of a link, IFLA_ADDRESS."""
    return attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def add_veth(
    name: str,
    index: int,
    peer: str,
    peer_index: int,
    *,
    netns_fd: int,
    mtu: int,
    peer_mac: str | None = None,
    master: int = 0,
    peer_queues: tuple[int, int] = (0, 0),
) -> Message:
    """ip link add NAME type veth peer name PEER netns FD: the peer is born where it belongs, moving one costs 16 ms.
    *master*: the bridge that NAME becomes a port of. *peer_queues*: to receive and to transmit; NAME's are the contrary."""
    peer_data = ifinfo(index=peer_index) + text(IFLA_IFNAME, peer) + number(IFLA_MTU, mtu)
    peer_data += number(IFLA_NET_NS_FD, netns_fd) + (hardware(peer_mac) if peer_mac else b"")
    peer_data += _queues(*peer_queues)
    data = attribute(IFLA_INFO_DATA | NESTED, attribute(VETH_INFO_PEER | NESTED, peer_data))
    info = attribute(IFLA_LINKINFO | NESTED, text(IFLA_INFO_KIND, "veth") + data)
    body = ifinfo(index=index) + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu) + info
    body += _queues(*reversed(peer_queues))
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + (number(IFLA_MASTER, master) if master else b"")


def _queues(receive: int, transmit: int) -> bytes:
    asked = ((IFLA_NUM_RX_QUEUES, receive), (IFLA_NUM_TX_QUEUES, transmit))
    return b"".join(number(kind, count) for kind, count in asked if count)


def add_link(
    kind: str,
    name: str,
    index: int = 0,
    *,
    parent: int = 0,
    netns_fd: int | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    data: bytes = b"",
) -> Message:
    """ip link add NAME type KIND; *parent*: link PARENT; *netns_fd*: born there, while PARENT is one of ours; *data*: what
    the kind wants to know."""
    info = text(IFLA_INFO_KIND, kind) + (attribute(IFLA_INFO_DATA | NESTED, data) if data else b"")
    body = ifinfo(index=index) + text(IFLA_IFNAME, name)
    body += number(IFLA_LINK, parent) if parent else b""
    body += number(IFLA_NET_NS_FD, netns_fd) if netns_fd is not None else b""
    body += _shape(mac, mtu) + attribute(IFLA_LINKINFO | NESTED, info)
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def move_link(
    index: int, netns_fd: int, *, name: str, new_index: int = 0, mac: str | None = None, mtu: int | None = None
) -> Message:
    """ip link set INDEX netns FD, which takes it down, and there name NAME. *new_index*: its number there (since 5.13);
    0: as it is, where that is free."""
    body = ifinfo(index=index) + number(IFLA_NET_NS_FD, netns_fd) + text(IFLA_IFNAME, name)
    body += number(IFLA_NEW_IFINDEX, new_index) if new_index else b""
    return RTM_NEWLINK, 0, body + _shape(mac, mtu)


def change_link(
    index: int, *, name: str | None = None, mac: str | None = None, mtu: int | None = None, master: int | None = None
) -> Message:
    """ip link set INDEX down promisc off allmulticast off name NAME …; *master*: ip link set INDEX master, and no more."""
    body = ifinfo(index=index, change=IFF_UP | IFF_PROMISC | IFF_ALLMULTI if master is None else 0)
    body += text(IFLA_IFNAME, name) if name else b""
    body += number(IFLA_MASTER, master) if master is not None else b""
    return RTM_NEWLINK, 0, body + _shape(mac, mtu)


def _shape(mac: str | None, mtu: int | None) -> bytes:
    return (hardware(mac) if mac else b"") + (number(IFLA_MTU, mtu) if mtu else b"")


def add_ifb(name: str, index: int, *, mtu: int) -> Message:
    """ip link add NAME type ifb, and up at once."""
    info = attribute(IFLA_LINKINFO | NESTED, text(IFLA_INFO_KIND, "ifb"))
    body = ifinfo(index=index, flags=IFF_UP, change=IFF_UP) + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu) + info
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def delete_link(index: int) -> Message:
    """ip link delete."""
    return RTM_DELLINK, 0, ifinfo(index=index)


def set_up(index: int, *, forwarding: bool = False, quiet: bool = False) -> Message:
    """ip link set up; *forwarding*: and the link's net.ipv4.conf.NAME.forwarding=1, which the kernel takes here too, and
    rp_filter=1, without which the host keeps a neighbour for each address that an ARP request names (arp_process).
    *quiet*: and it gets no IPv6 address by itself."""
    spec = b""
    if forwarding:
        conf = number(IPV4_DEVCONF_FORWARDING, 1) + number(IPV4_DEVCONF_RP_FILTER, 1)
        spec += attribute(sockets.AF_INET | NESTED, attribute(IFLA_INET_CONF | NESTED, conf))
    if quiet:
        mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))
        spec += attribute(sockets.AF_INET6 | NESTED, mode)
    spec = attribute(IFLA_AF_SPEC | NESTED, spec) if spec else b""
    return RTM_NEWLINK, 0, ifinfo(index=index, flags=IFF_UP, change=IFF_UP) + spec


def set_forwarding(index: int) -> Message:
    """sysctl -w net.ipv4.conf.NAME.forwarding=1."""
    conf = attribute(IFLA_INET_CONF | NESTED, number(IPV4_DEVCONF_FORWARDING, 1))
    return RTM_NEWLINK, 0, ifinfo(index=index) + attribute(IFLA_AF_SPEC | NESTED, attribute(sockets.AF_INET | NESTED, conf))


def proxy_neighbour(
    index: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, gone: bool = False
) -> Message:
    """ip neighbour add proxy ADDRESS dev LINK; *gone*: delete."""
    head = struct.pack("=BxxxiHBB", _family(address.version), index, 0, NTF_PROXY, RTN_UNICAST)
    kind, how = (RTM_DELNEIGH, 0) if gone else (RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL)
    return kind, how, head + attribute(NDA_DST, address.packed)


def add_route_by(
    index: int, network: ipaddress.IPv4Network | ipaddress.IPv6Network, *, gone: bool = False
) -> Message:
    """ip route add NETWORK dev LINK, scope link; *gone*: delete."""
    length, family = network.prefixlen, _family(network.version)
    head = struct.pack("=BBBBBBBBI", family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, _RT_SCOPE_LINK, RTN_UNICAST, 0)
    kind, how = (RTM_DELROUTE, 0) if gone else (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)
    return kind, how, head + attribute(RTA_DST, network.network_address.packed) + number(RTA_OIF, index)


def _family(version: int) -> int:
    return int(sockets.AF_INET if version == 4 else sockets.AF_INET6)


def add_address(
    index: int,
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    *,
    replace: bool = False,
    broadcast: ipaddress.IPv4Address | None = None,
) -> Message:
    """ip address add [broadcast BROADCAST]; raises nothing, the kernel checks. An IPv6 address is usable at once: nobody
    else can have it, and looking for its double takes a second (RFC 4862)."""
    flags = IFA_F_NODAD if interface.version == 6 else 0
    head = struct.pack(
        "=BBBBI", _family(interface.version), interface.network.prefixlen, flags, RT_SCOPE_UNIVERSE, index
    )
    packed = interface.ip.packed
    how = NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL)
    body = head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return RTM_NEWADDR, how, body + (attribute(_IFA_BROADCAST, broadcast.packed) if broadcast else b"")


def add_default_route(index: int, gateway: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Message:
    """ip route add default via GATEWAY."""
    return _default_route(index, gateway.version, RT_SCOPE_UNIVERSE, attribute(RTA_GATEWAY, gateway.packed))


def add_default_route_by(index: int, version: int) -> Message:
    """ip route add default dev LINK, of IP *version*: whoever is asked for is looked for on the link itself."""
    return _default_route(index, version, _RT_SCOPE_LINK if version == 4 else RT_SCOPE_UNIVERSE, b"")


def _default_route(index: int, version: int, scope: int, gateway: bytes) -> Message:
    head = struct.pack("=BBBBBBBBI", _family(version), 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0)
    return RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, head + gateway + number(RTA_OIF, index)


def add_local_loopback(index: int) -> Message:
    """ip -6 route add local ::1 dev LINK table local metric 2048: behind that of lo, which is taken wherever it can be.
    Other links may have one too, so there is no replacing: EEXIST says that this one has."""
    head = struct.pack(
        "=BBBBBBBBI", sockets.AF_INET6, 128, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_LOCAL, 0
    )
    here = bytes(15) + b"\1"
    body = head + attribute(RTA_DST, here) + number(RTA_OIF, index) + number(RTA_PRIORITY, 2048)
    return RTM_NEWROUTE, NLM_F_CREATE, body


def set_hairpin(index: int) -> Message:
    """bridge link set dev PORT hairpin on."""
    head = struct.pack("=BxHiII", AF_BRIDGE, 0, index, 0, 0)
    return RTM_SETLINK, 0, head + attribute(IFLA_PROTINFO | NESTED, attribute(IFLA_BRPORT_MODE, b"\1"))
