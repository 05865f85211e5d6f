"""Our tables in the kernel: changed, compared, mended, made anew. The driving half of table.py and changes.py.

Each transaction is bound to the generation that the one before left, so a change by anybody else is noticed by the
kernel itself, and then our tables are looked at. What differs is mended, and the rest stays with its counters; only what
is gone is made anew. Touches no other table, whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterable, Iterator
from typing import Protocol

from warden.errors import EngineFault
from warden.network import inspection, table
from warden.network.changes import adverts, chains_of, closing
from warden.network.egress import key_of
from warden.network.expressions import Element
from warden.network.inspection import Fault, Wanted
from warden.network.libnft import Runner
from warden.network.nfnetlink import ANY_GENERATION, Change

log = logging.getLogger("warden.firewall")

TRIES = 20  # as often others may change something of theirs between our look and our change
MAKE_TRIES = 5  # as often others may lose our tables while they are made
#: What holds containers that nothing is known of yet: all that they send is dropped.
_GATES = (("inet", "links"), ("inet", "links6"), ("bridge", "ports"))


class Kernel(Protocol):
    """What Wire does; raises OSError."""

    def run(self, table: str, changes: Iterable[Change], generation: int) -> None: ...

    @property
    def port(self) -> int: ...

    def generation(self) -> int: ...

    def rules(self, family: str, table: str, chain: str) -> list[bytes]: ...

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]: ...

    def close(self) -> None: ...


class Tables:
    """For one thread at a time. *made*: they could be made once, so that it is worth while to look after them.
    *mended*: how often what others did to them was put right."""

    def __init__(self, name: str, runner: Runner, kernel: Kernel) -> None:
        self._name, self.runner, self.kernel = name, runner, kernel
        self.made = False
        self.mended = 0
        self._generation = 0
        self._shared: inspection.Shared = {}  # empty: the tables are not there

    # ---- changes

    def carry_out(self, changes: list[Change], wanted: Wanted) -> None:
        """*wanted*: all that there is afterwards. Raises EngineFault."""
        if not changes:
            return
        try:
            for _ in range(TRIES):
                if self._attempt(changes, wanted):
                    return
            reason = "others change the ruleset all the time"
        except OSError as error:
            reason = error.strerror or str(error)
        # Others flush the whole ruleset now and then (`nft -f` of a distribution's file begins with it).
        self._mend(wanted, reason)

    def _attempt(self, changes: list[Change], wanted: Wanted) -> bool:
        """False: somebody else changed something of theirs meanwhile. Raises OSError when ours are not as they were."""
        try:
            self.kernel.run(self._name, changes, self._generation)
        except OSError as error:
            if error.errno != errno.ERESTART:
                raise
            self._look_again()
            return False
        self._generation = _after(self._generation)
        if any(change.verb == "delete table" for change in changes):
            self._shared = {key: rules for key, rules in self._shared.items() if key[0] in wanted.families}
        return True

    def _look_again(self) -> None:
        """Takes the ruleset as it is now for the one to go on from. Raises OSError when our part of it was changed."""
        generation = self.kernel.generation()
        if not self._shared or inspection.shared(self.kernel, self._name, self._families()) != self._shared:
            raise OSError(errno.ESTALE, "the table is gone or was changed by somebody else")
        self._generation = generation

    def _families(self) -> dict[str, None]:
        return dict.fromkeys(family for family, _ in self._shared)

    def open_bridges(self, wanted: Wanted) -> None:
        """The table of family bridge is there, before the first bridge is. Raises EngineFault."""
        if not self._shared or "bridge" in self._families():
            return
        self.runner.run(table.bridge_table(self._name))
        try:
            self.kernel.run(self._name, [adverts()], ANY_GENERATION)
            self._take(wanted, but=set())
        except OSError as error:
            self._mend(wanted, error.strerror or str(error))

    def _take(self, wanted: Wanted, but: set[tuple[str, str]]) -> None:
        """Takes what is there for what must be. Raises OSError when chains *but* those were changed by somebody else."""
        generation = self.kernel.generation()  # before the look: what comes after it is noticed
        found = inspection.shared(self.kernel, self._name, wanted.families)
        if any(found.get(key, rules) != rules for key, rules in self._shared.items() if key not in but):
            raise OSError(errno.ESTALE, "the table was changed by somebody else")
        self._shared, self._generation = found, generation

    # ---- what others did

    def look(self, wanted: Wanted) -> bool:
        """Notices when somebody else lost or changed our tables, and puts them right; whether it had to. Costs one
        question when nobody changed anything. Raises EngineFault when that fails."""
        if not self.made:  # they never could be, and whoever wants them is told
            return False
        try:
            if not self._shared or self.kernel.generation() != self._generation:
                self._look_again()
        except OSError as error:
            self._mend(wanted, error.strerror or str(error))
            return True
        return False

    def faults(self, wanted: Wanted) -> list[Fault]:
        """What is not as it must be."""
        return inspection.faults(self.kernel, self._shared, wanted)

    def repair(self, wanted: Wanted) -> list[Fault]:
        """Puts it right; what was wrong. Raises EngineFault."""
        found = self.faults(wanted)
        if found:
            self._mend(wanted, "; ".join(fault.text for fault in found), found)
        return found

    def _mend(self, wanted: Wanted, reason: str, found: list[Fault] | None = None) -> None:
        found = self.faults(wanted) if found is None else found
        if self._shared and found and not any(fault.gone for fault in found):
            log.warning("firewall: table %s: %s; it is mended", self._name, reason)
            try:
                self._put_right(wanted, found)
                self.mended += 1
                return
            except (OSError, EngineFault) as error:
                reason = str(error)
        log.warning("firewall: %s; table %s is made anew", reason, self._name)
        self.make(wanted, lost=any(fault.gone for fault in found))
        self.mended += 1

    def _put_right(self, wanted: Wanted, found: list[Fault]) -> None:
        chains = {fault.chain for fault in found if fault.chain is not None}
        if chains:
            self.runner.run("\n".join(table.shared_chain(wanted.policy, *chain) for chain in sorted(chains)))
        if changes := [change for fault in found for change in fault.changes]:
            self.kernel.run(self._name, changes, ANY_GENERATION)
        self._take(wanted, but=chains)

    def links(self) -> set[str]:
        """Those that are filtered, or shut, in whatever tables of ours are there: an earlier daemon's, before `make`."""
        found: set[str] = set()
        for family, where in _GATES:
            with contextlib.suppress(OSError):
                keys = map(key_of, self.kernel.elements(family, self._name, where))
                found |= {key.rstrip(b"\0").decode(errors="replace") for key in keys}
        return found

    def admits(self) -> bool:
        """Whether what the tables that are there let through has a label: not so those of an older version."""
        with contextlib.suppress(OSError):
            if self.kernel.rules("inet", self._name, "leaving"):
                with contextlib.suppress(OSError):
                    return any(b"ct\0" in rule for rule in self.kernel.rules("inet", self._name, "bound_input")[1:])
                return False
        return True

    # ---- all of it

    def make(self, wanted: Wanted, *, lost: bool = False) -> None:
        """Connections that are established go on: conntrack is not ours and not touched. *lost*: there are none, so that
        speed counts and nothing is there to be replaced. Raises EngineFault."""
        for left in reversed(range(MAKE_TRIES)):
            try:
                self._make_once(wanted, lost=lost)
                return
            except OSError as error:  # somebody lost them again
                if not left:
                    raise EngineFault(f"firewall: table {self._name}: {error.strerror or error}") from error

    def _make_once(self, wanted: Wanted, *, lost: bool) -> None:
        self._shared = {}
        changes = list(self._first_gates(wanted) if lost else self._all_at_once(wanted))
        if wanted.bridges:
            changes.append(adverts())
        if changes:  # whatever others do to theirs meanwhile: it must not keep ours from being whole
            self.kernel.run(self._name, changes, ANY_GENERATION)
        self._take(wanted, but=set())
        self.made = True

    def _all_at_once(self, wanted: Wanted) -> Iterator[Change]:
        """There is no moment without rules; answers what remains to be done."""
        waiting = closing((guest for guest in wanted.guests if guest.has_chain), wanted.bridges)
        self._run(wanted, [*wanted.elements(), *waiting])
        yield from chains_of(wanted.policy, wanted.guests, wanted.bridges)
        if waiting:
            yield Change("delete", elements=waiting)

    def _first_gates(self, wanted: Wanted) -> Iterator[Change]:
        """The text is a fifth of the work: with what shuts everybody in, and then the rest."""
        elements = wanted.elements()
        gates = [element for element in elements if (element.family, element.where) in _GATES]
        self._run(wanted, gates)
        yield from chains_of(wanted.policy, wanted.guests, wanted.bridges)
        if rest := tuple(element for element in elements if (element.family, element.where) not in _GATES):
            yield Change("add", elements=rest)

    def _run(self, wanted: Wanted, elements: Iterable[Element]) -> None:
        self.runner.run(table.whole(wanted.policy, list(wanted.bridges.values()), elements))

    def close(self, *, remove: bool) -> None:
        """*remove*: they go, as nobody needs them any more."""
        try:
            if remove:
                self.runner.run(table.remove(self._name))
        except EngineFault as error:
            log.error("firewall: table %s stays: %s", self._name, error)
        finally:
            self.runner.close()
            self.kernel.close()


def _after(generation: int) -> int:
    """The kernel's next one; there is no zero (nf_tables_commit)."""
    return generation + 1 & 0xFFFF_FFFF or 1
