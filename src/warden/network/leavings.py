"""What conntrack keeps of containers: of those that are gone, and of connections that none of our rules admitted.

Owns which addresses are still to be forgotten. That is done after a container's end, off its path, several at once, and
before such an address is let in again. For any thread. A kernel without ctnetlink keeps what it has.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from warden.errors import WardenError
from warden.network.chains import ADMITTED
from warden.network.conntrack import Address, Entry
from warden.network.hostlink import all_addresses
from warden.network.nft import Network
from warden.network.route import Route
from warden.plainaddress import ip_address

log = logging.getLogger("warden.firewall")

#: Without ctnetlink, or the right to use it.
_NEVER = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EPERM)
_ADMITTED = 1 << ADMITTED % 8


class Table(Protocol):
    """What Conntrack does; raises OSError."""

    def forget(self, addresses: Collection[Address], is_over: Callable[[Entry], bool]) -> int: ...

    def forget_if(self, is_ours: Callable[[bytes], bool], is_over: Callable[[Entry], bool]) -> int: ...

    def close(self) -> None: ...


class Leavings:
    """*connect*: opens conntrack, usually Conntrack; None: nothing is forgotten."""

    def __init__(self, connect: Callable[[], Table] | None) -> None:
        self._connect = connect
        self._mutex = threading.Lock()
        self._left: dict[Address, None] = {}

    def leave(self, addresses: Iterable[Address]) -> None:
        """These are nobody's any more."""
        with self._mutex:
            self._left.update(dict.fromkeys(addresses))

    def forget(self, wanted: Collection[Address] | None = None) -> None:
        """All that is left is forgotten; with *wanted* only when one of those is among it."""
        with self._mutex:
            if self._left and (wanted is None or any(address in self._left for address in wanted)):
                left, self._left = self._left, {}
                if self._try(lambda table: table.forget(left, _is_ours)) is None:  # but for who is let in now
                    self._left = {address: None for address in left if address not in (wanted or ())}

    def keep_only(self, networks: Collection[Network], living: Iterable[Address]) -> None:
        """Of *networks* nothing is kept but what the *living* have, and the host: an earlier daemon was killed, who knows
        when."""
        ranges: dict[int, list[tuple[bytes, bytes]]] = {4: [], 16: []}
        for one in networks:
            ranges[one.max_prefixlen // 8].append((one.network_address.packed, one.broadcast_address.packed))
        alive = {address.packed for address in living}

        def is_left(address: bytes) -> bool:
            return address not in alive and any(low <= address <= high for low, high in ranges[len(address)])

        def work(table: Table) -> int:
            alive.update(_of_the_host())
            return table.forget_if(is_left, _is_ours)

        with self._mutex:
            self._left.clear()
            self._try(work)

    def keep_admitted(self, addresses: Iterable[Address]) -> int:
        """Forgets what began when our tables were not there, or not as they must be: what has not the label that they
        give. How much that was."""
        ours = {address.packed for address in addresses}
        if not ours:
            return 0
        with self._mutex:
            return self._try(lambda table: table.forget_if(ours.__contains__, _is_stray)) or 0

    def _try(self, work: Callable[[Table], int]) -> int | None:
        """The rest does not suffer from what the kernel refuses here. None: another time it may succeed."""
        if self._connect is None:
            return 0
        try:
            with contextlib.closing(self._connect()) as table:
                return work(table)
        except (OSError, WardenError) as error:
            number, why = getattr(error, "errno", None), getattr(error, "strerror", None) or error
            log.warning("conntrack: %s; what it has of containers stays until it times out", why)
            return 0 if number in _NEVER else None


def _is_admitted(entry: Entry) -> bool:
    labels = entry.labels
    return len(labels) > ADMITTED // 8 and bool(labels[ADMITTED // 8] & _ADMITTED)


def _is_ours(entry: Entry) -> bool:
    """In a zone of conntrack somebody else may use our addresses as he likes: there only what our rules let through."""
    return not entry.zoned or _is_admitted(entry)


def _is_stray(entry: Entry) -> bool:
    return not _is_admitted(entry) and not entry.zoned


def _of_the_host() -> set[bytes]:
    """Its own addresses, packed: the networks of containers hold some, and connections of those that live end there."""
    with Route() as route:
        found = all_addresses(route)
    return {ip_address(text.partition("/")[0]).packed for texts in found.values() for text in texts}
