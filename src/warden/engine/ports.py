"""Ports of the host that lead into a container: chosen, held against others, let in, and given back.

Two kinds: those of the original's net_in, which containers may ask for twice and the first has; and published ones, which
one container has alone.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from warden.depot.snapshot import Snapshot
from warden.errors import BadInput, PoolExhausted, WardenError
from warden.model.net import PortMap
from warden.network.claims import PortTaken, port_name
from warden.network.forwarding import open_hairpin, open_loopback, open_loopback6
from warden.network.holding import in_use, is_free
from warden.network.nft import Guest, PortKey, port_place, port_routes
from warden.records import replace

if TYPE_CHECKING:
    from warden.engine.site import Site

log = logging.getLogger("warden.container")

#: So many ports of the pool may be taken by other programs before it is given up.
TRIES = 64
_UNHELD = "port %s leads to container %s, but is not held: %s"


def choose(site: Site, container_id: str, wishes: Iterable[PortMap]) -> tuple[tuple[PortMap, ...], tuple[int, ...]]:
    """The wishes with a host port each, and those ports that are the pool's. Raises PoolExhausted, and BadInput for a
    port that is wished for twice; then none is taken."""
    found: list[PortMap] = []
    owned: list[int] = []
    held: list[PortKey] = []
    pool = site.pools.ports
    try:
        for wish in wishes:
            port = wish.host_port
            if not port:
                key = _free_port(site, container_id, wish)
                held.append(key)
                port = key[3]
            if not wish.host_port or pool.take(port, time.monotonic()):
                owned.append(port)
            found.append(replace(wish, host_port=port, container_port=wish.container_port or port))
        keys = [(one.host_ip, one.protocol, one.host_port) for one in found]
        twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
        if twice is not None:
            raise BadInput(f"publish: port {twice[2]}/{twice[1]} is asked for twice")
    except BaseException:
        for port in owned:
            pool.release(port, time.monotonic())
        site.held.release(container_id, held)
        raise
    return tuple(found), tuple(owned)


def _free_port(site: Site, container_id: str, wish: PortMap) -> PortKey:
    """One that no program of the host has; it is held."""
    pool, passed = site.pools.ports, []
    try:
        for _ in range(TRIES):
            port = pool.acquire(time.monotonic())
            versions, at = port_place(wish)
            key: PortKey = (versions[0], at, wish.protocol, port)
            if is_free(site.held, container_id, key):
                return key
            passed.append(port)
    finally:
        for one in passed:
            pool.release(one, time.monotonic())
    raise BadInput("publish: the ports of the pool are other programs'", hint="set port.pool_start_port to others")


def admit(site: Site, old: Guest | None, new: Guest, *, alone: bool) -> None:
    """Blocking: puts *new* into the firewall in place of *old*; its new ports are held. *alone*: and must be nobody
    else's, or BadInput is raised and nothing was changed."""
    had = {key for key, _ in port_routes(old)} if old is not None else set()
    fresh = [key for key, _ in port_routes(new) if key not in had]
    try:
        _require_address(new)
        if alone and old is not None:
            _require_new(site, old, new)
        site.firewall.put(new, fresh if alone else ())
        try:
            _hold(site, new.container_id, fresh, strict=alone)
        except BaseException:
            _put_back(site, old, new)
            raise
    except BaseException as error:
        site.held.release(new.container_id, fresh)
        if isinstance(error, PortTaken):
            owner = _handle_of(site, error.holder)
            raise BadInput(f"publish: port {port_name(error.key)} leads to container {owner} already") from error
        raise
    site.held.release(new.container_id, had - {key for key, _ in port_routes(new)})


def _require_address(guest: Guest) -> None:
    for port in guest.ports:
        if port.host_ip is not None and not list(port_routes(replace(guest, ports=(port,)))):
            raise BadInput(f"publish: the container has no address of the family of {port.host_ip}")


def _require_new(site: Site, old: Guest, new: Guest) -> None:
    had = {key for key, _ in port_routes(old)}
    more = tuple(port for port in new.ports if port not in old.ports) or new.ports[len(old.ports) :]
    for key, _ in port_routes(replace(new, ports=more)):
        if key in had:
            owner = _handle_of(site, new.container_id)
            raise BadInput(f"publish: port {port_name(key)} leads to container {owner} already")


