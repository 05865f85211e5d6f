"""The firewall in the kernel: what nft.py and table.py write, carried out in order, remembered, made anew when lost.

Owns our tables of nftables and a lock that keeps other daemons away from them. Touches no other table, whatever happens.
Each transaction is bound to the generation that the one before left, so a change by anybody else is noticed by the
kernel itself, and then our tables are looked at.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from warden.errors import EngineFault
from warden.model.net import Refusals
from warden.network import egress, inspection, nft, table
from warden.network.claims import Claims, Shift
from warden.network.expressions import Element, Piece, Rule, advertises_itself, ifname
from warden.network.libnft import Runner, open_runner
from warden.network.nfnetlink import ANY_GENERATION, Change, Wire
from warden.network.nft import BridgeNet, Guest, Policy, PortKey
from warden.network.tablelock import LOCKS, TableLock

log = logging.getLogger("warden.firewall")

TRIES = 20  # as often others may change something of theirs between our look and our change
MAKE_TRIES = 5  # as often others may lose our tables while they are made


class Kernel(Protocol):
    """What Wire does; raises OSError."""

    def run(self, table: str, changes: Iterable[Change], generation: int) -> None: ...

    def generation(self) -> int: ...

    def rules(self, family: str, table: str, chain: str) -> list[bytes]: ...

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]: ...

    def close(self) -> None: ...


class Firewall:
    """Blocking, for any thread. A failed change raises EngineFault and leaves all as it was.

    *runner* runs nft's text, which makes the tables; *kernel* takes what comes and goes.
    """

    def __init__(self, policy: Policy, runner: Runner, kernel: Kernel, locks: str = LOCKS) -> None:
        self.policy = policy
        self._runner, self._kernel = runner, kernel
        self._lock = TableLock(policy.table, locks)
        self._mutex = threading.Lock()
        self._guests: dict[str, Guest] = {}
        self._bridges: dict[str, BridgeNet] = {}
        self._claims = Claims()
        self._generation = 0
        self._shared: inspection.Shared = {}  # empty: the tables are not there
        self._made = False

    def start(self, guests: Iterable[Guest], bridges: Iterable[BridgeNet] = ()) -> None:
        """Makes the tables anew. Raises EngineFault when another daemon has them. When the kernel or nft refuses, that is
        logged: then only containers without a network can be made."""
        self._lock.take()
        self._guests = {guest.container_id: guest for guest in guests}
        self._bridges = {bridge.device: bridge for bridge in bridges}
        for guest in self._guests.values():
            self._claims.settle(self._claims.shift(None, guest))
        try:
            self._make_anew()
        except EngineFault as error:
            log.error("firewall: %s; containers with a network cannot be made", error)

    # ---- changes

    def put(self, guest: Guest, alone: Collection[PortKey] = ()) -> None:
        """Lets *guest* in, or changes what is known of it. A port that leads elsewhere stays so until that one is gone; for
        those of *alone* PortTaken is raised instead."""
        with self._mutex:
            if alone:
                self._claims.require_alone(guest.container_id, alone)
            self._replace(self._guests.get(guest.container_id), guest)

    def drop(self, container_id: str) -> None:
        """Takes a container's elements, chain and ports away; one that is not known is none."""
        with self._mutex:
            if container_id in self._guests:
                self._replace(self._guests[container_id], None)

    def put_bridge(self, bridge: BridgeNet) -> None:
        """Lets a bridge in, before its device is there and before any guest of it."""
        with self._mutex:
            self._rebridge(self._bridges.get(bridge.device), bridge)

    def drop_bridge(self, device: str) -> None:
        """Takes it away, after its guests; one that is not known is none."""
        with self._mutex:
            if device in self._bridges:
                self._rebridge(self._bridges[device], None)

    def _replace(self, old: Guest | None, new: Guest | None) -> None:
        one = new or old
        assert one is not None
        shift = self._claims.shift(old, new)
        changes = list(self._changes(old, new, shift))
        self._remember(one.container_id, new)
        queues = self._claims.settle(shift)
        try:
            self._carry_out(changes)
        except BaseException:
            self._remember(one.container_id, old)
            self._claims.settle(queues)
            raise

    def _remember(self, container_id: str, guest: Guest | None) -> None:
        if guest is None:
            self._guests.pop(container_id, None)
        else:
            self._guests[container_id] = guest

    def _changes(self, old: Guest | None, new: Guest | None, shift: Shift) -> Iterator[Change]:
        """What turns *old* into *new*. A chain is made before what leads to it, and goes after that."""
        before = [] if old is None else [*nft.guest_elements(old), *nft.entries(old)]
        after = [] if new is None else [*nft.guest_elements(new), *nft.entries(new)]
        had, has = set(before), set(after)
        gone = [element for element in before if element not in has] + list(shift.gone)
        come = [element for element in after if element not in had] + list(shift.come)
        if new is not None and new.has_chain:
            yield from self._chain(old if old is not None and old.has_chain else None, new)
        if gone:
            yield Change("delete", elements=tuple(gone))
        if come:
            yield Change("add", elements=tuple(come))
        if old is not None and old.has_chain and not (new is not None and new.has_chain):
            yield Change("flush chain", old.chain)
            yield Change("delete chain", old.chain)
            yield Change("delete set", old.box)

    def _chain(self, old: Guest | None, new: Guest) -> Iterator[Change]:
        """Its set and its rules; those that are new go in front, and when some went the chain is written again."""
        inner = nft.inner_networks(self.policy, self._bridges.values())
        was, will = nft.Own((), ()) if old is None else nft.own(inner, old), nft.own(inner, new)
        had, has = set(was.boxes), set(will.boxes)
        gone = tuple(box for box in was.boxes if box not in has)
        come = tuple(box for box in will.boxes if box not in had)
        if old is None:
            yield Change("add set", new.box)
            yield Change("add chain", new.chain)
        if gone:
            yield Change("delete", elements=gone)
        if come:
            yield Change("add", elements=come)
        more = len(will.rules) - len(was.rules)
        if old is not None and will.rules[more:] == was.rules:
            for rule in reversed(will.rules[:more]):
                yield Change("insert", new.chain, rule)
            return
        if old is not None:
            yield Change("flush chain", new.chain)
        for rule in will.rules:
            yield Change("append", new.chain, rule)

    def _carry_out(self, changes: list[Change]) -> None:
        if not changes:
            return
        try:
            for _ in range(TRIES):
                if self._attempt(changes):
                    return
            reason = "others change the ruleset all the time"
        except OSError as error:
            reason = error.strerror or str(error)
        # Others flush the whole ruleset now and then (`nft -f` of a distribution's file begins with it).
        log.warning("firewall: %s; table %s is made anew", reason, self.policy.table)
        self._make_anew()

    def _attempt(self, changes: list[Change]) -> bool:
        """False: somebody else changed something of theirs meanwhile. Raises OSError when ours are not as they were."""
        try:
            self._kernel.run(self.policy.table, changes, self._generation)
        except OSError as error:
            if error.errno != errno.ERESTART:
                raise
            self._look_again()
            return False
        self._generation = _after(self._generation)
        return True

    def _look_again(self) -> None:
        """Takes the ruleset as it is now for the one to go on from. Raises OSError when our part of it was changed."""
        generation = self._kernel.generation()
        if not self._shared or inspection.shared(self._kernel, self.policy.table, self._families()) != self._shared:
            raise OSError(errno.ESTALE, "the table is gone or was changed by somebody else")
        self._generation = generation

    def _rebridge(self, old: BridgeNet | None, new: BridgeNet | None) -> None:
        """Bridges come and go seldom: the tables are written again."""
        one = new or old
        assert one is not None
        bridges = {**self._bridges}
        if old == new:
            return
        if new is None:
            self._bridges.pop(one.device)
        else:
            self._bridges[one.device] = new
        try:
            self._make_anew()
        except BaseException:
            self._bridges = bridges
            raise

    # ---- the tables as a whole

    def _families(self) -> tuple[str, ...]:
        return ("inet", "bridge") if self._bridges else ("inet",)

    def elements(self) -> list[Element]:
        """All that must be there, but for what leads into chains."""
        found = [element for bridge in self._bridges.values() for element in nft.bridge_elements(bridge)]
        found += [element for guest in self._guests.values() for element in nft.guest_elements(guest)]
        return found + list(self._claims.elements())

    def _expected(self) -> inspection.Expected:
        inner = nft.inner_networks(self.policy, self._bridges.values())
        owners = [guest for guest in self._guests.values() if guest.has_chain]
        ways = [element for guest in owners for element in nft.entries(guest)]
        return inspection.Expected(
            self._shared,
            self._families(),
            self.elements() + ways,
            {guest.chain: nft.own(inner, guest).rules for guest in owners},
            {guest.box: nft.own(inner, guest).boxes for guest in owners},
        )

    def _make_anew(self) -> None:
        """Connections that are established go on: conntrack is not ours and not touched. Raises EngineFault."""
        for left in reversed(range(MAKE_TRIES)):
            try:
                self._make_once()
                return
            except OSError as error:  # somebody lost them again
                if not left:
                    raise EngineFault(f"firewall: table {self.policy.table}: {error.strerror or error}") from error

    def _make_once(self) -> None:
        name = self.policy.table
        owners = [guest for guest in self._guests.values() if guest.has_chain]
        devices = dict.fromkeys(link.device for guest in owners for link in guest.links)
        internal = {bridge.device for bridge in self._bridges.values() if bridge.internal}
        waiting = tuple(Element("closed", (ifname(device),)) for device in devices if device not in internal)
        self._shared = {}
        self._runner.run(table.whole(self.policy, list(self._bridges.values()), [*self.elements(), *waiting]))
        changes = [change for guest in owners for change in self._chain(None, guest)]
        changes += [Change("add", elements=tuple(nft.entries(guest))) for guest in owners]
        if waiting:
            changes.append(Change("delete", elements=waiting))
        if self._bridges:
            allow = Rule((Piece("", advertises_itself()),))
            changes.append(Change("insert", table.ADVERTS, allow, family="bridge"))
        if changes:  # whatever others do to theirs meanwhile: it must not keep ours from being whole
            self._kernel.run(name, changes, ANY_GENERATION)
        self._generation = self._kernel.generation()  # before the look: what comes after it is noticed
        self._shared = inspection.shared(self._kernel, name, self._families())
        self._made = True

    def look(self) -> None:
        """Notices when somebody else lost or changed our tables, and makes them anew. Costs one question when nobody
        changed anything. Raises EngineFault when that fails."""
        with self._mutex:
            if not self._made:  # they never could be, and whoever wants them is told
                return
            try:
                if not self._shared or self._kernel.generation() != self._generation:
                    self._look_again()
            except OSError as error:
                log.warning("firewall: %s; table %s is made anew", error.strerror, self.policy.table)
                self._make_anew()

    def faults(self) -> list[str]:
        """What of our tables is not as it must be, in words."""
        with self._mutex:
            return inspection.faults(self._kernel, self.policy.table, self._expected())

    def repair(self) -> list[str]:
        """Makes the tables anew when something is wrong with them; what that was. Raises EngineFault."""
        found = self.faults()
        if found:
            with self._mutex:
                self._make_anew()
        return found

    # ---- questions

    def refusals(self, container_id: str) -> Refusals:
        """What the container was refused within the last hour; nothing when it is not known. Raises EngineFault."""
        with self._mutex:
            guest = self._guests.get(container_id)
            if guest is None:
                return Refusals()
            names = (*(name for name, _, _ in egress.LOGS), *egress.FURTHER)
            try:
                dumps = {name: self._kernel.elements("inet", self.policy.table, name) for name in names}
            except OSError as error:
                raise EngineFault(f"firewall: table {self.policy.table}: {error.strerror}") from error
        return egress.read(guest, dumps)

    def close(self, *, remove: bool) -> None:
        """Lets go; *remove*: the tables go too, as nobody needs them any more."""
        with self._mutex:
            try:
                if remove and self._lock.held:
                    self._runner.run(table.remove(self.policy.table))
            except EngineFault as error:
                log.error("firewall: table %s stays: %s", self.policy.table, error)
            finally:
                self._runner.close()
                self._kernel.close()
                self._lock.release()


def _after(generation: int) -> int:
    """The kernel's next one; there is no zero (nf_tables_commit)."""
    return generation + 1 & 0xFFFF_FFFF or 1


class NoKernel:
    """A kernel without nfnetlink: containers without a network can be made all the same."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def run(self, _table: str, _changes: Iterable[Change], _generation: int) -> None:
        raise self._error

    def generation(self) -> int:
        raise self._error

    def rules(self, _family: str, _table: str, _chain: str) -> list[bytes]:
        raise self._error

    def elements(self, _family: str, _table: str, _where: str) -> list[dict[int, bytes]]:
        raise self._error

    def close(self) -> None:
        """Holds nothing."""


def open_firewall(policy: Policy) -> Firewall:
    """With the best ways there are on this machine."""
    kernel: Kernel
    try:
        kernel = Wire()
    except OSError as error:
        log.info("nfnetlink: %s", error.strerror)
        kernel = NoKernel(error)
    return Firewall(policy, open_runner(), kernel)
