"""A small synchronous client of wshd for the kernel tests: starts plans, speaks the requests.

Owns encoding of docs/plan-format.md's messages for tests only; the engine has its own client.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from warden.plan.steps import KEEP, Argument, Op, Plan, Step

CLONED, FAILED, READY = 1, 2, 3
SPAWN, SIGNAL, LIST, ATTACH, RELEASE, CLOSE_STDIN, PING, STARTED, ENDED = 1, 2, 3, 4, 5, 6, 7, 100, 101
STARTING, RUNNING, OVER, BROKEN = 1, 2, 3, 4
STDIN, STDOUT, STDERR, TERMINAL, GIVEN_STDIN, BODY_IN_FD = 1, 2, 4, 8, 16, 0x8000
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
PATIENCE = 60.0  # seconds after which a test is stuck; nothing is measured with it
# of wshd-asan: leaks cannot be looked for in a process that never ends, and PID 1 must not have signal handlers,
# or signals from inside would reach it
REPORTS = f"w-asan-{os.getpid()}"  # in /tmp
ASAN = "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:log_path=/tmp/" + REPORTS
REQUEST = struct.Struct("<IHHIIII")
REPLY = struct.Struct("<IHHIiIIII")
RECORD = struct.Struct("<IiIiIiIIQQQQQ")


def step(op: Op, *args: Argument | str) -> Step:
    """A step without a description; text is encoded."""
    return Step(op, tuple(arg.encode() if isinstance(arg, str) else arg for arg in args), op.name.lower())


def plan(*steps: Step) -> bytes:
    return Plan(steps).encode()


def program(*argv: str, env: tuple[str, ...] = ("PATH=/usr/bin:/bin",), before: tuple[Step, ...] = ()) -> bytes:
    """The plan of a job that runs *argv*."""
    words = [step(Op.ARG, word) for word in argv]
    return plan(*before, *(step(Op.ENV, pair) for pair in env), *words, step(Op.EXEC, argv[0]))


def memfd(content: bytes, name: str = "w-plan") -> int:
    fd = os.memfd_create(name)
    os.write(fd, content)
    return fd


@dataclass
class Message:
    kind: int
    step: int
    error: int
    pid: int


@dataclass
class Launch:
    """A running wshd: its process, and what came on CONTROL."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    pid: int = -1
    pidfd: int = -1
    messages: list[Message] = field(default_factory=list)

    def message(self) -> Message | None:
        """The next message on CONTROL; None at its end."""
        self.control.settimeout(PATIENCE)
        data, ancillary, _, _ = self.control.recvmsg(16, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        if not data:
            return None
        found = Message(*struct.unpack("<IIii", data))
        self.messages.append(found)
        if found.kind == CLONED:
            self.pid = found.pid
            self.pidfd = array.array("i", ancillary[0][2])[0]
        return found

    def finish(self) -> list[Message]:
        """Every message until both processes have closed CONTROL."""
        while self.message():
            pass
        return self.messages

    def output(self) -> bytes:
        return self.process.communicate(timeout=PATIENCE)[0]

    def close(self) -> None:
        """Kill what runs, and wait until it is gone."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            select.select([self.pidfd], [], [], PATIENCE)
            os.close(self.pidfd)
            self.pidfd = -1
        self.control.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def launch(binary: Path, content: bytes, *, listen: socket.socket | None = None, fds: tuple[int, ...] = ()) -> Launch:
    """Start *binary* on the plan *content*."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given = memfd(content)
    word = str(listen.fileno()) if listen else "-"
    argv = [str(binary), str(theirs.fileno()), str(given), word, *map(str, fds)]
    passed = (theirs.fileno(), given, *fds, *([listen.fileno()] if listen else []))
    env = {"ASAN_OPTIONS": ASAN, "PATH": os.environ["PATH"]}
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    process = subprocess.Popen(argv, pass_fds=passed, env=env, stdin=null, stdout=pipe, stderr=pipe)
    theirs.close()
    os.close(given)
    return Launch(process, ours)


@dataclass
class Record:
    job: int
    pid: int
    state: int
    status: int
    step: int
    error: int
    flags: int
    zero: int
    started_ns: int
    ended_ns: int
    user_us: int
    system_us: int
    maxrss_kib: int


@dataclass
class Reply:
    kind: int
    flags: int
    job: int
    error: int
    a: int
    b: int
    records: list[Record]
    fds: list[int]


class Client:
    """One connection to a serving wshd. Events that come between replies are kept in *events*."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.events: list[Reply] = []

    def close(self) -> None:
        self.socket.close()

    def send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([packet], ancillary)

    def receive(self) -> Reply | None:
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4 * 16), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # closed with requests of ours unread
            return None
        if not data:
            return None
        magic, kind, flags, job, error, a, b, count, _ = REPLY.unpack_from(data)
        assert magic == 0x31505257
        assert len(data) == REPLY.size + count * RECORD.size
        records = [Record(*RECORD.unpack_from(data, REPLY.size + i * RECORD.size)) for i in range(count)]
        fds = [fd for _, _, raw in ancillary for fd in array.array("i", raw)]
        return Reply(kind, flags, job, error, a, b, records, fds)

    def answer(self, kind: int) -> Reply:
        """The next reply of *kind*; events before it are kept."""
        while True:
            reply = self.receive()
            assert reply is not None, "wshd closed the connection"
            if reply.kind == kind:
                return reply
            self.events.append(reply)

    def request(
        self,
        kind: int,
        *,
        job: int = 0,
        flags: int = 0,
        a: int = 0,
        b: int = 0,
        body: bytes = b"",
        fds: tuple[int, ...] = (),
    ) -> Reply:
        self.send(REQUEST.pack(0x31515257, kind, flags, job, a, b, len(body)) + body, fds)
        reply = self.answer(kind)
        if kind == PING:  # brings a pidfd of PID 1
            for fd in reply.fds:
                os.close(fd)
        return reply

    def spawn(
        self, job: int, body: bytes, flags: int = 0, *, a: int = 0, b: int = 0, fds: tuple[int, ...] = ()
    ) -> Reply:
        if len(body) <= 32768:
            return self.request(SPAWN, job=job, flags=flags, a=a, b=b, body=body, fds=fds)
        carrier = memfd(body)
        self.send(REQUEST.pack(0x31515257, SPAWN, flags | BODY_IN_FD, job, a, b, len(body)), (carrier, *fds))
        os.close(carrier)
        return self.answer(SPAWN)

    def wait(self, job: int, kind: int = ENDED) -> Record:
        """The record of the event *kind* of *job*."""
        while True:
            for event in self.events:
                if event.kind == kind and event.job == job:
                    return event.records[0]
            reply = self.receive()
            assert reply is not None, "wshd closed the connection"
            self.events.append(reply)

    def list(self) -> list[Record]:
        found, slot = [], 0
        while True:
            reply = self.request(LIST, a=slot)
            found += reply.records
            slot = reply.b
            if slot == 0:
                return found


def until(client: Client, holds: Callable[[], bool]) -> None:
    """Keep PID 1 busy with pings until *holds*; a test that is stuck fails instead of running for ever."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came true"
        client.request(PING)


def read_all(fd: int) -> bytes:
    """Everything until the end; a terminal whose other side has gone counts as the end."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(fd, 65536):
            parts.append(part)
    os.close(fd)
    return b"".join(parts)


def keep_owner(path: str, mode: int) -> Step:
    return step(Op.MKDIR, path, mode, KEEP, KEEP)
