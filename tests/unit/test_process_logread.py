"""Which lines of several jobs are read, and in which order: real files, compared with a model that knows everything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warden.model.job import Chunk
from warden.model.logs import LogPlace, LogSelection
from warden.process import joblog, logcursor
from warden.process.joblog import PIECE, JobLog
from warden.process.logread import Reader

SECOND = 10**9


class Clock:
    """Time in seconds, set by a test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr("warden.process.joblog.time.time_ns", lambda: round(self.now * SECOND))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def new_log(directory: Path | str, name: str = "1") -> JobLog:
    path = os.path.join(directory, name)
    os.makedirs(path, exist_ok=True)
    return JobLog(path, limit=1 << 30)


def reader_of(logs: dict[int, JobLog], **selection: object) -> Reader:
    reader = Reader(LogSelection(**selection), lambda: None)  # type: ignore[arg-type]
    for job, log in logs.items():
        reader.add(job, log)
    reader.begin()
    return reader


def drained(reader: Reader) -> list[Chunk]:
    found = []
    while (chunk := reader.next()) is not None:
        found.append(chunk)
    return found


def text(logs: dict[int, JobLog], **selection: object) -> bytes:
    reader = reader_of(logs, **selection)
    found = b"".join(chunk.data for chunk in drained(reader))
    reader.close()
    return found


def fill(log: JobLog, clock: Clock, *pieces: tuple[float, int, bytes]) -> JobLog:
    for moment, stream, data in pieces:
        clock.now = moment
        log.append(stream, data)
    return log


def test_lines_by_time(tmp_path: Path, clock: Clock) -> None:
    log = fill(
        new_log(tmp_path), clock, (1, 0, b"a\n"), (2, 0, b"b"), (3, 1, b"e\n"), (4, 0, b"b\nc\n"), (5, 0, b"d\n")
    )
    logs = {7: log}
    assert text(logs) == b"a\nbe\nb\nc\nd\n"
    assert text(logs, since=2) == b"be\nb\nc\nd\n"
    assert text(logs, since=2.5) == b"e\nc\nd\n", "the rest of a line that began before is not wanted"
    assert text(logs, until=2) == b"a\nbb\n", "a line is wanted whole"
    assert text(logs, since=2, until=4, stream="stdout") == b"bb\nc\n"
    assert text(logs, since=6) == b""


def test_the_last_lines_of_all_jobs(tmp_path: Path, clock: Clock) -> None:
    first = fill(new_log(tmp_path, "1"), clock, (1, 0, b"a\nb\n"), (4, 0, b"e\n"))
    second = fill(new_log(tmp_path, "2"), clock, (2, 1, b"c\n"), (3, 0, b"d\n"), (5, 0, b"f"))
    logs = {1: first, 2: second}
    for count, wanted in (
        (0, b""),
        (1, b"f"),
        (2, b"e\nf"),
        (4, b"c\nd\ne\nf"),
        (6, b"a\nb\nc\nd\ne\nf"),
        (99, b"a\nb\nc\nd\ne\nf"),
    ):
        assert text(logs, tail=count) == wanted
    assert text(logs, tail=2, until=3) == b"c\nd\n"
    assert text(logs, tail=99, since=3) == b"d\ne\nf"
    assert text(logs, tail=1, stream="stderr") == b"c\n"
    assert [chunk.job for chunk in drained(reader_of(logs))] == [1, 2, 2, 1, 2]


def test_a_tail_reads_only_the_end(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    log = new_log(tmp_path)
    for number in range(2000):
        clock.now += 1
        log.append(0, b"%08d\n" % number * 200)
    read: list[int] = []
    monkeypatch.setattr(
        log, "read_at", lambda stream, at, length: (read.append(length), JobLog.read_at(log, stream, at, length))[1]
    )
    assert text({1: log}, tail=3) == b"00001999\n" * 3
    assert sum(read) < 3 * logcursor.BLOCK < log.size


def test_a_partial_line_before_the_tail_is_left_out_when_it_goes_on(tmp_path: Path, clock: Clock) -> None:
    log = fill(new_log(tmp_path), clock, (1, 0, b"begun"))
    reader = reader_of({1: log}, tail=0)
    assert drained(reader) == []
    assert reader.places() == (LogPlace(1, (5, 0), (True, False)),)
    fill(log, clock, (2, 0, b" and ended\nnew\n"))
    assert [(chunk.data, chunk.offset) for chunk in drained(reader)] == [(b"new\n", 16)]
    again = Reader(LogSelection(places=(LogPlace(1, (5, 0), (True, False)),)), lambda: None)
    again.add(1, log)
    again.begin()
    assert b"".join(chunk.data for chunk in drained(again)) == b"new\n"
    reader.close()
    again.close()


def test_a_job_added_later_is_read_whole(tmp_path: Path, clock: Clock) -> None:
    first = fill(new_log(tmp_path, "1"), clock, (1, 0, b"old\n"))
    woken: list[None] = []
    reader = Reader(LogSelection(tail=0), lambda: woken.append(None))
    reader.add(1, first)
    reader.begin()
    assert drained(reader) == []
    second = fill(new_log(tmp_path, "2"), clock, (2, 0, b"new\n"))
    woken.clear()
    reader.add(2, second)
    assert woken
    assert [(chunk.job, chunk.data) for chunk in drained(reader)] == [(2, b"new\n")]
    first.finish()
    second.finish()
    assert drained(reader) == []
    assert reader.finished
    reader.close()


def test_readers_that_are_pinned_outlive_the_files(tmp_path: Path, clock: Clock) -> None:
    log = fill(new_log(tmp_path), clock, (1, 0, b"a\n"), (2, 1, b"b\n"))
    reader = reader_of({1: log})
    log.finish()
    log.pin()
    for name in os.listdir(tmp_path / "1"):
        os.unlink(tmp_path / "1" / name)
    assert b"".join(chunk.data for chunk in drained(reader)) == b"a\nb\n"
    late = reader_of({1: log})
    log.pin()
    assert drained(late) == []
    before = len(os.listdir("/proc/self/fd"))
    reader.close()
    late.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_times_go_on_past_the_exact_index(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MAX_PIECES", 4)
    log = new_log(tmp_path)
    for number in range(40):
        fill(log, clock, (1000 + number, number % 2, b"%02d\n" % number))
    size = os.stat(tmp_path / "1" / "index").st_size
    assert size <= 16 * PIECE.size
    assert text({1: log}, since=1000 + 30).split() != []
    whole = text({1: log}).split()
    assert sorted(whole) == [b"%02d" % number for number in range(40)]
    assert whole[:4] == [b"00", b"01", b"02", b"03"]
    log.close()
    again = new_log(tmp_path)
    assert sorted(text({1: again}).split()) == sorted(whole)
    again.finish()
    assert sorted(text({1: again}).split()) == sorted(whole)


def test_an_index_of_a_format_to_come_loses_no_byte(tmp_path: Path, clock: Clock) -> None:
    log = fill(new_log(tmp_path), clock, (1, 0, b"a\n"), (2, 0, b"b\n"))
    log.close()
    with open(tmp_path / "1" / "index", "r+b") as index:
        index.seek(PIECE.size)
        index.write(PIECE.pack(1 << 16, 5, 5))
    assert text({1: new_log(tmp_path)}) == b"a\nb\n"


LINES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 1), st.sampled_from([b"x", b"y\n", b"\n", b"z\nw", b"long\nlines\n"])),
    max_size=25,
)


