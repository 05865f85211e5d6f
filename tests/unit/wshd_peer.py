"""A PID 1 played by hand over a packet socket: it reads requests and says what a test tells it to."""

from __future__ import annotations

import array
import os
import select
import socket
import struct
from dataclasses import dataclass

# docs/plan-format.md, "Serving: requests and replies"
REQUEST = struct.Struct("<IHHIIII")
REPLY = struct.Struct("<IHHIiIIII")
RECORD = struct.Struct("<IiIiIiIIQQQQQ")
STARTED, ENDED = 100, 101
BODY_IN_DESCRIPTOR = 0x8000


@dataclass(frozen=True)
class Request:
    """One request as it came; *fds* are the receiver's to close."""

    kind: int
    flags: int
    job: int
    a: int
    b: int
    length: int
    body: bytes
    fds: list[int]


class Peer:
    """The other end of a channel. Its waits are bounded, so that a mistake fails instead of hanging."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(60)

    def receive(self) -> Request:
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, 4096, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for _, _, rights in ancillary:
            fds.frombytes(rights)
        magic, *fields, length = REQUEST.unpack_from(data)
        assert magic == int.from_bytes(b"WRQ1", "little")
        kind, flags, job, a, b = fields
        return Request(kind, flags, job, a, b, length, data[REQUEST.size :], list(fds))

    def has_more(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def send(self, kind: int, *, flags: int = 0, job: int = 0, error: int = 0, a: int = 0, b: int = 0,
             records: tuple[bytes, ...] = (), fds: tuple[int, ...] = ()) -> None:  # fmt: skip
        magic = int.from_bytes(b"WRP1", "little")
        packet = REPLY.pack(magic, kind, flags, job, error, a, b, len(records), 0) + b"".join(records)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([packet], rights)

    def event(self, kind: int, job: int) -> None:
        self.send(kind, job=job, records=(record(job),))

    def close(self) -> None:
        self.socket.close()


def record(job: int, *, state: int = 2, status: int = 0) -> bytes:
    return RECORD.pack(job, 7, state, status, 3, 2, 6, 0, 1001, 1002, 1003, 1004, 1005)


def content(fd: int) -> bytes:
    """Everything in a memory file, from its beginning; closes it."""
    with open(fd, "rb") as file:
        return os.pread(file.fileno(), 1 << 26, 0)
