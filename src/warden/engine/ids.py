"""Container ids as Warden makes them (spec/warden.md §3). Pure."""

from __future__ import annotations

import time

DIGITS = "0123456789abcdefghijklmnopqrstuv"
LENGTH = 11


def encode(number: int) -> str:
    """11 base-32 digits of a 55-bit number, most significant first."""
    return "".join(DIGITS[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


class IdSource:
    """Microseconds since the epoch at the first call, one more for each further call."""

    def __init__(self) -> None:
        self._next: int | None = None

    def next(self) -> str:
        if self._next is None:
            self._next = int(time.time() * 1_000_000)
        number, self._next = self._next, self._next + 1
        return encode(number)
