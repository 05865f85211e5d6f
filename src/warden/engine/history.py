"""The last events of one engine, numbered: kept in memory for whoever reads them, and on disk over restarts.

Nobody who reads slowly costs memory: readers ask for what comes after a number, and who asks for what is no longer kept is
told so. On disk they are put in batches, a moment later, so that an event costs a request nothing; a crash may lose the
last of them, and the numbers that these had are never used again: after one they go on as far behind the last that is known
as events can have come since, however long the disk was full.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from warden.engine.events import Emitter, Event, JobEnded
from warden.errors import TooSlow
from warden.model.events import EventRecord
from warden.records import fields

log = logging.getLogger("warden.events")

KEPT = 4096  # at least so many, at most twice as many, in memory as on disk
BATCH = 512  # that wait for the disk
RATE = 100_000  # events a second, more than there can be
FLUSH_S = 0.3
AGAIN_S = 2.0  # after a disk was full


class History:
    """Of one engine. *path*: the file, beside it one with `.old`; None: memory only."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._records: list[EventRecord] = []
        self._last = 0  # the number given last
        self._known: float | None = None  # when that was; None: an engine that ended well said so
        self._lost = 0  # the highest number that is no longer kept
        self._waiting: list[EventRecord] = []
        self._on_disk = 0  # records in the newer file
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._unsubscribe: Callable[[], None] | None = None
        self._complained = False

    def start(self, emitter: Emitter) -> None:
        """Takes up what an earlier engine kept, and everything that happens from now on."""
        if self._path is not None:
            self._records.clear()
            if self._load(f"{self._path}.old"):
                self._lost = self._records[0].seq - 1
            self._on_disk = self._load(self._path)
            ended_well, now = self._known is None, time.time()
            if self._known is not None:
                self._last += BATCH + int(max(now - self._known, 0.0) * RATE)
            if not self._write(json.dumps({"last": self._last + BATCH, "time": now})) and ended_well:
                self._cut_end()
        self._unsubscribe = emitter.subscribe(self._on_event)

    # ---- reading

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._last

    def before(self, moment: float) -> int:
        """The number after which events of *moment* and later begin."""
        kept = self._records
        at = next((number for number, record in enumerate(kept) if record.time >= moment), len(kept))
        return kept[at].seq - 1 if at < len(kept) else self._last

    def after(self, seq: int, most: int = 256) -> list[EventRecord]:
        """The first of those with a higher number. Raises TooSlow when some are no longer kept."""
        if seq < self._lost:
            hint = "use events --since for what is left"
            raise TooSlow(f"events: those after number {seq} are no longer kept up to {self._lost}", hint=hint)
        at = bisect_right(self._records, seq, key=_seq)
        return self._records[at : at + most]

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Calls *watcher* after each event; the function returned ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # ---- what happens

    def _cut_end(self) -> None:
        """That an earlier engine ended well must not hold for this one, and there is no room to say so."""
        assert self._path is not None
        with contextlib.suppress(OSError):
            os.truncate(self._path, os.path.getsize(self._path) - 1)

    def _on_event(self, event: Event) -> None:
        self._last += 1
        record = record_of(event, self._last, round(time.time(), 6))
        self._records.append(record)
        if len(self._records) > 2 * KEPT:
            self._lost = self._records[KEPT - 1].seq
            del self._records[:KEPT]
        if self._path is not None:
            self._keep(record)
        for watcher in self._watchers:
            watcher()

    # ---- the disk

    def _keep(self, record: EventRecord) -> None:
        self._waiting.append(record)
        if len(self._waiting) >= BATCH and not self._complained:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting and self._write(json.dumps([_to_data(record) for record in waiting])):
            self._on_disk += len(waiting)
        elif waiting and self._unsubscribe is not None:  # not yet; the oldest are given up when they are too many
            self._waiting = waiting[-KEPT:]
            self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._flush)

    def _write(self, line: str) -> bool:
        """Whether it is on disk."""
        assert self._path is not None
        data = b"\n" + line.encode("utf-8", "surrogateescape")  # behind whatever a full disk has left
        try:
            if self._on_disk >= KEPT:
                os.replace(self._path, f"{self._path}.old")
                self._on_disk = 0
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                end = os.lseek(fd, 0, os.SEEK_END)
                if os.write(fd, data) != len(data):
                    os.ftruncate(fd, end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(fd)
        except OSError as error:  # the disk is full: until there is room a restart would not know of them
            if not self._complained:
                self._complained = True
                log.error("events %s: %s", self._path, error.strerror)
            return False
        self._complained = False
        return True

    def close(self) -> None:
        """Puts everything on disk. Twice is fine."""
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        if self._path is not None:
            self._flush()
            self._write(json.dumps({"last": self._last}))

    def _load(self, path: str) -> int:
        count = 0
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as file:
            for record in _read(file):
                if isinstance(record, tuple):
                    self._last, self._known = record
                    continue
                self._records.append(record)
                self._last, self._known = record.seq, record.time  # unless it says next where it ended
                count += 1
        return count


def _read(lines: Any) -> Iterator[EventRecord | tuple[int, float | None]]:
    """Records, and the number and time at which an engine began, or, without a time, ended well; what a crash cut short is
    left out."""
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            data = json.loads(line)
            yield from [_mark(data)] if isinstance(data, dict) else [_from_data(item) for item in data]


def _mark(data: Mapping[str, Any]) -> tuple[int, float | None]:
    return int(data["last"]), float(data["time"]) if "time" in data else None


def _seq(record: EventRecord) -> int:
    return record.seq


def _to_data(record: EventRecord) -> list[Any]:
    return [record.seq, record.time, record.type, record.event, record.container, record.id, record.attributes]


def _from_data(data: list[Any]) -> EventRecord:
    seq, moment, kind, name, container, container_id, attributes = data
    return EventRecord(int(seq), float(moment), kind, name, container, container_id, dict(attributes))


def record_of(event: Event, seq: int, moment: float) -> EventRecord:
    """*event* as others are told it."""
    facts = event.container
    return EventRecord(seq, moment, event.type, event.action, facts.handle, facts.id, _attributes(event))


def _attributes(event: Event) -> Mapping[str, str]:
    """Its own fields by name; a job's result as the part of it that counts."""
    found: dict[str, str] = {}
    for item in fields(event):
        value = getattr(event, item.name)
        if item.name == "job_id":
            found["job"] = str(value)
        elif isinstance(value, Mapping):
            found |= {str(name): str(part) for name, part in value.items()}
        elif isinstance(value, bool):
            found[item.name] = "true" if value else "false"
        elif item.name not in ("container", "result") and value is not None:
            found[item.name] = str(value)
    if isinstance(event, JobEnded):
        result = event.result
        found |= {"exit_status": str(result.exit_status), "verdict": result.verdict.value, "signal": str(result.signal)}
    return found
