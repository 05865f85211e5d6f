"""Addresses of a bridge, and networks for bridges: who has which, and which is next. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from warden.errors import BadInput, PoolExhausted
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AddressPool:
    """The addresses of *subnet*; the first is the bridge's own.

    Fresh ones in order, then from the beginning again: an address rests as long as it can, because the kernel takes a
    link away some time after its container is gone.
    """

    def __init__(self, subnet: Network) -> None:
        self.subnet = subnet
        self._base = int(subnet.network_address)
        self._last = subnet.num_addresses - (2 if subnet.version == 4 else 1)  # not the broadcast address
        self._used: set[int] = set()
        self._next = 2

    def acquire(self) -> Address:
        """The next free one; raises PoolExhausted."""
        for _ in range(min(self._last - 1, len(self._used) + 1)):
            if self._next > self._last:
                self._next = 2
            place, self._next = self._next, self._next + 1
            if place not in self._used:
                self._used.add(place)
                return type(self.subnet.network_address)(self._base + place)
        raise PoolExhausted(f"no address left in {self.subnet}", hint="destroy containers, or take a larger network")

    def take(self, address: Address) -> None:
        """Raises BadInput, naming the address, when it cannot be had."""
        if address not in self.subnet:
            raise BadInput(f"interface address: {address} is not in {self.subnet}")
        place = int(address) - self._base
        if not 2 <= place <= self._last:
            raise BadInput(f"interface address: {address} is the network's own", hint=f"take another of {self.subnet}")
        if place in self._used:
            raise BadInput(f"interface address: {address} is in use by another container")
        self._used.add(place)

    def release(self, address: Address) -> None:
        """One that is not in use is ignored."""
        self._used.discard(int(address) - self._base)


def overlapping(network: Network, others: Collection[Network]) -> Network | None:
    """The first of *others* that shares an address with *network*."""
    return next((other for other in others if other.version == network.version and network.overlaps(other)), None)


def next_subnet(pool: str, prefix: int, taken: Collection[Network], setting: str) -> str:
    """The first network of *prefix* bits in *pool* that overlaps none of *taken*; raises PoolExhausted."""
    for candidate in _subnets(ip_network(pool), prefix):
        if overlapping(candidate, taken) is None:
            return str(candidate)
    raise PoolExhausted(f"{setting}: no network is left in {pool}", hint="name one with --subnet, or widen the pool")


def _subnets(pool: Network, prefix: int) -> Iterator[Network]:
    yield from pool.subnets(new_prefix=max(prefix, pool.prefixlen))
