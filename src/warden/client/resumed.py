"""What is read over connections that may be lost: logs, events, the end of a job. Pure.

Owns what is asked, how far it was read, and what is asked after a break so that nothing is missed or comes twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypedDict, TypeVar

from warden.client import messages
from warden.client.result import Result
from warden.errors import Unreachable, WardenError
from warden.model.events import EventRecord, EventSelection
from warden.model.job import Chunk, WaitCondition
from warden.model.logs import STREAMS, LogPlace, LogSelection, parse_moment
from warden.model.size import parse_duration
from warden.protocol import codec, convert
from warden.protocol.convert_events import events_to_request, response_to_record
from warden.protocol.convert_logs import response_to_piece, selection_to_request
from warden.records import replace

T = TypeVar("T")
Moment = float | str
PAUSE_S = 0.1


class LogOptions(TypedDict, total=False):
    """Keyword arguments of logs. *since*, *until*: seconds since the epoch, an RFC 3339 time, or "10m" for ten minutes
    ago; lines count by the time at which they began. *tail*: of these the last so many. *stream*: "stdout" or "stderr".
    *lasting*: follow jobs that start later too, until the container is stopped or destroyed."""

    since: Moment | None
    until: Moment | None
    tail: int | None
    stream: str | None
    lasting: bool


class EventOptions(TypedDict, total=False):
    """Keyword arguments of events. *since*, *until*: as in LogOptions; without *since* those to come. *types*:
    "container", "job", "network", "volume"; *containers*: handles or ids; *events*: such as "die"; *networks*, *volumes*:
    names of what an event is about."""

    since: Moment | None
    until: Moment | None
    types: Iterable[str]
    containers: Iterable[str]
    events: Iterable[str]
    networks: Iterable[str]
    volumes: Iterable[str]


class Patience:
    """How long a daemon that went away is waited for, each time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lost_at: float | None = None

    def reset(self) -> None:
        self._lost_at = None

    def pause(self, error: WardenError) -> float:
        """Seconds until the next attempt; raises *error* when it has taken too long."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at >= self._seconds:
            raise error
        return PAUSE_S


class Resumable(Generic[T]):
    """Something that is read until it is *over*: `request` and then each response to `take`."""

    kind = 0
    over = False
    asked = False  # a daemon was there once
    taken = False  # something was passed on
    begun = False  # the place is known, and it may be taken up again

    def request(self) -> messages.Request:
        raise NotImplementedError

    def take(self, response: Any) -> T | None:
        raise NotImplementedError

    def survives(self, error: WardenError) -> bool:
        """Whether it goes on, or is over without an error, after *error*."""
        return self.asked and (self.begun or not self.taken) and isinstance(error, Unreachable)


class _Logs(Resumable[Chunk]):
    kind = codec.KINDS["Logs"]

    def __init__(self, handle: str, selection: LogSelection) -> None:
        self._handle, self._selection = handle, selection
        self._places: dict[int, LogPlace] = {}

    def request(self) -> messages.Request:
        wanted = self._selection
        if self.begun:
            wanted = replace(wanted, since=None, tail=None, places=tuple(self._places.values()))
        return self.kind, selection_to_request(self._handle, wanted)

    def take(self, response: Any) -> Chunk | None:
        piece = response_to_piece(response)
        if piece is None:
            self.over = True
        elif isinstance(piece, Chunk):
            self._advance(piece)
            self.taken = True
            return piece
        elif not self.begun:
            self.begun = True  # only of what is followed one knows where it began
            self._places = {place.job: place for place in piece}
        return None

    def _advance(self, chunk: Chunk) -> None:
        place = self._places.get(chunk.job, LogPlace(chunk.job))
        offsets, skips, stream = list(place.offsets), list(place.skips), STREAMS.index(chunk.stream)
        offsets[stream], skips[stream] = chunk.offset + len(chunk.data), False
        self._places[chunk.job] = LogPlace(chunk.job, (offsets[0], offsets[1]), (skips[0], skips[1]))

    def survives(self, error: WardenError) -> bool:
        if self.begun and self._selection.lasting and messages.is_gone(error):
            self.over = True  # destroyed while nobody could say so
            return True
        return super().survives(error)


class _Events(Resumable[EventRecord]):
    kind = codec.KINDS["Events"]

    def __init__(self, selection: EventSelection) -> None:
        self._selection = selection

    def request(self) -> messages.Request:
        return self.kind, events_to_request(self._selection)

    def take(self, response: Any) -> EventRecord | None:
        if response.end:
            self.over = True
            return None
        self.begun = True
        self._selection = replace(self._selection, since=None, after=response.seq)
        return response_to_record(response) if response.HasField("name") else None


class _Wait(Resumable[Result]):
    kind = codec.KINDS["Wait"]

    def __init__(self, handle: str, job: int | None, condition: WaitCondition, timeout: float | None) -> None:
        self._handle, self._job, self._condition = handle, job, condition
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def request(self) -> messages.Request:
        left = None if self._deadline is None else max(round((self._deadline - time.monotonic()) * 1000), 0)
        condition = self._condition
        if self.begun and self._job is not None and condition is WaitCondition.NEXT_EXIT:
            condition = WaitCondition.NOT_RUNNING  # it ran: its end is the next, and may have come meanwhile
        return messages.request(
            "Wait", handle=self._handle, job_id=self._job, condition=condition.value, timeout_ms=left
        )

    def take(self, response: Any) -> Result | None:
        if not response.end:
            self.begun = True
            self._job = response.job_id if response.HasField("job_id") else self._job
            return None
        self.over = True
        return None if response.timed_out else Result.of(convert.response_to_result(response), b"", b"", None)


def logs_of(handle: str, job: int | None, options: LogOptions, *, follow: bool) -> Resumable[Chunk]:
    selection = LogSelection(
        job=job,
        follow=follow,
        lasting=options.get("lasting", False),
        since=_moment(options, "since"),
        until=_moment(options, "until"),
        tail=options.get("tail"),
        stream=options.get("stream"),
    )
    return _Logs(handle, selection)


def events_of(options: EventOptions) -> Resumable[EventRecord]:
    selection = EventSelection(
        since=_moment(options, "since"),
        until=_moment(options, "until"),
        types=frozenset(options.get("types", ())),
        containers=frozenset(options.get("containers", ())),
        events=frozenset(options.get("events", ())),
        networks=frozenset(options.get("networks", ())),
        volumes=frozenset(options.get("volumes", ())),
    )
    return _Events(selection)


def wait_for(handle: str, job: int | None, condition: str, timeout: float | str | None) -> Resumable[Result]:
    """Raises BadInput."""
    seconds = None if timeout is None else parse_duration(timeout, field="timeout")
    return _Wait(handle, job, convert.wait_condition(convert.raw(condition)), seconds)


def _moment(options: Mapping[str, Any], name: str) -> float | None:
    given = options.get(name)
    return parse_moment(given, field=name) if isinstance(given, str) else given
