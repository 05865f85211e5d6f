"""Set elements straight to the kernel: linux/netfilter/nf_tables.h over nfnetlink(7).

Owns the two elements that every container comes and goes with. libnftables could do it too, but to delete an element it
first reads the chains and sets of all tables of the host. What is rarer, and needs a language, stays nft.py's text.
"""

from __future__ import annotations

import os
import socket
import struct

from warden.network.netlink import NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, attribute, text
from warden.network.nft import Guest

NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES, NFPROTO_INET = 10, 1
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM = 12, 14
NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS = 1, 2, 3
NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE = 1, 1, 1
NLMSG_ERROR = 2
IFNAMSIZ = 16
ANSWER_S = 5


def elements(table: str, guest: Guest, *, add: bool) -> bytes:
    """One transaction: *guest*'s elements of `links` and `guests` are added or deleted."""
    keys = []
    for link in guest.links:
        name = link.name.encode().ljust(IFNAMSIZ, b"\0")  # an ifname is a key of 16 bytes
        keys += [("links", name), *(("guests", name + address.packed) for address in link.addresses)]
    messages = [
        _message(NFNL_MSG_BATCH_BEGIN, 0, 0, socket.AF_UNSPEC, NFNL_SUBSYS_NFTABLES, b""),
        *(_element(number, table, name, key, add=add) for number, (name, key) in enumerate(keys, 1)),
        _message(NFNL_MSG_BATCH_END, 0, len(keys) + 1, socket.AF_UNSPEC, NFNL_SUBSYS_NFTABLES, b""),
    ]
    return b"".join(messages)


def _message(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes) -> bytes:
    """nlmsghdr, nfgenmsg and attributes."""
    header = struct.pack("=IHHII", 20 + len(body), kind, flags | NLM_F_REQUEST, sequence, 0)
    return header + struct.pack("!BBH", family, 0, resource) + body


def _element(sequence: int, table: str, name: str, key: bytes, *, add: bool) -> bytes:
    kind = NFT_MSG_NEWSETELEM if add else NFT_MSG_DELSETELEM
    data = attribute(NFTA_SET_ELEM_KEY | NESTED, attribute(NFTA_DATA_VALUE, key))
    listed = attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NESTED, attribute(NFTA_LIST_ELEM | NESTED, data))
    body = text(NFTA_SET_ELEM_LIST_TABLE, table) + text(NFTA_SET_ELEM_LIST_SET, name) + listed
    flags = NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if add else 0)
    return _message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, sequence, NFPROTO_INET, 0, body)


class ElementSocket:
    """To the kernel's nf_tables, in the network namespace it is made in. One thread at a time."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._sock.settimeout(ANSWER_S)

    def change(self, table: str, guest: Guest, *, add: bool) -> None:
        """Adds or deletes both elements; raises OSError, and then neither."""
        self._drain()
        self._sock.send(elements(table, guest, add=add))
        wanted = set(range(1, 1 + sum(1 + len(link.addresses) for link in guest.links)))
        answered: set[int] = set()
        while not wanted <= answered:
            answered |= _answers(self._sock.recv(65536))

    def _drain(self) -> None:
        """What an earlier failure left unread must not pass for an answer to this one."""
        self._sock.setblocking(False)
        try:
            while self._sock.recv(65536):
                pass
        except BlockingIOError:
            pass
        finally:
            self._sock.settimeout(ANSWER_S)

    def close(self) -> None:
        self._sock.close()


def _answers(data: bytes) -> set[int]:
    """The numbers of the messages that the kernel acknowledges; raises OSError for the first that it refuses."""
    found, position = set(), 0
    while position + 20 <= len(data):
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, position)
        if kind == NLMSG_ERROR:
            error = -struct.unpack_from("=i", data, position + 16)[0]
            if error:
                raise OSError(error, os.strerror(error))
            found.add(sequence)
        position += max(length + 3 & ~3, 16)
    return found
