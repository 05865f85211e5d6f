"""Entries of conntrack taken away over nfnetlink(7): linux/netfilter/nfnetlink_conntrack.h.

Owns those messages and the socket. An entry is a container's when one of its addresses sends in either direction: it began
the connection, or it answers, also behind a port of the host. Entries are looked for by a dump and deleted one by one. A
kernel that does not know CTA_FILTER (before 5.8) ignores it, and a flush would be one of everything.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from warden.network.netlink import NESTED, NLM_F_ACK, attribute, number
from warden.network.nfnetlink import (
    ANSWER_S,
    NETLINK_NETFILTER,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    READ_BYTES,
    attributes,
    message,
    messages,
    refusal,
    with_room,
)
from warden.records import dataclass

NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 1, 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_ZONE, CTA_LABELS, CTA_FILTER = 1, 2, 12, 18, 22, 25
CTA_TUPLE_IP, CTA_TUPLE_ZONE, CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS, CTA_FILTER_F_CTA_IP_SRC = 1, 3, 1, 2, 1
#: By version of IP: the family, and CTA_IP_V4_SRC or CTA_IP_V6_SRC.
_FAMILIES = {4: (int(socket.AF_INET), 1), 6: (int(socket.AF_INET6), 3)}
_ADDRESS_BYTES = {family: 4 if version == 4 else 16 for version, (family, _) in _FAMILIES.items()}
_SRC_AT = 12  # of an address in a tuple: behind three attributes' heads, CTA_TUPLE_*, CTA_TUPLE_IP and CTA_IP_*_SRC
_ENTRY_AT = 20  # of the first attribute in a message: nlmsghdr and nfgenmsg

#: So many addresses are looked for by the kernel, which goes through its table twice for each, 10 ms with 50,000 entries;
#: for more all entries are read, at 1 µs each, and a daemon's other threads wait for some of that.
FILTERED = 2
DELETED_AT_ONCE = 400

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection: who sends in the original direction and who answers, packed; its labels, and what names it."""

    sender: bytes
    answerer: bytes
    body: bytes
    family: int

    @property
    def labels(self) -> bytes:
        """128 bits, b"" when it has none."""
        return dict(attributes(self.body)).get(CTA_LABELS, b"")

    @property
    def zoned(self) -> bool:
        """Whether somebody put it in a zone other than the usual one, or one direction of it."""
        found = dict(attributes(self.body))
        ways = (found.get(way, b"") for way in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY))
        return CTA_ZONE in found or any(CTA_TUPLE_ZONE in dict(attributes(way)) for way in ways)


