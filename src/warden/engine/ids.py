"""Container ids as Warden makes them (spec/warden.md §3). Pure."""

from __future__ import annotations

import time

DIGITS = "0123456789abcdefghijklmnopqrstuv"
LENGTH = 11
#: Interfaces' indices are made of these bits (network/links.py, network/interfaces.py), so ids in use must not share them.
INDEX_MASK = 0x03FF_FFFF


def encode(number: int) -> str:
    """11 base-32 digits of a 55-bit number, most significant first."""
    return "".join(DIGITS[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def decode(container_id: str) -> int:
    """The number behind an id; 0 for what is no id."""
    try:
        return int(container_id, 32)
    except ValueError:
        return 0


class IdSource:
    """Microseconds since the epoch at the first call, one more for each further call."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._floor = 0
        self._indices: set[int] = set()

    def avoid(self, container_id: str) -> None:
        """It is in use: later ids are greater, even if the clock went back since, and share no interface index."""
        self._floor = max(self._floor, decode(container_id) + 1)
        self._indices.add(decode(container_id) & INDEX_MASK)

    def next(self) -> str:
        if self._next is None:
            self._next = max(int(time.time() * 1_000_000), self._floor)
        while self._next & INDEX_MASK in self._indices:
            self._next += 1
        number, self._next = self._next, self._next + 1
        return encode(number)
