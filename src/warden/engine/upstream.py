"""Asks other servers what a bridge's resolver does not know: RFC 1035 section 4.2, with RFC 5452 against forged answers.

Every question has a socket, and so a port, of its own, and an id by chance. Sockets are the daemon's, so servers on the
host's loopback are reached too.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence

from warden.network import dns

PORT = 53
PATIENCE_S = 2.0  # for one server
MOST_SERVERS = 3  # as the C library (MAXNS, resolv.h)
LONGEST = 65535
_NEXT = (dns.SERVFAIL, dns.REFUSED, dns.NOTIMP)  # what another server may know better


async def ask(query: dns.Query, servers: Sequence[str], *, tcp: bool) -> bytes | None:
    """The first server's answer that is one, under the query's own id; None when none answers."""
    found = None
    for server in servers[:MOST_SERVERS]:
        number = secrets.randbits(16)
        asking = _over_tcp(query, server, number) if tcp else _over_udp(query, server, number)
        try:
            reply = await asyncio.wait_for(asking, PATIENCE_S)
        except (OSError, EOFError, TimeoutError):
            continue
        found = dns.for_client(reply, query)
        if dns.rcode_of(found) not in _NEXT:
            break
    return found


def _socket(server: str, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


async def _over_udp(query: dns.Query, server: str, number: int) -> bytes:
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_DGRAM) as sock:
        sock.connect((server, PORT))  # from here on the kernel drops what others send
        await loop.sock_sendall(sock, dns.forwarded(query, number))
        while not dns.is_answer(reply := await loop.sock_recv(sock, LONGEST), query, number):
            pass
        return reply


async def _over_tcp(query: dns.Query, server: str, number: int) -> bytes:
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_STREAM) as sock:
        await loop.sock_connect(sock, (server, PORT))
        message = dns.forwarded(query, number)
        await loop.sock_sendall(sock, struct.pack("!H", len(message)) + message)
        [length] = struct.unpack("!H", await _exactly(sock, 2))
        reply = await _exactly(sock, length)
    if not dns.is_answer(reply, query, number):
        raise EOFError("an answer to something else")
    return reply


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < count:
        part = await loop.sock_recv(sock, count - len(data))
        if not part:
            raise EOFError("closed")
        data += part
    return data
