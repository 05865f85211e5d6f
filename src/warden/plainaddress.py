"""Plain IPv4 addresses for programs that live for 20 ms; all else is the standard library's `ipaddress`.

Importing that takes 2.3 ms (it brings functools and collections). The functions here have its names and give the same
answers, for IPv4 as objects of their own, which have the attributes that warden uses. What is not written as dotted
numbers with or without a prefix (IPv6, netmasks, mistakes) they ask `ipaddress`. For type checkers they are its own.
"""

from __future__ import annotations

from _socket import AF_INET, inet_ntop, inet_pton

from warden.light import TYPE_CHECKING

__all__ = ["IPv4Address", "IPv4Interface", "ip_address", "ip_interface"]

if TYPE_CHECKING:
    from typing import Any


class _Address:
    version, max_prefixlen, scope_id = 4, 32, None
    _version = 4  # networks of the library look at it before all else

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    def __int__(self) -> int:
        return int.from_bytes(self.packed, "big")

    def __str__(self) -> str:
        return inet_ntop(AF_INET, self.packed)

    def __eq__(self, other: object) -> bool:
        """Also of the library's own, whose comparison leaves it to this one."""
        return getattr(other, "packed", None) == self.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    @property
    def is_unspecified(self) -> bool:
        return self.packed == b"\0\0\0\0"

    @property
    def is_loopback(self) -> bool:
        return self.packed[0] == 127

    @property
    def is_multicast(self) -> bool:
        return self.packed[0] >> 4 == 14


class _Network:
    def __init__(self, first: int, prefixlen: int) -> None:
        self.prefixlen, self._shift = prefixlen, 32 - prefixlen
        self._high = first >> self._shift

    def __contains__(self, address: Any) -> bool:
        return address.version == 4 and int(address) >> self._shift == self._high


class _Interface:
    version, max_prefixlen = 4, 32

    def __init__(self, ip: _Address, prefixlen: int) -> None:
        self.ip, self.network = ip, _Network(int(ip), prefixlen)

    def __str__(self) -> str:
        return f"{self.ip}/{self.network.prefixlen}"

    with_prefixlen = property(__str__)


def _plain(text: str) -> tuple[_Address, int] | None:
    """An address and its prefix, when it is written in the usual way."""
    address, slash, prefix = text.partition("/")
    if slash and not (prefix.isascii() and prefix.isdecimal() and len(prefix) <= 2 and int(prefix) <= 32):
        return None
    try:
        return _Address(inet_pton(AF_INET, address)), int(prefix) if slash else 32
    except (OSError, ValueError):  # ValueError: a null byte, or no ASCII
        return None


def _of(name: str, *, prefix: bool) -> Any:
    def made(text: Any) -> Any:
        if isinstance(text, str) and (prefix or "/" not in text) and (found := _plain(text)) is not None:
            return _Interface(*found) if prefix else found[0]
        import ipaddress

        real = getattr(ipaddress, name)(text)
        if real.version == 6:
            return real
        return _Interface(_Address(real.ip.packed), real.network.prefixlen) if prefix else _Address(real.packed)

    made.__name__ = made.__qualname__ = name
    return made


if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_interface
else:
    IPv4Address, ip_address = _of("IPv4Address", prefix=False), _of("ip_address", prefix=False)
    IPv4Interface, ip_interface = _of("IPv4Interface", prefix=True), _of("ip_interface", prefix=True)
