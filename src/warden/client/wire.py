"""Blocking connections to the daemon and the pool that keeps them.

Owns sockets, timeouts and what a broken connection is called. A connection serves one request at a time, as the
server does, so threads that share a client get one each.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from warden.client import messages
from warden.errors import NotPermitted, Unreachable, WardenError
from warden.protocol import codec
from warden.protocol.framing import FrameParser

READ_SIZE = 256 * 1024
MAX_IDLE = 16


def connect_error(path: str, error: OSError) -> WardenError:
    """What a failed connect means to a person."""
    if isinstance(error, PermissionError):
        return NotPermitted(f"connect {path}: permission denied", hint="use sudo, or be given access to the socket")
    reason = "no such socket" if isinstance(error, FileNotFoundError) else "nobody listens there"
    if not isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        reason = error.strerror or str(error)
    return Unreachable(f"connect {path}: {reason}", hint="start it with: sudo wardend")


def lost(path: str) -> Unreachable:
    """The other end went away in the middle of a request."""
    return Unreachable(f"connection {path}: lost before the reply came", hint="the daemon was stopped or restarted")


class Connection:
    """One connection. *busy* while a reply is owed: then it cannot be used for another request."""

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path = path
        self.timeout = timeout
        self.busy = False
        self._parser = FrameParser(messages.FRAME_LIMIT)
        self._frames: deque[bytes] = deque()
        self._sending = threading.Lock()  # attach writes from one thread while another reads
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise connect_error(path, error) from None

    def send(self, request: messages.Request) -> None:
        self.busy = True
        try:
            with self._sending:
                self._socket.sendall(codec.encode(*request))
        except TimeoutError:
            raise self._too_slow() from None
        except OSError:
            raise lost(self._path) from None

    def receive(self, kind: int, *, patient: bool = False) -> Any:
        """The next response to a request of *kind*; *patient* ones wait for a job, without a timeout."""
        self._socket.settimeout(None if patient else self.timeout)
        return messages.response(kind, self._next_frame())

    def call(self, request: messages.Request, *, patient: bool = False) -> Any:
        self.send(request)
        self._socket.settimeout(None if patient else self.timeout)
        frame = self._next_frame()
        self.busy = False
        return messages.response(request[0], frame)

    def _next_frame(self) -> bytes:
        while not self._frames:
            try:
                data = self._socket.recv(READ_SIZE)
            except TimeoutError:
                raise self._too_slow() from None
            except OSError:
                raise lost(self._path) from None
            if not data:
                raise lost(self._path)
            self._frames.extend(self._parser.feed(data))
        return self._frames.popleft()

    def _too_slow(self) -> Unreachable:
        return Unreachable(f"connection {self._path}: no reply within {self.timeout} seconds")

    def is_alive(self) -> bool:
        """Whether an idle connection still has its server: one that went away reads as end of file."""
        self._socket.settimeout(0)  # with a timeout set, Python itself would wait, whatever MSG_DONTWAIT says
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(self.timeout)
        return False  # end of file, or bytes that nobody asked for

    def close(self) -> None:
        # A thread blocked in recv on it wakes up by the shutdown, not by the close.
        with suppress(OSError):  # the peer was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Pool:
    """Idle connections of one client; any number of threads."""

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path, self._timeout = path, timeout
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Connection:
        """An idle connection, or a new one."""
        while True:
            with self._lock:
                if self._closed:
                    raise Unreachable(f"connection {self._path}: this client is closed")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection(self._path, self._timeout)
            if connection.is_alive():
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        """Keeps it for the next request, unless a reply is still owed."""
        with self._lock:
            keep = not connection.busy and not self._closed and len(self._idle) < MAX_IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def call(self, request: messages.Request, *, patient: bool = False) -> Any:
        with self.connection() as connection:
            return connection.call(request, patient=patient)

    def is_cut_off(self) -> bool:
        """Whether a connection that was kept has lost its server."""
        with self._lock:
            return not all(connection.is_alive() for connection in self._idle)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
