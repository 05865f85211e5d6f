"""nf_tables over nfnetlink(7): transactions of elements, chains and rules, and what the kernel tells of them.

Owns the messages and the socket. libnftables could do it too, but before each command it reads the chains and sets of
the tables from the kernel, so that the cost of a change grows with the number of containers.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from warden.network.expressions import NFTA_LIST_ELEM, Element, Rule, big
from warden.network.netlink import NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, attribute, text
from warden.records import dataclass

NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_BATCH_GENID = 0x10, 0x11, 1
NFT_MSG_DELTABLE, NFTA_TABLE_NAME = 2, 1
NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE, NFT_MSG_GETRULE, NFT_MSG_DELRULE = 3, 5, 6, 7, 8
NFT_MSG_NEWSET, NFT_MSG_DELSET = 9, 11
NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_DELSETELEM = 12, 13, 14
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME = 1, 3
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 1, 2, 4
NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN = 1, 2, 3, 4, 5
NFTA_SET_DESC, NFTA_SET_ID, NFTA_SET_DESC_CONCAT, NFTA_SET_FIELD_LEN = 9, 10, 2, 1
NFT_SET_INTERVAL, NFT_SET_CONCAT = 0x4, 0x80
NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS = 1, 2, 3
NFTA_GEN_ID = 1
ANY_GENERATION = 0  # nf_tables_valid_genid
NLM_F_DUMP, NLM_F_APPEND, NLM_F_DUMP_INTR = 0x300, 0x800, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
FAMILIES = {"inet": 1, "bridge": 7}
ANSWER_S = 5
READ_BYTES = 1 << 17
SEND_BYTES = 8 << 20  # a transaction is one packet
#: A set's key of ranges, ipv4_addr . inet_proto . inet_service: nft's own numbers for them, and their lengths.
BOX_TYPE, BOX_FIELDS = 7 << 12 | 12 << 6 | 13, (4, 1, 2)
ELEMENTS_AT_ONCE = 400  # an attribute is 64 KiB at most


@dataclass(frozen=True, slots=True)
class Change:
    """One command of a transaction. *family* and *chain*, *rule* or *elements*, as *verb* needs them: "add" and "delete"
    elements, "add chain", "flush chain", "delete chain", "append" and "insert" a rule, "add set" and "delete set" of
    ranges, named by *chain*; "delete table"."""

    verb: str
    chain: str = ""
    rule: Rule | None = None
    elements: tuple[Element, ...] = ()
    family: str = "inet"


def transaction(table: str, changes: Iterable[Change], generation: int) -> bytes:
    """All of it or nothing, and nothing when the ruleset is not of that *generation* any more. The last of its messages
    asks for an answer and is number 1; the others answer only when they are refused."""
    begin = big(NFNL_BATCH_GENID, generation)
    messages = [message(NFNL_MSG_BATCH_BEGIN, 0, 0, 0, NFNL_SUBSYS_NFTABLES, begin)]
    bodies = [body for change in changes for body in _bodies(table, change)]
    for number, (family, kind, flags, body) in enumerate(bodies, 1):
        last = number == len(bodies)
        messages.append(_tables(kind, flags | (NLM_F_ACK if last else 0), int(last), family, body))
    messages.append(message(NFNL_MSG_BATCH_END, 0, 2, 0, NFNL_SUBSYS_NFTABLES, b""))
    return b"".join(messages)


def message(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes) -> bytes:
    """nlmsghdr, nfgenmsg and attributes."""
    header = struct.pack("=IHHII", 20 + len(body), kind, flags | NLM_F_REQUEST, sequence, 0)
    return header + struct.pack("!BBH", family, 0, resource) + body


def _tables(kind: int, flags: int, sequence: int, family: str, body: bytes) -> bytes:
    return message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, sequence, FAMILIES[family], 0, body)


def _bodies(table: str, change: Change) -> Iterator[tuple[str, int, int, bytes]]:
    """(family, kind, flags, attributes) of each message."""
    family, verb = change.family, change.verb
    if verb in ("add", "delete"):
        yield from _element_bodies(table, change.elements, add=verb == "add")
    elif verb in ("append", "insert"):
        assert change.rule is not None
        body = text(NFTA_RULE_TABLE, table) + text(NFTA_RULE_CHAIN, change.chain)
        body += attribute(NFTA_RULE_EXPRESSIONS | NESTED, change.rule.data)
        yield family, NFT_MSG_NEWRULE, NLM_F_CREATE | (NLM_F_APPEND if verb == "append" else 0), body
    elif verb == "delete table":
        yield family, NFT_MSG_DELTABLE, 0, text(NFTA_TABLE_NAME, table)
    elif verb == "add set":
        yield family, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, _box_set(table, change.chain)
    elif verb == "delete set":
        yield family, NFT_MSG_DELSET, 0, text(NFTA_SET_TABLE, table) + text(NFTA_SET_NAME, change.chain)
    elif verb == "flush chain":
        yield family, NFT_MSG_DELRULE, 0, text(NFTA_RULE_TABLE, table) + text(NFTA_RULE_CHAIN, change.chain)
    else:
        kind, flags = (NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL) if verb == "add chain" else (NFT_MSG_DELCHAIN, 0)
        yield family, kind, flags, text(NFTA_CHAIN_TABLE, table) + text(NFTA_CHAIN_NAME, change.chain)


def _box_set(table: str, name: str) -> bytes:
    fields = b"".join(attribute(NFTA_LIST_ELEM | NESTED, big(NFTA_SET_FIELD_LEN, size)) for size in BOX_FIELDS)
    body = text(NFTA_SET_TABLE, table) + text(NFTA_SET_NAME, name) + big(NFTA_SET_ID, 1)
    body += big(NFTA_SET_FLAGS, NFT_SET_INTERVAL | NFT_SET_CONCAT)
    body += big(NFTA_SET_KEY_TYPE, BOX_TYPE) + big(NFTA_SET_KEY_LEN, 4 * len(BOX_FIELDS))
    return body + attribute(NFTA_SET_DESC | NESTED, attribute(NFTA_SET_DESC_CONCAT | NESTED, fields))


def _element_bodies(table: str, elements: Iterable[Element], *, add: bool) -> Iterator[tuple[str, int, int, bytes]]:
    kind, flags = (NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL) if add else (NFT_MSG_DELSETELEM, 0)
    grouped: dict[tuple[str, str], list[bytes]] = {}
    for element in elements:
        grouped.setdefault((element.family, element.where), []).append(element.data(whole=add))
    for (family, where), listed in grouped.items():
        head = text(NFTA_SET_ELEM_LIST_TABLE, table) + text(NFTA_SET_ELEM_LIST_SET, where)
        for start in range(0, len(listed), ELEMENTS_AT_ONCE):
            some = b"".join(listed[start : start + ELEMENTS_AT_ONCE])
            yield family, kind, flags, head + attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NESTED, some)


class Wire:
    """To the kernel's nf_tables, in the network namespace it is made in. One thread at a time. Raises OSError."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._sock.bind((0, 0))
        self._sock.settimeout(ANSWER_S)

    @property
    def port(self) -> int:
        """Who we are in what the kernel tells others of our changes."""
        return int(self._sock.getsockname()[0])

    def run(self, table: str, changes: Iterable[Change], generation: int) -> None:
        """One transaction. Raises OSError, ERESTART when somebody changed something since *generation*; then nothing was
        changed."""
        packet = transaction(table, changes, generation)
        self._drain()
        if len(packet) > 100_000:
            with_room(self._sock)
        self._sock.send(packet)
        while not _answered(self._sock.recv(READ_BYTES)):
            pass

    def generation(self) -> int:
        """A number that each transaction of anybody raises by one."""
        for kind, body in self._ask(NFT_MSG_GETGEN, 0, "inet", b"", dump=False):
            if kind == NFT_MSG_NEWGEN:
                return int.from_bytes(dict(attributes(body))[NFTA_GEN_ID], "big")
        raise OSError(errno.EPROTO, "nf_tables: no generation")

    def rules(self, family: str, table: str, chain: str) -> list[bytes]:
        """The expressions of a chain's rules. Raises OSError: ENOENT without the table or chain."""
        body = text(NFTA_RULE_TABLE, table) + text(NFTA_RULE_CHAIN, chain)
        answers = self._ask(NFT_MSG_GETRULE, 0, family, body, dump=True)
        return [dict(attributes(body)).get(NFTA_RULE_EXPRESSIONS, b"") for _, body in answers]

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]:
        """The elements of a set or map, each its attributes by number."""
        body = text(NFTA_SET_ELEM_LIST_TABLE, table) + text(NFTA_SET_ELEM_LIST_SET, where)
        found = []
        for _, answer in self._ask(NFT_MSG_GETSETELEM, 0, family, body, dump=True):
            listed = dict(attributes(answer)).get(NFTA_SET_ELEM_LIST_ELEMENTS, b"")
            found += [dict(attributes(one)) for kind, one in attributes(listed) if kind == NFTA_LIST_ELEM]
        return found

    def _ask(self, kind: int, flags: int, family: str, body: bytes, *, dump: bool) -> list[tuple[int, bytes]]:
        self._drain()
        flags |= NLM_F_DUMP if dump else 0
        self._sock.send(_tables(kind, flags, 1, family, body))
        found: list[tuple[int, bytes]] = []
        while True:
            for kind, payload in messages(self._sock.recv(READ_BYTES)):
                if kind == NLMSG_ERROR:
                    raise refusal(payload)
                if kind == NLMSG_DONE:
                    return found
                found.append((kind & 0xFF, payload[4:]))
            if not dump:
                return found

    def _drain(self) -> None:
        """What an earlier failure left unread must not pass for an answer to this one."""
        self._sock.setblocking(False)
        try:
            while self._sock.recv(READ_BYTES):
                pass
        except BlockingIOError:
            pass
        finally:
            self._sock.settimeout(ANSWER_S)

    def close(self) -> None:
        self._sock.close()


def with_room(sock: socket.socket) -> None:
    """Lets *sock* send and be answered at length, beyond net.core.wmem_max (socket(7), CAP_NET_ADMIN)."""
    for option in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
        sock.setsockopt(socket.SOL_SOCKET, option, SEND_BYTES)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of each attribute in a row."""
    return ((kind, content) for kind, content, _ in flagged_attributes(data))


def flagged_attributes(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """The same, and whether each is said to hold others."""
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            return
        yield kind & 0x3FFF, data[position + 4 : position + length], bool(kind & NESTED)
        position += length + 3 & ~3


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, what follows the nlmsghdr) of each message in a packet."""
    position = 0
    while position + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, position)
        yield kind, data[position + 16 : position + length]
        position += max(length + 3 & ~3, 16)


def _answered(data: bytes) -> bool:
    """Whether the last message of a transaction was acknowledged; raises OSError for the first that was refused."""
    for kind, payload in messages(data):
        if kind == NLMSG_ERROR:
            if struct.unpack_from("=i", payload)[0]:
                raise refusal(payload)
            return True
    return False


def refusal(payload: bytes) -> OSError:
    number = -struct.unpack_from("=i", payload)[0]
    return OSError(number, os.strerror(number))
