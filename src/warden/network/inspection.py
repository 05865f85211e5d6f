"""Whether our tables are as they must be: what the kernel has of them against what we put there. Reads only."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from warden.network import table
from warden.network.egress import key_of
from warden.network.expressions import Element, Rule, joined
from warden.records import dataclass

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
    empty. Raises OSError, ESTALE for one that is."""
    found = {
        (family, chain): tuple(kernel.rules(family, name, chain)) for family in families for chain in _CHAINS[family]
    }
    if not all(found.values()):
        raise OSError(errno.ESTALE, "the table is gone or was changed by somebody else")
    return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there. *chains* and *boxes*: containers' own, and the sets that they look into."""

    shared: Shared
    families: tuple[str, ...]
    elements: Sequence[Element]
    chains: Mapping[str, Sequence[Rule]]
    boxes: Mapping[str, Sequence[Element]]


def faults(kernel: Reader, name: str, expected: Expected) -> list[str]:
    """Each fault in words: a table, chain or set, and what is wrong with it."""
    found: list[str] = []
    for family in expected.families:
        where = f"table {family} {name}"
        try:
            found += [f"{where}: {fault}" for fault in _in_family(kernel, family, name, expected)]
        except OSError as error:
            found.append(f"{where}: {'it is missing' if error.errno == errno.ENOENT else error.strerror}")
    return found


def _in_family(kernel: Reader, family: str, name: str, expected: Expected) -> Iterator[str]:
    wanted: dict[str, set[bytes]] = {where: set() for where in _SETS[family]}
    for element in expected.elements:
        if element.family == family:
            wanted[element.where].add(joined(element.key))
    for where, keys in wanted.items():
        yield from _in_set(kernel, family, name, where, keys)
    for chain in _CHAINS[family]:
        if tuple(kernel.rules(family, name, chain)) != expected.shared.get((family, chain)):
            yield f"chain {chain} was changed"
    if family == "inet":
        yield from _in_own(kernel, name, expected)


def _in_set(kernel: Reader, family: str, name: str, where: str, wanted: set[bytes]) -> Iterator[str]:
    there = {key_of(element) for element in kernel.elements(family, name, where)}
    if missing := len(wanted - there):
        yield f"{where}: {missing} elements are missing"
    if strange := len(there - wanted):
        yield f"{where}: {strange} elements are not ours"


def _in_own(kernel: Reader, name: str, expected: Expected) -> Iterator[str]:
    for chain, rules in expected.chains.items():
        if len(kernel.rules("inet", name, chain)) != len(rules):
            yield f"chain {chain} was changed"
    for box, elements in expected.boxes.items():
        try:
            yield from _in_set(kernel, "inet", name, box, {joined(element.key) for element in elements})
        except OSError as error:
            yield f"set {box}: {'it is missing' if error.errno == errno.ENOENT else error.strerror}"
