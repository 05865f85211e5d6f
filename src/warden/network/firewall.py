"""The firewall: what is known of containers, bridges and ports. A change is made in the kernel and here, or in neither.

Owns that knowledge, and a lock that keeps other daemons away from our tables of nftables; what is done to those is
tables.py's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Collection, Iterable, Iterator

from warden.errors import EngineFault, NotSupported
from warden.model.net import Refusals
from warden.network import afterlife, changes, egress, nft
from warden.network.claims import Claims
from warden.network.conntrack import Conntrack
from warden.network.expressions import Address, Element
from warden.network.inspection import Wanted
from warden.network.leavings import Leavings
from warden.network.libnft import Runner, open_runner
from warden.network.nfnetlink import Change, Wire
from warden.network.nft import BridgeNet, Guest, Policy, PortKey
from warden.network.tablelock import LOCKS, TableLock
from warden.network.tables import Kernel, Tables
from warden.network.watching import Watch
from warden.records import replace

log = logging.getLogger("warden.firewall")

_UNBOUNDED = "network.max_connections does not hold"
_UNLABELLED = "what begins while another program has flushed the ruleset goes on after the repair"


class Firewall:
    """Blocking, for any thread. A failed change raises EngineFault and leaves all as it was.

    *runner* runs nft's text, which makes the tables; *kernel* takes what comes and goes.
    """

    def __init__(
        self, policy: Policy, runner: Runner, kernel: Kernel, locks: str = LOCKS, leavings: Leavings | None = None
    ) -> None:
        self.policy = policy
        self._leavings = leavings or Leavings(None)
        self._tables = Tables(policy.table, runner, kernel)
        self._lock = TableLock(policy.table, locks)
        self._mutex = threading.Lock()
        self._guests: dict[str, Guest] = {}
        self._bridges: dict[str, BridgeNet] = {}
        self._claims = Claims()
        self._shut: dict[str, tuple[Element, ...]] = {}  # what is left of guests whose links are there still

    @property
    def mended(self) -> int:
        """How often what others did to our tables was put right."""
        return self._tables.mended

    def start(self, guests: Iterable[Guest], bridges: Iterable[BridgeNet] = ()) -> None:
        """Makes the tables anew. Raises EngineFault when another daemon has them. When the kernel or nft refuses, that is
        logged: then only containers without a network can be made."""
        self._lock.take()
        self._guests = {guest.container_id: self._bounded(guest) for guest in guests}
        self._bridges = {bridge.device: bridge for bridge in bridges}
        for guest in self._guests.values():
            self._claims.settle(self._claims.shift(None, guest))
        mine = {link.name for guest in self._guests.values() for link in guest.links}
        # A daemon died before links of a container that was gone were; somebody may keep them.
        afterlife.cut([name for name in self._tables.links() - mine if nft.is_link(name)])
        admitted = self._tables.admits()
        try:
            self._tables.make(self._wanted())
        except EngineFault as error:
            if not self._make_with_less():
                log.error("firewall: %s; containers with a network cannot be made; %s", error, error.hint)
        addresses = self._addresses()
        self._leavings.keep_only(nft.inner_networks(self.policy, self._bridges.values()), addresses)
        if admitted and self.policy.labels:  # somebody may have taken the tables away while no daemon ran
            self._leavings.keep_admitted(addresses)

    def _addresses(self) -> list[Address]:
        return [address for guest in self._guests.values() for address in guest.addresses]

    def _bounded(self, guest: Guest) -> Guest:
        """With the number that bounds it, 0 where nothing does."""
        usual = self.policy.connections if guest.connections is None else guest.connections
        return replace(guest, connections=usual if self.policy.bounded else 0)

    def _make_with_less(self) -> bool:
        """Whether it is possible without what a kernel may lack: a bound on connections, labels of them, or both."""
        whole, bare = self.policy, replace(self.policy, bounded=False, labels=False)
        for policy in (replace(whole, bounded=False), replace(whole, labels=False), bare):
            self.policy = policy
            known = self._guests
            self._guests = {key: self._bounded(guest) for key, guest in known.items()}
            try:
                self._tables.make(self._wanted())
            except EngineFault:
                self.policy, self._guests = whole, known
                continue
            if not policy.bounded:
                log.warning("firewall: the kernel cannot bound connections (nft_connlimit): %s", _UNBOUNDED)
            if not policy.labels:
                log.warning("firewall: the kernel cannot label connections (NF_CONNTRACK_LABELS): %s", _UNLABELLED)
            return True
        return False

    def _wanted(self) -> Wanted:
        """All that must be in the kernel now."""
        return Wanted(self.policy, self._bridges, self._guests.values(), self._claims, self._shut_elements())

    def _shut_elements(self) -> tuple[Element, ...]:
        return tuple(element for elements in self._shut.values() for element in elements)

    # ---- changes

    def put(self, guest: Guest, alone: Collection[PortKey] = ()) -> None:
        """Lets *guest* in, or changes what is known of it. A port that leads elsewhere stays so until that one is gone; for
        those of *alone* PortTaken is raised instead."""
        if guest.connections and not self.policy.bounded:
            raise NotSupported("net_connections: the kernel cannot bound connections", hint="modprobe nft_connlimit")
        guest = self._bounded(guest)
        with self._mutex:
            if alone:
                self._claims.require_alone(guest.container_id, alone)
            if guest.container_id not in self._guests:
                self._leavings.forget(guest.addresses)
            self._replace(self._guests.get(guest.container_id), guest)

    def links_of(self, container_id: str) -> tuple[str, ...]:
        """The names of the host's ends that are shut. Does not wait for a change, so that an event loop may ask."""
        shut = self._shut.get(container_id, ())
        return tuple(dict.fromkeys(element.key[0].data.rstrip(b"\0").decode() for element in shut))

    def shut(self, container_id: str) -> None:
        """Takes all away but what shuts its links: nothing passes there any more until `drop`, whoever keeps them."""
        with self._mutex:
            if container_id in self._guests:
                guest = self._guests[container_id]
                left = (one for one in nft.gates(guest) if one.family in self._wanted().families)
                self._replace(guest, None, tuple(left))
                self._leavings.leave(guest.addresses)

    def drop(self, container_id: str) -> None:
        """Takes a container's elements, chain and ports away; one that is not known is none."""
        with self._mutex:
            if container_id in self._guests:
                guest = self._guests[container_id]
                self._replace(guest, None)
                self._leavings.leave(guest.addresses)
            elif left := self._shut.pop(container_id, ()):
                self._carry_out([Change("delete", elements=left)])

    def forget(self) -> None:
        """Conntrack has nothing of containers that are shut or gone any more."""
        self._leavings.forget()

    def put_bridge(self, bridge: BridgeNet) -> None:
        """Lets a bridge in, before its device is there and before any guest of it."""
        with self._mutex:
            self._rebridge({**self._bridges, bridge.device: bridge})

    def drop_bridge(self, device: str) -> None:
        """Takes it away, after its guests; one that is not known is none."""
        with self._mutex:
            self._leavings.forget()  # after a crash only what lies in a network that is known would be
            self._rebridge({name: bridge for name, bridge in self._bridges.items() if name != device})

    def _replace(self, old: Guest | None, new: Guest | None, left: tuple[Element, ...] = ()) -> None:
        one = new or old
        assert one is not None
        shift = self._claims.shift(old, new)
        inner = nft.inner_networks(self.policy, self._bridges.values())
        wanted = list(changes.of_guest(inner, old, new, shift, left))
        self._remember(one.container_id, new)
        if left:
            self._shut[one.container_id] = left
        queues = self._claims.settle(shift)
        try:
            self._carry_out(wanted)
        except BaseException:
            self._remember(one.container_id, old)
            self._shut.pop(one.container_id, None)
            self._claims.settle(queues)
            raise

    def _remember(self, container_id: str, guest: Guest | None) -> None:
        if guest is None:
            self._guests.pop(container_id, None)
        else:
            self._guests[container_id] = guest

    def _rebridge(self, after: dict[str, BridgeNet]) -> None:
        before = self._bridges
        if before == after:
            return
        wanted = list(changes.of_bridges(self.policy, before, after, self._guests.values()))
        shut, self._bridges = self._shut, after
        if not after:  # their table goes, and they are ports of nothing
            self._shut = {key: tuple(one for one in some if one.family != "bridge") for key, some in shut.items()}
        try:
            if not before:
                self._tables.open_bridges(self._wanted())
            self._carry_out(wanted)
        except BaseException:
            self._bridges, self._shut = before, shut
            raise

    def _carry_out(self, wanted: list[Change]) -> None:
        with self._purged():
            self._tables.carry_out(wanted, self._wanted())

    @contextlib.contextmanager
    def _purged(self) -> Iterator[None]:
        """When the tables are mended within: what began while they were not whole ends."""
        before = self.mended
        try:
            yield
        finally:
            if self.mended != before and self.policy.labels and (count := self._leavings.keep_admitted(self._addresses())):
                log.warning("firewall: %d connections that no rule admitted are cut", count)

    # ---- what others did

    def open_watch(self) -> Watch:
        """Readable when somebody else changed the ruleset, and `look` is due. Raises OSError."""
        return Watch(self._tables.kernel.port)

    def look(self) -> None:
        """Notices when somebody else lost or changed our tables, and puts them right. Costs one question when nobody
        changed anything. Raises EngineFault when that fails."""
        with self._mutex, self._purged():
            self._tables.look(self._wanted())

    def faults(self) -> list[str]:
        """What of our tables is not as it must be, in words."""
        with self._mutex:
            return [fault.text for fault in self._tables.faults(self._wanted())]

    def repair(self) -> list[str]:
        """Puts right what is wrong with them; what that was. Raises EngineFault."""
        with self._mutex, self._purged():
            return [fault.text for fault in self._tables.repair(self._wanted())]

    # ---- questions

    def refusals(self, container_id: str) -> Refusals:
        """What the container was refused within the last hour; nothing when it is not known. Raises EngineFault."""
        with self._mutex:
            guest = self._guests.get(container_id)
            if guest is None:
                return Refusals()
            names = (*(name for name, _, _ in egress.LOGS), *egress.FURTHER, *egress.OVER)
            try:
                dumps = {name: self._tables.kernel.elements("inet", self.policy.table, name) for name in names}
            except OSError as error:
                raise EngineFault(f"firewall: table {self.policy.table}: {error.strerror}") from error
        return egress.read(guest, dumps)

    def close(self, *, remove: bool) -> None:
        """Lets go; *remove*: the tables go too, as nobody needs them any more."""
        with self._mutex:
            self._leavings.forget()
            self._tables.close(remove=remove and self._lock.held)
            self._lock.release()


class NoKernel:
    """A kernel without nfnetlink: containers without a network can be made all the same."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def run(self, _table: str, _changes: Iterable[Change], _generation: int) -> None:
        raise self._error

    @property
    def port(self) -> int:
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
    return Firewall(policy, open_runner(), kernel, leavings=Leavings(Conntrack))
