"""Whether our tables are as they must be: what the kernel has of them against what we put there. Reads only."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from warden.network import table
from warden.network.egress import key_of
from warden.network.expressions import Element, Rule, joined

#: The expressions of each shared chain, by family and name.
Shared = dict[tuple[str, str], tuple[bytes, ...]]

_CHAINS = {"inet": table.SHARED_CHAINS, "bridge": (*table.BRIDGE_CHAINS, table.ADVERTS)}
#: Sets and maps whose elements are ours alone; what packets add is not looked at.
_SETS = {
    "inet": (
        "links", "links6", "same", "closed", "guests", "guests6", "rules", "rules6", "ports", "ports6", "ports_at",
        "ports6_at", "services", "services6",
    ),
    "bridge": ("ports", "macs", "senders", "senders6"),
}  # fmt: skip


class Reader(Protocol):
    """What is asked of the kernel; raises OSError."""

    def rules(self, family: str, table: str, chain: str) -> list[bytes]: ...

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]: ...


def shared(kernel: Reader, name: str, families: Iterable[str]) -> Shared:
    """The chains that all containers share. A chain without rules and one that is gone look the same, so none of ours is
    empty. Raises OSError."""
    return {
        (family, chain): tuple(kernel.rules(family, name, chain)) for family in families for chain in _CHAINS[family]
    }


def faults(
    kernel: Reader,
    name: str,
    expected: Shared,
    families: Iterable[str],
    elements: Iterable[Element],
    chains: Mapping[str, Sequence[Rule]],
) -> list[str]:
    """Each fault in words: a table, chain or set, and what is wrong with it."""
    found: list[str] = []
    for family in families:
        where = f"table {family} {name}"
        try:
            mine = [element for element in elements if element.family == family]
            found += [f"{where}: {fault}" for fault in _in_sets(kernel, family, name, mine)]
            found += [f"{where}: {fault}" for fault in _in_chains(kernel, family, name, expected)]
            if family == "inet":
                found += [f"{where}: {fault}" for fault in _in_own(kernel, name, chains)]
        except OSError as error:
            found.append(f"{where}: {'it is missing' if error.errno == errno.ENOENT else error.strerror}")
    return found


def _in_chains(kernel: Reader, family: str, name: str, expected: Shared) -> Iterator[str]:
    for chain in _CHAINS[family]:
        if tuple(kernel.rules(family, name, chain)) != expected.get((family, chain)):
            yield f"chain {chain} was changed"


def _in_sets(kernel: Reader, family: str, name: str, elements: Iterable[Element]) -> Iterator[str]:
    wanted: dict[str, set[bytes]] = {}
    for element in elements:
        wanted.setdefault(element.where, set()).add(joined(element.key))
    for where in _SETS[family]:
        there = {key_of(element) for element in kernel.elements(family, name, where)}
        missing, strange = len(wanted.get(where, set()) - there), len(there - wanted.get(where, set()))
        if missing:
            yield f"{where}: {missing} elements are missing"
        if strange:
            yield f"{where}: {strange} elements are not ours"


def _in_own(kernel: Reader, name: str, chains: Mapping[str, Sequence[Rule]]) -> Iterator[str]:
    for chain, rules in chains.items():
        if len(kernel.rules("inet", name, chain)) != len(rules):
            yield f"chain {chain} was changed"
