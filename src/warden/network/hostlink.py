"""One link of the host as the kernel describes it: RTM_GETLINK, rtnetlink(7), linux/if_link.h.

Owns the question and how its answer is read. Blocking, in the network namespace of the calling thread.
"""

from __future__ import annotations

import errno
import struct

from warden.errors import KernelRefused
from warden.kernel import sockets
from warden.network import netlink
from warden.network.netlink import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    attributes,
)
from warden.network.route import Route
from warden.records import dataclass

RTM_GETLINK, RTM_GETADDR, NLM_F_DUMP = 18, 22, 0x300
IFLA_LINK, IFLA_MIN_MTU, IFLA_MAX_MTU, IFLA_PERM_ADDRESS = 5, 50, 51, 54
IFF_LOOPBACK = 0x8
ARPHRD_ETHER = 1
RT_SCOPE_LINK = 253
_IFLA_BR_VLAN_FILTERING, _IFLA_BR_VLAN_DEFAULT_PVID = 7, 39
_INFO = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefixlen, flags, scope, index


@dataclass(frozen=True, slots=True)
class HostLink:
    """*kind*: "" for one that is no software's. *mtu_max* 0: any. *permanent*: the address it was made with, "" unknown.
    *link*: the index of its other end or parent, wherever that is. *master*: the index of what it is a port of, 0 none."""

    name: str
    index: int
    kind: str = ""
    mac: str = ""
    mtu: int = 0
    mtu_min: int = 0
    mtu_max: int = 0
    master: int = 0
    permanent: str = ""
    up: bool = False
    ethernet: bool = True
    link: int = 0


def get_link(name: str | None = None, index: int = 0) -> netlink.Message:
    """ip link show NAME, or INDEX; of neither: of all."""
    if name is None and not index:
        return RTM_GETLINK, NLM_F_DUMP, netlink.ifinfo()
    return RTM_GETLINK, 0, netlink.ifinfo(index=index) + (b"" if name is None else netlink.text(IFLA_IFNAME, name))


def parse_link(reply: bytes) -> HostLink:
    """The link in the body of an RTM_NEWLINK."""
    _, kind, index, flags, _ = _INFO.unpack_from(reply)
    found = attributes(reply[_INFO.size :])
    return HostLink(
        name=_text(found.get(IFLA_IFNAME, b"")),
        index=index,
        kind=_text(attributes(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND, b"")),
        mac=_mac(found.get(IFLA_ADDRESS, b"")),
        mtu=_number(found.get(IFLA_MTU)),
        mtu_min=_number(found.get(IFLA_MIN_MTU)),
        mtu_max=_number(found.get(IFLA_MAX_MTU)),
        master=_number(found.get(IFLA_MASTER)),
        permanent=_mac(found.get(IFLA_PERM_ADDRESS, b"")),
        up=bool(flags & netlink.IFF_UP),
        ethernet=kind == ARPHRD_ETHER and not flags & IFF_LOOPBACK,
        link=_number(found.get(IFLA_LINK)),
    )


def find_link(route: Route, name: str | None = None, index: int = 0) -> HostLink | None:
    """Raises KernelRefused for anything but its absence."""
    try:
        replies = route.ask(get_link(name, index), f"ip link show {name or index}")
    except KernelRefused as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return parse_link(replies[0]) if replies else None


def all_links(route: Route, most: int | None = None) -> list[HostLink]:
    """Of this network namespace; *most*: see Route.ask."""
    return [parse_link(reply) for reply in route.ask(get_link(), "ip link show", most=most)]


def vlans_of(route: Route, index: int) -> tuple[bool, int]:
    """Of a bridge: whether it looks at VLANs at all, and the one of untagged frames on a new port, 0 none."""
    (reply,) = route.ask(get_link(None, index), f"ip -d link show {index}")
    info = attributes(attributes(reply[_INFO.size :]).get(IFLA_LINKINFO, b""))
    found = attributes(info.get(netlink.IFLA_INFO_DATA, b""))
    default = found.get(_IFLA_BR_VLAN_DEFAULT_PVID, b"\0\0")
    return found.get(_IFLA_BR_VLAN_FILTERING, b"\0") == b"\1", int(struct.unpack("=H", default)[0])


def addresses_of(route: Route, index: int) -> list[str]:
    """The addresses of a link that reach beyond it, with their prefixes."""
    return all_addresses(route, RT_SCOPE_LINK - 1).get(index, [])


def all_addresses(route: Route, scope_most: int = 255, most: int | None = None) -> dict[int, list[str]]:
    """Those of all links, by the links' indices; *scope_most*: 0 is the whole world (rtnetlink(7)); *most*: see
    Route.ask."""
    found: dict[int, list[str]] = {}
    message = RTM_GETADDR, NLM_F_DUMP, _ADDRESS.pack(sockets.AF_UNSPEC, 0, 0, 0, 0)
    for reply in route.ask(message, "ip address show", most=most):
        family, prefix, _, scope, owner = _ADDRESS.unpack_from(reply)
        value = attributes(reply[_ADDRESS.size :])
        packed = value.get(netlink.IFA_LOCAL) or value.get(netlink.IFA_ADDRESS)
        if scope <= scope_most and packed:
            found.setdefault(owner, []).append(f"{sockets.inet_ntop(family, packed)}/{prefix}")
    return found


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _mac(data: bytes) -> str:
    return data.hex(":") if len(data) == 6 else ""


def _number(data: bytes | None) -> int:
    return 0 if data is None else int(struct.unpack("=I", data)[0])
