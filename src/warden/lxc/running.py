"""Whether a container runs: somebody answers at its command socket, as with LXC, whose own containers are seen too."""

from __future__ import annotations

import os
import socket

from warden.lxc.home import Home

_LONGEST = 107  # bytes of an abstract name: sun_path less its first NUL, unix(7)
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def command_address(home: Home) -> bytes:
    """The abstract name of its command socket; a long one is hashed (FNV-1a, 64 bits), as LXC does it."""
    path = os.fsencode(home.path)
    address = b"\0" + path + b"/command"
    if len(address) - 1 <= _LONGEST:
        return address
    digest = _FNV_OFFSET
    for byte in path:
        digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return b"\0" + f"lxc/{digest:016x}/command".encode()


def running(home: Home) -> bool:
    """Whether its monitor lives: also while it starts or stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(command_address(home))
        except OSError:
            return False
    return True
