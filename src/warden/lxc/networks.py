"""Network interfaces of LXC's configuration: `lxc.net.N.*`, and 0.9's blocks that each begin with `lxc.network.type`.

Pure. Owns the sub-keys with their values, and how blocks are counted; not the kernel's side of it.
"""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, NamedTuple, late
from warden.lxc import values
from warden.model.further import NOTHING, Further
from warden.plainaddress import IPv4Address, IPv4Interface, ip_address
from warden.records import dataclass

if TYPE_CHECKING:
    import ipaddress
    import re
    from collections.abc import Callable
    from typing import Any
else:
    ipaddress = late("ipaddress")
    re = late("re")

TYPES = ("none", "empty", "veth", "macvlan", "ipvlan", "vlan", "phys")
MOST_INTERFACES = 256


@dataclass(frozen=True, slots=True)
class Net:
    """One interface as the file says it. *number*: N of its keys; *ipv4*: address with prefix, and the broadcast if
    given; *gateways*: an address, "auto" or "dev"; *hwaddr* may hold x for digits that are to be drawn."""

    number: int = 0
    type: str = ""
    link: str = ""
    flags: tuple[str, ...] = ()
    name: str = ""
    hwaddr: str = ""
    mtu: int | None = None
    ipv4: tuple[tuple[str, str], ...] = ()
    ipv4_gateway: str = ""
    ipv6: tuple[str, ...] = ()
    ipv6_gateway: str = ""
    veth_pair: str = ""
    veth_mode: str = "bridge"
    veth_ipv4_routes: tuple[str, ...] = ()
    veth_ipv6_routes: tuple[str, ...] = ()
    veth_vlan_id: str = ""
    veth_vlan_tagged: tuple[int, ...] = ()
    veth_rx_queues: int | None = None
    veth_tx_queues: int | None = None
    macvlan_mode: str = "private"
    ipvlan_mode: str = "l3"
    ipvlan_isolation: str = "bridge"
    vlan_id: int | None = None
    l2proxy: bool = False
    script_up: tuple[str, ...] = ()
    script_down: tuple[str, ...] = ()


def link_name(value: str) -> str:
    # dev_valid_name of net/core/dev.c; IFNAMSIZ is 16
    fits = 1 <= len(value) <= 15 and not any(letter.isspace() or letter in "/:" for letter in value)
    if not fits or value in (".", ".."):
        raise BadInput(f"{value!r} is not the name of an interface", hint="1 to 15 characters without blanks, / and :")
    return value


def hardware_address(value: str) -> str:
    parts = value.split(":")
    if len(parts) != 6 or any(len(part) != 2 or part.strip("0123456789abcdefABCDEFxX") for part in parts):
        raise BadInput(f"{value!r} is not a hardware address", hint="such as 00:16:3e:xx:xx:xx, x is drawn")
    first = value[1].lower()
    if first != "x" and int(first, 16) & 1:
        raise BadInput(f"{value!r} is a multicast address", hint="the second digit must be even")
    return value.lower()


def ipv4(value: str) -> tuple[tuple[str, str], ...]:
    """ "10.0.0.2/24 [10.0.0.255]"; without a prefix the old class of the address counts, as in LXC."""
    address, _, broadcast = value.partition(" ")
    try:
        prefix = "" if "/" in address else f"/{_class_prefix(IPv4Address(address))}"
        found = IPv4Interface(address + prefix)
        last = str(IPv4Address(broadcast.strip())) if broadcast.strip() else ""
    except ValueError as error:
        raise BadInput(f"{value!r} is not an IPv4 address", hint="ADDRESS/PREFIX [BROADCAST]") from error
    return ((found.with_prefixlen, last),)


def _class_prefix(address: IPv4Address) -> int:
    first = int(address) >> 24
    return 8 if first < 128 else 16 if first < 192 else 24


def ipv6(value: str) -> tuple[str, ...]:
    """Address and prefix; /64 where none is given."""
    try:
        return (ipaddress.IPv6Interface(value if "/" in value else value + "/64").with_prefixlen,)
    except ValueError as error:
        raise BadInput(f"{value!r} is not an IPv6 address", hint="ADDRESS/PREFIX") from error


def _gateway(version: int) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value in ("auto", "dev"):
            return value
        try:
            found = ip_address(value)
        except ValueError:
            found = None
        if found is None or found.version != version:
            raise BadInput(f"{value!r} is not an IPv{version} gateway", hint="an address, auto or dev")
        return str(found)

    return parse


