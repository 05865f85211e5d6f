"""Readers of a job's kept output: a place in it, where its last lines begin, and following it alone.

A cursor has descriptors of its own, so a log may close its files, and drop them once the cursor is pinned.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from warden.model.job import Chunk
from warden.model.logs import STREAMS, LogPlace

if TYPE_CHECKING:
    from warden.process.joblog import JobLog

CHUNK = 256 * 1024
MOST = 1 << 48  # lines that a file can have, whatever is asked for
BLOCK = 64 * 1024  # read at once in the search for the last lines


class Cursor:
    """A reader's place in a log: the record, and the offset in each stream."""

    def __init__(self, log: JobLog, offsets: tuple[int, int] = (0, 0)) -> None:
        self._log = log
        self._piece = 0
        self._base = [0, 0]  # of each stream, what lies before the record
        self.offsets = [0, 0]
        self._files = [-1, -1]
        self.move_to(*offsets)
        log.enlist(self)

    def move_to(self, out: int, err: int) -> None:
        """To an offset in each stream; from the end on backward, because most readers want the end."""
        self.offsets = [out, err]
        if not out and not err:
            self._piece, self._base = 0, [0, 0]
            return
        self._piece, self._base = self._log.pieces(), list(self._log.indexed)
        while self._piece and (self._base[0] > out or self._base[1] > err or self._piece == self._log.pieces()):
            self._piece -= 1
            stream, length, _ = self._log.piece(self._piece)
            self._base[stream] -= length

    def current(self) -> tuple[int, int, int] | None:
        """Stream, length and time in ns of what comes next; None when there is nothing, for now or for good."""
        log, count = self._log, self._log.pieces()
        while self._piece < count:
            stream, length, stamp = log.piece(self._piece)
            left = self._base[stream] + length - self.offsets[stream]
            if left > 0:
                return stream, left, stamp
            if self._piece + 1 >= count:
                break  # it may still grow
            self._base[stream] += length
            self._piece += 1
        for stream in (0, 1):
            left = log.sizes[stream] - self.offsets[stream]
            if left > 0:
                return stream, left, log.loose_since
        return None

    def next(self) -> Chunk | None:
        """The next bytes, CHUNK at most."""
        found = self.current()
        return None if found is None else self.read(*found)

    def read(self, stream: int, length: int, stamp: int) -> Chunk:
        """The bytes that `current` has told of. Raises EOFError when somebody cut the file."""
        if self._files[stream] < 0:
            self._files[stream] = self._log.open(stream)
        offset = self.offsets[stream]
        data = os.pread(self._files[stream], min(length, CHUNK), offset)
        if not data:
            raise EOFError(f"{STREAMS[stream]} of the job is shorter than its index")
        self.offsets[stream] += len(data)
        return Chunk(STREAMS[stream], data, stamp / 1e9, offset)

    def pass_by(self, stream: int, length: int) -> None:
        """Leaves out bytes that `current` has told of."""
        self.offsets[stream] += length

    def pin(self) -> None:
        for stream in (0, 1):
            if self._files[stream] < 0 and self._log.sizes[stream] > self.offsets[stream]:
                try:
                    self._files[stream] = self._log.open(stream)
                except OSError:
                    self.offsets[stream] = self._log.sizes[stream]  # somebody was faster: there is nothing to read

    def close(self) -> None:
        self._log.delist(self)
        for stream, fd in enumerate(self._files):
            if fd >= 0:
                os.close(fd)
                self._files[stream] = -1


async def follow_one(log: JobLog, place: LogPlace, *, follow: bool) -> AsyncIterator[Chunk]:
    """See JobLog.follow."""
    cursor, changed = Cursor(log, log.clamped(place.offsets)), asyncio.Event()
    unwatch = log.watch(changed.set)
    try:
        while True:
            changed.clear()
            complete = log.complete
            while (chunk := cursor.next()) is not None:
                yield chunk
            if complete or not follow:
                return
            await changed.wait()
    finally:
        unwatch()
        cursor.close()


def in_a_line(log: JobLog, stream: int, offset: int) -> bool:
    """Whether *offset* lies behind the beginning of a line that has not ended."""
    return offset > 0 and log.read_at(stream, offset - 1, 1) != b"\n"


def tail_place(log: JobLog, lines: int) -> LogPlace:
    """Where the last *lines* of both streams begin."""
    offsets = list(log.sizes)
    for _stamp, stream, offset in islice(lines_backward(log), min(lines, MOST)):
        offsets[stream] = offset
    return LogPlace(0, (offsets[0], offsets[1]))


def since_place(log: JobLog, stamp: int) -> list[int]:
    """Of each stream, how much came before *stamp*, in ns; where the index is not exact, rather less."""
    if log.sizes != log.indexed and log.loose_since + log.span(log.pieces()) < stamp:
        return list(log.sizes)
    offsets = list(log.indexed)
    for number in range(log.pieces() - 1, -1, -1):
        stream, length, began = log.piece(number)
        if began + log.span(number) < stamp:
            break
        offsets[stream] -= length
    return offsets


def lines_backward(log: JobLog) -> Iterator[tuple[int, int, int]]:
    """Time in ns, stream and offset of every line's first byte, the last line first. Reads no more than it is asked for."""
    ends, indexed = log.sizes, list(log.indexed)
    for stream in (1, 0):
        for offset in _starts_backward(log, stream, indexed[stream], ends[stream]):
            yield log.loose_since, stream, offset
    for number in range(log.pieces() - 1, -1, -1):
        stream, length, stamp = log.piece(number)
        end = indexed[stream]
        indexed[stream] = end - length
        for offset in _starts_backward(log, stream, end - length, end):
            yield stamp, stream, offset


def _starts_backward(log: JobLog, stream: int, start: int, end: int) -> Iterator[int]:
    """The beginnings of lines in [start, end): 0, and what follows a newline."""
    while end > start:
        begin = max(start, end - BLOCK)
        first = max(begin - 1, 0)
        data = log.read_at(stream, first, end - 1 - first)
        at = len(data)
        while (at := data.rfind(b"\n", 0, at)) >= 0:
            yield first + at + 1
        if begin == 0:
            yield 0
        end = begin
