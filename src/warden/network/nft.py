"""The firewall as nftables text: nft(8). Pure: writes commands, runs none, and names no table but the policy's own.

What all containers share is rules over sets and maps; one container is two elements of them. Only net_out gives a
container a chain of its own, reached through the map `rules`. Plain sets, no intervals, wherever containers come and
go: the cost of changing an interval set grows with its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from warden.model.net import NetRule, PortMap, Protocol, destination, parse_ports

#: Where a port of the host leads: address and port of a container.
Forward = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class GuestLink:
    """One way into a container. *name*: of the host's end (w-ID-0 …); *addresses*: what it may send from. *bridge*: the
    device that the host's end is a port of (w-br-NAME); None: it is routed, as the /30 of mode warden."""

    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    mac: str | None = None
    bridge: str | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """A container as the firewall knows it. *links*: those that the host can filter; *ports* lead to the first address
    of its family; *rules*: of net_out, oldest first."""

    container_id: str
    links: tuple[GuestLink, ...]
    ports: tuple[PortMap, ...] = ()
    rules: tuple[NetRule, ...] = ()

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Of all its links, in their order."""
        return tuple(address for link in self.links for address in link.addresses)

    @property
    def chain(self) -> str:
        return f"warden-i-{self.container_id}"


@dataclass(frozen=True, slots=True)
class BridgeNet:
    """A bridge as the firewall knows it. *device*: w-br-NAME, which GuestLink.bridge names; *networks*: its subnets,
    of either family; *internal*: nothing leaves it."""

    device: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all containers. *allowed* wins over *denied*; what is in neither is open, but never the pool:
    for that a network of *allowed*, or of a NetRule, must lie within it."""

    table: str
    pool: IPv4Network
    allowed: tuple[IPv4Network, ...] = ()
    denied: tuple[IPv4Network, ...] = ()
    host_access: bool = False


def whole(policy: Policy, guests: Iterable[Guest], forwards: Mapping[int, Forward]) -> str:
    """Replaces the table, or makes it: one transaction, so that there is no moment without rules."""
    lines = [remove(policy.table), f"table inet {policy.table} {{", *_declarations(policy), *_shared(policy), "}"]
    for guest in guests:
        lines += change(policy, None, guest)
    return "\n".join([*lines, *reroute(policy, {}, forwards)])


def remove(table: str) -> str:
    """Deletes the table; adding it first makes that succeed when there is none."""
    return f"add table inet {table}\ndelete table inet {table}"


def _declarations(policy: Policy) -> list[str]:
    peers = [network for network in policy.allowed if network.subnet_of(policy.pool)]
    others = [network for network in policy.allowed if network not in peers]
    return [
        "set links { type ifname; }",
        "set guests { type ifname . ipv4_addr; }",
        "map rules { type ifname : verdict; }",
        "map ports { type inet_service : ipv4_addr . inet_service; }",
        _networks("peers", peers),
        _networks("allowed", others),
        _networks("denied", policy.denied),
    ]


def _networks(name: str, networks: Iterable[IPv4Network]) -> str:
    merged = ", ".join(map(str, collapse_addresses(networks)))  # nft refuses elements that overlap
    elements = f" elements = {{ {merged} }}" if merged else ""
    return f"set {name} {{ type ipv4_addr; flags interval;{elements} }}"


def _shared(policy: Policy) -> list[str]:
    """The chains. TCP is refused by a reset: of ICMP errors the kernel sends six and then one a second (icmp(7))."""
    to_host = "accept" if policy.host_access else "goto refuse"
    return [
        # Before everything else: a container sends from its own address, and no IPv6, which nothing here would filter.
        "chain screen { type filter hook prerouting priority -150; policy accept;",
        "iifname @links meta nfproto ipv6 drop",
        "iifname @links iifname . ip saddr != @guests drop",
        "}",
        "chain inbound { type nat hook prerouting priority dstnat; policy accept;",
        "fib daddr type local ip daddr != 127.0.0.0/8 dnat ip to tcp dport map @ports",
        "}",
        "chain inbound_here { type nat hook output priority -100; policy accept;",
        'oifname "lo" fib daddr type local ip daddr != 127.0.0.0/8 dnat ip to tcp dport map @ports',
        "}",
        "chain outbound { type nat hook postrouting priority srcnat; policy accept;",
        f"ip saddr {policy.pool} ip daddr != {policy.pool} masquerade",
        "}",
        "chain refuse {",
        "meta l4proto tcp reject with tcp reset",
        "reject",
        "}",
        "chain to_network {",
        "ip daddr @peers accept",
        f"ip daddr {policy.pool} goto refuse",
        "ip daddr @allowed accept",
        "ip daddr @denied goto refuse",
        "accept",
        "}",
        "chain from_guest {",
        "ct state established,related accept",
        "iifname vmap @rules",
        "goto to_network",
        "}",
        "chain forwarded { type filter hook forward priority filter; policy accept;",
        "iifname @links goto from_guest",
        "oifname @links ct state established,related accept",
        "oifname @links ct status dnat accept",
        "oifname @links drop",
        "}",
        "chain to_host { type filter hook input priority filter; policy accept;",
        "iifname @links ct state established,related accept",
        "iifname @links meta l4proto icmp accept",
        f"iifname @links {to_host}",
        "}",
    ]