def _mtu(value: str) -> int:
    if not 68 <= values.number(value) <= 65535:  # ETH_MIN_MTU to ETH_MAX_MTU, linux/if_ether.h
        raise BadInput(f"{value} is out of range", hint="68 to 65535")
    return int(value)


def vlan_id(value: str) -> int:
    if values.number(value) > 4095:
        raise BadInput(f"{value} is out of range", hint="0 to 4095")
    return int(value)


def _bridge_vlan(value: str) -> int:
    if not 1 <= values.number(value) <= 4094:  # br_vlan_valid_id of net/bridge/br_private.h
        raise BadInput(f"{value} is out of range", hint="1 to 4094")
    return int(value)


def _bridge_vlans(value: str) -> tuple[int, ...]:
    return (_bridge_vlan(value),)


def _untagged(value: str) -> str:
    return value if value == "none" else str(_bridge_vlan(value))


def _route(version: int) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        try:
            found = ipaddress.ip_network(value, strict=False) if "/" in value else None
        except ValueError:
            found = None
        if found is None or found.version != version:
            raise BadInput(f"{value!r} is not an IPv{version} network", hint="NETWORK/PREFIX")
        return (str(found),)

    return parse


def _queues(value: str) -> int:
    if not 1 <= values.number(value) <= 4096:  # rtnl_create_link, net/core/rtnetlink.c
        raise BadInput(f"{value} is out of range", hint="1 to 4096")
    return int(value)


def _flags(value: str) -> tuple[str, ...]:
    """LXC knows only `up`, and takes every other word for it."""
    return tuple(value.split())


@dataclass(frozen=True, slots=True)
class End:
    """What an interface has beside an `Interface`. *key*: that its keys begin with. *host_name*: of the host's end, ""
    ours. *seek*: IP versions whose gateway is the bridge's own address; *out*: those whose default route is the interface
    alone; *beyond*: gateways that are in no network of its addresses; *broadcasts*: of its addresses, as they were given.
    *free*: the host's end is no port of a bridge; *link*: as it is given. *further*: what it has on the host, but for what
    only the host knows; *proxied*: the link answers for its addresses."""

    key: str
    up: bool = True
    host_name: str = ""
    seek: tuple[int, ...] = ()
    out: tuple[int, ...] = ()
    beyond: tuple[str, ...] = ()
    broadcasts: tuple[tuple[str, str], ...] = ()
    free: bool = False
    link: str = ""
    further: Further = NOTHING
    proxied: bool = False


class SubKey(NamedTuple):  # of which there are many at every start
    """A key below `lxc.net.N.`. *legacy*: its name below `lxc.network.`, "" without one. *many*: repeating adds.
    *types*: the types of interface that it is for; for others it says nothing."""

    name: str
    legacy: str
    field: str
    parse: Callable[[str], Any]
    note: str
    many: bool = False
    types: tuple[str, ...] = ()