def model(history: list[tuple[int, int, bytes]]) -> list[tuple[float, int, int, bytes]]:
    """Every line: when it began, job, stream, its bytes; in the order in which they began."""
    lines: list[tuple[float, int, int, bytes]] = []
    current: dict[tuple[int, int], int] = {}
    for number, (job, stream, data) in enumerate(history):
        for part in data.splitlines(keepends=True):
            place = job, stream
            if place not in current:
                current[place] = len(lines)
                lines.append((1000.0 + number, job, stream, b""))
            at = current[place]
            lines[at] = (*lines[at][:3], lines[at][3] + part)
            if part.endswith(b"\n"):
                del current[place]
    return lines


@settings(max_examples=300, deadline=None)
@given(
    history=LINES,
    since=st.none() | st.integers(0, 25),
    until=st.none() | st.integers(0, 25),
    tail=st.none() | st.integers(0, 8),
    stream=st.sampled_from([None, "stdout", "stderr"]),
    stop=st.integers(0, 40),
)
def test_any_selection_of_any_history(
    history: list[tuple[int, int, bytes]],
    since: int | None,
    until: int | None,
    tail: int | None,
    stream: str | None,
    stop: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        logs = {job: new_log(directory, str(job)) for job in (1, 2, 3)}
        for number, (job, which, data) in enumerate(history):
            fill(logs[job], clock, (1000 + number, which, data))
        wanted = [
            line for line in model(history)
            if (since is None or line[0] >= 1000 + since)
            and (until is None or line[0] <= 1000 + until)
            and (stream is None or ("stdout", "stderr")[line[2]] == stream)
        ]  # fmt: skip
        wanted = wanted if tail is None else wanted[len(wanted) - min(tail, len(wanted)) :]
        selection = LogSelection(
            since=None if since is None else 1000.0 + since,
            until=None if until is None else 1000.0 + until,
            tail=tail,
            stream=stream,
        )
        check(logs, selection, wanted, stop)


def check(
    logs: dict[int, JobLog], selection: LogSelection, wanted: list[tuple[float, int, int, bytes]], stop: int
) -> None:
    """Reads it at once, and with a break after *stop* pieces, as a client does that was cut off."""
    found: dict[tuple[int, str], bytes] = {}
    places: dict[int, LogPlace] = {}
    reader = Reader(selection, lambda: None)
    for job, log in logs.items():
        reader.add(job, log)
    reader.begin()
    places = {place.job: place for place in reader.places()}
    for _ in range(stop):
        if (chunk := reader.next()) is None:
            break
        add(found, places, chunk)
    reader.close()
    again = Reader(
        LogSelection(until=selection.until, stream=selection.stream, places=tuple(places.values())), lambda: None
    )
    for job, log in logs.items():
        again.add(job, log)
    again.begin()
    times = []
    for chunk in drained(again):
        times.append(chunk.time)
        add(found, places, chunk)
    again.close()
    assert times == sorted(times)
    expected: dict[tuple[int, str], bytes] = {}
    for _, job, stream, data in wanted:
        place = job, ("stdout", "stderr")[stream]
        expected[place] = expected.get(place, b"") + data
    assert found == expected
    for log in logs.values():
        log.close()


def add(found: dict[tuple[int, str], bytes], places: dict[int, LogPlace], chunk: Chunk) -> None:
    place = chunk.job, chunk.stream
    found[place] = found.get(place, b"") + chunk.data
    offsets, skips = list(places[chunk.job].offsets), list(places[chunk.job].skips)
    stream = ("stdout", "stderr").index(chunk.stream)
    offsets[stream], skips[stream] = chunk.offset + len(chunk.data), False
    places[chunk.job] = LogPlace(chunk.job, (offsets[0], offsets[1]), (skips[0], skips[1]))
