"""Bandwidth limits of a container's link: set, read, lifted. The driving half of tc.py.

What goes to the container waits in a tbf on the host's end of its link. What comes from it arrives there, where the
kernel cannot queue: a filter hands all of it to an ifb device, which has a tbf of its own. Each direction is limited
or not by itself. Blocking; one at a time for one container.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Protocol

from warden.errors import KernelRefused
from warden.model.info import BandwidthStat
from warden.model.limits import Bandwidth, Shaping
from warden.network import netlink, tc
from warden.network.route import Route
from warden.records import dataclass
from warden.undo import Undo

#: What deleting a qdisc that is not there gives, or one of a link that is gone.
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV})


class Link(Protocol):
    """What is limited: anything with an end on the host, and the name and index that its ifb device has or would have;
    0: any index."""

    @property
    def host_name(self) -> str: ...
    @property
    def host_index(self) -> int: ...
    @property
    def ifb_name(self) -> str: ...
    @property
    def ifb_index(self) -> int: ...
    @property
    def mtu(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Port:
    """A Link that is a port of a bridge."""

    host_name: str
    host_index: int
    ifb_name: str
    ifb_index: int
    mtu: int


def limit(link: Link, wanted: Shaping, before: Shaping) -> None:
    """Sets *wanted* in place of *before*, without a moment in which what both limit is not limited.

    What is in force already stays so, what is missing is made. Raises KernelRefused; then *before* is in force.
    """
    with Route() as route, Undo() as undo:
        if wanted.out is not None:
            _limit_out(route, undo, link, wanted.out, before.out)
        if wanted.into is not None:
            _shape(route, link.host_name, link.host_index, link.mtu, wanted.into, before.into)
        elif before.into is not None:
            _delete_root(route, link)
        undo.release()  # what is left to do takes a limit away, and fails of nothing that could be put right
        if wanted.out is None and before.out is not None:
            _lift_out(route, link)


def _limit_out(route: Route, undo: Undo, link: Link, wanted: Bandwidth, before: Bandwidth | None) -> None:
    fresh = not have_link(link.ifb_name)
    if fresh:
        added = netlink.add_ifb(link.ifb_name, link.ifb_index, mtu=link.mtu)
        route.ask(added, f"ip link add {link.ifb_name} type ifb")
        undo.add("ifb device", _delete_ifb, route, link.ifb_name)
    ifb_index = index_of(link.ifb_name)
    _shape(route, link.ifb_name, ifb_index, link.mtu, wanted, None if fresh else before)
    if before is not None:
        undo.add("bandwidth limit", _shape, route, link.ifb_name, ifb_index, link.mtu, before, wanted)
    route.ask(tc.replace_ingress(link.host_index), f"tc qdisc replace dev {link.host_name} ingress")
    if fresh:
        undo.add("ingress", _delete_ingress, route, link)
    how = f"u32 match u32 0 0 action mirred egress redirect dev {link.ifb_name}"
    redirection = f"tc filter replace dev {link.host_name} ingress {how}"
    route.ask(tc.redirect_all(link.host_index, ifb_index), redirection)


def _shape(route: Route, name: str, index: int, mtu: int, wanted: Bandwidth, before: Bandwidth | None) -> None:
    """*before*: what may be in force, None for nothing.

    A packet that waits and is larger than a bucket that was made smaller would never leave, nor any behind it
    (tbf_dequeue, seen on 6.18): then the queue is made anew. As *before* may be what a daemon that died was about to
    set, the same bucket counts as a smaller one.
    """
    bucket = tc.depth(wanted, mtu)
    how = f"tbf rate {wanted.rate}bps burst {bucket}b latency 25ms"
    route.ask(tc.replace_tbf(index, wanted, mtu), f"tc qdisc replace dev {name} root {how}")
    if before is not None and bucket <= tc.depth(before, mtu) and bucket < tc.LARGEST_PACKET:
        for message in tc.renew_queue(index, wanted, mtu):
            route.ask(message, f"tc qdisc replace dev {name} parent 1:1 bfifo")


def read(link: Link, known: Shaping) -> BandwidthStat:
    """The limits as the kernel has them; *known*: what was asked, for exact bursts. Raises KernelRefused."""
    with Route() as route:
        into = _bucket(route, link.host_name, link.host_index, link.mtu, known.into)
        ifb_index = index_of(link.ifb_name)
        out = _bucket(route, link.ifb_name, ifb_index, link.mtu, known.out) if ifb_index else None
    return BandwidthStat(
        in_rate=None if into is None else into.rate,
        in_burst=None if into is None else into.burst,
        out_rate=None if out is None else out.rate,
        out_burst=None if out is None else out.burst,
    )


def _bucket(route: Route, name: str, index: int, mtu: int, known: Bandwidth | None) -> Bandwidth | None:
    try:
        replies = route.ask(tc.get_root(index), f"tc qdisc show dev {name} root")
    except KernelRefused as error:
        if error.errno in _ABSENT:
            return None
        raise
    return tc.parse_tbf(replies[0], known, mtu) if replies else None


def lift(link: Link) -> None:
    """Takes every limit away; what is not there is fine. Raises KernelRefused."""
    restore(link, Shaping())


def restore(link: Link, wanted: Shaping) -> None:
    """Sets *wanted*, whatever is there now. Raises KernelRefused."""
    limit(link, wanted, wanted)
    with Route() as route:
        if wanted.into is None:
            _delete_root(route, link)
        if wanted.out is None:
            _lift_out(route, link)


def _lift_out(route: Route, link: Link) -> None:
    _delete_ingress(route, link)
    if have_link(link.ifb_name):
        _delete_ifb(route, link.ifb_name)


def remove_ifbs(names: Iterable[str]) -> None:
    """Removes the devices of a container that goes or is gone; absent is fine. Raises KernelRefused."""
    for name in names:
        if have_link(name):
            with Route() as route:
                _delete_ifb(route, name)


def have_link(name: str) -> bool:
    """Whether this network namespace has an interface of that name; it costs microseconds."""
    return index_of(name) != 0


def index_of(name: str) -> int:
    """The index of the interface of that name; 0 for none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:  # ENODEV, or a name that is too long for an interface
        return 0


def _delete_root(route: Route, link: Link) -> None:
    _ask_absent_fine(route, tc.delete_root(link.host_index), f"tc qdisc delete dev {link.host_name} root")


def _delete_ifb(route: Route, name: str) -> None:
    _ask_absent_fine(route, netlink.delete_link(index_of(name)), f"ip link delete {name}")


def _delete_ingress(route: Route, link: Link) -> None:
    _ask_absent_fine(route, tc.delete_ingress(link.host_index), f"tc qdisc delete dev {link.host_name} ingress")


def _ask_absent_fine(route: Route, message: netlink.Message, what: str) -> None:
    try:
        route.ask(message, what)
    except KernelRefused as error:
        if error.errno not in _ABSENT:
            raise
