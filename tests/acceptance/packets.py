"""Packets of either family between namespaces: who answers whom, and as whom it is seen; and frames, byte by byte. Beside
netns.py, which is IPv4's."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

from netns import ANSWER_S, Namespace, checksum


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def reach(source: Namespace, address: str, port: int = 7, *, wait_s: float = ANSWER_S) -> str:
    """As whom *source* is seen by who listens there; "refused", "silent", or "no way" for want of a route."""
    with source.call(lambda: socket.socket(_family(address), socket.SOCK_STREAM)) as sock:
        sock.settimeout(wait_s)
        try:
            sock.connect((address, port))
            return sock.recv(100).decode()
        except (ConnectionRefusedError, ConnectionResetError):
            return "refused"
        except TimeoutError:
            return "silent"
        except OSError:
            return "no way"


@contextlib.contextmanager
def listening(where: Namespace, *addresses: str, port: int = 7) -> Iterator[None]:
    """Answers every connection to *addresses* with the address that it came from."""
    with contextlib.ExitStack() as stack:
        for address in addresses or ("0.0.0.0", "::"):
            stack.enter_context(_listener(where, address, port))
        yield


@contextlib.contextmanager
def _listener(where: Namespace, address: str, port: int) -> Iterator[None]:
    sock = where.call(lambda: socket.socket(_family(address), socket.SOCK_STREAM))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    sock.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, who = sock.accept()
                with peer, contextlib.suppress(OSError):
                    peer.sendall(who[0].encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        sock.close()


def frame(target: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return target + source + struct.pack("!H", kind) + payload


def datagram(source: str, target: str, port: int, text: bytes, *, from_port: int = 4242) -> bytes:
    payload = struct.pack("!HHHH", from_port, port, 8 + len(text), 0) + text
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, socket.IPPROTO_UDP, 0)
    return head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses + payload


def arp(sender_mac: bytes, sender_ip: str, target_ip: str, *, operation: int = 2, hardware: int = 1) -> bytes:
    head = struct.pack("!HHBBH", hardware, 0x0800, 6, 4, operation)
    return head + sender_mac + socket.inet_aton(sender_ip) + bytes(6) + socket.inet_aton(target_ip)


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """With the right checksum: RFC 4443 §2.3."""
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = addresses + struct.pack("!II", len(message), 58)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + addresses + message
