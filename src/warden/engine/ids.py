"""Container ids as Warden makes them (spec/warden.md §3). Pure."""

from __future__ import annotations

import time

DIGITS = "0123456789abcdefghijklmnopqrstuv"
LENGTH = 11


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

    def avoid(self, container_id: str) -> None:
        """It is in use: later ids are greater, even if the clock went back since."""
        self._floor = max(self._floor, decode(container_id) + 1)

    def next(self) -> str:
        if self._next is None:
            self._next = max(int(time.time() * 1_000_000), self._floor)
        number, self._next = self._next, self._next + 1
        return encode(number)
