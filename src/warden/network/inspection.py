"""Whether our tables are as they must be: what the kernel has of them against what we put there, and what would mend each
difference. Reads only."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from warden.network import bridgechains, nft, table
from warden.network.chains import SHARED_CHAINS
from warden.network.changes import adverts, of_chain
from warden.network.claims import Claims
from warden.network.egress import key_of
from warden.network.expressions import (
    NFT_SET_ELEM_INTERVAL_END,
    NFTA_DATA_VALUE,
    NFTA_DATA_VERDICT,
    NFTA_EXPR_DATA,
    NFTA_EXPR_NAME,
    NFTA_SET_ELEM_DATA,
    NFTA_SET_ELEM_FLAGS,
    NFTA_VERDICT_CHAIN,
    Element,
    Word,
    joined,
)
from warden.network.nfnetlink import Change, attributes, flagged_attributes
from warden.network.nft import BridgeNet, Guest, Own, Policy
from warden.records import dataclass, field

#: The expressions of each shared chain, by family and name.
Shared = dict[tuple[str, str], tuple[bytes, ...]]

_CHAINS = {"inet": SHARED_CHAINS, "bridge": (*bridgechains.BRIDGE_CHAINS, bridgechains.ADVERTS)}
#: Sets and maps whose elements are ours alone; what packets add is not looked at.
_SETS = {
    "inet": (
        "links", "links6", "same", "closed", "guests", "guests6", "rules", "rules6", "ports", "ports6", "ports_at",
        "ports6_at", "services", "services6", "flows", "flows6", "logs", "logs6", *table.interval_names(),
    ),
    "bridge": ("ports", "macs", "senders", "senders6", "roamers"),
}  # fmt: skip


class Reader(Protocol):
    """What is asked of the kernel; raises OSError."""

    def rules(self, family: str, table: str, chain: str) -> list[bytes]: ...

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]: ...


def shared(kernel: Reader, name: str, families: Iterable[str]) -> Shared:
    """The chains that all containers share. A chain without rules and one that is gone look the same, so none of ours is
    empty. Raises OSError, ESTALE for one that is."""
    found = {
        (family, chain): tuple(kernel.rules(family, name, chain)) for family in families for chain in _CHAINS[family]
    }
    if not all(found.values()):
        raise OSError(errno.ESTALE, "the table is gone or was changed by somebody else")
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that must be there: of *policy*, *bridges* by device, *guests*, *ports* of the host that lead somewhere, and what
    keeps links *shut* whose container is gone."""

    policy: Policy
    bridges: Mapping[str, BridgeNet]
    guests: Collection[Guest]
    ports: Claims
    shut: Collection[Element] = ()

    @property
    def families(self) -> tuple[str, ...]:
        return ("inet", "bridge") if self.bridges else ("inet",)

    def elements(self) -> list[Element]:
        """But for networks, and for what leads into chains."""
        found = [element for bridge in self.bridges.values() for element in nft.bridge_elements(bridge)]
        found += [element for guest in self.guests for element in nft.guest_elements(guest)]
        return [*found, *self.ports.elements(), *(one for one in self.shut if one.family in self.families)]

    def everything(self) -> Iterator[Element]:
        yield from self.elements()
        for guest in self.guests:
            yield from nft.entries(guest)
        for where, networks in table.intervals(self.policy, self.bridges.values()).items():
            for network in networks:
                yield from nft.interval_elements(where, network)

    def chains(self) -> Iterator[tuple[Guest, Own]]:
        inner = nft.inner_networks(self.policy, self.bridges.values())
        return ((guest, nft.own(inner, guest)) for guest in self.guests if guest.has_chain)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, in words, and what mends it: *changes*, and a shared *chain* that is to be written again. *gone*: a
    whole table is."""

    text: str
    changes: tuple[Change, ...] = ()
    chain: tuple[str, str] | None = None
    gone: bool = False


def faults(kernel: Reader, expected: Shared, wanted: Wanted) -> list[Fault]:
    """Each difference from what is *wanted*, and from the shared chains that are *expected*."""
    found: list[Fault] = []
    for family in wanted.families:
        where = f"table {family} {wanted.policy.table}"
        try:
            for fault in _in_family(kernel, family, expected, wanted):
                found.append(Fault(f"{where}: {fault.text}", fault.changes, fault.chain))
        except OSError as error:
            words = "it is missing" if error.errno == errno.ENOENT else error.strerror
            found.append(Fault(f"{where}: {words}", gone=True))
    return found


def _in_family(kernel: Reader, family: str, expected: Shared, wanted: Wanted) -> Iterator[Fault]:
    name = wanted.policy.table
    by_set: dict[str, list[Element]] = {where: [] for where in _SETS[family]}
    for element in wanted.everything():
        if element.family == family:
            by_set[element.where].append(element)
    late: list[Fault] = []  # what leads into chains comes after these
    for where, elements in by_set.items():
        late += _in_set(kernel, family, name, where, elements)
    for chain in _CHAINS[family]:
        if tuple(kernel.rules(family, name, chain)) != expected.get((family, chain)):
            changes = (adverts(),) if chain == bridgechains.ADVERTS else ()
            yield Fault(f"chain {chain} was changed", changes, (family, chain))
    if family == "inet":
        yield from _in_own(kernel, name, wanted)
    yield from late


@dataclass(slots=True)
class _Found:
    """Elements by their key and whether they close an interval."""

    missing: list[Element] = field(default_factory=list)
    strange: list[Element] = field(default_factory=list)


def _in_set(kernel: Reader, family: str, name: str, where: str, elements: Iterable[Element]) -> list[Fault]:
    wanted = {(joined(element.key), element.closes): element for element in elements}
    there = {(key_of(one), _closes(one)): _worth(one) for one in kernel.elements(family, name, where)}
    missing = [element for key, element in wanted.items() if key not in there]
    astray = [element for key, element in wanted.items() if key in there and there[key] != _meant(element)]
    # An interval that nobody opened is nft's own way to say that there is none before the first.
    strange = [
        Element(where, (Word("", key),), family=family, closes=closes)
        for key, closes in there
        if (key, closes) not in wanted and (any(key) or not closes)
    ]
    found = []
    if strange:
        found.append(Fault(f"{where}: {len(strange)} elements are not ours", (Change("delete", elements=tuple(strange)),)))
    if missing:
        found.append(Fault(f"{where}: {len(missing)} elements are missing", (Change("add", elements=tuple(missing)),)))
    if astray:
        both = tuple(Change(verb, elements=tuple(astray)) for verb in ("delete", "add"))
        found.append(Fault(f"{where}: {len(astray)} elements lead elsewhere", both))
    return found


def _closes(element: Mapping[int, bytes]) -> bool:
    return bool(int.from_bytes(element.get(NFTA_SET_ELEM_FLAGS, b""), "big") & NFT_SET_ELEM_INTERVAL_END)


def _meant(element: Element) -> bytes:
    """As _worth, of one of ours."""
    return element.jump.encode() if element.jump else joined(element.value) if element.value else b""


def _worth(element: Mapping[int, bytes]) -> bytes:
    """The value that a map has for a key, or the chain that it leads to."""
    data = dict(attributes(element.get(NFTA_SET_ELEM_DATA, b"")))
    verdict = dict(attributes(data.get(NFTA_DATA_VERDICT, b"")))
    return verdict[NFTA_VERDICT_CHAIN].rstrip(b"\0") if NFTA_VERDICT_CHAIN in verdict else data.get(NFTA_DATA_VALUE, b"")


def _in_own(kernel: Reader, name: str, wanted: Wanted) -> Iterator[Fault]:
    for guest, own in wanted.chains():
        there = kernel.rules("inet", name, guest.chain)
        if not same_rules([rule.data for rule in own.rules], there):
            anew = (one for one in of_chain(guest, None, own) if one.verb == "append")
            rules = (Change("flush chain", guest.chain), *anew)
            yield Fault(f"chain {guest.chain} was changed", rules)
        try:
            yield from _in_set(kernel, "inet", name, guest.box, own.boxes)
        except OSError as error:
            words = "it is missing" if error.errno == errno.ENOENT else error.strerror
            yield Fault(f"set {guest.box}: {words}", gone=True)


def same_rules(ours: Sequence[bytes], theirs: Sequence[bytes]) -> bool:
    """Whether the kernel's rules say what we wrote: it has attributes in an order of its own, and more of them."""
    return len(ours) == len(theirs) and all(map(_same_rule, ours, theirs))


def _same_rule(ours: bytes, theirs: bytes) -> bool:
    pairs = [[dict(attributes(one)) for _, one in attributes(rule)] for rule in (ours, theirs)]
    return len(pairs[0]) == len(pairs[1]) and all(map(_same_expression, *pairs))


def _same_expression(ours: Mapping[int, bytes], theirs: Mapping[int, bytes]) -> bool:
    name, said, has = ours[NFTA_EXPR_NAME], ours[NFTA_EXPR_DATA], theirs.get(NFTA_EXPR_DATA, b"")
    more = dict(attributes(has)).keys() - dict(attributes(said)).keys()
    # What we do not say is usually 0; of `log` the kernel tells its usual level.
    usual = name == b"log\0" or not any(any(dict(attributes(has))[kind]) for kind in more)
    return name == theirs.get(NFTA_EXPR_NAME) and usual and _says(said, has)


def _says(ours: bytes, theirs: bytes) -> bool:
    has = dict(attributes(theirs))
    return all(
        _says(content, has.get(kind, b"")) if nested else content == has.get(kind)
        for kind, content, nested in flagged_attributes(ours)
    )
