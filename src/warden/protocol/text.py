"""Text on the wire: bytes, and inside str, UTF-8 with surrogateescape, so that any bytes survive."""

from __future__ import annotations


def text(data: bytes) -> str:
    """str of a text on the wire."""
    return data.decode("utf-8", "surrogateescape")


def raw(value: str) -> bytes:
    """Bytes for the wire."""
    return value.encode("utf-8", "surrogateescape")
