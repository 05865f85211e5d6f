"""Whoever changes the ruleset of this network namespace, as the kernel tells it: NFNLGRP_NFTABLES of nfnetlink(7).

Of each transaction one message is let through, and of our own none, by a filter in the kernel: so the daemon does not wake
for what it does itself, nor for the thousands of elements of others.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from warden.network.nfnetlink import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES, SO_ATTACH_FILTER = 270, 1, 7, 26
_LD_H, _LD_W, _JEQ, _RET = 0x28, 0x20, 0x15, 0x06  # of a classic BPF program: linux/bpf_common.h
_TYPE_AT, _PORT_AT = 4, 12  # in struct nlmsghdr
_KEPT = 64  # bytes of a message, whose content nobody reads


class Watch:
    """A socket that is readable when somebody changed something. *own*: the netlink port of our own changes. Raises
    OSError where the kernel has no nfnetlink."""

    def __init__(self, own: int) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        try:
            self._sock.setblocking(False)
            _attach(self._sock, own)
            self._sock.bind((0, 0))
            self._sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        except BaseException:
            self._sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    def drain(self) -> bool:
        """Whether anything was there. What did not fit is none the less."""
        found = False
        while True:
            try:
                self._sock.recv(_KEPT)
                found = True
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found = True

    def close(self) -> None:
        self._sock.close()


def _attach(sock: socket.socket, own: int) -> None:
    """SO_ATTACH_FILTER, socket(7). The header is in the host's order of bytes, and a filter reads the network's."""
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN
    program = [
        (_LD_W, 0, 0, _PORT_AT),
        (_JEQ, 3, 0, socket.htonl(own)),
        (_LD_H, 0, 0, _TYPE_AT),
        (_JEQ, 0, 1, socket.htons(kind)),
        (_RET, 0, 0, _KEPT),
        (_RET, 0, 0, 0),
    ]
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer)))
