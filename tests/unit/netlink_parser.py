"""An rtnetlink parser written from the manual (netlink(7), rtnetlink(7)), sharing nothing with the encoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass

NEST = 0x8000


@dataclass(frozen=True)
class Parsed:
    """One message: its header's fields, the fixed struct by name, and its attributes (type → bytes)."""

    kind: int
    flags: int
    sequence: int
    port: int
    head: dict[str, int]
    attributes: dict[int, bytes]


HEADS = {
    16: ("<BBHiII", ("family", "pad", "type", "index", "flags", "change")),
    20: ("<BBBBI", ("family", "prefixlen", "flags", "scope", "index")),
    24: ("<BBBBBBBBI", ("family", "dst_len", "src_len", "tos", "table", "protocol", "scope", "type", "flags")),
}


def aligned(length: int) -> int:
    return (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """type → value; every length must fit, padding must be zero, no type may come twice."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        length, kind = struct.unpack_from("<HH", data, place)
        assert 4 <= length <= len(data) - place, "an attribute is longer than what holds it"
        assert kind not in found
        found[kind] = data[place + 4 : place + length]
        assert not any(data[place + length : place + aligned(length)])
        place += aligned(length)
    assert place == len(data), "the last attribute is not padded"
    return found


def parse(batch: bytes) -> list[Parsed]:
    """Every message of a batch; each must begin at a multiple of four and end inside."""
    found = []
    place = 0
    while place < len(batch):
        assert place % 4 == 0
        length, kind, flags, sequence, port = struct.unpack_from("<IHHII", batch, place)
        assert 16 <= length <= len(batch) - place
        layout, names = HEADS[kind]
        body = batch[place + 16 : place + length]
        size = struct.calcsize(layout)
        head = dict(zip(names, struct.unpack_from(layout, body), strict=True))
        found.append(Parsed(kind, flags, sequence, port, head, attributes(body[aligned(size) :])))
        place += aligned(length)
    assert place == len(batch)
    return found


def text(data: bytes) -> str:
    assert data.endswith(b"\0") and data.count(b"\0") == 1
    return data[:-1].decode()


def number(data: bytes) -> int:
    assert len(data) == 4
    return int.from_bytes(data, "little")
