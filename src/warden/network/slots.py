"""A pool of numbered slots, first in first out: networks, uids and id ranges are all handed out by it. Pure."""

from __future__ import annotations

from collections import deque


class Slots:
    """Slots 0 … count-1. Fresh ones first, in order; then released ones, none before *delay* seconds have passed.

    Only the head is considered, as Warden does (spec/warden.md §3): a head that still cools means none is free.
    Memory grows with what was handed out, not with *count*.
    """

    def __init__(self, count: int, *, delay: float = 0.0) -> None:
        self.count = count
        self._delay = delay
        self._fresh = 0  # slots from here up were never handed out, except those in _ahead
        self._ahead: set[int] = set()
        self._used: set[int] = set()
        self._released: deque[tuple[int, float]] = deque()

    def acquire(self, now: float) -> int | None:
        """The next free slot, None when there is none."""
        while self._fresh < self.count:
            slot, self._fresh = self._fresh, self._fresh + 1
            if slot not in self._ahead:
                self._used.add(slot)
                return slot
            self._ahead.discard(slot)
        if self._released and self._released[0][1] <= now:
            slot, _ = self._released.popleft()
            self._used.add(slot)
            return slot
        return None

    def take(self, slot: int, now: float) -> bool:
        """Takes this slot; False when it is used, cools, or is not of this pool."""
        if not 0 <= slot < self.count or slot in self._used:
            return False
        if slot >= self._fresh and slot not in self._ahead:
            self._ahead.add(slot)
        else:
            entry = next(entry for entry in self._released if entry[0] == slot)
            if entry[1] > now:
                return False
            self._released.remove(entry)
        self._used.add(slot)
        return True

    def release(self, slot: int, now: float) -> None:
        """Gives the slot back to the end of the queue; one that is not in use is ignored."""
        if slot in self._used:
            self._used.discard(slot)
            self._released.append((slot, now + self._delay))

    @property
    def free(self) -> int:
        """Slots not in use, cooling ones included."""
        return self.count - len(self._used)
