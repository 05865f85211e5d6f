"""The firewall's tables as nftables text: nft(8). Pure: writes commands, runs none, names no table but the policy's own.

What all containers share is rules over sets and maps; what one container is in them is nft.py's. The table of family
`bridge` is there only while a bridge is: it holds what a router never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from warden.network.expressions import Element
from warden.network.nft import BridgeNet, Network, Policy, inner_networks

#: Refused connections are remembered for an hour, each container's first 500 destinations and ten more a minute: what
#: one container can fill is a thirtieth of what there is room for, some 6 MiB of the kernel's memory at most.
REFUSED_ROOM, REFUSED_FOR, PACE = 32768, "1h", "limit rate 10/minute burst 500 packets"

_VERSIONS = ((4, "ip", "", "ipv4_addr"), (6, "ip6", "6", "ipv6_addr"))


def whole(
    policy: Policy,
    bridges: Sequence[BridgeNet],
    elements: Iterable[Element],
) -> str:
    """Replaces both tables, or makes them: one transaction, so that there is no moment without rules. Containers' own
    chains come afterwards, and until then those that have one are among *elements* of `closed`."""
    lines = [remove(policy.table), f"table inet {policy.table} {{", *_declarations(policy, bridges), *_chains(policy), "}"]
    if bridges:
        lines += [f"table bridge {policy.table} {{", *_BRIDGE, "}"]
    grouped: dict[tuple[str, str], list[str]] = {}
    for element in elements:
        grouped.setdefault((element.family, element.where), []).append(element.text(whole=True))
    for (family, where), texts in grouped.items():
        lines.append(f"add element {family} {policy.table} {where} {{ {', '.join(texts)} }}")
    return "\n".join(lines)


def remove(table: str) -> str:
    """Deletes the tables; adding them first makes that succeed when there are none."""
    return "\n".join(f"{verb} table {family} {table}" for family in ("inet", "bridge") for verb in ("add", "delete"))


def _declarations(policy: Policy, bridges: Sequence[BridgeNet]) -> list[str]:
    inner = inner_networks(policy, bridges)
    peers = [network for network in policy.allowed if _within(network, inner)]
    others = [network for network in policy.allowed if network not in peers]
    lines = [
        "set links { type ifname; }",
        "set links6 { type ifname; }",
        "set same { type ifname . ifname; }",
        "set closed { type ifname; }",
    ]
    for version, _, six, kind in _VERSIONS:
        for name, networks in (("inner", inner), ("peers", peers), ("allowed", others), ("denied", policy.denied)):
            lines.append(_interval(f"{name}{six}", kind, [one for one in networks if one.version == version]))
        lines += [
            f"set guests{six} {{ type ifname . {kind}; }}",
            f"map rules{six} {{ type ifname . {kind} : verdict; }}",
            f"map ports{six} {{ type inet_proto . inet_service : {kind} . inet_service; }}",
            f"map ports{six}_at {{ type {kind} . inet_proto . inet_service : {kind} . inet_service; }}",
            f"set services{six} {{ type ifname . {kind} . inet_proto . inet_service; }}",
            _growing(f"refused{six}", f"ifname . {kind} . {kind} . inet_proto . inet_service", "counter;"),
            _growing(f"refused{six}_other", f"ifname . {kind} . {kind} . inet_proto", "counter;"),
            _growing(f"refused{six}_more", f"ifname . {kind}", "counter;"),
            _growing(f"pace{six}", f"ifname . {kind}", ""),
        ]
    return lines


def _within(network: Network, others: Iterable[Network]) -> bool:
    return any(
        network.version == other.version and network.network_address in other and network.broadcast_address in other
        for other in others
    )


def _interval(name: str, kind: str, networks: Sequence[Network]) -> str:
    """nft refuses elements that overlap."""
    four = collapse_addresses([one for one in networks if isinstance(one, IPv4Network)])
    six = collapse_addresses([one for one in networks if isinstance(one, IPv6Network)])
    merged = ", ".join(map(str, (*four, *six)))
    elements = f" elements = {{ {merged} }}" if merged else ""
    return f"set {name} {{ type {kind}; flags interval;{elements} }}"


def _growing(name: str, kind: str, more: str) -> str:
    """A set that packets add to, within bounds."""
    bounds = f"size {REFUSED_ROOM}; flags dynamic,timeout; timeout {REFUSED_FOR};"
    return f"set {name} {{ type {kind}; {bounds} {more} }}"


def _chains(policy: Policy) -> list[str]:
    to_host = "accept" if policy.host_access else "goto refuse"
    return [
        # Before everything else: a container sends from its own addresses alone. To the host's loopback least of all,
        # which route_localnet would let in (ip-sysctl.rst); IPv6 only from who has it.
        "chain screen { type filter hook prerouting priority -150; policy accept;",
        "iifname @links goto screened",
        "}",
        # Every packet comes by here: what most of them are is decided first.
        "chain screened {",
        "ip daddr 127.0.0.0/8 drop",
        "iifname . ip saddr @guests accept",
        "meta nfproto ipv4 drop",
        f"iifname @links6 ip6 hoplimit 255 icmpv6 type {_DISCOVERY} accept",
        "iifname . ip6 saddr != @guests6 drop",
        "}",
        "chain inbound { type nat hook prerouting priority dstnat; policy accept;",
        *_forwards("fib daddr type local", loopback=False),
        "}",
        "chain inbound_here { type nat hook output priority -100; policy accept;",
        *_forwards('oifname "lo" fib daddr type local', loopback=True),
        "}",
        "chain outbound { type nat hook postrouting priority srcnat; policy accept;",
        "oifname @links ct status dnat ip saddr 127.0.0.0/8 masquerade",
        *_outbound(),
        "}",
        *_REFUSE,
        "chain forwarded { type filter hook forward priority filter; policy accept;",
        "ct state established,related accept",
        "iifname @links goto leaving",
        "oifname @links goto entering",
        "}",
        # What conntrack makes nothing of has no destination that was asked for, so no rule could judge it.
        "chain leaving {",
        "iifname . oifname @same accept",
        "ct state invalid,untracked drop",
        "iifname @closed goto refuse",
        "oifname @closed goto refuse",
        "iifname . ip daddr @guests accept",
        "iifname . ip6 daddr @guests6 accept",
        "iifname . ip saddr vmap @rules",
        "iifname . ip6 saddr vmap @rules6",
        *_to_network("ip", ""),
        *_to_network("ip6", "6"),
        "accept",
        "}",
        "chain entering {",
        "oifname @closed drop",
        "ct status dnat accept",
        "drop",
        "}",
        "chain to_host { type filter hook input priority filter; policy accept;",
        "iifname @links ct state established,related accept",
        "iifname @links meta l4proto icmp accept",
        "iifname @links6 meta l4proto ipv6-icmp accept",
        "iifname . ip daddr . meta l4proto . th dport @services accept",
        "iifname . ip6 daddr . meta l4proto . th dport @services6 accept",
        f"iifname @links {to_host}",
        "}",
    ]


_DISCOVERY = (
    "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }"  # RFC 4861: nobody else's survives a router
)


def _forwards(where: str, *, loopback: bool) -> list[str]:
    """The most specific first. Not *loopback*: what claims to be for it from elsewhere is none of ours."""
    lines = []
    for _, family, six, _ in _VERSIONS:
        proper = "" if loopback and not six else f"{family} daddr != {'::1' if six else '127.0.0.0/8'} "
        start = f"{where} meta nfproto {'ipv6' if six else 'ipv4'} {proper}dnat {family} to"
        lines += [
            f"{start} {family} daddr . meta l4proto . th dport map @ports{six}_at",
            f"{start} meta l4proto . th dport map @ports{six}",
        ]
    return lines


def _outbound() -> list[str]:
    """Hairpin, from a container to a port of the host and so to a container: the answer must come back this way."""
    lines = []
    for _, family, six, _ in _VERSIONS:
        mine = f"{family} saddr @inner{six}"
        lines += [
            f"{mine} {family} daddr @inner{six} ct status dnat masquerade",
            f"oifname != @links {mine} {family} daddr != @inner{six} masquerade",
        ]
    return lines


def _to_network(family: str, six: str) -> list[str]:
    asked = f"ct original {family} daddr"
    return [
        f"{asked} @peers{six} accept",
        f"{asked} @inner{six} goto refuse",
        f"{asked} @allowed{six} accept",
        f"{asked} @denied{six} goto refuse",
    ]


def _refuse() -> list[str]:
    """TCP is refused by a reset: of ICMP errors the kernel sends six and then one a second (icmp(7)).

    A destination that is known is counted by looking it up; a new one is added at the container's pace.
    """
    lines = ["chain refuse {"]
    for _, family, six, _ in _VERSIONS:
        start = f"iifname . {family} saddr . ct original {family} daddr . meta l4proto"
        pace = f"update @pace{six} {{ iifname . {family} saddr {PACE} }}"
        for protocol in ("tcp", "udp"):
            key = f"{start} . ct original proto-dst"
            lines += [
                f"meta l4proto {protocol} {key} @refused{six} goto refuse_aloud",
                f"meta l4proto {protocol} {pace} add @refused{six} {{ {key} counter }} goto refuse_aloud",
            ]
        others = f"meta nfproto {'ipv6' if six else 'ipv4'} meta l4proto != {{ tcp, udp }}"
        lines += [
            f"{others} {start} @refused{six}_other goto refuse_aloud",
            f"{others} {pace} add @refused{six}_other {{ {start} counter }} goto refuse_aloud",
            f"update @refused{six}_more {{ iifname . {family} saddr counter }} goto refuse_aloud",
        ]
    lines += ["goto refuse_aloud", "}"]
    return ["chain refuse_aloud {", "meta l4proto tcp reject with tcp reset", "reject", "}", *lines]


_REFUSE = _refuse()

#: The chains that are always there, whose content is the same until the next `whole`.
SHARED_CHAINS = (
    "screen", "inbound", "inbound_here", "outbound", "refuse_aloud", "refuse", "forwarded", "leaving", "entering",
    "to_host", "screened",
)  # fmt: skip
BRIDGE_CHAINS = ("screen", "sender", "from_port", "from_arp", "from_ip", "from_ip6")
#: Where Firewall puts the one rule that has no words in every nft.
ADVERTS = "adverts"

_BRIDGE = [
    "set ports { type ifname; }",
    "set macs { type ifname . ether_addr; }",
    "set senders { type ifname . ether_addr . ipv4_addr; }",
    "set senders6 { type ifname . ether_addr . ipv6_addr; }",
    # Before br_netfilter, whose hook is at 0, shows the packet to the other table: linux/netfilter_bridge.h.
    "chain screen { type filter hook prerouting priority -300; policy accept;",
    # What nearly every packet is costs one look. The type stands there for itself: of an address alone, nft asks for what
    # is below a VLAN tag.
    "ether type ip iifname . ether saddr . ip saddr @senders goto sender",
    "iifname @ports goto from_port",
    "}",
    "chain sender {",
    "udp sport 67 drop",
    "accept",
    "}",
    # VLAN tags, STP and whatever else are none of a container's business.
    "chain from_port {",
    "iifname . ether saddr != @macs drop",
    "ether type arp goto from_arp",
    "ether type ip goto from_ip",
    "ether type ip6 goto from_ip6",
    "drop",
    "}",
    "chain from_arp {",
    "arp htype != 1 drop",
    "arp ptype != ip drop",
    "arp hlen != 6 drop",
    "arp plen != 4 drop",
    "iifname . arp saddr ether . arp saddr ip != @senders drop",
    "}",
    "chain from_ip {",
    "iifname . ether saddr . ip saddr != @senders drop",
    "udp sport 67 drop",
    "}",
    "chain from_ip6 {",
    "icmpv6 type { nd-router-advert, nd-redirect } drop",
    # Before an address is taken, it is asked for from none: RFC 4862 §5.4.
    "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept",
    "iifname . ether saddr . ip6 saddr != @senders6 drop",
    "udp sport 547 drop",
    f"icmpv6 type nd-neighbor-advert goto {ADVERTS}",
    "}",
    f"chain {ADVERTS} {{",
    "drop",
    "}",
]
