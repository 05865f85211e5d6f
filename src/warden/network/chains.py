"""The rules of the table of family `inet` that all containers share, as nft's text: nft(8). Pure."""

from __future__ import annotations

from warden.network.nft import Policy

#: Refused connections are remembered one by one so fast at most, for each container (table.py).
PACE = "limit rate 10/minute burst 500 packets"

#: TCP connections to a service of the host, such as a resolver, that one container begins.
KNOCK_PACE = "limit rate over 50/second burst 100 packets"

#: New connections to addresses on our links that no container has, all of them together: for each the host keeps a
#: neighbour that it looks for, and there is room for 1,024 of those by default (gc_thresh3, arp(7)).
UNKNOWN_PACE = "limit rate over 20/second burst 100 packets"

#: The label of conntrack that a connection has which one of our rules let through, a bit: what began while our tables
#: were not there has none (leavings.py).
ADMITTED = 109
VERSIONS = ((4, "ip", "", "ipv4_addr"), (6, "ip6", "6", "ipv6_addr"))


def chains(policy: Policy) -> list[str]:
    """All of SHARED_CHAINS, whatever containers there are."""
    return [
        *_before_all(),
        *_translation(policy),
        *_REFUSE,
        *_forwarded(),
        *_to_host(policy),
        *_bounds("forward", policy),
        *_bounds("input", policy),
    ]


def _before_all() -> list[str]:
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
    ]


def _translation(policy: Policy) -> list[str]:
    return [
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
    ]


def _forwarded() -> list[str]:
    return [
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
        *(f"iifname . ct {way} {family} saddr @guests{six} accept" for _, family, six, _ in VERSIONS for way in _WAYS),
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
    ]


def _to_host(policy: Policy) -> list[str]:
    to_host = "accept" if policy.host_access else "goto refuse"
    return [
        "chain to_host { type filter hook input priority filter; policy accept;",
        "iifname @links ct state established accept",
        "iifname @links ct state related goto errors",
        "iifname @links icmp type { echo-request, timestamp-request } accept",
        f"iifname @links6 icmpv6 type {_ASKED} accept",
        *_services(),
        f"iifname @links {to_host}",
        "}",
    ]


def _services() -> list[str]:
    """TCP at the pace of one: to take a connection costs the daemon a hundred times what it costs to begin one."""
    lines = []
    for _, family, six, _ in VERSIONS:
        asked = f"iifname . {family} daddr . meta l4proto . th dport @services{six}"
        pace = f"update @knocks{six} {{ iifname . {family} saddr {KNOCK_PACE} }}"
        lines += [f"meta l4proto tcp {asked} {pace} drop", f"{asked} accept"]
    return lines


def _bounds(hook: str, policy: Policy) -> list[str]:
    """So many connections for each address of a container. Behind the decision: what was refused is none, and what was
    not is labelled."""
    lines = [f"chain bound_{hook} {{ type filter hook {hook} priority filter + 1; policy accept;", "ct state != new accept"]
    if policy.bounded:
        lines += [
            f"iifname . {family} saddr @flows{six} update @over{six} {{ iifname . {family} saddr counter }}"
            " goto refuse_aloud"
            for _, family, six, _ in VERSIONS
        ]
    # Through a port, too: others may translate it before the chain `outbound` is asked, which then is not.
    ways = ("iifname", *(["oifname"] if hook == "forward" else []))
    return [*lines, *(f"{way} @links {_ADMIT}" for way in ways if policy.labels), "}"]


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
    for (_, family, six, _), loopback in zip(VERSIONS, loopbacks, strict=True):
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
    for _, family, six, _ in VERSIONS:
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
    for _, family, six, _ in VERSIONS:
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
