"""The firewall's tables as nftables text: nft(8). Pure: writes commands, runs none, names no table but the policy's own.

What all containers share is rules over sets and maps; what one container is in them is nft.py's. The table of family
`bridge` is there only while a bridge is: it holds what a router never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warden.network.expressions import Element
from warden.network.nft import BridgeNet, Network, Policy, inner_networks

#: Refused connections are remembered for an hour, each container's first 500 destinations and ten more a minute: what
#: one container can fill is a thirtieth of what there is room for, some 6 MiB of the kernel's memory at most.
REFUSED_ROOM, REFUSED_FOR, PACE = 32768, "1h", "limit rate 10/minute burst 500 packets"

#: What `log` of a rule writes at most, for each address of a container: the kernel's log is everybody's.
LOG_PACE = "limit rate 10/second burst 50 packets"

#: TCP connections to a service of the host, such as a resolver, that one container begins.
KNOCK_PACE = "limit rate over 50/second burst 100 packets"

#: New connections to addresses on our links that no container has, all of them together: for each the host keeps a
#: neighbour that it looks for, and there is room for 1,024 of those by default (gc_thresh3, arp(7)).
UNKNOWN_PACE = "limit rate over 20/second burst 100 packets"

#: The label of conntrack that a connection has which one of our rules let through, a bit: what began while our tables
#: were not there has none (leavings.py).
ADMITTED = 109

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
    return "\n".join([*lines, *_additions(policy.table, elements)])


def bridge_table(table: str) -> str:
    """Makes the one of family `bridge` alone, or anew."""
    empty = (f"{verb} table bridge {table}" for verb in ("add", "delete"))
    return "\n".join([*empty, f"table bridge {table} {{", *_BRIDGE, "}"])


def shared_chain(policy: Policy, family: str, chain: str) -> str:
    """Writes the rules of one of SHARED_CHAINS or BRIDGE_CHAINS again and leaves all else as it is."""
    lines = _chains(policy) if family == "inet" else _BRIDGE
    begin = next(place for place, line in enumerate(lines) if line.startswith(f"chain {chain} {{"))
    end = lines.index("}", begin)
    head = f"table {family} {policy.table} {{"
    flush = f"flush chain {family} {policy.table} {chain}"
    return "\n".join([head, lines[begin], "}", "}", flush, head, *lines[begin : end + 1], "}"])


def _additions(table: str, elements: Iterable[Element]) -> list[str]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for element in elements:
        grouped.setdefault((element.family, element.where), []).append(element.text(whole=True))
    return [
        f"add element {family} {table} {where} {{ {', '.join(texts)} }}" for (family, where), texts in grouped.items()
    ]


def remove(table: str) -> str:
    """Deletes the tables; adding them first makes that succeed when there are none."""
    return "\n".join(f"{verb} table {family} {table}" for family in ("inet", "bridge") for verb in ("add", "delete"))


def intervals(policy: Policy, bridges: Iterable[BridgeNet]) -> dict[str, list[Network]]:
    """The sets of networks, in which none overlaps another."""
    inner = inner_networks(policy, bridges)
    peers = [network for network in policy.allowed if _within(network, inner)]
    others = [network for network in policy.allowed if network not in peers]
    found = {}
    for version, _, six, _ in _VERSIONS:
        for name, networks in (("inner", inner), ("peers", peers), ("allowed", others), ("denied", policy.denied)):
            found[f"{name}{six}"] = _separate([one for one in networks if one.version == version])
    return found


def _separate(networks: Sequence[Network]) -> list[Network]:
    """Without those that lie in another: two networks are apart, or one is within the other."""
    found: list[Network] = []
    for network in sorted(networks, key=lambda one: (int(one.network_address), one.prefixlen)):
        if not found or not _within(network, found[-1:]):
            found.append(network)
    return found


def _declarations(policy: Policy, bridges: Sequence[BridgeNet]) -> list[str]:
    networks = intervals(policy, bridges)
    most = f" ct count over {policy.connections};" if policy.connections else ""
    lines = [
        "set links { type ifname; }",
        "set links6 { type ifname; }",
        "set same { type ifname . ifname; }",
        "set closed { type ifname; }",
    ]
    for _, _, six, kind in _VERSIONS:
        lines += [_interval(f"{name}{six}", kind, networks[f"{name}{six}"]) for name in _INTERVALS]
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
            # To look an element up is to ask what it carries, and it is found while that says yes (nft_lookup_eval).
            f"set flows{six} {{ type ifname . {kind}; {most} }}",
            f"set logs{six} {{ type ifname . {kind}; {LOG_PACE}; }}",
            _growing(f"over{six}", f"ifname . {kind}", "counter;"),
            _growing(f"knocks{six}", f"ifname . {kind}", ""),
        ]
    return lines


def _within(network: Network, others: Iterable[Network]) -> bool:
    return any(
        network.version == other.version and network.network_address in other and network.broadcast_address in other
        for other in others
    )


_INTERVALS = ("inner", "peers", "allowed", "denied")


def interval_names() -> tuple[str, ...]:
    """The sets of networks."""
    return tuple(f"{name}{six}" for _, _, six, _ in _VERSIONS for name in _INTERVALS)


def _interval(name: str, kind: str, networks: Sequence[Network]) -> str:
    elements = f" elements = {{ {', '.join(map(str, networks))} }}" if networks else ""
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
        *_forwards("fib daddr type local", (False, False)),
        "}",
        "chain inbound_here { type nat hook output priority -100; policy accept;",
        *_forwards('oifname "lo" fib daddr type local', (True, policy.loopback6)),
        "}",
        "chain outbound { type nat hook postrouting priority srcnat; policy accept;",
        # What the host begins, or leads on. Who comes first of all with an address of his own for it goes without.
        *([f"oifname @links {_ADMIT}"] if policy.labels else []),
        "oifname @links ct status dnat ip saddr 127.0.0.0/8 masquerade",
        # From ::1 there is no route_localnet to ask for: a router looks for it in what arrives alone (ip6_rcv_core).
        "oifname @links ct status dnat ip6 saddr ::1 masquerade",
        *_outbound(),
        "}",
        *_REFUSE,
        "chain forwarded { type filter hook forward priority filter; policy accept;",
        "ct state established accept",
        "iifname @links goto leaving",
        "ct state related accept",
        "oifname @links goto entering",
        "}",
        # What conntrack makes nothing of has no destination that was asked for, so no rule could judge it.
        "chain leaving {",
        "iifname . oifname @same goto among",
        "ct state related goto errors",
        "ct state invalid,untracked drop",
        "iifname @closed goto refuse",
        "oifname @closed goto refuse",
        "oifname @links jump known",
        "iifname . ip daddr @guests accept",
        "iifname . ip6 daddr @guests6 accept",
        "iifname . ip saddr vmap @rules",
        "iifname . ip6 saddr vmap @rules6",
        *_to_network("ip", ""),
        *_to_network("ip6", "6"),
        "accept",
        "}",
        # An ICMP error says of whose packet it is, and conntrack believes anybody: a container has errors of its own alone.
        "chain errors {",
        *(f"iifname . ct {way} {family} saddr @guests{six} accept" for _, family, six, _ in _VERSIONS for way in _WAYS),
        "drop",
        "}",
        # Neighbours, whose packets come here if br_netfilter is on or they take the way over the host.
        "chain among {",
        "meta pkttype { broadcast, multicast } accept",
        "jump known",
        "accept",
        "}",
        "chain known {",
        "oifname . ip daddr @guests return",
        "oifname . ip6 daddr @guests6 return",
        f"{UNKNOWN_PACE} drop",
        "}",
        "chain entering {",
        "oifname @closed drop",
        "ct status dnat accept",
        "drop",
        "}",
        "chain to_host { type filter hook input priority filter; policy accept;",
        "iifname @links ct state established accept",
        "iifname @links ct state related goto errors",
        "iifname @links icmp type { echo-request, timestamp-request } accept",
        f"iifname @links6 icmpv6 type {_ASKED} accept",
        *_services(),
        f"iifname @links {to_host}",
        "}",
        *_bounds("forward", policy),
        *_bounds("input", policy),
    ]


def _services() -> list[str]:
    """TCP at the pace of one: to take a connection costs the daemon a hundred times what it costs to begin one."""
    lines = []
    for _, family, six, _ in _VERSIONS:
        asked = f"iifname . {family} daddr . meta l4proto . th dport @services{six}"
        pace = f"update @knocks{six} {{ iifname . {family} saddr {KNOCK_PACE} }}"
        lines += [f"meta l4proto tcp {asked} {pace} drop", f"{asked} accept"]
    return lines


def _bounds(hook: str, policy: Policy) -> list[str]:
    """So many connections for each address of a container. Behind the decision: what was refused is none, and what was
    not is labelled."""
    lines = [f"chain bound_{hook} {{ type filter hook {hook} priority filter + 1; policy accept;", "ct state != new accept"]
    if policy.connections:
        lines += [
            f"iifname . {family} saddr @flows{six} update @over{six} {{ iifname . {family} saddr counter }}"
            " goto refuse_aloud"
            for _, family, six, _ in _VERSIONS
        ]
    return [*lines, *([f"iifname @links {_ADMIT}"] if policy.labels else []), "}"]


_ADMIT = f"ct label set {ADMITTED}"
_WAYS = ("original", "reply")
_ASKED = (
    "{ echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-query, mld-listener-report,"
    " mld-listener-done, mld2-listener-report }"
)
_DISCOVERY = (
    "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }"  # RFC 4861: nobody else's survives a router
)


def _forwards(where: str, loopbacks: tuple[bool, bool]) -> list[str]:
    """The most specific first. Without the loopback of a family: what claims to be for it is none of ours."""
    lines = []
    for (_, family, six, _), loopback in zip(_VERSIONS, loopbacks, strict=True):
        proper = "" if loopback else f"{family} daddr != {'::1' if six else '127.0.0.0/8'} "
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
    "screen", "screened", "inbound", "inbound_here", "outbound", "refuse_aloud", "refuse", "forwarded", "leaving",
    "entering", "to_host", "errors", "among", "known", "bound_forward", "bound_input",
)  # fmt: skip
BRIDGE_CHAINS = ("screen", "sender", "from_port", "from_arp", "from_ip", "from_ip6")
#: Where Firewall puts the one rule that has no words in every nft.
ADVERTS = "adverts"

_BRIDGE = [
    "set ports { type ifname; }",
    "set macs { type ifname . ether_addr; }",
    "set senders { type ifname . ether_addr . ipv4_addr; }",
    "set senders6 { type ifname . ether_addr . ipv6_addr; }",
    "set roamers { type ifname; }",
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
    # Whose addresses somebody else gives (DHCP on a bridge of the host) is held to its MAC alone.
    "iifname @roamers iifname . arp saddr ether @macs accept",
    "iifname . arp saddr ether . arp saddr ip != @senders drop",
    "}",
    "chain from_ip {",
    "udp sport 67 drop",
    "iifname @roamers accept",
    "iifname . ether saddr . ip saddr != @senders drop",
    "}",
    "chain from_ip6 {",
    "icmpv6 type { nd-router-advert, nd-redirect } drop",
    "udp sport 547 drop",
    "iifname @roamers accept",
    # Before an address is taken, it is asked for from none: RFC 4862 §5.4. Who asks for another's keeps that from it.
    "ip6 saddr :: icmpv6 type mld2-listener-report accept",
    f"ip6 saddr :: icmpv6 type nd-neighbor-solicit goto {ADVERTS}",
    "iifname . ether saddr . ip6 saddr != @senders6 drop",
    f"icmpv6 type nd-neighbor-advert goto {ADVERTS}",
    "}",
    f"chain {ADVERTS} {{",
    "drop",
    "}",
]
