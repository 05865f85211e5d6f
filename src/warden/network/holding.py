"""Ports of the host that containers have, held against its other programs: a socket bound to each, which nobody uses.

A packet for such a port is turned aside before it comes to a socket. While no daemon runs, ports lead where they did and
are held by nobody; one that another program took meanwhile is named in the log at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import threading
from collections.abc import Iterable

from warden.errors import PoolExhausted
from warden.network.nft import PortKey

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class PortHolder:
    """For any thread. Costs some 10 µs and 4 KiB of the kernel's memory a port."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held: dict[PortKey, tuple[socket.socket, set[str]]] = {}

    def hold(self, container_id: str, key: PortKey) -> None:
        """Several containers may hold one. Raises OSError: EADDRINUSE when a program has it, EADDRNOTAVAIL when the
        address is not the host's; and PoolExhausted when they are so many that descriptors would be short elsewhere."""
        with self._mutex:
            if key not in self._held:
                if len(self._held) >= _most():
                    hint = "raise the daemon's limit of open files (LimitNOFILE=): half of it is for ports"
                    raise PoolExhausted(f"publish: {len(self._held)} ports are held, and no more can be", hint=hint)
                self._held[key] = _bound(key), set()
            self._held[key][1].add(container_id)

    def release(self, container_id: str, keys: Iterable[PortKey]) -> None:
        """What is not held is ignored."""
        with self._mutex:
            for key in keys:
                self._let_go(container_id, key)

    def release_all(self, container_id: str) -> None:
        """Everything that it holds."""
        with self._mutex:
            for key in [key for key, (_, holders) in self._held.items() if container_id in holders]:
                self._let_go(container_id, key)

    def _let_go(self, container_id: str, key: PortKey) -> None:
        sock, holders = self._held.get(key, (None, set()))
        holders.discard(container_id)
        if sock is not None and not holders:
            sock.close()
            del self._held[key]

    def close(self) -> None:
        with self._mutex:
            for sock, _ in self._held.values():
                sock.close()
            self._held.clear()


def _most() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def _bound(key: PortKey) -> socket.socket:
    """Without SO_REUSEADDR, or whoever sets it too could have the port (socket(7))."""
    version, at, protocol, number = key
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    sock = socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC)
    try:
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "udp":  # what comes to it all the same is not kept
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.bind((at or ("0.0.0.0" if version == 4 else "::"), number))
    except BaseException:
        sock.close()
        raise
    return sock


def in_use(error: OSError) -> bool:
    """Whether another program is why a port could not be held."""
    return error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


def is_free(holder: PortHolder, container_id: str, key: PortKey) -> bool:
    """Holds it, if no other program has it."""
    with contextlib.suppress(OSError):
        holder.hold(container_id, key)
        return True
    return False