def _handle_of(site: Site, container_id: str) -> str:
    try:
        snapshot = site.depot.directory(container_id).read_snapshot()
    except (WardenError, OSError):
        snapshot = None
    return container_id if snapshot is None else snapshot.handle


def _put_back(site: Site, old: Guest | None, new: Guest) -> None:
    if old is None:
        site.firewall.drop(new.container_id)
    else:
        site.firewall.put(old)


def _hold(site: Site, container_id: str, keys: Sequence[PortKey], *, strict: bool) -> None:
    for key in keys:
        try:
            site.held.hold(container_id, key)
        except OSError as error:
            name = port_name(key)
            if strict and in_use(error):
                raise _refusal(name, error) from error
            log.warning(_UNHELD, name, container_id, error.strerror)
        except PoolExhausted as error:
            if strict:
                raise
            log.warning(_UNHELD, port_name(key), container_id, error.message)


def _refusal(name: str, error: OSError) -> BadInput:
    if error.errno == errno.EADDRNOTAVAIL:
        return BadInput(f"publish: port {name}: that is no address of this host")
    return BadInput(f"publish: port {name} is in use by a program of this host", hint="ss -tulpn shows whose it is")


def take_up(site: Site, guests: Iterable[Guest]) -> None:
    """Blocking: after a restart. A bridge that was made anew meanwhile has its ports' openings no more."""
    for guest in guests:
        _hold(site, guest.container_id, [key for key, _ in port_routes(guest)], strict=False)
        open_links(guest)


def open_links(guest: Guest, old: Guest | None = None) -> None:
    """Blocking: the host's 127.0.0.1 leads there too, and the container reaches itself, as far as its ports need it and
    those of *old* did not; its links are there by now. What is refused is logged."""
    had = (set[str](), set[str](), set[str]()) if old is None else _openings(old)
    hairpins, loopbacks, loopbacks6 = (names - before for names, before in zip(_openings(guest), had, strict=True))
    for name in sorted(hairpins):
        try:
            open_hairpin(name)
        except (WardenError, OSError) as error:
            log.warning("container %s: its own ports are not reached from inside: %s", guest.container_id, error)
    for device in sorted(loopbacks):
        open_loopback(device)
    for device in sorted(loopbacks6):
        try:
            open_loopback6(device)
        except (WardenError, OSError) as error:
            log.warning("container %s: its ports are not reached through ::1: %s", guest.container_id, error)


def _openings(guest: Guest) -> tuple[set[str], set[str], set[str]]:
    """Ports of bridges that send back where it came from, devices that the host's 127.0.0.1 leads over, and ::1."""
    routes = list(port_routes(guest))
    hairpins, loopbacks, loopbacks6 = set[str](), set[str](), set[str]()
    for link in guest.links:
        mine = [key for key, target in routes if target[0] in link.addresses]
        if mine and link.bridge is not None:
            hairpins.add(link.name)
        if any(version == 4 and (at is None or at.startswith("127.")) for version, at, _, _ in mine):
            loopbacks.add(link.device)
        if any(version == 6 and at in (None, "::1") for version, at, _, _ in mine):
            loopbacks6.add(link.device)
    return hairpins, loopbacks, loopbacks6


def wanted(snapshot: Snapshot) -> tuple[PortMap, ...]:
    """All that lead to a container."""
    return (*(PortMap(None, host, inside) for host, inside in snapshot.net_in), *snapshot.published)


def without(snapshot: Snapshot, host_port: int, protocol: str, host_ip: str | None) -> Snapshot:
    """*snapshot* without that port; raises BadInput when it has none like it."""

    which = PortMap(host_ip, host_port, host_port, protocol)

    def is_it(port: PortMap) -> bool:
        same = (port.host_port, port.protocol) == (host_port, protocol)
        return same and which.host_ip in (None, port.host_ip)

    published = tuple(port for port in snapshot.published if not is_it(port))
    net_in = snapshot.net_in
    if protocol == "tcp" and host_ip is None:
        net_in = tuple(pair for pair in net_in if pair[0] != host_port)
    if (published, net_in) == (snapshot.published, snapshot.net_in):
        hint = f"warden port {snapshot.handle} lists them"
        raise BadInput(f"port {host_port}/{protocol} does not lead to container {snapshot.handle}", hint=hint)
    left = {port.host_port for port in published} | {host for host, _ in net_in}
    return replace(snapshot, published=published, net_in=net_in, ports=tuple(p for p in snapshot.ports if p in left))

