"""The way to the kernel's rtnetlink, one message at a time: netlink(7).

Owns the socket and how an answer is read; what the messages mean is netlink.py's and tc.py's. Blocking: a message may
wait for the kernel's RTNL lock, so call it from a worker thread.
"""

from __future__ import annotations

import struct

from warden.errors import EngineFault, KernelRefused
from warden.kernel import sockets
from warden.light import TYPE_CHECKING
from warden.network.netlink import Message, batch

if TYPE_CHECKING:
    from types import TracebackType

SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK = 10, 11  # since 4.3 and 4.12: refusals without our message, and with a reason
NLMSG_ERROR, NLMSG_DONE, NLMSG_HEADER = 2, 3, struct.Struct("=IHHII")
NLMSGERR_ATTR_MSG = 1
ANSWER_S = 10.0
_RECEIVE = 65536


class Route:
    """A NETLINK_ROUTE socket of the calling thread's network namespace, in a `with` block."""

    def __init__(self) -> None:
        kind = sockets.SOCK_RAW | sockets.SOCK_CLOEXEC
        self._socket = sockets.socket(sockets.AF_NETLINK, kind, sockets.NETLINK_ROUTE)
        self._socket.settimeout(ANSWER_S)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)

    def ask(self, message: Message, what: str, *, most: int | None = None) -> list[bytes]:
        """Sends *message*, waits for its acknowledgement, or for the end of a dump; the bodies of what came before it.
        *what* says as a shell command what was asked. *most*: so many bodies are enough, and after more nothing else can
        be asked here. Raises KernelRefused, with the kernel's own words where there are.
        """
        replies: list[bytes] = []
        try:
            self._socket.send(batch([message]))
            while not self._take(self._socket.recv(_RECEIVE), what, replies):
                if most is not None and len(replies) > most:
                    return replies[:most]
        except TimeoutError:
            raise EngineFault(f"{what}: the kernel does not answer") from None
        except OSError as error:
            raise KernelRefused(what, "", error.errno or 0) from error
        return replies

    def _take(self, packet: bytes, what: str, replies: list[bytes]) -> bool:
        """Whether the acknowledgement, or the end of a dump, was in *packet*."""
        while len(packet) >= NLMSG_HEADER.size:
            length, kind = NLMSG_HEADER.unpack_from(packet)[:2]
            body = packet[NLMSG_HEADER.size : length]
            if kind in (NLMSG_ERROR, NLMSG_DONE):  # a dump ends with its errno, and is not acknowledged (netlink_dump)
                _raise_refusal(body, what)
                return True
            replies.append(body)
            packet = packet[(length + 3) & ~3 :]
        return False

    def __enter__(self) -> Route:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


def _raise_refusal(body: bytes, what: str) -> None:
    """struct nlmsgerr: a negative errno, the header of the refused message, attributes."""
    code: int = struct.unpack_from("=i", body)[0]
    if not code:
        return
    attributes, reason = body[4 + NLMSG_HEADER.size :], ""
    if len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == NLMSGERR_ATTR_MSG:
            reason = attributes[4:length].rstrip(b"\0").decode("utf-8", "replace")
    raise KernelRefused(what, "", -code, hint=reason)
