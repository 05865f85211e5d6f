"""The resolvers of all bridges: which there are, and what each asker may know.

Everything here runs in the event loop; what has to wait for the networks' lock is asked for in a worker thread.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from warden.depot.snapshot import Snapshot
from warden.engine import naming
from warden.engine.resolver import Resolver, View
from warden.model.interfaces import Bridge, Link
from warden.model.settings import EngineSettings
from warden.network.zone import REMEMBERED, Address, Member, Zone, zone_of
from warden.records import dataclass, field
from warden.rootfs import resolv

log = logging.getLogger("warden.resolver")

FRESH_S = 1.0  # how long what was read is good without being told of a change


@dataclass(slots=True)
class _Known:
    """What is derived from the containers, and until when it is good."""

    until: float = 0.0
    zones: dict[str, Zone] = field(default_factory=dict)
    askers: dict[Address, Snapshot] = field(default_factory=dict)
    host_servers: tuple[str, ...] = ()


class Resolvers:
    """*snapshots*: of all containers that there are."""

    def __init__(self, settings: EngineSettings, snapshots: Callable[[], Iterable[Snapshot]]) -> None:
        self._settings, self._snapshots = settings, snapshots
        self._bridges: dict[str, Bridge] = {}
        self._open: dict[str, Resolver] = {}
        self._known = _Known()
        self._mutex = asyncio.Lock()

    def changed(self) -> None:
        """A container came, went or has another name."""
        self._known.until = 0.0

    def misses(self, links: Iterable[Link]) -> bool:
        """Whether one of *links* is on a bridge that nobody listens on."""
        ours = {link.bridge for link in links if naming.gateway_of(link) is not None and link.bridge is not None}
        return any(device not in self._open or self._open[device].index != index_of(device) for device in ours)

    async def settle(self, look: Callable[[], Awaitable[Iterable[Bridge]]]) -> None:
        """The bridges that *look* finds have a resolver, others have none; one looks after the other, so that nobody acts
        on what was. What cannot be is logged, and tried again the next time."""
        async with self._mutex:
            wanted = {bridge.device: bridge for bridge in await look()}
            for device, resolver in list(self._open.items()):
                if device not in wanted or resolver.index != index_of(device):
                    resolver.close()
                    del self._open[device]
            self._bridges = wanted
            self.changed()
            for device, bridge in wanted.items():
                if device not in self._open:
                    await self._start(device, bridge)

    async def _start(self, device: str, bridge: Bridge) -> None:
        resolver = Resolver(device, index_of(device), networks_of(bridge), self._view)
        try:
            await resolver.start()
        except OSError as error:
            hint = "; another server listens there already" if error.errno == errno.EADDRINUSE else ""
            log.error("network %s: names are not answered: %s%s", bridge.name, error.strerror or error, hint)
            return
        self._open[device] = resolver

    def close(self) -> None:
        for resolver in self._open.values():
            resolver.close()
        self._open.clear()

    # ---- what is known

    def _view(self, asker: Address) -> View:
        known = self._known
        if known.until < time.monotonic():
            known = self._known = self._look()
        snapshot = known.askers.get(asker)
        if snapshot is None:
            return View((), ())
        devices = [link.bridge for link in snapshot.links if link.bridge in self._bridges]
        zones = tuple(known.zones[device] for device in devices if device in known.zones)
        outside = bool(snapshot.network) or any(not self._bridges[device].internal for device in devices if device)
        servers = snapshot.spec.names.servers or known.host_servers
        return View(zones, servers if outside else ())

    def _look(self) -> _Known:
        known = _Known(time.monotonic() + FRESH_S)
        members: dict[str, list[Member]] = {device: [] for device in self._bridges}
        for snapshot in self._snapshots():
            for link in snapshot.links:
                if link.bridge in members:
                    member = _member(snapshot.handle, snapshot.hostname, link.aliases, link.addresses)
                    members[link.bridge].append(member)
                    known.askers.update(dict.fromkeys(member.addresses, snapshot))
        known.zones = {device: zone_of(networks_of(self._bridges[device]), found) for device, found in members.items()}
        servers = self._settings.dns_servers or resolv.parse(naming.host_text()).servers
        known.host_servers = tuple(filter(_is_address, servers))
        return known


def networks_of(bridge: Bridge) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in (bridge.subnet4, bridge.subnet6) if text]


def index_of(device: str) -> int:
    """0 for a link that is gone."""
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0


@functools.lru_cache(REMEMBERED)
def _member(handle: str, hostname: str, aliases: tuple[str, ...], addresses: tuple[str, ...]) -> Member:
    return Member(handle, (hostname, *aliases), tuple(ip_interface(text).ip for text in addresses))


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False
