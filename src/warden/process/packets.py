"""Packets between the engine and a container's PID 1 (docs/plan-format.md, "Serving"): their layout, and the way to the
socket. Imports no event loop: `channel` is for one, `direct` for programs without.
"""

from __future__ import annotations

import os
import struct

from warden.kernel import sockets
from warden.process.launch import SOCKET_NAME
from warden.records import dataclass

REQUEST = struct.Struct("<IHHIIII")
REPLY = struct.Struct("<IHHIiIIII")
RECORD = struct.Struct("<IiIiIiIIQQQQQ")
REQUEST_MAGIC, REPLY_MAGIC = 0x31515257, 0x31505257
SPAWN, SIGNAL, LIST, ATTACH, RELEASE, CLOSE_STDIN, PING, SHUTDOWN = range(1, 9)
STARTED, ENDED = 100, 101
WANT_STDIN, WANT_STDOUT, WANT_STDERR, WANT_TTY, STDIN_GIVEN = 1, 2, 4, 8, 16
HAS_PIDFD = 16
BODY_IN_FD = 0x8000
INLINE_LIMIT = 32 * 1024
STATE_STARTING, STATE_RUNNING, STATE_ENDED, STATE_FAILED = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Record:
    """What PID 1 knows of a job. Times in nanoseconds of CLOCK_BOOTTIME, cpu in microseconds, rss in KiB."""

    job: int
    pid: int
    state: int
    status: int
    step: int
    error: int
    kept: int
    started_ns: int
    ended_ns: int
    user_us: int
    system_us: int
    maxrss_kib: int

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        job, pid, state, status, step, error, kept, _, *rest = RECORD.unpack(data)
        return cls(job, pid, state, status, step, error, kept, *rest)

    @property
    def over(self) -> bool:
        return self.state >= STATE_ENDED


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. *descriptors* by their flag (WANT_STDIN … HAS_PIDFD), to be closed by who takes them."""

    error: int
    a: int
    b: int
    records: tuple[Record, ...]
    descriptors: dict[int, int]


def packed_request(
    kind: int, job: int = 0, *, flags: int = 0, a: int = 0, b: int = 0, body: bytes = b""
) -> tuple[bytes, int | None]:
    """A request as one packet; and where the body is too long for it, a memory file that goes with it as the first
    descriptor, to be closed by the caller."""
    if len(body) <= INLINE_LIMIT:
        return REQUEST.pack(REQUEST_MAGIC, kind, flags, job, a, b, len(body)) + body, None
    memory = os.memfd_create("request", os.MFD_CLOEXEC)
    os.write(memory, body)
    return REQUEST.pack(REQUEST_MAGIC, kind, flags | BODY_IN_FD, job, a, b, len(body)), memory


def records_of(packet: bytes, count: int) -> tuple[Record, ...]:
    """Those that follow a reply in its packet."""
    starts = range(REPLY.size, REPLY.size + count * RECORD.size, RECORD.size)
    return tuple(Record.unpack(packet[start : start + RECORD.size]) for start in starts)


def connect_socket(directory: str) -> sockets.socket:
    """A non-blocking connection to wshd.sock in *directory*."""
    sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET | sockets.SOCK_NONBLOCK)
    directory_fd = -1
    try:
        directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        sock.connect(f"/proc/self/fd/{directory_fd}/{SOCKET_NAME}")
    except BaseException:
        sock.close()
        raise
    finally:
        if directory_fd >= 0:
            os.close(directory_fd)
    return sock


def descriptors_of(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == sockets.SOL_SOCKET and kind == sockets.SCM_RIGHTS:
            found += struct.unpack_from(f"{len(data) // 4}i", data)
    return found
