"""The firewall in the kernel: what nft.py writes, run in order, remembered, and made anew when it was lost.

Owns one table of nftables and a lock that keeps other daemons away from it. Touches no other table, whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from warden.errors import EngineFault
from warden.network import nft
from warden.network.elements import ElementSocket
from warden.network.libnft import Runner, open_runner
from warden.network.nft import BridgeNet, Forward, Guest, Policy

log = logging.getLogger("warden.firewall")

LOCKS = "/run/warden"


class Firewall:
    """Blocking, for any thread. A failed change raises EngineFault and leaves all as it was.

    *runner* runs nft's text; *quick*, where there is one, adds and removes containers that have no rules and ports.
    """

    def __init__(self, policy: Policy, runner: Runner, quick: ElementSocket | None = None, locks: str = LOCKS) -> None:
        self.policy = policy
        self._runner, self._quick = runner, quick
        self._locks = locks
        self._mutex = threading.Lock()
        self._guests: dict[str, Guest] = {}
        self._bridges: dict[str, BridgeNet] = {}
        self._forwards: dict[int, Forward] = {}
        self._lock_fd = -1

    def start(self, guests: Iterable[Guest], bridges: Iterable[BridgeNet] = ()) -> None:
        """Makes the table anew. Raises EngineFault when another daemon has it. When the kernel or nft refuses, that is
        logged: then only containers without a network can be made."""
        self._lock_fd = _lock_table(self.policy.table, self._locks)
        self._guests = {guest.container_id: guest for guest in guests}
        self._bridges = {bridge.device: bridge for bridge in bridges}
        for guest in self._guests.values():
            self._forwards = settle(self._forwards, self._guests, None, guest)
        try:
            self._runner.run(nft.whole(self.policy, self._guests.values(), self._forwards))
        except EngineFault as error:
            log.error("firewall: %s; containers with a network cannot be made", error)

    def put(self, guest: Guest) -> None:
        """Lets *guest* in, or changes what is known of it. A port that leads elsewhere stays so until that one is gone."""
        with self._mutex:
            self._replace(self._guests.get(guest.container_id), guest)

    def drop(self, container_id: str) -> None:
        """Takes a container's elements, chain and ports away; one that is not known is none."""
        with self._mutex:
            if container_id in self._guests:
                self._replace(self._guests[container_id], None)

    def put_bridge(self, bridge: BridgeNet) -> None:
        """Lets a bridge in, before its device is there and before any guest of it."""
        with self._mutex:
            self._bridges[bridge.device] = bridge

    def drop_bridge(self, device: str) -> None:
        """Takes it away, after its guests; one that is not known is none."""
        with self._mutex:
            self._bridges.pop(device, None)

    def _replace(self, old: Guest | None, new: Guest | None) -> None:
        one = new or old
        assert one is not None
        guests = {**self._guests}
        guests.pop(one.container_id, None) if new is None else guests.update({one.container_id: new})
        forwards = settle(self._forwards, guests, old, new)
        try:
            self._change(old, new, forwards)
        except (EngineFault, OSError) as error:
            # Others flush the whole ruleset now and then (`nft -f` of a distribution's file begins with it).
            log.warning("firewall: %s; table %s is made anew", error, self.policy.table)
            self._runner.run(nft.whole(self.policy, guests.values(), forwards))
        self._guests, self._forwards = guests, forwards

    def _change(self, old: Guest | None, new: Guest | None, forwards: Mapping[int, Forward]) -> None:
        come_or_gone = new if old is None else old if new is None else None
        if self._quick is not None and come_or_gone is not None and is_plain(come_or_gone):
            self._quick.change(self.policy.table, come_or_gone, add=old is None)
            return
        lines = nft.change(self.policy, old, new) + nft.reroute(self.policy, self._forwards, forwards)
        if lines:
            self._runner.run("\n".join(lines))

    def close(self, *, remove: bool) -> None:
        """Lets go; *remove*: the table goes too, as nobody needs it any more."""
        with self._mutex:
            try:
                if remove and self._lock_fd >= 0:
                    self._runner.run(nft.remove(self.policy.table))
            except EngineFault as error:
                log.error("firewall: table %s stays: %s", self.policy.table, error)
            finally:
                self._runner.close()
                if self._quick is not None:
                    self._quick.close()
                if self._lock_fd >= 0:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(_lock_path(self.policy.table, self._locks))
                    os.close(self._lock_fd)
                    self._lock_fd = -1


def open_firewall(policy: Policy) -> Firewall:
    """With the best ways there are on this machine."""
    try:
        quick = ElementSocket()
    except OSError as error:
        log.info("nfnetlink: %s; nft is used for everything", error.strerror)
        quick = None
    return Firewall(policy, open_runner(), quick)


def is_plain(guest: Guest | None) -> bool:
    """Whether two elements are all there is to it."""
    return guest is None or not (guest.ports or guest.rules)


def settle(
    now: Mapping[int, Forward], guests: Mapping[str, Guest], old: Guest | None, new: Guest | None
) -> dict[int, Forward]:
    """Where ports lead after *old* became *new*: the first that asked for a port keeps it, the next one inherits."""
    before, after = _routes(old), _routes(new)
    forwards = {port: to for port, to in now.items() if (port, to) not in before or (port, to) in after}
    for port in now.keys() - forwards.keys():
        heirs = [to for guest in guests.values() for wanted, to in _routes(guest) if wanted == port]
        if heirs:
            forwards[port] = heirs[0]
    for port, to in after:
        forwards.setdefault(port, to)
    return forwards


def _routes(guest: Guest | None) -> list[tuple[int, Forward]]:
    if guest is None:
        return []
    address = next(address for address in guest.addresses if isinstance(address, IPv4Address))
    return [(port.host_port, (address, port.container_port)) for port in guest.ports]


def _lock_table(table: str, directory: str) -> int:
    """A descriptor that holds the lock: one daemon a table and network namespace."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    path = _lock_path(table, directory)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        hint = "give each daemon a network.nft_table of its own"
        raise EngineFault(f"firewall: another daemon has the table inet {table}", hint=hint) from None
    if not os.path.exists(path) or os.stat(path).st_ino != os.fstat(fd).st_ino:
        os.close(fd)  # its last holder removed the file between our open and our lock
        return _lock_table(table, directory)
    return fd


def _lock_path(table: str, directory: str) -> str:
    return f"{directory}/nft-{table}-{os.stat('/proc/self/ns/net').st_ino}.lock"
