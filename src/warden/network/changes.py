"""What turns one state of the firewall into another: as few elements, chains and rules as can be, in an order that the
kernel takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from warden.network import nft, table
from warden.network.bridgechains import ADVERTS
from warden.network.claims import Shift
from warden.network.expressions import Element, Piece, Rule, advertises_itself, ifname
from warden.network.nfnetlink import Change
from warden.network.nft import BridgeNet, Guest, Network, Own, Policy

Bridges = Mapping[str, BridgeNet]


def of_guest(
    inner: Sequence[Network], old: Guest | None, new: Guest | None, shift: Shift, left: Iterable[Element] = ()
) -> Iterator[Change]:
    """A chain is made before what leads to it, and goes after that. *left*: elements that stay or come all the same."""
    before = [] if old is None else [*nft.guest_elements(old), *nft.entries(old)]
    after = [] if new is None else [*nft.guest_elements(new), *nft.entries(new)]
    if new is not None and new.has_chain:
        was = nft.own(inner, old) if old is not None and old.has_chain else None
        yield from of_chain(new, was, nft.own(inner, new))
    yield from of_elements([*before, *shift.gone], [*after, *shift.come, *left])
    if old is not None and old.has_chain and not (new is not None and new.has_chain):
        yield Change("flush chain", old.chain)
        yield Change("delete chain", old.chain)
        yield Change("delete set", old.box)


def of_elements(before: Iterable[Element], after: Iterable[Element]) -> Iterator[Change]:
    """What is in both stays; a key whose value changes goes and comes."""
    had, has = dict.fromkeys(before), dict.fromkeys(after)
    if gone := tuple(element for element in had if element not in has):
        yield Change("delete", elements=gone)
    if come := tuple(element for element in has if element not in had):
        yield Change("add", elements=come)


def of_chain(guest: Guest, was: Own | None, will: Own) -> Iterator[Change]:
    """Its set and its rules; those that are new go in front, and when some went the chain is written again."""
    if was is None:
        yield Change("add set", guest.box)
        yield Change("add chain", guest.chain)
    yield from _of_boxes(() if was is None else was.boxes, will.boxes)
    had = () if was is None else was.rules
    more = len(will.rules) - len(had)
    if was is not None and will.rules[more:] == had:
        for rule in reversed(will.rules[:more]):
            yield Change("insert", guest.chain, rule)
        return
    if was is not None:
        yield Change("flush chain", guest.chain)
    for rule in will.rules:
        yield Change("append", guest.chain, rule)


def _of_boxes(was: Sequence[Element], will: Sequence[Element]) -> Iterator[Change]:
    """Which may lie in which depends on which came first (nft.py): what stays must not come after what is new."""
    kept = [element for element in will if element in was]
    if list(will[: len(kept)]) == kept:
        yield from of_elements(was, will)
    else:
        yield Change("delete", elements=tuple(was))
        yield Change("add", elements=tuple(will))


def of_bridges(policy: Policy, before: Bridges, after: Bridges, guests: Iterable[Guest]) -> Iterator[Change]:
    """One that comes or goes: its own elements, the sets of networks where they differ, and the chains of those *guests*
    who name something within its networks."""
    touched = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    yield from of_elements(_of_those(touched, before), _of_those(touched, after))
    sides = [side[name] for side in (before, after) for name in touched if name in side]
    networks = [network for bridge in sides for network in bridge.networks]
    inner = [nft.inner_networks(policy, side.values()) for side in (before, after)]
    for guest in guests:
        if guest.has_chain and nft.mentions(guest, networks):
            was, will = (nft.own(one, guest) for one in inner)
            if was != will:
                yield from of_chain(guest, was, will)
    first, then = (table.intervals(policy, side.values()) for side in (before, after))
    yield from of_elements(_of_networks(first, then), _of_networks(then, first))
    if before and not after:
        yield Change("delete table", family="bridge")


def _of_those(names: Iterable[str], bridges: Bridges) -> list[Element]:
    return [element for name in names if name in bridges for element in nft.bridge_elements(bridges[name])]


def _of_networks(these: Mapping[str, list[Network]], others: Mapping[str, list[Network]]) -> list[Element]:
    return [
        element
        for where, networks in these.items()
        for network in networks
        if network not in others[where]
        for element in nft.interval_elements(where, network)
    ]


def closing(guests: Iterable[Guest], bridges: Bridges) -> tuple[Element, ...]:
    """Shuts the devices of *guests* with a chain until that is there."""
    devices = dict.fromkeys(link.device for guest in guests for link in guest.links if not link.foreign)
    return tuple(
        Element("closed", (ifname(device),))
        for device in devices
        if device not in bridges or not bridges[device].internal
    )


def chains_of(policy: Policy, guests: Iterable[Guest], bridges: Bridges) -> Iterator[Change]:
    """All chains of *guests* who have one, into tables that have none, and what leads to them."""
    inner = nft.inner_networks(policy, bridges.values())
    owners = [guest for guest in guests if guest.has_chain]
    for guest in owners:
        yield from of_chain(guest, None, nft.own(inner, guest))
    if owners:
        yield Change("add", elements=tuple(element for guest in owners for element in nft.entries(guest)))


def adverts() -> Change:
    """The one rule of the table of bridges that has no words in every nft."""
    return Change("insert", ADVERTS, Rule((Piece("", advertises_itself()),)), family="bridge")
