"""Sockets for programs that live for milliseconds: the C part of the standard library's `socket`, which takes 4 ms to
import. For type checkers it is that module; it has what a program without an event loop needs, and no more.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import *  # noqa: F403
else:
    import _socket
    from _socket import *  # noqa: F403

    class socket(_socket.socket):
        __slots__ = ()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def accept(self):
            fd, address = self._accept()
            return socket(fileno=fd), address

    def socketpair(*arguments):
        one, other = _socket.socketpair(*arguments)
        return socket(fileno=one.detach()), socket(fileno=other.detach())
