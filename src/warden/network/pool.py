"""The pool of /30 networks, with Warden's rules (spec/warden.md §3 "Pools"). Pure: time comes from the caller."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from warden.errors import BadInput, PoolExhausted
from warden.network.slots import Slots

SLOT_PREFIX = 30
SLOT_SIZE = 4


class NetworkPool:
    """The /30 networks of *network*; a released one rests *release_delay* seconds."""

    def __init__(self, network: IPv4Network, *, release_delay: float = 0.0) -> None:
        self.network = network
        self._delay = release_delay
        self._slots = Slots(network.num_addresses // SLOT_SIZE, delay=release_delay)

    def acquire(self, now: float) -> IPv4Network:
        """The next free network; raises PoolExhausted."""
        slot = self._slots.acquire(now)
        if slot is None:
            raise PoolExhausted(
                "Could not acquire network",
                hint=f"all networks of {self.network} are in use or were released less than {self._delay:g} s ago",
            )
        return self._network(slot)

    def acquire_address(self, address: str, now: float) -> IPv4Network:
        """The /30 that *address* lies in; raises BadInput, or PoolExhausted when it is not free."""
        try:
            wanted = IPv4Network((IPv4Address(address), SLOT_PREFIX), strict=False)
        except AddressValueError as error:
            raise BadInput(f"network: {address!r} is not an IPv4 address") from error
        if not self._slots.take(self._slot(wanted), now):
            raise PoolExhausted(f"Could not acquire network: {wanted.network_address}")
        return wanted

    def release(self, network: IPv4Network, now: float) -> None:
        """Gives it back; one that is not of this pool, or free already, is ignored."""
        self._slots.release(self._slot(network), now)

    def _network(self, slot: int) -> IPv4Network:
        return IPv4Network((int(self.network.network_address) + slot * SLOT_SIZE, SLOT_PREFIX))

    def _slot(self, network: IPv4Network) -> int:
        return (int(network.network_address) - int(self.network.network_address)) // SLOT_SIZE

    @property
    def free(self) -> int:
        """Networks not in use, resting ones included."""
        return self._slots.free
