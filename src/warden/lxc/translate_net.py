"""Interfaces of LXC's configuration → network mode and Interfaces of a ContainerSpec. Pure."""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING, blake2b, late
from warden.lxc.missing import Missing, Need
from warden.lxc.naming import BadKey, naming
from warden.lxc.networks import SUB_KEYS, End, Net
from warden.model.interfaces import Interface, LinkKind
from warden.model.spec import NetworkMode
from warden.records import dataclass, fields

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterator
else:
    ipaddress = late("ipaddress")

_KINDS = {
    "veth": LinkKind.BRIDGE,
    "macvlan": LinkKind.MACVLAN,
    "ipvlan": LinkKind.IPVLAN,
    "vlan": LinkKind.VLAN,
    "phys": LinkKind.PHYSICAL,
}
_USUAL = Net()
#: What an Interface has no field for, with what it would be.
_FURTHER = {
    "veth_mode": "routed instead of bridged",
    "veth_ipv4_routes": "route on the host",
    "veth_ipv6_routes": "route on the host",
    "veth_vlan_id": "VLAN on the bridge",
    "veth_vlan_tagged": "VLAN on the bridge",
    "veth_rx_queues": "receive queues",
    "veth_tx_queues": "transmit queues",
    "ipvlan_isolation": "isolation on the parent",
    "l2proxy": "answers for its addresses on the parent",
}
_KEY_OF = {key.field: key.name for key in SUB_KEYS}


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
            missing += _missing(net)
        missing += _scripts(net)
    up = any(net.flags for net in nets)  # as LXC: with the first interface that is, be it `empty`
    return Networks(NetworkMode.NONE, tuple(found), tuple(missing), (), tuple(ends), up)


def _end(net: Net) -> End:
    """Raises BadKey: a default route needs an interface that is up (lxc.container.conf(5))."""
    gateways = {4: net.ipv4_gateway, 6: net.ipv6_gateway}
    for version, gateway in gateways.items():
        if gateway and not net.flags:
            hint = f"lxc.net.{net.number}.flags = up"
            raise BadKey(f"lxc.net.{net.number}.ipv{version}.gateway", "the interface is not taken up", hint=hint)
        if gateway == "auto" and net.type != "veth":
            hint = "an address, or dev; auto is a bridge's own address, of veth"
            raise BadKey(f"lxc.net.{net.number}.ipv{version}.gateway", f"auto is not for type {net.type}", hint=hint)
    return End(
        key=f"lxc.net.{net.number}",
        up=bool(net.flags),
        host_name=net.veth_pair if net.type == "veth" else "",
        seek=tuple(version for version, gateway in gateways.items() if gateway == "auto"),
        out=tuple(version for version, gateway in gateways.items() if gateway == "dev"),
        broadcasts=tuple((str(ipaddress.ip_interface(address)), last) for address, last in net.ipv4 if last),
    )


def _interface(net: Net, container: str) -> Interface:
    kind, key = _KINDS[net.type], f"lxc.net.{net.number}"
    if not net.link:
        hint = "the bridge or interface of the host that it is connected to"
        raise BadKey(f"{key}.link", f"is missing for type {net.type}", hint=hint)
    if kind is LinkKind.VLAN and net.vlan_id is None:
        raise BadKey(f"{key}.vlan.id", "is missing for type vlan", hint="0 to 4094")
    modes = {"macvlan": net.macvlan_mode, "ipvlan": net.ipvlan_mode}
    with naming(key):
        return Interface(
            kind=kind,
            parent=net.link,
            name=net.name or None,
            mode=modes.get(net.type),
            vlan_id=net.vlan_id if kind is LinkKind.VLAN else None,
            addresses=_addresses(net),
            gateways=tuple(g for g in (net.ipv4_gateway, net.ipv6_gateway) if g not in ("", "auto", "dev")),
            mac=drawn_address(net.hwaddr, f"{container}/{net.number}") if net.hwaddr else None,
            mtu=net.mtu,
        )


def _addresses(net: Net) -> tuple[str, ...]:
    """0.0.0.0 was 0.9's way to say that the container asks by DHCP."""
    given = (*(address for address, _ in net.ipv4), *net.ipv6)
    return tuple(address for address in given if not ipaddress.ip_interface(address).ip.is_unspecified)


def drawn_address(template: str, seed: str) -> str:
    """*template* with every x replaced by a digit. The same container draws the same ones at each start, which LXC
    does only because lxc-create writes them down; a first octet stays that of a station's address."""
    digits = iter(blake2b(os.fsencode(seed), digest_size=12).hexdigest())
    drawn = [next(digits) if char == "x" else char for char in template]
    if template[1] == "x":
        drawn[1] = f"{int(drawn[1], 16) & 0xE | (0 if template[0] != 'x' else 2):x}"
    return "".join(drawn)


def _missing(net: Net) -> Iterator[Missing]:
    key = f"lxc.net.{net.number}"
    for field in fields(net):
        what, value = _FURTHER.get(field.name), getattr(net, field.name)
        if what and value != getattr(_USUAL, field.name):
            yield Missing(Need.LINK, f"{key}.{_KEY_OF[field.name]}", _text(value), what)


def _scripts(net: Net) -> Iterator[Missing]:
    for which in ("up", "down"):
        for value in getattr(net, f"script_{which}"):
            yield Missing(Need.SCRIPT, f"lxc.net.{net.number}.script.{which}", value, "a program beside the interface")


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(int(value) if value is True else value)
