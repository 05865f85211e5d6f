"""Pieces of nftables, each as nft's text and as the kernel's bytes: linux/netfilter/nf_tables.h. Pure.

Owns what an element, a rule and their parts look like in both. Only what comes and goes with a container is here; what
all share is table.py's text.
"""

from __future__ import annotations

import functools
import struct
from ipaddress import IPv4Address, IPv6Address

from warden.network.netlink import NESTED, attribute, text
from warden.records import dataclass

Address = IPv4Address | IPv6Address

NFTA_LIST_ELEM, NFTA_DATA_VALUE, NFTA_DATA_VERDICT = 1, 1, 2
NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 2
NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_EXPR, NFTA_SET_ELEM_KEY_END = 1, 2, 3, 7, 10
NFTA_CONNLIMIT_COUNT, NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV = 1, 2, 1
NFT_SET_ELEM_INTERVAL_END = 1
NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN = 1, 2
NFT_JUMP, NFT_GOTO, NF_ACCEPT = -3, -4, 1
NFT_REG_VERDICT, NFT_REG_1, NFT_REG_2, NFT_REG32_00 = 0, 1, 2, 8
NFT_META_IIFNAME, NFT_META_NFPROTO, NFT_META_L4PROTO = 6, 15, 16
NFT_CT_PROTO_DST, NFT_CT_DST_IP, NFT_CT_DST_IP6 = 12, 20, 22
NFT_CMP_EQ, NFT_CMP_LTE, NFT_CMP_GTE = 0, 3, 5
NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER = 0, 1, 2
NFPROTO_IPV4, NFPROTO_IPV6 = 2, 10
IFNAMSIZ = 16

#: Rules are much alike, and encoding one costs as much as the kernel's part.
_remembered = functools.lru_cache(1024)

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}


@dataclass(frozen=True, slots=True)
class Word:
    """One field of a key or of a value."""

    text: str
    data: bytes


def ifname(name: str) -> Word:
    return Word(f'"{name}"', name.encode().ljust(IFNAMSIZ, b"\0"))


def address(value: Address) -> Word:
    return Word(str(value), value.packed)


def protocol(name: str) -> Word:
    return Word(name, bytes((PROTOCOLS[name],)))


def number(value: int) -> Word:
    """A protocol by its number, or the end of a range of them."""
    return Word(str(value), bytes((value,)))


def port(number: int) -> Word:
    return Word(str(number), number.to_bytes(2, "big"))


def mac(value: str) -> Word:
    return Word(value, bytes.fromhex(value.replace(":", "")))


def joined(words: tuple[Word, ...]) -> bytes:
    """As the kernel keeps a concatenation: each field begins at a multiple of four bytes, so that it fills registers."""
    if len(words) == 1:
        return words[0].data
    return b"".join(word.data + b"\0" * (-len(word.data) % 4) for word in words)


