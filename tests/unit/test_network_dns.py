"""The DNS codec: what is read and written, and that no bytes from outside do harm."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.network import dns
from warden.network.dns import Malformed


def question(name: str, kind: int = dns.A, *, number: int = 7, flags: int = dns.RD, opt: bytes = b"") -> bytes:
    encoded = dns.encode_name(name)
    assert encoded is not None
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, bool(opt)) + encoded + struct.pack("!HH", kind, 1) + opt


def opt(size: int = 4096, ttl: int = 0, data: bytes = b"") -> bytes:
    return b"\0" + struct.pack("!HHIH", dns.OPT, size, ttl, len(data)) + data


def test_a_query() -> None:
    query = dns.parse_query(question("Db.Example", dns.AAAA))
    assert (query.id, query.labels, query.kind, query.edns, query.size) == (7, (b"db", b"example"), 28, False, 512)
    assert query.name == b"db.example"
    query = dns.parse_query(question("db", opt=opt(4096, dns.DNSSEC_OK, b"\0\x0a\0\x08cookiexx")))
    assert (query.edns, query.dnssec, query.size) == (True, True, 4096)
    assert dns.parse_query(question("db", opt=opt(10))).size == 512


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"", None),
        (b"x" * 11, None),
        (question("db", flags=dns.QR), None),
        (question("db", flags=0x2800), dns.NOTIMP),
        (struct.pack("!HHHHHH", 1, 0, 0, 0, 0, 0), dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2, dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 1, 0, 0) + b"\0\0\1\0\1", dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\5ab", dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\1a\0\0\1", dns.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\77" + b"a" * 63 + b"\77" * 300, dns.FORMERR),
        (question("db", opt=b"\1x" + opt()), dns.FORMERR),
        (question("db", opt=opt(ttl=1 << 16)), dns.BADVERS),
        (question("db", opt=opt(data=b"xxxx")[:-1]), dns.FORMERR),
        (question("db") + b"x" * 1100, dns.FORMERR),
    ],
)
def test_what_is_no_query(data: bytes, rcode: int | None) -> None:
    with pytest.raises(Malformed) as caught:
        dns.parse_query(data)
    assert caught.value.rcode == rcode
    if rcode is not None:
        assert dns.refusal(data, rcode)[:2] == data[:2]
        assert dns.refusal(data, rcode)[2] & 0x80


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    check_bytes(data)


@given(st.binary(max_size=300), st.integers(0, 0xFFFF), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes_behind_a_header(data: bytes, flags: int, questions: int, more: int) -> None:
    check_bytes(struct.pack("!HHHHHH", 1, flags & 0x7FFF, questions, 0, 0, more) + data)


@given(st.binary(max_size=80), st.data())
def test_a_query_with_some_bytes_changed(noise: bytes, data: st.DataObject) -> None:
    changed = bytearray(question("some.name.example", opt=opt()))
    for byte in noise:
        changed[data.draw(st.integers(2, len(changed) - 1))] = byte
    check_bytes(bytes(changed))


def check_bytes(data: bytes) -> None:
    try:
        query = dns.parse_query(data)
    except Malformed as error:
        if error.rcode is not None:
            assert len(dns.refusal(data, error.rcode)) <= 12 + 11
        return
    again = dns.parse_query(dns.forwarded(query, 99))
    assert (again.id, again.labels, again.kind, again.klass) == (99, query.labels, query.kind, query.klass)
    assert len(dns.answer(query, dns.NXDOMAIN)) <= len(data) + 11, "no answer of ours is much longer than what it answers"
    dns.reversed_address(query.labels)


def test_an_answer() -> None:
    query = dns.parse_query(question("db", opt=opt()))
    found = dns.answer(query, dns.NOERROR, [(dns.A, b"\x0a\0\0\2")], ttl=5)
    number, flags, *counts = struct.unpack_from("!HHHHHH", found)
    assert (number, flags, counts) == (7, dns.QR | dns.AA | dns.RA | dns.RD, [1, 1, 0, 1])
    assert found[12:].startswith(query.question + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\0\0\2")
    assert struct.unpack_from("!H", dns.truncated(query), 2)[0] & dns.TC


def test_only_the_answer_to_what_was_asked_is_one() -> None:
    query = dns.parse_query(question("db.example"))
    good = bytearray(dns.forwarded(query, 99))
    assert not dns.is_answer(bytes(good), query, 99), "a query"
    good[2] |= 0x80
    assert dns.is_answer(bytes(good), query, 99)
    assert not dns.is_answer(bytes(good), query, 98)
    assert not dns.is_answer(bytes(good), dns.parse_query(question("db.examplf")), 99)
    assert not dns.is_answer(bytes(good[:11]), query, 99)
    assert dns.for_client(bytes(good), query)[:2] == b"\0\7"


@pytest.mark.parametrize("text", ["10.1.2.3", "fd00::7"])
def test_an_address_backwards(text: str) -> None:
    address = ip_address(text)
    labels = tuple(label.encode() for label in address.reverse_pointer.split("."))
    assert dns.reversed_address(labels) == address


@pytest.mark.parametrize(
    "name", ["", "arpa", "in-addr.arpa", "1.2.3.in-addr.arpa", "a.2.3.4.in-addr.arpa", "1.2.3.256.in-addr.arpa", "x.ip6.arpa"]
)
def test_what_is_no_address_backwards(name: str) -> None:
    assert dns.reversed_address(tuple(label.encode() for label in name.split("."))) is None


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "é", ".".join(["a" * 60] * 5)])
def test_what_is_no_name(name: str) -> None:
    assert dns.encode_name(name) is None