class Conntrack:
    """Of the network namespace that it is made in. One thread at a time. Raises OSError."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._sock.bind((0, 0))
        self._sock.settimeout(ANSWER_S)
        with_room(self._sock)

    def forget(self, addresses: Collection[Address], is_over: Callable[[Entry], bool]) -> int:
        """Takes away what there is of *addresses* and *is_over*; how much that was."""
        if len(addresses) > FILTERED:
            wanted = {address.packed for address in addresses}
            return self._delete(self._dump({one.version for one in addresses}, wanted.__contains__, is_over))
        count = 0
        for address in addresses:
            for answers in (False, True):
                asked = _filter(address, answers=answers)
                found = self._ask(_FAMILIES[address.version][0], asked, address.packed.__eq__, is_over)
                count += self._delete(found)
        return count

    def forget_if(self, is_ours: Callable[[bytes], bool], is_over: Callable[[Entry], bool]) -> int:
        """Takes away every entry of *is_ours* addresses, packed, that *is_over*."""
        return self._delete(self._dump((4, 6), is_ours, is_over))

    def _dump(
        self, versions: Iterable[int], is_wanted: Callable[[bytes], bool], is_over: Callable[[Entry], bool]
    ) -> list[Entry]:
        return [one for version in sorted(versions) for one in self._ask(_FAMILIES[version][0], b"", is_wanted, is_over)]

    def _ask(
        self, family: int, body: bytes, is_wanted: Callable[[bytes], bool], is_over: Callable[[Entry], bool]
    ) -> list[Entry]:
        """Those of a dump with a wanted address that are over, whatever the kernel made of a filter. The rest is dropped
        packet by packet: of all that a busy host has, a hundred are in memory."""
        kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
        self._sock.send(message(kind, NLM_F_DUMP, 1, family, 0, body))
        found: list[Entry] = []
        while True:
            packet, some = self._sock.recv(READ_BYTES), list[Entry]()
            if struct.unpack_from("=H", packet, 4)[0] == NLMSG_ERROR:
                raise refusal(packet[16:])
            is_last = _read(packet, family, is_wanted, some)
            found += filter(is_over, some)
            if is_last:
                return found

    def _delete(self, entries: Iterable[Entry]) -> int:
        """One that is gone meanwhile is none."""
        bodies = [(entry.family, _named(entry.body)) for entry in entries]
        kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
        for start in range(0, len(bodies), DELETED_AT_ONCE):
            some = bodies[start : start + DELETED_AT_ONCE]
            packet = b"".join(
                message(kind, NLM_F_ACK if place == len(some) else 0, place, family, 0, body)
                for place, (family, body) in enumerate(some, 1)
            )
            self._sock.send(packet)
            while not _all_answered(self._sock.recv(READ_BYTES), len(some)):
                pass
        return len(bodies)

    def close(self) -> None:
        self._sock.close()


def _filter(address: Address, *, answers: bool) -> bytes:
    """CTA_FILTER: where *address* sends in the original direction, or *answers*."""
    way, flags = (CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS) if answers else (CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS)
    where = attribute(CTA_TUPLE_IP | NESTED, attribute(_FAMILIES[address.version][1], address.packed))
    return attribute(way | NESTED, where) + attribute(CTA_FILTER | NESTED, number(flags, CTA_FILTER_F_CTA_IP_SRC))


def _read(packet: bytes, family: int, is_wanted: Callable[[bytes], bool], found: list[Entry]) -> bool:
    """Whether this was the last of a dump. The kernel writes both tuples first (ctnetlink_fill_info), in this order:
    looking where they must be is ten times as fast as to take an entry apart. Raises OSError when the dump is not whole."""
    size, end, position = _ADDRESS_BYTES[family], len(packet), 0
    while position + _ENTRY_AT <= end:
        length, kind = struct.unpack_from("=IH", packet, position)
        if kind == NLMSG_DONE:
            if packet[position + 16 : position + 20].strip(b"\0"):  # it broke off (netlink_dump_done)
                raise refusal(packet[position + 16 :])
            return True
        first = position + _ENTRY_AT
        width, orig = struct.unpack_from("=HH", packet, first)
        second = first + (width + 3 & ~3)
        if orig & ~NESTED == CTA_TUPLE_ORIG and second + _SRC_AT + size <= end:
            sender = packet[first + _SRC_AT : first + _SRC_AT + size]
            answerer = packet[second + _SRC_AT : second + _SRC_AT + size]
            if is_wanted(sender) or is_wanted(answerer):
                found.append(Entry(sender, answerer, packet[first : position + length], family))
        position += max(length + 3 & ~3, 16)
    return False


def _named(body: bytes) -> bytes:
    """What a deletion needs: the tuple, as it was, and the number that another entry of that tuple has not."""
    found = dict(attributes(body))
    named = attribute(CTA_TUPLE_ORIG | NESTED, found[CTA_TUPLE_ORIG])
    return named + b"".join(attribute(kind, found[kind]) for kind in (CTA_ID, CTA_ZONE) if kind in found)


def _all_answered(packet: bytes, last: int) -> bool:
    for kind, sequence, payload in _numbered(packet):
        if kind == NLMSG_ERROR:
            code = -struct.unpack_from("=i", payload)[0]
            if code not in (0, errno.ENOENT, errno.ESTALE):
                raise refusal(payload)
            if sequence == last:
                return True
    return False


def _numbered(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    for kind, payload in messages(packet):
        yield kind, struct.unpack_from("=I", packet, position + 8)[0], payload
        position += 16 + (len(payload) + 3 & ~3)
