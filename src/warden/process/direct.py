"""A blocking connection to a container's PID 1, for a program that has one container and no event loop."""

from __future__ import annotations

import os
import struct

from warden.errors import EngineFault
from warden.kernel import sockets
from warden.process.packets import (
    ENDED,
    REPLY,
    SIGNAL,
    SPAWN,
    STARTED,
    STATE_FAILED,
    Record,
    connect_socket,
    packed_request,
    records_of,
)

_LARGEST = 65536


class Direct:
    """Starts jobs that use descriptors of the caller's, signals them, and waits for their ends. Raises EngineFault when
    PID 1 is gone."""

    def __init__(self, directory: str) -> None:
        """*directory*: where wshd.sock lies. Raises OSError when nobody listens."""
        self._socket = connect_socket(directory)
        self._socket.setblocking(True)

    def close(self) -> None:
        self._socket.close()

    def spawn(self, job: int, plan: bytes, descriptors: tuple[int, ...]) -> Record:
        """Waits until the job has become itself or failed to (STATE_FAILED)."""
        self._send(SPAWN, job, plan, descriptors)
        while True:
            kind, error, record = self._receive()
            if kind == SPAWN and error:
                raise EngineFault(f"job {job}: start: {os.strerror(error)}")
            if record is not None and record.job == job and (kind == STARTED or record.state == STATE_FAILED):
                return record

    def signal(self, job: int, number: int) -> None:
        """To the job's first process. The answer is passed over by `wait`; a handler of a signal may call this."""
        self._send(SIGNAL, job, b"", (), a=number)

    def wait(self, job: int) -> Record:
        """Until the job has ended."""
        while True:
            kind, _, record = self._receive()
            if kind == ENDED and record is not None and record.job == job:
                return record

    def _send(self, kind: int, job: int, body: bytes, descriptors: tuple[int, ...], *, a: int = 0) -> None:
        packet, memory = packed_request(kind, job, a=a, body=body)
        fds = descriptors if memory is None else (memory, *descriptors)
        rights = [(sockets.SOL_SOCKET, sockets.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            self._socket.sendmsg([packet], rights)
        except OSError as error:
            raise EngineFault(f"wshd: connection lost: {error.strerror}") from error
        finally:
            if memory is not None:
                os.close(memory)

    def _receive(self) -> tuple[int, int, Record | None]:
        """Kind, error and first record of the next packet."""
        try:
            packet = self._socket.recv(_LARGEST)
        except OSError as error:
            raise EngineFault(f"wshd: connection lost: {error.strerror}") from error
        if not packet:
            raise EngineFault("wshd: connection lost", hint="the container's PID 1 has ended")
        _, kind, _, _, error_number, _, _, count, _ = REPLY.unpack_from(packet)
        records = records_of(packet, count)
        return kind, error_number, records[0] if records else None
