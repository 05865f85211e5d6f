"""The output of several jobs as one: what of it is wanted, in the order of time, and the place reached in each.

Owns which lines are taken: a line counts by the time of the piece in which it began. It waits for nothing: whoever
follows is told when there may be more.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice

from warden.model.job import Chunk
from warden.model.logs import LogPlace, LogSelection
from warden.process.joblog import JobLog
from warden.process.logcursor import MOST, Cursor, in_a_line, lines_backward, since_place
from warden.records import replace

_EVER = 1 << 63


class Reader:
    """`add` the jobs there are, then `begin`; those added later are read from their first byte, or from where *selection*
    says. *changed* is called whenever `next` may have more. `close` it."""

    def __init__(self, selection: LogSelection, changed: Callable[[], None]) -> None:
        self._selection = selection
        self._changed = changed
        self._sources: dict[int, _Source] = {}
        self._ready: list[tuple[int, int]] = []  # a heap: time of what comes next, job; those with something to read
        self._woken: set[int] = set()
        self._places = {place.job: place for place in selection.places or ()}

    def add(self, job: int, log: JobLog) -> None:
        """Twice is fine."""
        if job not in self._sources:
            place = self._places.get(job, LogPlace(job))
            self._sources[job] = _Source(log, place, self._selection, lambda: self._wake(job))
            self._wake(job)

    def begin(self) -> None:
        """Of the jobs added so far only what was asked for is read."""
        wanted = self._selection
        if wanted.places is not None or (wanted.tail is None and wanted.since is None):
            return
        since = 0 if wanted.since is None else round(wanted.since * 1e6) * 1000
        for source in self._sources.values():
            source.start_at(source.log.sizes if wanted.tail is not None else since_place(source.log, since))
        if wanted.tail is None:
            return
        lines = heapq.merge(
            *(source.lines_backward(job) for job, source in self._sources.items()),
            key=lambda line: (-line[0], -line[1]),
        )
        for stamp, job, stream, offset in islice(lines, min(wanted.tail, MOST)):
            if stamp < since:
                break
            self._sources[job].start_line(stream, offset)
        for source in self._sources.values():
            source.settle()

    def places(self) -> tuple[LogPlace, ...]:
        return tuple(source.place(job) for job, source in self._sources.items())

    def next(self) -> Chunk | None:
        """What came first of that which was not read; None when there is nothing more for now."""
        for job in self._woken:
            self._queue(job)
        self._woken.clear()
        while self._ready:
            _, job = heapq.heappop(self._ready)
            source = self._sources[job]
            chunk = source.take()
            source.queued = False
            self._queue(job)
            if chunk is not None:
                return replace(chunk, job=job)
        return None

    @property
    def finished(self) -> bool:
        """Whether no job will bring more; ask when `next` has nothing."""
        return not self._woken and all(source.finished for source in self._sources.values())

    def close(self) -> None:
        for source in self._sources.values():
            source.close()

    def _wake(self, job: int) -> None:
        self._woken.add(job)
        self._changed()

    def _queue(self, job: int) -> None:
        source = self._sources[job]
        if source.queued or source.finished:
            return
        complete = source.log.complete
        stamp = source.head()
        if stamp is not None:
            source.queued = True
            heapq.heappush(self._ready, (stamp, job))
        elif complete:
            source.close()


class _Source:
    """One job's output, without the lines that are not wanted."""

    def __init__(self, log: JobLog, place: LogPlace, selection: LogSelection, wake: Callable[[], None]) -> None:
        self.log = log
        self.queued = False
        self.finished = False
        self._wanted = selection.streams
        self._until = _EVER if selection.until is None else round(selection.until * 1e6) * 1000 + 999
        offsets = log.clamped(place.offsets)
        self._cursor = Cursor(log, offsets)
        self._skipping = list(place.skips)
        self._open = [False, False]  # in the middle of a line that is wanted
        if selection.until is not None:
            self._open = [
                in_a_line(log, stream, offsets[stream]) and not place.skips[stream] for stream in (0, 1)
            ]
        self._unwatch = log.watch(wake)

    def start_at(self, offsets: list[int] | tuple[int, int]) -> None:
        """Leaves out what lies before, and of a line that began there the rest."""
        self._cursor.move_to(*offsets)
        self._skipping = [in_a_line(self.log, stream, offsets[stream]) for stream in (0, 1)]

    def start_line(self, stream: int, offset: int) -> None:
        self._cursor.offsets[stream] = offset
        self._skipping[stream] = False

    def settle(self) -> None:
        """After the last `start_line`."""
        self._cursor.move_to(*self._cursor.offsets)

    def lines_backward(self, job: int) -> Iterator[tuple[int, int, int, int]]:
        for stamp, stream, offset in lines_backward(self.log):
            if self._wanted[stream] and stamp <= self._until:
                yield stamp, job, stream, offset

    def place(self, job: int) -> LogPlace:
        offsets, skips = self._cursor.offsets, self._skipping
        return LogPlace(job, (offsets[0], offsets[1]), (skips[0], skips[1]))

    def head(self) -> int | None:
        """The time of what `take` reads next, in ns; passes by what is not wanted without reading it."""
        while (found := self._cursor.current()) is not None:
            stream, length, stamp = found
            if self._wanted[stream] and (stamp <= self._until or self._open[stream]):
                return stamp
            self._cursor.pass_by(stream, length)
        return None

    def take(self) -> Chunk | None:
        """The next bytes, None when none of them is wanted."""
        found = self._cursor.current()
        if found is None:
            return None
        stream = found[0]
        chunk = self._cursor.read(*found)
        data, cut = chunk.data, 0
        if self._skipping[stream]:
            cut = data.find(b"\n") + 1
            if not cut:
                return None
            self._skipping[stream] = False
            data = data[cut:]
        if found[2] > self._until:
            data = data[: data.find(b"\n") + 1 or len(data)] if self._open[stream] else b""
        if not data:
            return None
        self._open[stream] = not data.endswith(b"\n")
        return replace(chunk, data=data, offset=chunk.offset + cut)

    def close(self) -> None:
        """Twice is fine."""
        if not self.finished:
            self.finished = True
            self._unwatch()
            self._cursor.close()
