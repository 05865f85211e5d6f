"""What the firewall knows, and what one container is in it: elements of sets and maps, and at times a chain. Pure.

What all containers share is table.py's rules over these sets. Plain sets, no intervals, wherever containers come and
go: the cost of changing an interval set grows with its size. A container is known by its device and its address: a
routed one has a device of its own, those on a bridge share the bridge's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from warden.model.net import NetPolicy, NetRule, PortMap, Protocol, destination, parse_ports
from warden.network import expressions as ex
from warden.network.expressions import Address, Element, Piece, Rule
from warden.records import dataclass

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class GuestLink:
    """One way into a container. *name*: of the host's end (w-ID-0 …); *addresses*: what it may send from. *bridge*: the
    device that the host's end is a port of (w-br-NAME), which needs *mac*; None: it is routed, as
    the /30 of mode warden. *foreign*: the bridge is the host's own, and without addresses here it may have any."""

    name: str
    addresses: tuple[Address, ...]
    mac: str | None = None
    bridge: str | None = None
    foreign: bool = False

    @property
    def device(self) -> str:
        """Where its packets come in, as a router sees it."""
        return self.bridge or self.name

    def has(self, version: int) -> bool:
        return any(address.version == version for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Guest:
    """A container as the firewall knows it. *links*: those that the host can filter; *ports* lead to the first address
    of their family; *rules*: of net_out, oldest first; *policy*: None: what holds for all. *connections*:
    of each address at once, None: as many as all, 0: as it likes."""

    container_id: str
    links: tuple[GuestLink, ...]
    ports: tuple[PortMap, ...] = ()
    rules: tuple[NetRule, ...] = ()
    policy: NetPolicy | None = None
    connections: int | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Of all its links that the host routes, in their order."""
        return tuple(address for link in self.links if not link.foreign for address in link.addresses)

    @property
    def chain(self) -> str:
        return f"warden-i-{self.container_id}"

    @property
    def box(self) -> str:
        """The set that its chain looks into."""
        return f"warden-o-{self.container_id}"

    @property
    def has_chain(self) -> bool:
        return bool(self.rules) or self.policy is not None


@dataclass(frozen=True, slots=True)
class BridgeNet:
    """A bridge as the firewall knows it. *device*: w-br-NAME, which GuestLink.bridge names; *networks*: its subnets,
    of either family; *internal*: nothing leaves it. *services*: (address, protocol, port) of the host that its guests may
    reach, such as a resolver. *foreign*: it is the host's own, whose routing is none of ours."""

    device: str
    networks: tuple[Network, ...]
    internal: bool = False
    services: tuple[tuple[Address, str, int], ...] = ()
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all containers. *allowed* wins over *denied*; what is in neither is open, but never the networks of
    containers: for those a network of *allowed*, or of a NetRule, must lie within one of them. *connections*: of each
    address of a container, 0: as many as it likes; *bounded*: the kernel can bound them. *loopback6*: ports are reached
    through ::1 (forwarding.py). *labels*: what is let through is labelled, so that what was not is known (leavings.py)."""

    table: str
    pool: IPv4Network
    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    host_access: bool = False
    connections: int = 0
    loopback6: bool = True
    bounded: bool = True
    labels: bool = True


#: A port of the host: family, one address of the host or None, protocol and number; and where it leads.
PortKey = tuple[int, str | None, str, int]
Target = tuple[Address, int]


def inner_networks(policy: Policy, bridges: Iterable[BridgeNet]) -> list[Network]:
    """Those that belong to containers."""
    return [policy.pool, *(network for bridge in bridges for network in bridge.networks)]


def guest_elements(guest: Guest) -> list[Element]:
    """All but its ports, which it may have to share, and the way into its chain."""
    found = []
    logs = any(rule.log for rule in guest.rules)
    for link in guest.links:
        found += _link_elements(link)
        if link.foreign:
            continue
        for address in link.addresses:
            key = (ex.ifname(link.device), ex.address(address))
            found.append(Element(_named("guests", address), key))
            if guest.connections:
                # Never left to the set: the kernel makes the element's bound by copying the set's, and when it throws the
                # copy away it counts one user of conntrack less, though none was added (nft_set_elem_expr_setup() and
                # nft_connlimit_destroy(), seen in 6.18). After some forty containers it would follow no connection.
                found.append(Element(_named("flows", address), key, most=guest.connections))
            found += [Element(_named("logs", address), key)] * logs
    return found


def is_link(name: str) -> bool:
    """Whether a container's end on the host is called so, and no bridge."""
    return name.startswith("w-") and not name.startswith("w-br-")


def gates(guest: Guest) -> list[Element]:
    """What shuts its links in and lets nothing through: nothing else names them."""
    found = [Element("links", (ex.ifname(link.name),)) for link in guest.links]
    bridged = [link for link in guest.links if link.bridge is not None]
    return found + [Element("ports", (ex.ifname(link.name),), family="bridge") for link in bridged]


def entries(guest: Guest) -> list[Element]:
    """What leads its packets into its chain."""
    if not guest.has_chain:
        return []
    return [
        Element(_named("rules", address), (ex.ifname(link.device), ex.address(address)), jump=guest.chain)
        for link in guest.links
        if not link.foreign
        for address in link.addresses
    ]


def _named(name: str, address: Address) -> str:
    return name if address.version == 4 else f"{name}6"


def _link_elements(link: GuestLink) -> list[Element]:
    if link.bridge is None:
        key = (ex.ifname(link.name),)
        return [Element("links", key), *([Element("links6", key)] if link.has(6) else [])]
    assert link.mac is not None, "a link on a bridge has a MAC of its own"
    name, mac = ex.ifname(link.name), ex.mac(link.mac)
    found = [Element("ports", (name,), family="bridge"), Element("macs", (name, mac), family="bridge")]
    addresses = [*link.addresses, *([link_local(link.mac)] if link.has(6) else [])]
    for address in addresses:
        found.append(Element(_named("senders", address), (name, mac, ex.address(address)), family="bridge"))
    if link.foreign and not link.addresses:
        found.append(Element("roamers", (name,), family="bridge"))
    return found


def link_local(mac: str) -> IPv6Address:
    """The address that the kernel gives a link by itself: RFC 4291, appendix A."""
    raw = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:])


