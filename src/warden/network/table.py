"""The firewall's tables as nftables text: nft(8). Pure: writes commands, runs none, names no table but the policy's own.

Owns the sets and maps, and how tables are made, put right and removed. The rules over them are chains.py's, and those of
family `bridge` bridgechains.py's; what one container is in them is nft.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warden.network.bridgechains import BRIDGE
from warden.network.chains import VERSIONS, chains
from warden.network.expressions import Element
from warden.network.nft import BridgeNet, Network, Policy, inner_networks

#: Refused connections are remembered for an hour, each container's first 500 destinations and ten more a minute: what
#: one container can fill is a thirtieth of what there is room for, some 6 MiB of the kernel's memory at most.
REFUSED_ROOM, REFUSED_FOR = 32768, "1h"

#: What `log` of a rule writes at most, for each address of a container: the kernel's log is everybody's.
LOG_PACE = "limit rate 10/second burst 50 packets"

def whole(
    policy: Policy,
    bridges: Sequence[BridgeNet],
    elements: Iterable[Element],
) -> str:
    """Replaces both tables, or makes them: one transaction, so that there is no moment without rules. Containers' own
    chains come afterwards, and until then those that have one are among *elements* of `closed`."""
    lines = [remove(policy.table), f"table inet {policy.table} {{", *_declarations(policy, bridges), *chains(policy), "}"]
    if bridges:
        lines += [f"table bridge {policy.table} {{", *BRIDGE, "}"]
    return "\n".join([*lines, *_additions(policy.table, elements)])


def bridge_table(table: str) -> str:
    """Makes the one of family `bridge` alone, or anew."""
    empty = (f"{verb} table bridge {table}" for verb in ("add", "delete"))
    return "\n".join([*empty, f"table bridge {table} {{", *BRIDGE, "}"])


def shared_chain(policy: Policy, family: str, chain: str) -> str:
    """Writes the rules of one of SHARED_CHAINS or BRIDGE_CHAINS again and leaves all else as it is."""
    lines = chains(policy) if family == "inet" else BRIDGE
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
    for version, _, six, _ in VERSIONS:
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
    most = f" ct count over {policy.connections or 2**32 - 1};" if policy.bounded else ""
    lines = [
        "set links { type ifname; }",
        "set links6 { type ifname; }",
        "set same { type ifname . ifname; }",
        "set closed { type ifname; }",
    ]
    for _, _, six, kind in VERSIONS:
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
    return tuple(f"{name}{six}" for _, _, six, _ in VERSIONS for name in _INTERVALS)


def _interval(name: str, kind: str, networks: Sequence[Network]) -> str:
    elements = f" elements = {{ {', '.join(map(str, networks))} }}" if networks else ""
    return f"set {name} {{ type {kind}; flags interval;{elements} }}"


def _growing(name: str, kind: str, more: str) -> str:
    """A set that packets add to, within bounds."""
    bounds = f"size {REFUSED_ROOM}; flags dynamic,timeout; timeout {REFUSED_FOR};"
    return f"set {name} {{ type {kind}; {bounds} {more} }}"
