"""Packets of either family between namespaces: who answers whom, and as whom it is seen. Beside netns.py, which is IPv4's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from netns import ANSWER_S, Namespace


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
