"""Interfaces of LXC's configuration → network mode and Interfaces of a ContainerSpec. Pure."""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING, blake2b
from warden.lxc.missing import Missing, Need
from warden.lxc.naming import BadKey, naming
from warden.lxc.networks import End, Net
from warden.model.further import NOTHING, Further
from warden.model.interfaces import Interface, LinkKind
from warden.model.spec import NetworkMode
from warden.plainaddress import ip_address, ip_interface
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    "veth": LinkKind.BRIDGE,
    "macvlan": LinkKind.MACVLAN,
    "ipvlan": LinkKind.IPVLAN,
    "vlan": LinkKind.VLAN,
    "phys": LinkKind.PHYSICAL,
}
@dataclass(frozen=True, slots=True)
class Networks:
    """*mode* and *interfaces* as a ContainerSpec has them."""

    mode: NetworkMode
    interfaces: tuple[Interface, ...]
    missing: tuple[Missing, ...]
    warnings: tuple[str, ...]
    ends: tuple[End, ...] = ()  # one for each of *interfaces*
    loopback: bool = False  # lo is taken up


def translate_networks(nets: tuple[Net, ...], name: str) -> Networks:
    """*name*: of the container, from which hardware addresses are drawn. Raises BadKey naming the key."""
    if any(net.type == "none" for net in nets):
        others = tuple(
            f"lxc.net.{net.number}.type: {net.type}: the network is the host's: ignored"
            for net in nets
            if net.type != "none"
        )
        return Networks(NetworkMode.HOST, (), (), others)
    found: list[Interface] = []
    ends: list[End] = []
    missing: list[Missing] = []
    for net in nets:
        if net.type != "empty":
            found.append(_interface(net, name))
            ends.append(_end(net))
        missing += _scripts(net)
    up = any(net.flags for net in nets)  # as LXC: with the first interface that is, be it `empty`
    return Networks(NetworkMode.NONE, tuple(found), tuple(missing), (), tuple(ends), up)


def _end(net: Net) -> End:
    """Raises BadKey."""
    gateways = {4: net.ipv4_gateway, 6: net.ipv6_gateway}
    _check_gateways(net, gateways)
    _check_vlans(net)
    if net.l2proxy and not net.link:
        hint = f"lxc.net.{net.number}.link"
        raise BadKey(f"lxc.net.{net.number}.l2proxy", "there is no link that could answer for it", hint=hint)
    if net.l2proxy and net.type == "ipvlan" and net.ipvlan_mode != "l3s":
        hint = f"lxc.net.{net.number}.ipvlan.mode = l3s"
        raise BadKey(f"lxc.net.{net.number}.l2proxy", "an ipvlan answers in mode l3s alone", hint=hint)
    return End(
        key=f"lxc.net.{net.number}",
        up=bool(net.flags),
        host_name=net.veth_pair if net.type == "veth" else "",
        seek=tuple(version for version, gateway in gateways.items() if gateway == "auto"),
        out=tuple(version for version, gateway in gateways.items() if gateway == "dev"),
        beyond=_gateways(net, within=False),
        broadcasts=tuple((str(ip_interface(address)), last) for address, last in net.ipv4 if last),
        free=_is_free(net),
        link=net.link,
        further=_further(net),
        proxied=net.l2proxy,
    )


def _check_gateways(net: Net, gateways: dict[int, str]) -> None:
    """A default route needs an interface that is up (lxc.container.conf(5))."""
    for version, gateway in gateways.items():
        key = f"lxc.net.{net.number}.ipv{version}.gateway"
        if gateway and not net.flags:
            raise BadKey(key, "the interface is not taken up", hint=f"lxc.net.{net.number}.flags = up")
        if gateway == "auto" and (net.type != "veth" or _is_free(net)):
            kind = f"type {net.type}" if net.type != "veth" else "a veth that is on no bridge"
            raise BadKey(key, f"auto is not for {kind}", hint="an address, or dev; auto is a bridge's own address, of veth")