@dataclass(frozen=True, slots=True)
class Element:
    """One of a set or map. *jump*: the chain that a verdict map leads to. *family*: of the table. *end*: the last key, of
    a set with ranges. *closes*: the key is the first one behind an interval (nft_set_rbtree), which has no text. *most*:
    connections that it stands for, 0: it has no such bound."""

    where: str
    key: tuple[Word, ...]
    value: tuple[Word, ...] = ()
    jump: str = ""
    family: str = "inet"
    end: tuple[Word, ...] = ()
    closes: bool = False
    most: int = 0

    def text(self, *, whole: bool) -> str:
        """Without its value unless *whole*: to delete it, the key is enough."""
        words = " . ".join(word.text for word in self.key)
        if whole and self.jump:
            words += f" : jump {self.jump}"
        elif whole and self.value:
            words += " : " + " . ".join(word.text for word in self.value)
        elif whole and self.most:
            words += f" ct count over {self.most}"
        return words

    def data(self, *, whole: bool) -> bytes:
        """One of NFTA_SET_ELEM_LIST_ELEMENTS."""
        body = attribute(NFTA_SET_ELEM_KEY | NESTED, attribute(NFTA_DATA_VALUE, joined(self.key)))
        if self.end:
            body += attribute(NFTA_SET_ELEM_KEY_END | NESTED, attribute(NFTA_DATA_VALUE, joined(self.end)))
        if self.closes:
            body += big(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END)
        if whole and self.jump:
            body += attribute(NFTA_SET_ELEM_DATA | NESTED, _verdict(NFT_JUMP, self.jump))
        elif whole and self.value:
            body += attribute(NFTA_SET_ELEM_DATA | NESTED, attribute(NFTA_DATA_VALUE, joined(self.value)))
        elif whole and self.most:
            counted = big(NFTA_CONNLIMIT_COUNT, self.most) + big(NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV)
            limit = text(NFTA_EXPR_NAME, "connlimit") + attribute(NFTA_EXPR_DATA | NESTED, counted)
            body += attribute(NFTA_SET_ELEM_EXPR | NESTED, limit)
        return attribute(NFTA_LIST_ELEM | NESTED, body)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a rule: nft's words for it, which people and tests read, and the expressions that they stand for."""

    text: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its pieces in their order."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return " ".join(piece.text for piece in self.pieces)

    @property
    def data(self) -> bytes:
        """NFTA_RULE_EXPRESSIONS' content."""
        return b"".join(piece.data for piece in self.pieces)


def big(kind: int, value: int) -> bytes:
    """A number as nf_tables has them: big endian."""
    return attribute(kind, struct.pack("!I", value & 0xFFFF_FFFF))


def _expression(name: str, *attributes: bytes) -> bytes:
    body = text(NFTA_EXPR_NAME, name) + attribute(NFTA_EXPR_DATA | NESTED, b"".join(attributes))
    return attribute(NFTA_LIST_ELEM | NESTED, body)


def _verdict(code: int, chain: str = "") -> bytes:
    body = big(NFTA_VERDICT_CODE, code)
    if chain:
        body += text(NFTA_VERDICT_CHAIN, chain)
    return attribute(NFTA_DATA_VERDICT | NESTED, body)


def meta(key: int, register: int = NFT_REG_1) -> bytes:
    return _expression("meta", big(1, register), big(2, key))


def conntrack(key: int, register: int = NFT_REG_1) -> bytes:
    """Of the original direction: what the sender asked for, whatever was made of it on the way."""
    return _expression("ct", big(1, register), big(2, key), attribute(3, b"\0"))


def payload(base: int, offset: int, length: int, register: int = NFT_REG_1) -> bytes:
    return _expression("payload", big(1, register), big(2, base), big(3, offset), big(4, length))


def compare(operator: int, value: bytes) -> bytes:
    return _expression("cmp", big(1, NFT_REG_1), big(2, operator), attribute(3 | NESTED, attribute(1, value)))


def lookup(name: str, *, inverse: bool = False) -> bytes:
    return _expression("lookup", text(1, name), big(2, NFT_REG_1), *([big(5, 1)] if inverse else []))


def _between(low: bytes, high: bytes) -> bytes:
    if low == high:
        return compare(NFT_CMP_EQ, low)
    return compare(NFT_CMP_GTE, low) + compare(NFT_CMP_LTE, high)


@_remembered
def dialled(low: Address, high: Address) -> Piece:
    """The address that was asked for lies between these two."""
    family, key = ("ip", NFT_CT_DST_IP) if low.version == 4 else ("ip6", NFT_CT_DST_IP6)
    words = str(low) if low == high else f"{low}-{high}"
    return Piece(f"ct original {family} daddr {words}", conntrack(key) + _between(low.packed, high.packed))


