"""Whether a container's network namespace outlives it, and the end of its links if it does.

Whoever has a socket of it keeps it, and a container may hand one to another (unix(7), SCM_RIGHTS); so does the kernel
while it closes a connection. Blocking, but asks nothing that waits for the kernel's lock of links.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

from warden.errors import KernelRefused
from warden.network import netlink
from warden.network.bridges import remove_link
from warden.network.route import Route
from warden.network.tc import attributes

RTM_GETNSID, NETNSA_NSID, NETNSA_PID = 90, 1, 2
_RTGENMSG = bytes(4)  # struct rtgenmsg: no family
UNKNOWN = -1


def number_of(pid: int) -> int:
    """What the kernel calls the network namespace of *pid* in ours, which it does once a pair of links joins both
    (peernet2id_alloc); UNKNOWN when it does not."""
    try:
        with Route() as route:
            message = RTM_GETNSID, 0, _RTGENMSG + netlink.number(NETNSA_PID, pid)
            [reply] = route.ask(message, f"ip netns list-id of {pid}")
    except (KernelRefused, OSError, ValueError):
        return UNKNOWN
    found = attributes(reply[len(_RTGENMSG) :]).get(NETNSA_NSID, b"\xff" * 4)
    return int(struct.unpack("=i", found)[0])


def lives(number: int) -> bool:
    """Whether anything but its own end keeps it (get_net_ns_by_id, since 4.20). UNKNOWN ones do."""
    try:
        with Route() as route:
            route.ask((RTM_GETNSID, 0, _RTGENMSG + netlink.number(NETNSA_NSID, number & 0xFFFF_FFFF)), "ip netns list-id")
    except KernelRefused as error:
        return error.errno != errno.ENOENT
    return True


def cut(number: int, names: Iterable[str]) -> None:
    """The links called *names*, of a container whose processes are gone, carry nothing any more. Mostly that is so, and
    the kernel takes them away in its own time. Raises KernelRefused."""
    names = list(names)
    if names and (number == UNKNOWN or lives(number)):
        there = {name for _, name in socket.if_nameindex()}
        for name in names:
            if name in there:
                remove_link(name)