_VETH, _MACVLAN, _IPVLAN = ("veth",), ("macvlan",), ("ipvlan",)
SUB_KEYS = (
    SubKey("type", "type", "type", values.one_of(*TYPES), "kind of interface; none shares the host's network"),
    SubKey("link", "link", "link", link_name, "bridge (veth) or parent interface on the host"),
    SubKey("flags", "flags", "flags", _flags, "up"),
    SubKey("name", "name", "name", link_name, "name inside, ethN without"),
    SubKey("hwaddr", "hwaddr", "hwaddr", hardware_address, "hardware address, x for digits that are drawn"),
    SubKey("mtu", "mtu", "mtu", _mtu, "largest packet, of both ends"),
    SubKey("ipv4.address", "ipv4", "ipv4", ipv4, "address/prefix, repeat for more", many=True),
    SubKey("ipv4.gateway", "ipv4.gateway", "ipv4_gateway", _gateway(4), "address, auto (the bridge's) or dev"),
    SubKey("ipv6.address", "ipv6", "ipv6", ipv6, "address/prefix, repeat for more", many=True),
    SubKey("ipv6.gateway", "ipv6.gateway", "ipv6_gateway", _gateway(6), "address, auto (the bridge's) or dev"),
    SubKey("veth.pair", "veth.pair", "veth_pair", link_name, "name of the host's end", types=_VETH),
    SubKey("veth.mode", "", "veth_mode", values.one_of("bridge", "router"), "how the host's end is used", types=_VETH),
    SubKey("veth.ipv4.route", "", "veth_ipv4_routes", _route(4), "static route on the host", True, _VETH),
    SubKey("veth.ipv6.route", "", "veth_ipv6_routes", _route(6), "static route on the host", True, _VETH),
    SubKey("veth.vlan.id", "", "veth_vlan_id", _untagged, "untagged VLAN on the bridge", types=_VETH),
    SubKey(
        "veth.vlan.tagged.id", "", "veth_vlan_tagged", _bridge_vlans, "tagged VLAN on the bridge", True, _VETH
    ),
    SubKey("veth.n_rxqueues", "", "veth_rx_queues", _queues, "receive queues", types=_VETH),
    SubKey("veth.n_txqueues", "", "veth_tx_queues", _queues, "transmit queues", types=_VETH),
    SubKey(
        "macvlan.mode",
        "macvlan.mode",
        "macvlan_mode",
        values.one_of("private", "vepa", "bridge", "passthru"),
        "who may talk to whom on the parent",
        types=_MACVLAN,
    ),
    SubKey("ipvlan.mode", "", "ipvlan_mode", values.one_of("l3", "l3s", "l2"), "layer", types=_IPVLAN),
    SubKey(
        "ipvlan.isolation",
        "",
        "ipvlan_isolation",
        values.one_of("bridge", "private", "vepa"),
        "who may talk to whom on the parent",
        types=_IPVLAN,
    ),
    SubKey("vlan.id", "vlan.id", "vlan_id", vlan_id, "number of the VLAN", types=("vlan",)),
    SubKey("l2proxy", "", "l2proxy", values.switch, "answer for its addresses on the parent"),
    SubKey("script.up", "script.up", "script_up", values.texts, "program run when it is made", True),
    SubKey("script.down", "script.down", "script_down", values.texts, "program run when it is gone", True),
)
#: Every spelling of a sub-key; 0.9's are taken below `lxc.net.N.` too, where LXC 2.1 had some of them.
BY_NAME = {key.legacy: key for key in SUB_KEYS if key.legacy} | {key.name: key for key in SUB_KEYS}


class Nets:
    """The interfaces while a file is read, by number."""

    def __init__(self) -> None:
        self._given: dict[int, dict[str, Any]] = {}
        self._newest: int | None = None

    def clear(self, number: int | None = None) -> None:
        """One of them, or all."""
        if number is None:
            self._given.clear()
            self._newest = None
        else:
            self._given.pop(number, None)

    def begin(self) -> None:
        """0.9: `lxc.network.type` begins another one, and what follows is about it."""
        self._newest = max(self._given, default=-1) + 1
        self.set(self._newest, BY_NAME["type"], "empty")

    @property
    def latest(self) -> int:
        """The number of the block that 0.9's keys are about; 0 before the first."""
        return self._newest or 0

    def newest(self) -> int:
        """The same, for a key that must be about one; raises BadInput."""
        if self._newest is None:
            raise BadInput("there is no interface yet", hint="lxc.network.type begins one, and must come first")
        return self._newest

    def set(self, number: int, key: SubKey, value: str) -> None:
        """Raises BadInput. An empty value is as if nothing had been given."""
        if number >= MOST_INTERFACES:
            raise BadInput(f"{number} is not the number of an interface", hint=f"0 to {MOST_INTERFACES - 1}")
        given = self._given.setdefault(number, {})
        if not value:
            given.pop(key.field, None)
        elif key.many:
            given[key.field] = (*given.get(key.field, ()), *key.parse(value))
        else:
            given[key.field] = key.parse(value)

    def untyped(self) -> list[int]:
        """Those that something is said of, but not what they are."""
        return [number for number, given in self._given.items() if given and not given.get("type")]

    def finished(self, warnings: list[str]) -> tuple[Net, ...]:
        """In the order of their numbers, those with a type."""
        typed = [(number, given) for number, given in sorted(self._given.items()) if given.get("type")]
        for number, given in typed:
            warnings += _idle(number, given)
        return tuple(Net(number, **given) for number, given in typed)


def _idle(number: int, given: dict[str, Any]) -> list[str]:
    """What is given for another type of interface."""
    kind = given["type"]
    idle = (key.name for key in SUB_KEYS if key.types and kind not in key.types and key.field in given)
    return [f"lxc.net.{number}.{name}: is not for type {kind}: ignored" for name in idle]
