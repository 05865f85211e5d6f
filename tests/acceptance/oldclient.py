"""A client of the original's protocol, written by hand from spec/warden.md §1 and §2: nothing of this project's own
protocol package is used here, so that it can prove what that does."""

from __future__ import annotations

import socket
from typing import Any

Fields = list[tuple[int, int | bytes]]
ERROR, CREATE, STOP, DESTROY, INFO = 1, 11, 12, 13, 14
SPAWN, LINK, RUN, STREAM, NET_IN, NET_OUT, COPY_IN, COPY_OUT = 21, 22, 23, 24, 31, 32, 41, 42
LIMIT_MEMORY, LIMIT_DISK, LIMIT_BANDWIDTH, LIMIT_CPU, PING, LIST, ECHO = 51, 52, 53, 54, 91, 92, 93


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def field(tag: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(tag * 8) + varint(value)
    return varint(tag * 8 + 2) + varint(len(value)) + value


def message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(field(tag, value) for tag, value in fields)


def frame(kind: int, *fields: tuple[int, int | bytes]) -> bytes:
    body = message((1, kind), (2, message(*fields)))
    return b"%d\r\n%s\r\n" % (len(body), body)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value + (byte % 128 << shift), at + 1, shift + 7
        if byte < 128:
            return value, at


def fields_of(data: bytes) -> Fields:
    at = 0
    found: Fields = []
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key % 8 == 2:
            found.append((key // 8, data[at : at + value]))
            at += value
        else:
            assert key % 8 == 0, "the original's messages have numbers and texts only"
            found.append((key // 8, value))
    return found


class OldClient:
    """Reads the length with a line reader, as the Ruby client does."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def read(self) -> tuple[int, Fields]:
        length = self.file.readline()
        assert length.endswith(b"\r\n") and length[:-2].isdigit()
        body = self.file.read(int(length))
        assert self.file.read(2) == b"\r\n"
        (one, kind), (two, payload) = fields_of(body)
        assert (one, two) == (1, 2) and isinstance(kind, int) and isinstance(payload, bytes)
        return kind, fields_of(payload)

    def call(self, kind: int, *fields: tuple[int, int | bytes]) -> tuple[int, Fields]:
        self.socket.sendall(frame(kind, *fields))
        return self.read()

    def text(self, kind: int, *fields: tuple[int, int | bytes]) -> bytes:
        """Of the error that the request is answered with."""
        answered, found = self.call(kind, *fields)
        assert answered == ERROR, found
        (text,) = (value for tag, value in found if tag == 2)
        assert isinstance(text, bytes)
        return text

    def ask(self, kind: int, *fields: tuple[int, int | bytes]) -> dict[int, Any]:
        """The original's fields of the answer, which is no error."""
        answered, found = self.call(kind, *fields)
        assert answered == kind, found
        return dict(original(found))

    def run(self, handle: bytes, script: bytes, *more: tuple[int, int | bytes]) -> tuple[int, bytes, bytes]:
        """Exit status, stdout and stderr."""
        found = self.ask(RUN, (1, handle), (2, script), *more)
        return found[1], found[2], found[3]

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> OldClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def original(fields: Fields) -> Fields:
    """Without our extensions, which an old client skips."""
    return [(tag, value) for tag, value in fields if tag < 101]