def change(policy: Policy, old: Guest | None, new: Guest | None) -> list[str]:
    """The commands that turn *old* into *new*; None: not there. Ports are `reroute`'s."""
    lines = []
    if new is not None and old is None:
        lines += _elements("add", policy.table, new)
    lines += _rules(policy, old, new)
    if old is not None and new is None:
        lines += _elements("delete", policy.table, old)
    return lines


def _elements(verb: str, table: str, guest: Guest) -> list[str]:
    lines = []
    for link in guest.links:
        lines.append(f'{verb} element inet {table} links {{ "{link.name}" }}')
        for address in link.addresses:
            lines.append(f'{verb} element inet {table} guests {{ "{link.name}" . {address} }}')
    return lines


def _rules(policy: Policy, old: Guest | None, new: Guest | None) -> list[str]:
    """A container's chain: made for its first rule, new rules in front as Warden does, rewritten when some went."""
    table = policy.table
    before, after = old.rules if old else (), new.rules if new else ()
    if before == after:
        return []
    if not after:
        assert old is not None
        gone = [f'delete element inet {table} rules {{ "{link.name}" }}' for link in old.links]
        return [*gone, f"delete chain inet {table} {old.chain}"]
    assert new is not None
    chain = f"inet {table} {new.chain}"
    lines = []
    if not before:
        lines = [f"add chain {chain}", f"add rule {chain} goto to_network"]
        lines += [f'add element inet {table} rules {{ "{link.name}" : goto {new.chain} }}' for link in new.links]
    elif after[: len(before)] != before:
        lines, before = [f"flush chain {chain}", f"add rule {chain} goto to_network"], ()
    return lines + [f"insert rule {chain} {rule_text(policy, rule, new)}" for rule in after[len(before) :]]


def rule_text(policy: Policy, rule: NetRule, guest: Guest) -> str:
    """One rule of net_out as an nft rule."""
    words = [_destination(policy.pool, rule.network), _traffic(rule)]
    if rule.log:
        words.append(f'log prefix "warden-i-{guest.container_id} "')
    return " ".join([word for word in words if word] + ["accept"])


def _destination(pool: IPv4Network, network: str | None) -> str:
    """Other containers are reached only by a network that lies within the pool."""
    if network is None:
        return f"ip daddr != {pool}"
    low, high = destination(network)
    where = f"ip daddr {low}" if low == high else f"ip daddr {low}-{high}"
    inside = low in pool and high in pool
    apart = high < pool.network_address or low > pool.broadcast_address
    return where if inside or apart else f"{where} ip daddr != {pool}"


def _traffic(rule: NetRule) -> str:
    if rule.protocol is Protocol.ALL:
        return ""
    if rule.protocol is Protocol.ICMP:
        kind, code = rule.icmp
        if kind is None:
            return "meta l4proto icmp"
        return f"icmp type {kind}" + ("" if code is None else f" icmp code {code}")
    if rule.ports is None:
        return f"meta l4proto {rule.protocol.value}"
    low, high = parse_ports(rule.ports)
    return f"{rule.protocol.value} dport {low}" + ("" if low == high else f"-{high}")


def reroute(policy: Policy, old: Mapping[int, Forward], new: Mapping[int, Forward]) -> list[str]:
    """The commands that turn the forwarded ports *old* into *new*."""
    where = f"element inet {policy.table} ports"
    lines = [f"delete {where} {{ {port} }}" for port in old if old[port] != new.get(port)]
    for port, (address, inside) in new.items():
        if old.get(port) != (address, inside):
            lines.append(f"add {where} {{ {port} : {address} . {inside} }}")
    return lines
