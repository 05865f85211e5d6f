"""Interface, Link and Bridge: what a container's network is asked to be made of, and what came of it.

Owns the checks that need no machine, and how people write an interface in one word. What the machine has to say is
engine/networks.py's.
"""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, blake2b, late, pattern
from warden.model.names import is_host_name
from warden.plainaddress import ip_address, ip_interface
from warden.records import dataclass, replace

if TYPE_CHECKING:
    import ipaddress
    import re
    from collections.abc import Iterable
    from typing import Any
else:
    ipaddress = late("ipaddress")
    re = late("re")

DEFAULT_BRIDGE = "default"
MAX_INTERFACES = 16
#: Of an interface's MTU: linux/if_ether.h, and what IPv6 needs at least (RFC 8200).
MIN_MTU, MIN_MTU_IPV6, MAX_MTU = 68, 1280, 65535
MAX_VLAN = 4094  # 4095 is reserved (IEEE 802.1Q)
IFNAME_MAX = 15  # IFNAMSIZ without its NUL

#: "This host", loopback, link-local, multicast, reserved and broadcast: RFC 6890, RFC 4291.
_NOBODYS = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")

_ALIAS = pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


class LinkKind(Enum):
    """What a container's interface is."""

    BRIDGE = "bridge"  # one end of a veth pair, the other is a port of a bridge
    MACVLAN = "macvlan"  # a second link on one of the host's, with an address of its own
    IPVLAN = "ipvlan"  # the same under the address of the host's link
    VLAN = "vlan"  # one 802.1Q network of the host's link
    PHYSICAL = "physical"  # a link of the host itself, lent


