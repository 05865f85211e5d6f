"""Network namespaces and sockets in them, for tests with real packets that stay inside what the test made.

A namespace is held by a process of ours, so nothing is mounted for it and it is gone with the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from warden.kernel.syscalls import libc_call

T = TypeVar("T")
CLONE_NEWNET = 0x4000_0000
ANSWER_S = 30.0  # for what must come
SILENCE_S = 0.4  # for what must not
_echoes = itertools.count(os.getpid())
_setns = libc_call("setns", ctypes.c_int, ctypes.c_int)

HOST, OUTSIDE, OTHER, THIRD = "198.18.0.1", "198.18.0.2", "198.18.0.3", "198.18.0.4"
TCP_PORTS, UDP_PORTS = (80, 81, 8080, 8090, 8091), (53, 54)
ICMP_ECHO, ICMP_TIMESTAMP = 8, 13


@dataclass(frozen=True)
class Namespace:
    """One by the path of its file in /proc."""

    path: str

    def call(self, function: Callable[[], T]) -> T:
        """In a thread that has entered the namespace; a socket stays in the one it was made in."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _setns(fd, CLONE_NEWNET)
                finally:
                    os.close(fd)
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return future.result()

    def socket(self, kind: int, protocol: int = 0) -> socket.socket:
        return self.call(lambda: socket.socket(socket.AF_INET, kind, protocol))

    def run(self, *command: str, check: bool = True) -> str:
        words = ["nsenter", f"--net={self.path}", *command]
        return subprocess.run(words, check=check, capture_output=True, text=True).stdout


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as holder:
        try:
            path = f"/proc/{holder.pid}/ns/net"
            deadline = time.monotonic() + ANSWER_S
            while os.readlink(path) == os.readlink("/proc/self/ns/net"):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            here = Namespace(path)
            here.run("ip", "link", "set", "lo", "up")
            yield here
        finally:
            holder.kill()


@dataclass
class Server:
    """Answers every TCP connection and datagram with the address it came from, and remembers all datagrams.

    *addresses*: to receive datagrams at; a socket bound to all of them would answer from the first.
    """

    where: Namespace
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ("0.0.0.0",)
    datagrams: list[bytes] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        sockets = [self._bound(socket.SOCK_STREAM, port) for port in self.tcp]
        sockets += [self._bound(socket.SOCK_DGRAM, port, one) for port in self.udp for one in self.addresses]
        stop, wake = os.pipe()
        thread = threading.Thread(target=self._serve, args=(sockets, stop))
        thread.start()
        try:
            yield self
        finally:
            os.close(wake)
            thread.join()
            os.close(stop)
            for sock in sockets:
                sock.close()

    def _bound(self, kind: int, port: int, address: str = "0.0.0.0") -> socket.socket:
        sock = self.where.socket(kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        return sock

    def _serve(self, sockets: list[socket.socket], stop: int) -> None:
        while True:
            ready, _, _ = select.select([*sockets, stop], [], [])
            for sock in ready:
                if isinstance(sock, int):
                    return
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        if sock.type == socket.SOCK_STREAM:
            connection, peer = sock.accept()
            connection.sendall(peer[0].encode())
            connection.close()
        else:
            data, peer = sock.recvfrom(2048)
            self.datagrams.append(data)
            with contextlib.suppress(OSError):
                sock.sendto(peer[0].encode(), peer)


def tcp(source: Namespace, address: str, port: int, *, wait_s: float = ANSWER_S) -> str:
    """The answer: the address that the other end saw, "refused" or "silent"."""
    with source.socket(socket.SOCK_STREAM) as sock:
        sock.settimeout(wait_s)
        try:
            sock.connect((address, port))
            return sock.recv(100).decode()
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"


def udp(source: Namespace, address: str, port: int, *, wait_s: float = ANSWER_S) -> str:
    """As tcp."""
    with source.socket(socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait_s)
        sock.connect((address, port))
        try:
            sock.send(b"hello")
            return sock.recv(100).decode()
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"


def icmp(source: Namespace, address: str, kind: int = ICMP_ECHO, *, wait_s: float = ANSWER_S) -> str:
    """Sends an echo or timestamp request; "answered", "refused" (port unreachable, the firewall's word) or "silent"."""
    with source.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        body = struct.pack("!HH12x", next(_echoes) & 0xFFFF, kind)  # a connection of its own each
        head = struct.pack("!BBH", kind, 0, 0)
        sock.sendto(struct.pack("!BBH", kind, 0, checksum(head + body)) + body, (address, 0))
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            with contextlib.suppress(TimeoutError):
                packet = sock.recv(2048)
                answer = packet[(packet[0] & 15) * 4]
                if answer == (0 if kind == ICMP_ECHO else kind + 1):
                    return "answered"
                if answer == 3:
                    return "refused"
        return "silent"


def checksum(data: bytes) -> int:
    """Of ICMP and IP headers: RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def send_as(source: Namespace, claimed: str, address: str, port: int, data: bytes) -> None:
    """A datagram whose source address is whatever is *claimed*."""
    with source.socket(socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        datagram = struct.pack("!HHHH", 4242, port, 8 + len(data), 0) + data
        addresses = socket.inet_aton(claimed) + socket.inet_aton(address)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
        sock.sendto(header + datagram, (address, 0))


@dataclass(frozen=True)
class World:
    """The daemon's host and a host outside, joined by one link. *server* runs outside, *local* on the daemon's host."""

    host: Namespace
    outside: Namespace
    server: Server
    local: Server


@contextlib.contextmanager
def world(local_udp: tuple[int, ...] = (53,)) -> Iterator[World]:
    with namespace() as host, namespace() as outside:
        holder = outside.path.split("/")[2]
        host.run("ip", "link", "add", "outer", "type", "veth", "peer", "name", "outer", "netns", holder)
        host.run("ip", "address", "add", f"{HOST}/24", "dev", "outer")
        for address in (OUTSIDE, OTHER, THIRD):
            outside.run("ip", "address", "add", f"{address}/24", "dev", "outer")
        for one in (host, outside):
            one.run("ip", "link", "set", "outer", "up")
        # Or the kernel would leave most refusals unsaid, and every probe would have to wait for its silence.
        host.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
        host.run("ip", "route", "add", "default", "via", OUTSIDE)
        server, local = Server(outside, TCP_PORTS, UDP_PORTS, (OUTSIDE, OTHER, THIRD)), Server(host, (80,), local_udp)
        with server.running(), local.running():
            yield World(host, outside, server, local)
