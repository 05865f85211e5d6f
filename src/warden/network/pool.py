"""The pools of /30 networks and of ports, with Warden's rules (spec/warden.md §3 "Pools"). Pure: time comes from the
caller."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from warden.errors import BadInput, PoolExhausted
from warden.model.net import MAX_PORT
from warden.network.slots import Slots

SLOT_PREFIX = 30
SLOT_SIZE = 4

LAST_PORT = 65000
FEWEST_PORTS = 1000


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


class PortPool:
    """Ports of the host that net_in hands out. *ephemeral_end*: the kernel's last port for outgoing connections, behind
    which they begin unless *first* says otherwise. Raises BadInput when they are too few (spec/warden.md §3)."""

    def __init__(self, ephemeral_end: int, first: int | None = None, count: int | None = None) -> None:
        self.first = ephemeral_end + 1 if first is None else first
        self.count = LAST_PORT + 1 - self.first if count is None else count
        if self.count < FEWEST_PORTS:
            raise BadInput(
                f"Insufficient non-ephemeral ports available (expected >= {FEWEST_PORTS}, got: {max(self.count, 0)})",
                hint="set port.pool_start_port and port.pool_size, or lower net.ipv4.ip_local_port_range",
            )
        if self.first + self.count - 1 > MAX_PORT:
            raise BadInput(f"port.pool_size: {self.count} ports from {self.first} reach beyond {MAX_PORT}")
        self._slots = Slots(self.count)

    def acquire(self, now: float) -> int:
        """The next free port; raises PoolExhausted."""
        slot = self._slots.acquire(now)
        if slot is None:
            raise PoolExhausted("no port available", hint="raise port.pool_size, or destroy containers")
        return self.first + slot

    def take(self, port: int, now: float) -> bool:
        """Takes this port; False when it is in use or not of this pool."""
        return self._slots.take(port - self.first, now)

    def release(self, port: int, now: float) -> None:
        """Gives it back; one that is not of this pool, or free already, is ignored."""
        self._slots.release(port - self.first, now)
