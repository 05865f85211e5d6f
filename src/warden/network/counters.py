"""What went over the containers' links and what their shaping dropped, as the kernel counts it: linux/if_link.h.

Owns RTM_GETSTATS (since 4.7), whose answers hold the counters and nothing else. Blocking: a message may wait for the
kernel's RTNL lock. Counters are of the host's end, so that nobody enters a container's namespace.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterable
from typing import NamedTuple

from warden.errors import KernelRefused
from warden.model.stats import InterfaceStats, ShapingDrops
from warden.network import netlink, shaping, tc
from warden.network.netlink import Message
from warden.network.route import Route

RTM_GETSTATS, NLM_F_DUMP = 94, 0x300
IFLA_STATS_LINK_64 = 1
#: Up to so many links are asked for one by one; above, one answer tells those of all links of the host.
FEW = 16
_HEAD = struct.Struct("=BxxxII")  # struct if_stats_msg: family, ifindex, filter_mask
_COUNTERS = struct.Struct("=8Q")  # the beginning of struct rtnl_link_stats64
_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.ENOENT})


class LinkCounters(NamedTuple):
    """Of one link, in the order of struct rtnl_link_stats64."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_drops: int
    tx_drops: int


def get_counters(index: int | None) -> Message:
    """ip -s link show; *index* None: of all links."""
    flags = NLM_F_DUMP if index is None else 0
    return RTM_GETSTATS, flags, _HEAD.pack(socket.AF_UNSPEC, index or 0, 1 << (IFLA_STATS_LINK_64 - 1))


def parse_counters(reply: bytes) -> tuple[int, LinkCounters] | None:
    """Index and counters in the body of an RTM_NEWSTATS; None when it has none."""
    attributes = netlink.attributes(reply[_HEAD.size :])
    data = attributes.get(IFLA_STATS_LINK_64, b"")
    if len(data) < _COUNTERS.size:
        return None
    return _HEAD.unpack_from(reply)[1], LinkCounters._make(_COUNTERS.unpack_from(data))


def from_inside(name: str, outer: LinkCounters) -> InterfaceStats:
    """The other end of a pair: what the host's end received is what the container sent."""
    return InterfaceStats(
        name,
        rx_bytes=outer.tx_bytes,
        rx_packets=outer.tx_packets,
        rx_errors=outer.tx_errors,
        rx_drops=outer.tx_drops,
        tx_bytes=outer.rx_bytes,
        tx_packets=outer.rx_packets,
        tx_errors=outer.rx_errors,
        tx_drops=outer.rx_drops,
    )


def read_counters(indices: Collection[int]) -> dict[int, LinkCounters]:
    """By index; a link that is gone is left out. Raises KernelRefused, EngineFault."""
    if not indices:
        return {}
    with Route() as route:
        if len(indices) > FEW:
            replies = route.ask(get_counters(None), "ip -s link show")
        else:
            replies = [reply for index in indices for reply in _one(route, get_counters(index), f"link {index}")]
    found = dict(pair for reply in replies if (pair := parse_counters(reply)) is not None)
    return {index: found[index] for index in indices if index in found}


def read_drops(links: Iterable[shaping.Link]) -> ShapingDrops:
    """Of links under a bandwidth limit, together. Raises KernelRefused, EngineFault."""
    with Route() as route:
        found = [(_queue(route, link.host_name), _queue(route, link.ifb_name)) for link in links]
    rx, tx = (tuple(map(_sum, zip(*column, strict=True))) for column in zip(*found, strict=True))
    return ShapingDrops(rx[0], tx[0], rx[1], tx[1])


def _queue(route: Route, name: str) -> tuple[int | None, int | None]:
    index = shaping.index_of(name)
    replies = _one(route, tc.get_root(index), f"tc -s qdisc show dev {name} root") if index else []
    return (tc.parse_queue(replies[0]) if replies else None) or (None, None)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _one(route: Route, message: Message, what: str) -> list[bytes]:
    try:
        return route.ask(message, what)
    except KernelRefused as error:
        if error.errno in _GONE:
            return []
        raise