@_remembered
def dialled_set(version: int, name: str, *, inverse: bool = False) -> Piece:
    """The address that was asked for is in this set, or is not."""
    family, key = ("ip", NFT_CT_DST_IP) if version == 4 else ("ip6", NFT_CT_DST_IP6)
    sign = "!= " if inverse else ""
    return Piece(f"ct original {family} daddr {sign}@{name}", conntrack(key) + lookup(name, inverse=inverse))


@_remembered
def sender_set(version: int, name: str) -> Piece:
    """The link and address that it comes from are in this set."""
    family, words, offset, length = (NFPROTO_IPV4, "ip", 12, 4) if version == 4 else (NFPROTO_IPV6, "ip6", 8, 16)
    data = meta(NFT_META_NFPROTO) + compare(NFT_CMP_EQ, bytes((family,))) + meta(NFT_META_IIFNAME)
    data += payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length, NFT_REG_2) + lookup(name)
    return Piece(f"iifname . {words} saddr @{name}", data)


@_remembered
def transport(name: str) -> Piece:
    words = "ipv6-icmp" if name == "icmpv6" else name
    return Piece(f"meta l4proto {words}", meta(NFT_META_L4PROTO) + compare(NFT_CMP_EQ, bytes((PROTOCOLS[name],))))


@_remembered
def dialled_ports(low: int, high: int) -> Piece:
    """Behind a transport of TCP or UDP."""
    words = str(low) if low == high else f"{low}-{high}"
    ends = low.to_bytes(2, "big"), high.to_bytes(2, "big")
    return Piece(f"ct original proto-dst {words}", conntrack(NFT_CT_PROTO_DST) + _between(*ends))


@_remembered
def icmp(version: int, kind: int, code: int | None) -> Piece:
    """ICMP of that type, and of that code."""
    name, family = ("icmp", NFPROTO_IPV4) if version == 4 else ("icmpv6", NFPROTO_IPV6)
    data = meta(NFT_META_NFPROTO) + compare(NFT_CMP_EQ, bytes((family,))) + transport(name).data
    data += payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1) + compare(NFT_CMP_EQ, bytes((kind,)))
    words = f"{name} type {kind}"
    if code is not None:
        data += payload(NFT_PAYLOAD_TRANSPORT_HEADER, 1, 1) + compare(NFT_CMP_EQ, bytes((code,)))
        words += f" {name} code {code}"
    return Piece(words, data)


def dialled_box(name: str) -> Piece:
    """The address, protocol and port that were asked for are in this set. Of ICMP the port is type and code, which
    conntrack keeps in the same place (struct nf_conntrack_tuple)."""
    data = conntrack(NFT_CT_DST_IP) + meta(NFT_META_L4PROTO, NFT_REG32_00 + 1)
    data += conntrack(NFT_CT_PROTO_DST, NFT_REG32_00 + 2) + lookup(name)
    return Piece(f"ct original ip daddr . meta l4proto . ct original proto-dst @{name}", data)


def log(prefix: str) -> Piece:
    return Piece(f'log prefix "{prefix}"', _expression("log", text(2, prefix)))


@_remembered
def verdict(word: str, chain: str = "") -> Piece:
    """accept, or goto a chain."""
    code = {"accept": NF_ACCEPT, "goto": NFT_GOTO}[word]
    data = _expression("immediate", big(1, NFT_REG_VERDICT), attribute(2 | NESTED, _verdict(code, chain)))
    return Piece(f"{word} {chain}".rstrip(), data)


def advertises_itself() -> bytes:
    """A neighbour advertisement or solicitation about an address of the sender's own, for which nft before 1.0.8 has no
    words: the port, the sender's MAC and the target of RFC 4861 §4.3 and §4.4 are in `senders6`."""
    fields = meta(NFT_META_IIFNAME)
    fields += payload(NFT_PAYLOAD_LL_HEADER, 6, 6, NFT_REG32_00 + 4)
    fields += payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16, NFT_REG32_00 + 6)
    return fields + lookup("senders6") + verdict("accept").data