def _check_vlans(net: Net) -> None:
    for which, given in (("veth.vlan.id", net.veth_vlan_id), ("veth.vlan.tagged.id", net.veth_vlan_tagged)):
        if net.type == "veth" and given and _is_free(net):
            hint = "a link, and veth.mode = bridge"
            raise BadKey(f"lxc.net.{net.number}.{which}", "is a bridge's port's, and there is no bridge", hint=hint)
    if net.veth_vlan_id and any(str(number) == net.veth_vlan_id for number in net.veth_vlan_tagged):
        key = f"lxc.net.{net.number}.veth.vlan.tagged.id"
        raise BadKey(key, f"{net.veth_vlan_id} is untagged", hint="by veth.vlan.id; a VLAN is one or the other")


def _is_free(net: Net) -> bool:
    return net.type == "veth" and (net.veth_mode == "router" or not net.link)


def _further(net: Net) -> Further:
    if net.type == "ipvlan":
        return Further(isolation=net.ipvlan_isolation)
    if net.type != "veth":
        return NOTHING
    routed = net.veth_mode == "router"
    hosts = [ip_interface(address).ip for address in (_addresses(net) if routed else ())]
    answers = [text for text in (net.ipv4_gateway, net.ipv6_gateway) if text not in ("", "auto", "dev")]
    return Further(
        vlan={"": None, "none": 0}.get(net.veth_vlan_id, int(net.veth_vlan_id) if net.veth_vlan_id.isdecimal() else 0),
        tagged=net.veth_vlan_tagged,
        routes=(*net.veth_ipv4_routes, *net.veth_ipv6_routes, *(f"{host}/{host.max_prefixlen}" for host in hosts)),
        answers=tuple(answers) if routed else (),
        queues=(net.veth_rx_queues or 0, net.veth_tx_queues or 0),
    )


def _gateways(net: Net, *, within: bool) -> tuple[str, ...]:
    """Those that are an address; *within*: in a network of the interface's, or not."""
    given = (text for text in (net.ipv4_gateway, net.ipv6_gateway) if text not in ("", "auto", "dev"))
    networks = [ip_interface(address).network for address in _addresses(net)]
    return tuple(
        text for text in given if any(ip_address(text) in network for network in networks) is within
    )


def _interface(net: Net, container: str) -> Interface:
    kind, key = _KINDS[net.type], f"lxc.net.{net.number}"
    if not net.link and net.type != "veth":
        hint = "the bridge or interface of the host that it is connected to"
        raise BadKey(f"{key}.link", f"is missing for type {net.type}", hint=hint)
    if kind is LinkKind.VLAN and net.vlan_id is None:
        raise BadKey(f"{key}.vlan.id", "is missing for type vlan", hint="0 to 4094")
    modes = {"macvlan": net.macvlan_mode, "ipvlan": net.ipvlan_mode}
    with naming(key):
        return Interface(
            kind=kind,
            parent=f"free-{net.number}" if _is_free(net) else net.link,
            name=net.name or None,
            mode=modes.get(net.type),
            vlan_id=net.vlan_id if kind is LinkKind.VLAN else None,
            addresses=_addresses(net),
            gateways=_gateways(net, within=True),
            mac=drawn_address(net.hwaddr, f"{container}/{net.number}") if net.hwaddr else None,
            mtu=net.mtu,
        )


def _addresses(net: Net) -> tuple[str, ...]:
    """0.0.0.0 was 0.9's way to say that the container asks by DHCP."""
    given = (*(address for address, _ in net.ipv4), *net.ipv6)
    return tuple(address for address in given if not ip_interface(address).ip.is_unspecified)


def drawn_address(template: str, seed: str) -> str:
    """*template* with every x replaced by a digit. The same container draws the same ones at each start, which LXC
    does only because lxc-create writes them down; a first octet stays that of a station's address."""
    digits = iter(blake2b(os.fsencode(seed), digest_size=12).hexdigest())
    drawn = [next(digits) if char == "x" else char for char in template]
    if template[1] == "x":
        drawn[1] = f"{int(drawn[1], 16) & 0xE | (0 if template[0] != 'x' else 2):x}"
    return "".join(drawn)


def _scripts(net: Net) -> Iterator[Missing]:
    for which in ("up", "down"):
        for value in getattr(net, f"script_{which}"):
            yield Missing(Need.SCRIPT, f"lxc.net.{net.number}.script.{which}", value, "a program beside the interface")