def bridge_elements(bridge: BridgeNet) -> list[Element]:
    """What it is to the routing host; of its subnets table.py tells."""
    if bridge.foreign:
        return []
    device = ex.ifname(bridge.device)
    found = [Element("links", (device,)), Element("same", (device, device))]
    if any(network.version == 6 for network in bridge.networks):
        found.append(Element("links6", (device,)))
    if bridge.internal:
        found.append(Element("closed", (device,)))
    for address, protocol, port in bridge.services:
        key = (device, ex.address(address), ex.protocol(protocol), ex.port(port))
        found.append(Element(_named("services", address), key))
    return found


def interval_elements(where: str, network: Network) -> list[Element]:
    """Of a set of networks: its first address, and the one behind its last where there is one."""
    found = [Element(where, (ex.address(network.network_address),))]
    if int(network.broadcast_address) < 2**network.max_prefixlen - 1:
        found.append(Element(where, (ex.address(network.broadcast_address + 1),), closes=True))
    return found


def mentions(guest: Guest, networks: Iterable[Network]) -> bool:
    """Whether a rule or a policy of *guest* names something within one of *networks*, which opens what is closed else."""
    ranges = [(one.version, int(one.network_address), int(one.broadcast_address)) for one in networks]
    texts = [rule.network for rule in guest.rules if rule.network is not None]
    texts += guest.policy.allow if guest.policy else ()
    for low, high in map(destination, texts):
        for version, first, last in ranges:
            if low.version == version and first <= int(low) and int(high) <= last:
                return True
    return False


def port_place(port: PortMap) -> tuple[tuple[int, ...], str | None]:
    """Of which families a port of the host is, and at which address, None: all of them."""
    if port.host_ip is None:
        return (4, 6), None
    host = ip_address(port.host_ip)
    return (host.version,), None if host.is_unspecified else str(host)


def port_routes(guest: Guest) -> Iterator[tuple[PortKey, Target]]:
    """Which ports of the host lead where."""
    for port in guest.ports:
        versions, at = port_place(port)
        for version in versions:
            inside = next((address for address in guest.addresses if address.version == version), None)
            if inside is not None:
                yield (version, at, port.protocol, port.host_port), (inside, port.container_port)


def port_element(key: PortKey, target: Target) -> Element:
    version, host_ip, protocol, number = key
    words = (ex.protocol(protocol), ex.port(number))
    value = (ex.address(target[0]), ex.port(target[1]))
    name = "ports" if version == 4 else "ports6"
    if host_ip is None:
        return Element(name, words, value)
    return Element(f"{name}_at", (ex.address(ip_address(host_ip)), *words), value)


# ---- a container's own chain: it is entered by a jump, accepts, and what it says nothing of goes the way of all.
#
# At each new rule the kernel follows all chains of the table again (nft_table_validate), at an element of a set it does
# not. So the usual rules are elements of one set that the chain looks into, ranges of address, protocol and port.

Box = tuple[tuple[int, int], ...]

#: So many are compared with each other; what is beyond becomes rules.
MAX_BOXES = 256


@dataclass(frozen=True, slots=True)
class Own:
    """A chain, from its first rule to its last, and the elements of its set."""

    rules: tuple[Rule, ...]
    boxes: tuple[Element, ...]


def own(inner: Sequence[Network], guest: Guest) -> Own:
    """What a container with rules or a policy has in its chain; the newest rule in front, as Warden has it."""
    boxes: list[Box] = []
    extra: list[Rule] = []
    has4 = any(address.version == 4 for address in guest.addresses)
    for rule in guest.rules:
        box = _box(inner, rule) if has4 else None
        if box is None or not _fits(box, boxes):
            extra += reversed(rule_pieces(inner, rule, guest))
        elif rule.network is None:
            extra += rule_pieces(inner, rule, guest)[1:]  # of IPv6, if it has that
    look = [_outside(4), ex.dialled_box(guest.box), ex.verdict("accept")]
    rules = [*reversed(extra), *([Rule(tuple(look))] if has4 else []), *last_rules(inner, guest.policy, guest)]
    return Own(tuple(rules), tuple(_box_element(guest.box, box) for box in boxes))