#: The first is what is meant when nothing is said, as docker does.
MODES: dict[LinkKind, tuple[str, ...]] = {
    LinkKind.MACVLAN: ("bridge", "private", "vepa", "passthru"),
    LinkKind.IPVLAN: ("l2", "l3", "l3s"),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface that is asked for.

    *parent*: the bridge's or the host link's name. *name*: inside; None: eth0, eth1 … by its place. *mode*: of MODES, None
    the first. *addresses*: such as 10.0.0.2/24; on a bridge of ours none means assigned, and one without a prefix has the
    bridge's. *gateways*: of the default routes, one of IPv4 and one of IPv6. *aliases*: names it has for the others on a
    bridge of ours. Raises BadInput naming the field.
    """

    kind: LinkKind
    parent: str
    name: str | None = None
    mode: str | None = None
    vlan_id: int | None = None
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mac: str | None = None
    mtu: int | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind is LinkKind.BRIDGE:
            check_bridge_name(self.parent, "interface parent")
        else:
            check_link_name(self.parent, "interface parent")
        if self.name is not None and check_link_name(self.name, "interface name") == "lo":
            raise BadInput("interface name: 'lo' is taken", hint="every network namespace has one")
        self._check_kind()
        self._check_addresses()
        if self.mac is not None:
            object.__setattr__(self, "mac", check_mac(self.mac, "interface mac"))
        if self.mtu is not None:
            check_mtu(self.mtu, "interface mtu", ipv6=any(":" in address for address in self.addresses))
        self._check_aliases()

    def _check_kind(self) -> None:
        modes = MODES.get(self.kind, ())
        if self.mode is not None and self.mode not in modes:
            hint = "one of " + ", ".join(modes) if modes else f"{self.kind.value} has no modes"
            raise BadInput(f"interface mode: {self.mode!r} is unknown", hint=hint)
        if (self.vlan_id is not None) != (self.kind is LinkKind.VLAN):
            raise BadInput(
                f"interface vlan_id: {self.vlan_id} does not go with {self.kind.value}", hint="vlan:PARENT:ID"
            )
        if self.vlan_id is not None and not 0 <= self.vlan_id <= MAX_VLAN:
            raise BadInput(f"interface vlan_id: {self.vlan_id} is out of range", hint=f"0 to {MAX_VLAN}")
        if self.mac is not None and self.kind is LinkKind.IPVLAN:
            raise BadInput("interface mac: an ipvlan has its parent's", hint="take macvlan")

    def _check_addresses(self) -> None:
        found = [check_address(text, "interface address").ip for text in self.addresses]
        for address in found:
            if found.count(address) > 1:
                raise BadInput(f"interface address: {address} is given twice")
        versions = []
        for text in self.gateways:
            try:
                versions.append(ip_address(text).version)
            except ValueError:
                raise BadInput(f"interface gateway: {text!r} is not an address") from None
        if len(versions) != len(set(versions)):
            raise BadInput("interface gateway: one of IPv4 and one of IPv6 at most")

    def _check_aliases(self) -> None:
        if self.aliases and self.kind is not LinkKind.BRIDGE:
            raise BadInput(f"interface alias: {self.kind.value} has no names", hint="names are known on a bridge")
        for alias in self.aliases:
            if not _ALIAS.fullmatch(alias):
                raise BadInput(f"interface alias: {alias!r} is not a name", hint="letters, digits, dots and dashes")


@dataclass(frozen=True, slots=True)
class Link:
    """What an Interface became: every field is what is in force.

    *name*: inside. *host_name*, *host_index*: the host's end of a veth pair, or the link that was lent as the host knows
    it; "" and 0 for what has no other end. *bridge*: the device of the bridge that the host's end is a port of.
    """

    kind: LinkKind
    parent: str
    name: str
    index: int
    mode: str | None = None
    vlan_id: int | None = None
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mac: str | None = None
    mtu: int | None = None
    aliases: tuple[str, ...] = ()
    host_name: str = ""
    host_index: int = 0
    bridge: str | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of ours. *subnet4*, *subnet6*: CIDR, None has none of that kind. *internal*: nothing leads out of it.
    *explicit*: it stays when nobody uses it. Raises BadInput naming the field."""

    name: str
    subnet4: str | None = None
    subnet6: str | None = None
    internal: bool = False
    mtu: int | None = None
    explicit: bool = False

    def __post_init__(self) -> None:
        check_bridge_name(self.name, "network name")
        for field, version, longest in (("subnet4", 4, 30), ("subnet6", 6, 126)):
            text = getattr(self, field)
            if text is not None:
                object.__setattr__(self, field, _subnet(text, version, longest))
        if self.mtu is not None:
            check_mtu(self.mtu, "network mtu", ipv6=self.subnet6 is not None)

    @property
    def device(self) -> str:
        """The name of its link on the host."""
        return bridge_device(self.name)

    @property
    def gateway4(self) -> str | None:
        """The bridge's own address, with its prefix; the same of IPv6 in *gateway6*."""
        return _first(self.subnet4)

    @property
    def gateway6(self) -> str | None:
        return _first(self.subnet6)


@dataclass(frozen=True, slots=True)
class BridgeMember:
    """A container on a bridge, as `network inspect` shows it."""

    handle: str
    name: str
    addresses: tuple[str, ...]
    mac: str | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeReport:
    """A bridge, and who is on it."""

    bridge: Bridge
    members: tuple[BridgeMember, ...] = ()


def bridge_device(name: str) -> str:
    """w-br-NAME, or a hash of it where that is too long for a link."""
    short = name if len(name) <= IFNAME_MAX - len("w-br-") else blake2b(name.encode(), digest_size=5).hexdigest()
    return f"w-br-{short}"


def _subnet(text: str, version: int, longest: int) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise BadInput(f"network subnet: {text!r} is not a network: {error}", hint="such as 10.1.2.0/24") from None
    if network.version != version:
        raise BadInput(f"network subnet: {text!r} is not a network of IPv{version}")
    if any(network.overlaps(other) for other in map(ipaddress.ip_network, _NOBODYS) if other.version == version):
        raise BadInput(f"network subnet: {text!r} has addresses that no container can have")
    if network.prefixlen > longest:
        raise BadInput(f"network subnet: {text!r} has no room for a container", hint=f"a prefix of /{longest} at most")
    return str(network)


def _first(subnet: str | None) -> str | None:
    if subnet is None:
        return None
    network = ipaddress.ip_network(subnet)
    return f"{network.network_address + 1}/{network.prefixlen}"


def check_link_name(name: str, field: str) -> str:
    """*name* itself; raises BadInput when no link can be called so: dev_valid_name, __dev_alloc_name, and what
    net.ipv4.conf has already (sysctl_dev_name_is_allowed)."""
    taken = name in (".", "..", "all", "default")
    if taken or not name or any(letter.isspace() or letter in "/:%\0" for letter in name) or not _fits(name):
        hint = f"1 to {IFNAME_MAX} bytes without / : and %, not all and not default"
        raise BadInput(f"{field}: {name!r} is no name of a link", hint=hint)
    return name


def _fits(name: str) -> bool:
    return len(name.encode(errors="surrogateescape")) <= IFNAME_MAX


def check_bridge_name(name: str, field: str) -> str:
    """*name* itself; raises BadInput when it cannot be a network's."""
    if not (is_host_name(name) and len(name) < 64 and name[0].isalnum()):
        raise BadInput(f"{field}: {name!r} is no name of a network", hint="1 to 63 letters, digits, dots and dashes")
    return name


def check_address(text: str, field: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Raises BadInput for what no interface can have."""
    try:
        found = ip_interface(text)
    except ValueError:
        raise BadInput(f"{field}: {text!r} is not an address", hint="such as 10.0.0.2/24 or fd00::2/64") from None
    if found.ip.is_multicast or found.ip.is_unspecified or found.ip.is_loopback:
        raise BadInput(f"{field}: {text!r} is not the address of a host")
    if getattr(found.ip, "scope_id", None) is not None:
        raise BadInput(f"{field}: {text!r} must not name a link")
    return found


def check_mac(text: str, field: str) -> str:
    """In the usual form; raises BadInput for what no link can have (is_valid_ether_addr)."""
    mac = text.lower()
    parts = mac.split(":")
    fits = len(parts) == 6 and not any(len(part) != 2 or part.strip("0123456789abcdef") for part in parts)
    if not fits or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise BadInput(f"{field}: {text!r} is no address of a link", hint="such as 02:42:0a:00:00:02")
    return mac


def check_mtu(mtu: int, field: str, *, ipv6: bool) -> int:
    """*mtu* itself; raises BadInput when nothing could be sent."""
    least = MIN_MTU_IPV6 if ipv6 else MIN_MTU
    if not least <= mtu <= MAX_MTU:
        raise BadInput(f"{field}: {mtu} is out of range", hint=f"{least} to {MAX_MTU}" + (" for IPv6" if ipv6 else ""))
    return mtu


def check_together(interfaces: Iterable[Interface]) -> None:
    """What one interface alone cannot show; raises BadInput."""
    interfaces = tuple(interfaces)
    if len(interfaces) > MAX_INTERFACES:
        raise BadInput(f"interfaces: {len(interfaces)} are too many", hint=f"{MAX_INTERFACES} at most")
    names = [item.name or f"eth{place}" for place, item in enumerate(interfaces)]
    addresses = [check_address(text, "interface address").ip for item in interfaces for text in item.addresses]
    lent = [item.parent for item in interfaces if item.kind is LinkKind.PHYSICAL]
    macs = [item.mac for item in interfaces if item.mac is not None]
    checks: tuple[tuple[str, list[Any]], ...] = (
        ("name", names),
        ("address", addresses),
        ("parent", lent),
        ("mac", macs),
    )
    for field, values in checks:
        for value in values:
            if values.count(value) > 1:
                raise BadInput(f"interface {field}: {value} is given twice")


_WORDS = {"phys": LinkKind.PHYSICAL} | {kind.value: kind for kind in LinkKind}
_USAGE = (
    "warden, none, host, container:HANDLE, bridge[:NAME], macvlan:PARENT[:MODE], ipvlan:PARENT[:MODE], "
    "vlan:PARENT:ID or phys:LINK"
)
_MANY = {"ip": "addresses", "ip6": "addresses", "gateway": "gateways", "alias": "aliases"}


def parse_interface(text: str) -> Interface | None:
    """bridge[:NAME], macvlan:PARENT[:MODE], ipvlan:PARENT[:MODE], vlan:PARENT:ID or phys:LINK, each with ,key=value
    (name, ip, gateway, mac, mtu, alias). None when it is none of these words; raises BadInput."""
    what, *options = text.split(",")
    word, *rest = what.split(":")
    kind = _WORDS.get(word)
    if kind is None:
        return None
    return replace(_parse_kind(kind, rest, text), **_parse_options(options, text))


def usage_error(text: str) -> BadInput:
    """For what is no network at all."""
    return BadInput(f"network: {text!r} is unknown", hint=f"one of {_USAGE}")


def _parse_kind(kind: LinkKind, rest: list[str], text: str) -> Interface:
    if kind is LinkKind.BRIDGE and not rest:
        return Interface(kind, DEFAULT_BRIDGE)
    most = 2 if kind in MODES or kind is LinkKind.VLAN else 1
    least = 2 if kind is LinkKind.VLAN else 1
    if not least <= len(rest) <= most:
        raise usage_error(text)
    if kind is LinkKind.VLAN:
        return Interface(kind, rest[0], vlan_id=_whole(rest[1], "vlan_id"))
    return Interface(kind, rest[0], mode=rest[1] if len(rest) > 1 else None)


def _parse_options(options: list[str], text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or key not in (*_MANY, "name", "mac", "mtu"):
            hint = "name=, ip=, gateway=, mac=, mtu= or alias="
            raise BadInput(f"network: {text!r}: {option!r} is not an option", hint=hint)
        if field := _MANY.get(key):
            found[field] = (*found.get(field, ()), value)
        elif key in found:
            raise BadInput(f"network: {text!r}: {key} is given twice")
        else:
            found[key] = _whole(value, key) if key == "mtu" else value
    return found


def _whole(text: str, field: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadInput(f"interface {field}: {text!r} is not a number")
    return int(text)
