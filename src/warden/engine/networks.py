"""Bridges of ours and the interfaces of containers: definitions on disk, addresses, who uses what.

Owns DEPOT/.network/bridges, one file a bridge: written before its device is made and removed after it is gone, so that
a crash leaves none that nobody knows. Who uses a bridge is known from the containers' snapshots. Every method but the
pure ones is blocking, for any thread.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_interface, ip_network
from urllib.parse import quote

from warden.depot.depot import replace_file
from warden.depot.snapshot import Snapshot
from warden.engine import assignment
from warden.engine.departing import Departing
from warden.engine.parents import check_kind, find_parent
from warden.errors import BadInput, EngineFault, KernelRefused, NotBuilt, UnknownNetwork, WardenError, WrongState
from warden.model.interfaces import IFNAME_MAX, Bridge, Interface, Link, LinkKind, bridge_device, check_mtu
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec
from warden.network import bridges
from warden.network.addresses import AddressPool, Network, next_subnet, overlapping
from warden.network.firewall import Firewall
from warden.network.forwarding import open_ipv6
from warden.network.hostlink import HostLink, find_link
from warden.network.nft import BridgeNet
from warden.network.route import Route
from warden.records import asdict, replace

log = logging.getLogger("warden.network")

PREFIX6 = 64
DNS = 53  # the port of a bridge's resolver (engine/resolver.py)


class Networks:
    """*directory*: where the definitions are. *tell*: called in any thread when a bridge was made, or (False) is
    gone."""

    def __init__(
        self,
        settings: EngineSettings,
        firewall: Firewall,
        directory: str,
        tell: Callable[[Bridge, bool], None] = lambda _bridge, _made: None,
    ) -> None:
        self._settings, self._firewall = settings, firewall
        self._tell = tell
        self._directory = directory
        self._mutex = threading.RLock()
        self._bridges: dict[str, Bridge] = {}
        self._pools: dict[str, tuple[AddressPool, ...]] = {}
        self._links: dict[str, tuple[Link, ...]] = {}
        self._foreign: set[str] = set()  # bridges of the host that the firewall knows of
        self._departing = Departing(self._take_away)

    # ---- start and close

    def load(self, snapshots: Iterable[Snapshot]) -> list[BridgeNet]:
        """Reads the definitions and what *snapshots* have; the firewall must know these before `settle`."""
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._directory)):
                self._load(f"{self._directory}/{name}")
        for snapshot in snapshots:
            if snapshot.links:
                self._links[snapshot.container_id] = snapshot.links
                self._recall(snapshot.links)
        self._foreign = self._joined()
        return [*(_net(bridge) for bridge in self._bridges.values()), *map(_foreign, sorted(self._foreign))]

    def _load(self, path: str) -> None:
        if path.endswith(".new"):
            os.unlink(path)
            return
        try:
            with open(path, encoding="utf-8") as file:
                self._know(Bridge(**json.load(file)))
        except TypeError as error:
            raise NotBuilt(f"network file {path}: from a newer warden: {error}", hint="run that one") from error
        except (OSError, ValueError, BadInput) as error:
            log.error("%s: not readable, left alone: %s", path, error)

    def _recall(self, links: Iterable[Link]) -> None:
        for link in links:
            for pool in self._pools_of(link):
                for address in link.addresses:
                    with contextlib.suppress(BadInput):  # its bridge was made anew with another network
                        pool.take(ip_interface(address).ip)

    def settle(self) -> None:
        """After a start: devices of bridges that are used or to stay are there and right, the others go."""
        with self._mutex:
            for bridge in list(self._bridges.values()):
                try:
                    self._settle(bridge)
                except WardenError as error:  # one must not cost the others
                    log.error("network %s: %s", bridge.name, error)
        self.bury()

    def _settle(self, bridge: Bridge) -> None:
        users = [link for links in self._links.values() for link in links if link.bridge == bridge.device]
        if not users and not bridge.explicit:
            self._leave(bridge)
            return
        with Route() as route:
            fresh = find_link(route, bridge.device) is None
        index = self._make(bridge)
        if fresh:
            bridges.attach(index, users)

    def close(self) -> None:
        """Devices that nobody uses go; what was made explicitly is made again at the next start."""
        self.bury()
        with self._mutex:
            for bridge in list(self._bridges.values()):
                if not self._users(bridge.name):
                    with contextlib.suppress(WardenError):
                        bridges.remove(bridge.device)

    # ---- bridges

    def create(self, wanted: Bridge, *, choose6: bool = False) -> Bridge:
        """A bridge that stays until it is removed. Raises BadInput, WrongState, PoolExhausted, KernelRefused."""
        with self._mutex:
            known = self._bridges.get(wanted.name)
            if known is not None and known.explicit:
                raise WrongState(f"network {wanted.name}: it exists already")
            if known is not None:
                raise WrongState(f"network {wanted.name}: containers use it, made at its first use")
            return self._new(replace(wanted, explicit=True), choose6=choose6)

    def _new(self, wanted: Bridge, *, choose6: bool = False) -> Bridge:
        self._departing.wait_for(wanted)
        bridge = self._with_subnets(wanted, choose6=choose6)
        with Route() as route:
            if find_link(route, bridge.device) is not None:
                hint = "another daemon's, or left by one: ip link delete " + bridge.device
                raise WrongState(f"network {bridge.name}: the host has a link {bridge.device} already", hint=hint)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        self._write(bridge)
        self._know(bridge)
        try:
            self._firewall.put_bridge(_net(bridge))
            self._make(bridge)
        except BaseException:
            self._drop(bridge)
            raise
        self._tell(bridge, True)
        return bridge

    def _with_subnets(self, wanted: Bridge, *, choose6: bool) -> Bridge:
        taken = self._taken()
        for text in filter(None, (wanted.subnet4, wanted.subnet6)):
            if (other := overlapping(ip_network(text), taken)) is not None:
                raise BadInput(f"network {wanted.name}: {text} overlaps {other}, which {self._whose(other)}")
        found = wanted
        if wanted.subnet4 is None:
            pool, prefix = self._settings.bridge_pool, self._settings.bridge_prefix
            found = replace(found, subnet4=next_subnet(pool, prefix, taken, "network.bridge_pool"))
        if choose6:
            pool = self._settings.bridge_pool6
            found = replace(found, subnet6=next_subnet(pool, PREFIX6, taken, "network.bridge_pool6"))
        if found.subnet6 is not None:
            check_mtu(found.mtu or self._settings.mtu, "network mtu", ipv6=True)
        return found

    def _taken(self) -> list[Network]:
        known = [*self._bridges.values(), *self._departing.bridges()]
        ours = [ip_network(text) for item in known for text in (item.subnet4, item.subnet6) if text]
        routes = bridges.routed_networks([bridge.device for bridge in known])
        return [ip_network(self._settings.pool_network, strict=False), *ours, *routes]

    def _whose(self, network: Network) -> str:
        if network == ip_network(self._settings.pool_network, strict=False):
            return "is network.pool_network"
        names = [item.name for item in self._bridges.values() if str(network) in (item.subnet4, item.subnet6)]
        return f"is that of network {names[0]}" if names else "the host has a route to"

    def _make(self, bridge: Bridge) -> int:
        index = bridges.make(bridge, self._settings.mtu)
        if bridge.subnet6 and not bridge.internal and self._settings.forwarding:
            open_ipv6([bridge.device])
        return index

    def remove(self, name: str) -> None:
        """It is nobody's any more, and `bury` has something to do. Raises UnknownNetwork, WrongState while a container is
        on it, KernelRefused."""
        with self._mutex:
            bridge = self._find(name)
            if users := self._users(name):
                raise WrongState(f"network {name}: {len(users)} containers are on it", hint="destroy them first")
            try:
                self._write(replace(bridge, explicit=False))  # after a crash it goes, as nobody made it and nobody uses it
            except KernelRefused:  # a full disk: then it goes at once
                self._drop(bridge)
                self._tell(bridge, False)
            else:
                self._leave(bridge)

    def bury(self) -> None:
        """Takes away what is left of removed bridges; the kernel takes its time for it."""
        self._departing.bury()

    def _find(self, name: str) -> Bridge:
        if name not in self._bridges:
            raise UnknownNetwork(f"network {name}: there is none of that name")
        return self._bridges[name]

    def members(self, name: str | None = None) -> list[tuple[Bridge, list[tuple[str, Link]]]]:
        """One bridge or all, with the links on it and their containers' ids. Raises UnknownNetwork."""
        with self._mutex:
            wanted = [self._find(name)] if name is not None else list(self._bridges.values())
            return [(bridge, self._users(bridge.name)) for bridge in wanted]

    def _users(self, name: str) -> list[tuple[str, Link]]:
        device = bridge_device(name)
        return [(owner, link) for owner, links in self._links.items() for link in links if link.bridge == device]

    def _know(self, bridge: Bridge) -> None:
        self._bridges[bridge.name] = bridge
        subnets = (text for text in (bridge.subnet4, bridge.subnet6) if text)
        self._pools[bridge.name] = tuple(AddressPool(ip_network(text)) for text in subnets)

    def _write(self, bridge: Bridge) -> None:
        path = self._path(bridge)
        try:
            replace_file(path, json.dumps(asdict(bridge)))
        except OSError as error:
            raise KernelRefused("write", path, error.errno or 0) from error

    def _leave(self, bridge: Bridge) -> None:
        self._forget(bridge)
        self._departing.add(bridge)
        self._tell(bridge, False)

    def _forget(self, bridge: Bridge) -> None:
        self._bridges.pop(bridge.name, None)
        self._pools.pop(bridge.name, None)

    def _drop(self, bridge: Bridge) -> None:
        self._take_away(bridge)
        self._forget(bridge)

    def _take_away(self, bridge: Bridge) -> None:
        bridges.remove(bridge.device)
        self._firewall.drop_bridge(bridge.device)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(bridge))

    def _path(self, bridge: Bridge) -> str:
        return f"{self._directory}/{quote(bridge.name, safe='')}.json"

    # ---- interfaces

    def assign(self, container_id: str, spec: ContainerSpec) -> tuple[Link, ...]:
        """What the interfaces of *spec* become; they are the container's until `release`. Raises BadInput, WrongState,
        NotSupported, PoolExhausted, KernelRefused, and then nothing is left."""
        if not spec.interfaces:
            return ()
        with self._mutex:
            self._links[container_id] = ()
            try:
                found = self._parents(spec.interfaces)
                links = assignment.links_of(container_id, spec, found, self._settings.mtu)
                for link, item in zip(links, spec.interfaces, strict=True):
                    self._links[container_id] += (assignment.with_addresses(link, item, self._pools_of(link)),)
                links = self._links[container_id]
                links = assignment.with_gateways(links, spec, self._own_gateways(links))
                others = [link for owner, owned in self._links.items() if owner != container_id for link in owned]
                assignment.check_beside(links, others)
                self._links[container_id] = links
                for device in self._joined() - self._foreign:
                    self._firewall.put_bridge(_foreign(device))
                    self._foreign.add(device)
                return links
            except BaseException:
                self.release(container_id)
                self._tidy()
                self.bury()
                raise

    def _parents(self, interfaces: Iterable[Interface]) -> list[HostLink | Bridge]:
        lent = {link.parent for links in self._links.values() for link in links if link.kind is LinkKind.PHYSICAL}
        found: list[HostLink | Bridge] = []
        with Route() as route:
            for item in interfaces:
                check_kind(route, item.kind)
                bridge = self._bridges.get(item.parent) if item.kind is LinkKind.BRIDGE else None
                if bridge is None and (item.kind is not LinkKind.BRIDGE or _host_has(route, item.parent)):
                    found.append(find_parent(route, item, lent))
                else:
                    found.append(bridge or self._new(Bridge(item.parent)))
        return found

    def _pools_of(self, link: Link) -> tuple[AddressPool, ...]:
        return self._pools.get(link.parent, ()) if link.bridge == bridge_device(link.parent) else ()

    def _own_gateways(self, links: Iterable[Link]) -> list[tuple[str, ...]]:
        """For each link those of its bridge."""
        ours = (link.parent if link.bridge == bridge_device(link.parent) else "" for link in links)
        return [assignment.own_gateways(self._bridges.get(name)) for name in ours]

    def parents_of(self, links: Iterable[Link]) -> Mapping[str, int]:
        """The indices that interfaces.host_part needs. Raises EngineFault when a link has vanished."""
        found = {}
        with Route() as route:
            for name in {link.bridge or link.parent for link in links}:
                link = find_link(route, name)
                if link is None:
                    raise EngineFault(f"interface parent: the link {name} has vanished")
                found[name] = link.index
        return found

    def release(self, container_id: str) -> bool:
        """Its addresses are free; whether `tidy` has something to do. Fine for one that is unknown."""
        with self._mutex:
            links = self._links.pop(container_id, ())
            for link in links:
                assignment.give(self._pools_of(link), link.addresses)
            return any(self._unused()) or bool(self._foreign - self._joined())

    def tidy(self) -> None:
        """Bridges that were made at their first use and have no user go."""
        with self._mutex:
            self._tidy()
        self.bury()

    def _joined(self) -> set[str]:
        """Bridges of the host that containers are on."""
        links = (link for links in self._links.values() for link in links)
        return {link.bridge for link in links if link.bridge is not None and link.bridge != bridge_device(link.parent)}

    def _tidy(self) -> None:
        for bridge in self._unused():
            self._leave(bridge)
        for device in self._foreign - self._joined():
            try:
                self._firewall.drop_bridge(device)
                self._foreign.discard(device)
            except WardenError as error:
                log.error("bridge %s: %s", device, error)

    def _unused(self) -> list[Bridge]:
        return [item for item in self._bridges.values() if not item.explicit and not self._users(item.name)]


def _host_has(route: Route, name: str) -> bool:
    return len(name) <= IFNAME_MAX and find_link(route, name) is not None


def _foreign(device: str) -> BridgeNet:
    return BridgeNet(device, (), foreign=True)


def _net(bridge: Bridge) -> BridgeNet:
    networks = tuple(ip_network(text) for text in (bridge.subnet4, bridge.subnet6) if text)
    services = tuple((net.network_address + 1, name, DNS) for net in networks for name in ("udp", "tcp"))
    return BridgeNet(bridge.device, networks, internal=bridge.internal, services=services)