def _box(inner: Iterable[Network], rule: NetRule) -> Box | None:
    """None: it takes a rule of its own."""
    low, high = (IPv4Address(0), IPv4Address(2**32 - 1)) if rule.network is None else destination(rule.network)
    if rule.log or low.version != 4 or _within(inner, low, high):
        return None
    return (int(low), int(high)), *_box_traffic(rule)


def _box_traffic(rule: NetRule) -> Box:
    if rule.protocol is Protocol.ALL:
        return (0, 255), (0, 65535)
    number = ex.PROTOCOLS[rule.protocol.value]
    if rule.protocol is not Protocol.ICMP:
        return (number, number), ((0, 65535) if rule.ports is None else parse_ports(rule.ports))
    kind, code = rule.icmp
    if kind is None:
        return (number, number), (0, 65535)
    return (number, number), (kind << 8 | (code or 0), kind << 8 | (255 if code is None else code))


def _fits(box: Box, boxes: list[Box]) -> bool:
    """Puts *box* among *boxes*, unless it lies in one of them anyway. False: the kernel would not have it there, because
    one of its corners lies in another (nft_pipapo_insert), or there are too many."""
    for other in boxes:
        low = all(first <= mine[0] <= last for mine, (first, last) in zip(box, other, strict=True))
        high = all(first <= mine[1] <= last for mine, (first, last) in zip(box, other, strict=True))
        if low and high:
            return True
        if low or high:
            return False
    if len(boxes) == MAX_BOXES:
        return False
    boxes.append(box)
    return True


def _box_element(name: str, box: Box) -> Element:
    corners = [(ex.address(IPv4Address(box[0][n])), ex.number(box[1][n]), ex.port(box[2][n])) for n in (0, 1)]
    return Element(name, corners[0], end=corners[1])


def rule_pieces(inner: Iterable[Network], rule: NetRule, guest: Guest) -> list[Rule]:
    """One rule of net_out, for each family that it is about and the container has."""
    found = []
    for version in sorted({address.version for address in guest.addresses}):
        where = _destination(inner, rule.network, version)
        if where is not None:
            pieces = (*where, *_traffic(rule, version))
            if rule.log:  # a rule of its own, because at what is too much it ends
                paced = ex.sender_set(version, _logs(version))
                found.append(Rule((*pieces, paced, ex.log(f"{guest.chain} "))))
            found.append(Rule((*pieces, ex.verdict("accept"))))
    return found


def _logs(version: int) -> str:
    return "logs" if version == 4 else "logs6"


def last_rules(inner: Iterable[Network], policy: NetPolicy | None, guest: Guest) -> list[Rule]:
    """What holds for traffic that no rule of net_out is about."""
    if policy is None:
        return []
    versions = sorted({address.version for address in guest.addresses})
    refuse = ex.verdict("goto", "refuse")
    found = [Rule((*where, ex.verdict("accept"))) for where in _networks(inner, policy.allow, versions)]
    found += [Rule((ex.dialled_set(version, _inner(version)), refuse)) for version in versions]
    for text in policy.denied:
        low, high = destination(text)
        if low.version in versions:
            found.append(Rule((ex.dialled(low, high), refuse)))
    return [*found, Rule((ex.verdict("accept"),))]


def _networks(inner: Iterable[Network], texts: Iterable[str], versions: Sequence[int]) -> Iterator[list[Piece]]:
    for text in texts:
        for version in versions:
            where = _destination(inner, text, version)
            if where is not None:
                yield where


def _inner(version: int) -> str:
    return "inner" if version == 4 else "inner6"


def _destination(inner: Iterable[Network], network: str | None, version: int) -> list[Piece] | None:
    """Other containers are reached only by a network that lies within one of theirs. None: not of this family."""
    outside = _outside(version)
    if network is None:
        return [outside]
    low, high = destination(network)
    if low.version != version:
        return None
    where = ex.dialled(low, high)
    return [where] if _within(inner, low, high) else [where, outside]


def _outside(version: int) -> Piece:
    return ex.dialled_set(version, _inner(version), inverse=True)


def _within(inner: Iterable[Network], low: Address, high: Address) -> bool:
    return any(low in one and high in one for one in inner if one.version == low.version)


def _traffic(rule: NetRule, version: int) -> list[Piece]:
    if rule.protocol is Protocol.ALL:
        return []
    if rule.protocol is Protocol.ICMP:
        kind, code = rule.icmp
        return [ex.transport("icmp" if version == 4 else "icmpv6") if kind is None else ex.icmp(version, kind, code)]
    transport = ex.transport(rule.protocol.value)
    if rule.ports is None:
        return [transport]
    return [transport, ex.dialled_ports(*parse_ports(rule.ports))]

