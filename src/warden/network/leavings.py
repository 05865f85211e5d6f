"""What conntrack keeps of containers: of those that are gone, and of connections that none of our rules admitted.

Owns which addresses are still to be forgotten. That is done after a container's end, off its path, several at once, and
before such an address is let in again. For any thread. A kernel without ctnetlink keeps what it has.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from warden.network.chains import ADMITTED
from warden.network.conntrack import Address, Entry
from warden.network.nft import Network

log = logging.getLogger("warden.firewall")

_ADMITTED = 1 << ADMITTED % 8


class Table(Protocol):
    """What Conntrack does; raises OSError."""

    def forget(self, addresses: Collection[Address]) -> int: ...

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
                self._try(lambda table: table.forget(left))

    def keep_only(self, networks: Collection[Network], living: Iterable[Address]) -> None:
        """Of *networks* nothing is kept but what the *living* have: an earlier daemon was killed, who knows when."""
        ranges: dict[int, list[tuple[bytes, bytes]]] = {4: [], 16: []}
        for one in networks:
            ranges[one.max_prefixlen // 8].append((one.network_address.packed, one.broadcast_address.packed))
        alive = {address.packed for address in living}

        def is_left(address: bytes) -> bool:
            return address not in alive and any(low <= address <= high for low, high in ranges[len(address)])

        with self._mutex:
            self._left.clear()
            self._try(lambda table: table.forget_if(is_left, lambda _entry: True))

    def keep_admitted(self, addresses: Iterable[Address]) -> int:
        """Forgets what began when our tables were not there, or not as they must be: what has not the label that they
        give. How much that was."""
        ours = {address.packed for address in addresses}
        if not ours:
            return 0
        with self._mutex:
            return self._try(lambda table: table.forget_if(ours.__contains__, _is_stray))

    def _try(self, work: Callable[[Table], int]) -> int:
        """The rest does not suffer from what the kernel refuses here."""
        if self._connect is None:
            return 0
        try:
            with contextlib.closing(self._connect()) as table:
                return work(table)
        except OSError as error:
            log.warning("conntrack: %s; what it has of containers stays until it times out", error.strerror or error)
            return 0


def _is_stray(entry: Entry) -> bool:
    labels = entry.labels
    return len(labels) <= ADMITTED // 8 or not labels[ADMITTED // 8] & _ADMITTED
