"""What of a container's output is wanted, and how far it was read."""

from __future__ import annotations

import re
import time
from datetime import datetime

from warden.errors import BadInput
from warden.model.size import parse_duration
from warden.records import dataclass

STREAMS = ("stdout", "stderr")
_NUMBER = re.compile(r"(?a)[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SPAN = re.compile(r"(?a)(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_PART = re.compile(r"(?a)[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h)")
_FRACTION = re.compile(r"(?a)(\.[0-9]{6})[0-9]+")


@dataclass(frozen=True, slots=True)
class LogPlace:
    """How far a job's output was read: bytes of stdout and of stderr. *skips*: which of the two is in the middle of a line
    that is not wanted."""

    job: int
    offsets: tuple[int, int] = (0, 0)
    skips: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class LogSelection:
    """Which output is wanted, all of it unless said. Lines count by the time at which they began.

    *since*, *until*: seconds since the epoch, both included. *tail*: of these the last so many lines of all jobs together,
    in the order of time. *stream*: "stdout" or "stderr". *places*: instead of *since* and *tail*, from there on; jobs
    not among them from their first byte. *follow*: until the jobs end; *lasting*: with those that start later, until the
    container is stopped or destroyed.
    """

    job: int | None = None
    follow: bool = False
    lasting: bool = False
    since: float | None = None
    until: float | None = None
    tail: int | None = None
    stream: str | None = None
    places: tuple[LogPlace, ...] | None = None

    def __post_init__(self) -> None:
        if self.stream is not None and self.stream not in STREAMS:
            raise BadInput(f"stream: {self.stream!r} is no stream of a job", hint="stdout or stderr")
        if self.tail is not None and self.tail < 0:
            raise BadInput(f"tail: {self.tail} is not a number of lines")

    @property
    def streams(self) -> tuple[bool, bool]:
        """Whether stdout is wanted, and stderr."""
        return self.stream != "stderr", self.stream != "stdout"


def parse_moment(text: str, *, field: str, now: float | None = None) -> float:
    """Seconds since the epoch of an RFC 3339 time or date (local without a zone), a Unix time, or a duration before *now*
    such as 10m or 1h30m. Raises BadInput naming *field*."""
    word = text.strip()
    if _NUMBER.fullmatch(word):
        return float(word)
    if _SPAN.fullmatch(word):
        span = sum(parse_duration(part, field=field) for part in _PART.findall(word))
        return max((time.time() if now is None else now) - span, 0.0)
    try:
        return max(datetime.fromisoformat(_FRACTION.sub(r"\1", word)).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        hint = "a time such as 2026-01-31T12:00:00Z, seconds since 1970, or 10m for ten minutes ago"
        raise BadInput(f"{field}: {text!r} is not a time", hint=hint) from None


def format_moment(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{micro:06}Z"
