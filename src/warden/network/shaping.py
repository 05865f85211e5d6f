"""Bandwidth limits of a container's link: set, read, lifted. The driving half of tc.py.

What goes to the container waits in a tbf on the host's end of its link. What comes from it arrives there, where the
kernel cannot queue: a filter hands all of it to an ifb device, which has a tbf of its own. Blocking; one at a time for
one container.
"""

from __future__ import annotations

import errno
import socket

from warden.errors import KernelRefused
from warden.model.info import BandwidthStat
from warden.model.limits import Bandwidth
from warden.network import netlink, tc
from warden.network.links import Attachment, ifb_name
from warden.network.route import Route
from warden.undo import Undo

#: What deleting a qdisc that is not there gives, or one of a link that is gone.
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV})


def limit(link: Attachment, wanted: Bandwidth, before: Bandwidth | None) -> None:
    """Sets *wanted* in both directions, in place of *before*, without a moment in which nothing is limited.

    What is in force already stays so, what is missing is made. Raises KernelRefused; then *before* is in force.
    """
    with Route() as route, Undo() as undo:
        fresh = not have_link(link.ifb_name)
        if fresh:
            route.ask(
                netlink.add_ifb(link.ifb_name, link.ifb_index, mtu=link.mtu), f"ip link add {link.ifb_name} type ifb"
            )
            undo.add("ifb device", _delete_ifb, route, link.ifb_name)
        _shape(route, link.ifb_name, link.ifb_index, wanted)
        if before is not None:
            undo.add("bandwidth limit", _shape, route, link.ifb_name, link.ifb_index, before)
        route.ask(tc.replace_ingress(link.host_index), f"tc qdisc replace dev {link.host_name} ingress")
        if fresh:
            undo.add("ingress", _delete_ingress, route, link)
        route.ask(tc.redirect_all(link.host_index, link.ifb_index), _redirection(link))
        _shape(route, link.host_name, link.host_index, wanted)  # the last: there is nothing to undo after it
        undo.release()


def _redirection(link: Attachment) -> str:
    how = f"u32 match u32 0 0 action mirred egress redirect dev {link.ifb_name}"
    return f"tc filter replace dev {link.host_name} ingress {how}"


def _shape(route: Route, name: str, index: int, wanted: Bandwidth) -> None:
    how = f"tbf rate {wanted.rate}bps burst {wanted.burst}b latency 25ms"
    route.ask(tc.replace_tbf(index, wanted), f"tc qdisc replace dev {name} root {how}")


def read(link: Attachment, known: Bandwidth | None) -> BandwidthStat:
    """The limits as the kernel has them; *known*: what was asked, for exact bursts. Raises KernelRefused."""
    with Route() as route:
        into = _bucket(route, link.host_name, link.host_index, known)
        out = _bucket(route, link.ifb_name, link.ifb_index, known) if have_link(link.ifb_name) else None
    return BandwidthStat(
        in_rate=None if into is None else into.rate,
        in_burst=None if into is None else into.burst,
        out_rate=None if out is None else out.rate,
        out_burst=None if out is None else out.burst,
    )


def _bucket(route: Route, name: str, index: int, known: Bandwidth | None) -> Bandwidth | None:
    try:
        replies = route.ask(tc.get_root(index), f"tc qdisc show dev {name} root")
    except KernelRefused as error:
        if error.errno in _ABSENT:
            return None
        raise
    return tc.parse_tbf(replies[0], known) if replies else None


def lift(link: Attachment) -> None:
    """Takes every limit away; what is not there is fine. Raises KernelRefused."""
    with Route() as route:
        _delete_ingress(route, link)
        _ask_absent_fine(route, tc.delete_root(link.host_index), f"tc qdisc delete dev {link.host_name} root")
    remove_ifb(link.container_id)


def remove_ifb(container_id: str) -> None:
    """Removes the device of a container that goes or is gone; absent is fine. Raises KernelRefused."""
    name = ifb_name(container_id)
    if have_link(name):
        with Route() as route:
            _delete_ifb(route, name)


def have_link(name: str) -> bool:
    """Whether this network namespace has an interface of that name; it costs microseconds."""
    return _index(name) != 0


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # ENODEV, or a name that is too long for an interface
        return 0


def _delete_ifb(route: Route, name: str) -> None:
    _ask_absent_fine(route, netlink.delete_link(_index(name)), f"ip link delete {name}")


def _delete_ingress(route: Route, link: Attachment) -> None:
    _ask_absent_fine(route, tc.delete_ingress(link.host_index), f"tc qdisc delete dev {link.host_name} ingress")


def _ask_absent_fine(route: Route, message: netlink.Message, what: str) -> None:
    try:
        route.ask(message, what)
    except KernelRefused as error:
        if error.errno not in _ABSENT:
            raise
