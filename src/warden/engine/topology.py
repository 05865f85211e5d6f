"""How the host and the containers are connected, as the kernel has it at this moment.

Namespaces are entered by a thread of their own for as long as one socket takes to be made; what a container has made of
its links is told as it is, and tied to the host's only where both ends say so and the host's end is that container's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from warden.depot.snapshot import Snapshot
from warden.engine.lending import in_namespace
from warden.engine.networking import counted, shaped
from warden.engine.pidfd import pid_of
from warden.engine.ports import wanted
from warden.errors import WardenError
from warden.kernel.procnet import parse_route
from warden.model.interfaces import bridge_device
from warden.model.nettext import port_to_text, rule_to_words
from warden.model.topology import Node, Space, Topology
from warden.network import shaping
from warden.network.hostlink import HostLink, all_addresses, all_links
from warden.network.route import Route
from warden.records import dataclass, replace

#: Links that have a parent on the host, and those that have another end.
_ON_PARENT = ("macvlan", "ipvlan", "vlan")

#: So many links, addresses and routes of one container are told: it may have made any number. A line of net/route has
#: 127 bytes (fib_route_seq_show).
MOST, _ROUTE = 1000, 128


@dataclass(frozen=True, slots=True)
class Subject:
    """A container, as the event loop hands it to a worker thread."""

    snapshot: Snapshot
    pidfd: int


@dataclass(slots=True)
class _Found:
    """One namespace: what is in it, and whose."""

    inode: int
    links: list[HostLink]
    addresses: dict[int, list[str]]
    routes: list[str]
    subjects: list[Subject]


def survey(subjects: Sequence[Subject], bridges: Sequence[str], mtu: int) -> Topology:
    """Blocking. *bridges*: names of ours. Raises KernelRefused, EngineFault."""
    host = _look_here("/proc/thread-self")
    found: dict[int, _Found] = {}
    gone: list[str] = []
    for subject in sorted(subjects, key=lambda one: bool(one.snapshot.network_owner)):
        try:
            _add(found, host, subject)
        except (WardenError, OSError):  # its PID 1 is gone, or going
            gone.append(subject.snapshot.handle)
    spaces = [_space(one, host) for one in found.values()]
    return Topology((_host_space(host, bridges, found, mtu), *spaces), tuple(gone))


def _add(found: dict[int, _Found], host: _Found, subject: Subject) -> None:
    pid = pid_of(subject.pidfd) if subject.pidfd >= 0 else 0
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        inode = os.fstat(fd).st_ino
        if pid_of(subject.pidfd) != pid:  # the number may be another's by now
            raise ProcessLookupError(pid)
        if inode == host.inode:
            host.subjects.append(subject)
            return
        if inode not in found:
            found[inode] = in_namespace(fd, lambda: _look_here("/proc/thread-self", MOST))
        found[inode].subjects.append(subject)
    finally:
        os.close(fd)


def _look_here(process: str, most: int | None = None) -> _Found:
    """Of the calling thread's network namespace."""
    with Route() as route:
        links = all_links(route, most)
    with Route() as route:
        addresses = all_addresses(route, most=most)
    return _Found(os.stat(f"{process}/ns/net").st_ino, links, addresses, _routes(process, most), [])


def _routes(process: str, most: int | None) -> list[str]:
    with contextlib.suppress(OSError), open(f"{process}/net/route", "rb") as file:
        text = file.read(-1 if most is None else (most + 1) * _ROUTE)
        return [
            f"{'default' if not route.network.prefixlen else route.network} "
            + (f"via {route.gateway} " if route.gateway else "")
            + f"dev {route.link}"
            for route in parse_route(text[: text.rfind(b"\n") + 1])
        ]
    return []


def _node(link: HostLink, found: _Found) -> Node:
    return Node(
        name=link.name,
        index=link.index,
        kind=link.kind,
        mac=link.mac,
        mtu=link.mtu,
        up=link.up,
        addresses=tuple(found.addresses.get(link.index, ())),
        master=link.master,
    )


def _space(found: _Found, host: _Found) -> Space:
    owner = found.subjects[0].snapshot
    links = tuple(_tied(_node(link, found), link, owner, host) for link in found.links)
    return Space(
        inode=found.inode,
        handles=tuple(subject.snapshot.handle for subject in found.subjects),
        links=links,
        routes=tuple(found.routes),
        rules=(*_policy(owner), *(" ".join(rule_to_words(rule)) for rule in owner.net_out)),
        ports=tuple(map(port_to_text, wanted(owner))),
    )


def _tied(node: Node, link: HostLink, owner: Snapshot, host: _Found) -> Node:
    """With its other end, or its parent, on the host."""
    if not link.link:
        return node
    if link.kind in _ON_PARENT and any(one.index == link.link for one in host.links):
        return replace(node, other=link.link, other_space=host.inode)
    ends = set(counted(owner).values())
    mutual = any(one.index == link.link and one.link == link.index for one in host.links if one.index in ends)
    return replace(node, other=link.link, other_space=host.inode) if mutual else node


def _host_space(host: _Found, bridges: Sequence[str], found: dict[int, _Found], mtu: int) -> Space:
    ours = {bridge_device(name): name for name in bridges}
    ends: dict[int, tuple[int, int]] = {}
    bands: dict[int, tuple[str, str]] = {}
    for one in found.values():
        owner = one.subjects[0].snapshot
        for link in one.links:
            node = _tied(_node(link, one), link, owner, host)
            if node.other and link.kind not in _ON_PARENT:
                ends[node.other] = (link.index, one.inode)
        bands |= _bandwidths(owner, mtu)
    nodes = []
    for link in host.links:
        other, space = ends.get(link.index, (0, 0))
        into, out = bands.get(link.index, ("", ""))
        node = replace(_node(link, host), other=other, other_space=space, network=ours.get(link.name, ""))
        nodes.append(replace(node, bandwidth_in=into, bandwidth_out=out))
    handles = tuple(subject.snapshot.handle for subject in host.subjects)
    return Space(host.inode, handles, tuple(nodes), tuple(host.routes), host=True)


def _bandwidths(owner: Snapshot, mtu: int) -> dict[int, tuple[str, str]]:
    """By the index of the host's end, as the kernel has them."""
    limits = owner.spec.limits.shaping
    found = {}
    for link in shaped(owner, mtu) if limits else ():
        with contextlib.suppress(WardenError):
            stat = shaping.read(link, limits)
            pairs = ((stat.in_rate, stat.in_burst), (stat.out_rate, stat.out_burst))
            into, out = ("" if rate is None else f"{rate} {burst}" for rate, burst in pairs)
            found[link.host_index] = (into, out)
    return found


def _policy(owner: Snapshot) -> list[str]:
    """Where it may go when no rule says so, if that is its own."""
    policy = owner.net_policy
    if policy is None:
        return []
    return [f"{word} {' '.join(nets)}" for word, nets in (("allow", policy.allow), ("deny", policy.deny)) if nets]
