"""DNS messages, as far as a resolver needs that answers some names and hands the rest on: RFC 1035, RFC 6891. Pure.

Owns the little codec. Of a query exactly one question and at most one OPT are read, everything else is refused; what is
handed on is written anew from what was read. A library for it (dnspython) takes 11 MB and 90 ms to import.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from warden.records import dataclass

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
INTERNET = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
DNSSEC_OK = 0x8000  # of an OPT's flags
PLAIN_SIZE = 512  # of an answer over UDP to a query without OPT
OWN_SIZE = 1232  # what is sure to pass in one packet: dnsflagday.net/2020
LONGEST_QUERY = 1024

_HEADER = struct.Struct("!HHHHHH")  # id, flags, and how many questions, answers, authorities, additional records
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")  # type, class, ttl, length
_NAME_IS_QUESTION = b"\xc0\x0c"


class Malformed(ValueError):
    """Not a query. *rcode*: what to answer; None: nothing at all, it was an answer or is too short for one."""

    def __init__(self, why: str, rcode: int | None = None) -> None:
        super().__init__(why)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Query:
    """*labels*: of the name in small letters; *question*: the bytes as they came; *size*: the longest answer over UDP.
    *edns*: it has an OPT; *dnssec*: that asks for signatures."""

    id: int
    flags: int
    labels: tuple[bytes, ...]
    kind: int
    klass: int
    question: bytes
    edns: bool = False
    dnssec: bool = False
    size: int = PLAIN_SIZE

    @property
    def name(self) -> bytes:
        return b".".join(self.labels)


def parse_query(data: bytes) -> Query:
    """Raises Malformed, and nothing else, whatever *data* is."""
    if len(data) < _HEADER.size:
        raise Malformed("shorter than a header")
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    if flags & QR:
        raise Malformed("an answer")
    if len(data) > LONGEST_QUERY:
        raise Malformed("too long for a query", FORMERR)
    if flags >> 11 & 15:
        raise Malformed("not a standard query", NOTIMP)
    if questions != 1 or answers or authorities or more > 1:
        raise Malformed("not one question", FORMERR)
    labels, position = _read_name(data, _HEADER.size)
    kind, klass = _unpack(_QUESTION, data, position)
    end = position + _QUESTION.size
    query = Query(number, flags, labels, kind, klass, data[_HEADER.size : end])
    return _with_opt(query, data, end) if more else query


def _read_name(data: bytes, position: int) -> tuple[tuple[bytes, ...], int]:
    """Without compression: nothing stands before a question that could be meant."""
    labels: list[bytes] = []
    start = position
    while True:
        if position >= len(data):
            raise Malformed("a name that ends too early", FORMERR)
        length = data[position]
        if length > 63:
            raise Malformed("a label of more than 63 bytes", FORMERR)
        position += 1
        if not length:
            return tuple(labels), position
        label = data[position : position + length]
        position += length
        if len(label) < length or position - start >= 255:
            raise Malformed("a name that is too long", FORMERR)
        labels.append(label.lower())


def _unpack(form: struct.Struct, data: bytes, position: int) -> tuple[int, ...]:
    if len(data) < position + form.size:
        raise Malformed("it ends too early", FORMERR)
    return form.unpack_from(data, position)


def _with_opt(query: Query, data: bytes, position: int) -> Query:
    """*query* with what its OPT says: RFC 6891, section 6.1."""
    owner, position = _read_name(data, position)
    kind, size, ttl, length = _unpack(_RECORD, data, position)
    if kind != OPT or owner or len(data) < position + _RECORD.size + length:
        raise Malformed("an additional record that is no OPT", FORMERR)
    if ttl >> 16 & 0xFF:
        raise Malformed("a version of EDNS that does not exist", BADVERS)
    return Query(
        query.id,
        query.flags,
        query.labels,
        query.kind,
        query.klass,
        query.question,
        edns=True,
        dnssec=bool(ttl & DNSSEC_OK),
        size=max(size, PLAIN_SIZE),
    )


def refusal(data: bytes, rcode: int) -> bytes:
    """The answer to *data* that could not be read: its header alone, and for a version of EDNS an OPT."""
    number, flags = struct.unpack_from("!HH", data)
    opt = _opt(rcode >> 4) if rcode > 15 else b""
    head = _HEADER.pack(number, QR | flags & (0x7800 | RD) | rcode & 15, 0, 0, 0, 1 if opt else 0)
    return head + opt


def answer(query: Query, rcode: int, records: Iterable[tuple[int, bytes]] = (), *, ttl: int = 0, own: bool = True) -> bytes:
    """An answer with *records* (type, data), all of the question's name. *own*: with authority."""
    found = list(records)
    flags = QR | RA | (AA if own else 0) | query.flags & (RD | CD) | rcode & 15
    head = _HEADER.pack(query.id, flags, 1, len(found), 0, 1 if query.edns else 0)
    body = b"".join(
        _NAME_IS_QUESTION + _RECORD.pack(kind, INTERNET, ttl, len(data)) + data for kind, data in found
    )
    return head + query.question + body + (_opt() if query.edns else b"")


def _opt(extended: int = 0) -> bytes:
    return b"\0" + _RECORD.pack(OPT, OWN_SIZE, extended << 24, 0)


def truncated(query: Query) -> bytes:
    """The answer that says: ask over TCP."""
    head = bytearray(answer(query, NOERROR, own=False))
    head[2] |= TC >> 8
    return bytes(head)


def forwarded(query: Query, number: int) -> bytes:
    """*query* for another server, under the id *number*; of what it had only what was understood."""
    flags = query.flags & (RD | AD | CD)
    head = _HEADER.pack(number, flags, 1, 0, 0, 1 if query.edns else 0)
    if not query.edns:
        return head + query.question
    size, ttl = min(query.size, OWN_SIZE), DNSSEC_OK if query.dnssec else 0
    return head + query.question + b"\0" + _RECORD.pack(OPT, size, ttl, 0)


def is_answer(data: bytes, query: Query, number: int) -> bool:
    """Whether *data* answers what `forwarded` sent; an answer to something else is nobody's (RFC 5452)."""
    if len(data) < _HEADER.size:
        return False
    found, flags, questions = struct.unpack_from("!HHH", data)
    if found != number or not flags & QR or questions > 1:
        return False
    end = _HEADER.size + len(query.question)
    return not questions or data[_HEADER.size : end].lower() == query.question.lower()


def for_client(data: bytes, query: Query) -> bytes:
    """An answer that `is_answer` knows, under the client's own id."""
    return struct.pack("!H", query.id) + data[2:]


def rcode_of(data: bytes) -> int:
    return data[3] & 15


def encode_name(name: str) -> bytes | None:
    """A name as labels; None for what cannot be one."""
    labels = [label.encode("ascii", "replace") for label in name.rstrip(".").split(".")]
    if not name.isascii() or any(not 0 < len(label) < 64 for label in labels) or len(name) > 253:
        return None
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def reversed_address(labels: tuple[bytes, ...]) -> IPv4Address | IPv6Address | None:
    """The address that a name of in-addr.arpa or ip6.arpa stands for (RFC 1035 section 3.5, RFC 3596)."""
    *digits, zone, root = labels if len(labels) > 2 else (b"", b"", b"")
    if root != b"arpa":
        return None
    try:
        if zone == b"in-addr" and len(digits) == 4:
            return IPv4Address(b".".join(reversed(digits)).decode("ascii"))
        if zone == b"ip6" and len(digits) == 32 and all(len(digit) == 1 for digit in digits):
            return IPv6Address(int(b"".join(reversed(digits)), 16))
    except ValueError:
        pass
    return None
