"""The output of a job: real pipes, real files. Nothing lost, nothing doubled, the order kept, the limit exact."""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warden.model.job import Chunk
from warden.process import joblog
from warden.process.joblog import JobLog

BIG = 1 << 30


class Pipe:
    """A pipe whose read end does not block, as the engine's."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read, False)

    def put(self, data: bytes) -> None:
        assert os.write(self.write, data) == len(data)

    def end(self) -> None:
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def close(self) -> None:
        self.end()
        os.close(self.read)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[JobLog]:
    made = JobLog(str(tmp_path), limit=BIG)
    yield made
    made.close()


def chunks(log: JobLog, *, follow: bool = False) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        return [chunk async for chunk in log.follow(follow=follow)]

    return asyncio.run(collect())


def joined(found: list[Chunk]) -> tuple[bytes, bytes]:
    out, err = (b"".join(chunk.data for chunk in found if chunk.stream == name) for name in ("stdout", "stderr"))
    return out, err


@contextmanager
def a_full_disk(at: int) -> Iterator[None]:
    """No file grows over *at* bytes: write(2) is cut short there, then refused (Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---- moving


def test_moves_what_a_pipe_holds_and_tells_empty_from_ended(log: JobLog, pipe: Pipe) -> None:
    assert log.move(0, pipe.read) is None
    pipe.put(b"hello")
    assert log.move(0, pipe.read) == 5
    assert log.move(0, pipe.read) is None
    pipe.end()
    assert log.move(0, pipe.read) == 0
    assert log.read_all() == (b"hello", b"")


def test_moves_no_more_than_it_is_asked(log: JobLog, pipe: Pipe) -> None:
    pipe.put(b"hello")
    assert [log.move(1, pipe.read, 2), log.move(1, pipe.read, 99)] == [2, 3]
    assert log.read_all() == (b"", b"hello")


def test_a_silent_job_makes_no_file(log: JobLog, pipe: Pipe, tmp_path: Path) -> None:
    log.move(0, pipe.read)
    pipe.end()
    log.move(0, pipe.read)
    log.finish()
    assert list(tmp_path.iterdir()) == []
    assert (log.read_all(), chunks(log, follow=True)) == ((b"", b""), [])


def test_files_are_the_engine_s_alone(log: JobLog, pipe: Pipe, tmp_path: Path) -> None:
    pipe.put(b"x")
    log.move(0, pipe.read)
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {"stdout": 0o600, "index": 0o600}


def test_descriptors_are_close_on_exec_and_go_with_finish(log: JobLog, pipe: Pipe) -> None:
    before = set(os.listdir("/proc/self/fd"))
    pipe.put(b"x")
    log.move(0, pipe.read)
    made = {int(fd) for fd in os.listdir("/proc/self/fd")} - {int(fd) for fd in before}
    held = [fd for fd in made if os.path.exists(f"/proc/self/fd/{fd}")]
    assert held
    assert not any(os.get_inheritable(fd) for fd in held)
    log.finish()
    assert not any(os.path.exists(f"/proc/self/fd/{fd}") for fd in held)


# ---- the limit


@pytest.mark.parametrize("limit", [0, 1, 5, 9, 10])
def test_output_is_cut_exactly_at_the_limit_and_the_rest_is_read(tmp_path: Path, pipe: Pipe, limit: int) -> None:
    log = JobLog(str(tmp_path), limit=limit)
    pipe.put(b"0123456789")
    pipe.end()
    while log.move(0, pipe.read) != 0:
        pass
    assert log.read_all() == (b"0123456789"[:limit], b"")
    assert log.truncated is (limit < 10)
    log.close()


def test_the_limit_is_of_both_streams_together(tmp_path: Path) -> None:
    log = JobLog(str(tmp_path), limit=6)
    log.append(0, b"abcd")
    log.append(1, b"efgh")
    log.append(0, b"never")
    assert (log.read_all(), log.truncated, log.size) == ((b"abcd", b"ef"), True, 6)
    assert not log.disk_full
    log.close()


def test_discarded_output_is_read_and_leaves_nothing(tmp_path: Path, pipe: Pipe) -> None:
    log = JobLog(str(tmp_path), limit=3, discard=True)
    pipe.put(b"hello")
    log.append(1, b"hello")
    assert log.move(0, pipe.read) == 5
    assert log.move(0, pipe.read) is None
    pipe.end()
    assert log.move(0, pipe.read) == 0
    assert (log.truncated, log.read_all(), list(tmp_path.iterdir())) == (False, (b"", b""), [])


# ---- a disk that is full


def test_a_full_disk_cuts_the_output_and_the_job_goes_on(log: JobLog, pipe: Pipe) -> None:
    with a_full_disk(4):
        pipe.put(b"0123456789")
        moved = [log.move(0, pipe.read), log.move(0, pipe.read)]
        assert log.move(0, pipe.read) is None  # all of it is read: the job is not blocked
    assert sum(count or 0 for count in moved) == 10
    assert (log.truncated, log.read_all()) == (True, (b"0123", b""))
    assert log.disk_full, "which is not the job's fault: it is not killed for it"
    assert joined(chunks(log)) == (b"0123", b"")


def test_a_full_disk_cuts_a_terminal_s_output_too(log: JobLog) -> None:
    with a_full_disk(4):
        log.append(0, b"0123456789")
        log.append(0, b"more")
    assert (log.truncated, log.read_all(), log.size) == (True, (b"0123", b""), 4)
    assert log.disk_full
    assert joined(chunks(log)) == (b"0123", b"")


def test_an_index_that_cannot_be_made_costs_the_order_not_the_output(
    tmp_path: Path, log: JobLog, pipe: Pipe
) -> None:
    (tmp_path / "index").mkdir()  # opening it for writing is refused, for root too
    pipe.put(b"hello")
    assert log.move(0, pipe.read) == 5
    log.append(1, b"oops")
    log.finish()
    assert joined(chunks(log, follow=True)) == log.read_all() == (b"hello", b"oops")


# ---- following


def test_chunks_come_in_the_order_in_which_they_came(log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MERGE_NS", 0)
    for stream, data in ((0, b"a"), (1, b"b"), (0, b"c"), (0, b"d"), (1, b"e")):
        log.append(stream, data)
    assert [(chunk.stream, chunk.data) for chunk in chunks(log)] == [
        ("stdout", b"a"), ("stderr", b"b"), ("stdout", b"c"), ("stdout", b"d"), ("stderr", b"e"),
    ]  # fmt: skip


def test_chunks_carry_the_time_of_their_piece(log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_000_000_000, 3_500_000_000])
    monkeypatch.setattr("warden.process.joblog.time.time_ns", lambda: next(times))
    log.append(0, b"a")
    log.append(0, b"b")
    assert [(chunk.data, chunk.time) for chunk in chunks(log)] == [(b"a", 1.0), (b"b", 3.5)]


def test_a_piece_larger_than_a_chunk_comes_in_several(log: JobLog) -> None:
    data = os.urandom(joblog.CHUNK * 2 + 5)
    log.append(0, data)
    found = chunks(log)
    assert [len(chunk.data) for chunk in found] == [joblog.CHUNK, joblog.CHUNK, 5]
    assert joined(found) == (data, b"")


async def test_a_follower_gets_what_comes_and_ends_with_the_job(log: JobLog, pipe: Pipe) -> None:
    found: list[bytes] = []
    more = asyncio.Event()

    async def collect() -> None:
        async for chunk in log.follow():
            found.append(chunk.data)
            more.set()

    task = asyncio.ensure_future(collect())
    for data in (b"one", b"two"):
        pipe.put(data)
        log.move(0, pipe.read)
        await more.wait()
        more.clear()
    assert b"".join(found) == b"onetwo"
    assert not task.done()
    log.append(1, b"last")
    log.finish()
    await task
    assert b"".join(found) == b"onetwolast"


async def test_several_followers_get_everything_each_even_late_ones(log: JobLog) -> None:
    async def collect() -> bytes:
        return b"".join([chunk.data async for chunk in log.follow()])

    early = [asyncio.ensure_future(collect()) for _ in range(3)]
    await asyncio.sleep(0)
    log.append(0, b"x" * 10)
    await asyncio.sleep(0)
    log.append(1, b"y" * 10)
    log.finish()
    assert await asyncio.gather(*early, collect()) == [b"x" * 10 + b"y" * 10] * 4


async def test_a_follower_that_goes_away_leaves_no_descriptor(log: JobLog) -> None:
    log.append(0, b"x")
    log.append(1, b"y")
    before = os.listdir("/proc/self/fd")
    following = log.follow()
    await anext(following)
    await following.aclose()  # type: ignore[attr-defined]
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_somebody_cut_is_told(log: JobLog, tmp_path: Path) -> None:
    log.append(0, b"hello")
    os.truncate(tmp_path / "stdout", 2)
    with pytest.raises(EOFError, match="shorter than its index"):
        chunks(log)


# ---- a daemon that was killed


@pytest.mark.parametrize("lost", [0, 1, 5, 15, 16, 20, 10**6])
def test_a_lost_tail_of_the_index_loses_no_byte(tmp_path: Path, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MERGE_NS", 0)
    first = JobLog(str(tmp_path), limit=BIG)
    for stream, data in ((0, b"a"), (1, b"bb"), (0, b"ccc")):
        first.append(stream, data)
    first.close()
    index = tmp_path / "index"
    os.truncate(index, max(index.stat().st_size - lost, 0))
    second = JobLog(str(tmp_path), limit=BIG)
    second.append(1, b"dddd")
    assert second.read_all() == joined(chunks(second)) == (b"accc", b"bbdddd")
    second.close()
    third = JobLog(str(tmp_path), limit=BIG)
    assert joined(chunks(third)) == (b"accc", b"bbdddd")
    third.close()


def test_the_order_survives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MERGE_NS", 0)
    first = JobLog(str(tmp_path), limit=BIG)
    for stream, data in ((0, b"a"), (1, b"b"), (0, b"c")):
        first.append(stream, data)
    first.close()
    second = JobLog(str(tmp_path), limit=BIG)
    assert [chunk.data for chunk in chunks(second)] == [b"a", b"b", b"c"]
    second.close()


def test_the_limit_counts_what_an_earlier_daemon_kept(tmp_path: Path) -> None:
    first = JobLog(str(tmp_path), limit=6)
    first.append(0, b"abcd")
    first.close()
    second = JobLog(str(tmp_path), limit=6)
    second.append(1, b"efgh")
    assert (second.read_all(), second.truncated) == ((b"abcd", b"ef"), True)
    second.close()


def test_past_the_end_of_the_index_order_is_kept_within_each_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblog, "MERGE_NS", 0)
    monkeypatch.setattr(joblog, "MAX_PIECES", 4)
    log = JobLog(str(tmp_path), limit=BIG)
    for number in range(20):
        log.append(number % 2, bytes([65 + number]))
    assert (tmp_path / "index").stat().st_size == 4 * 16
    assert joined(chunks(log)) == (b"ACEGIKMOQS", b"BDFHJLNPRT")
    assert [chunk.data for chunk in chunks(log)[:4]] == [b"A", b"B", b"C", b"D"]
    log.close()
    again = JobLog(str(tmp_path), limit=BIG)
    assert joined(chunks(again)) == (b"ACEGIKMOQS", b"BDFHJLNPRT")
    again.close()


# ---- any history at all

PIECES = st.tuples(st.sampled_from([0, 1]), st.binary(min_size=1, max_size=40))
CRASH = st.integers(0, 80)  # bytes of the index that did not reach the disk
HISTORY = st.lists(PIECES | CRASH, max_size=30)


class Player:
    """Plays a history into a log, half of it through pipes and half by append, and knows what must be kept."""

    def __init__(self, directory: str, limit: int) -> None:
        self.directory, self.limit = directory, limit
        self.log = JobLog(directory, limit=limit)
        self.expected = [b"", b""]
        self.room = limit
        self.pipes = [Pipe(), Pipe()]

    def write(self, stream: int, data: bytes, by: Callable[[int, bytes], None]) -> None:
        by(stream, data)
        self.expected[stream] += data[: self.room]
        self.room -= min(len(data), self.room)

    def through_pipe(self, stream: int, data: bytes) -> None:
        self.pipes[stream].put(data)
        while self.log.move(stream, self.pipes[stream].read, 16) is not None:
            pass

    def by_append(self, stream: int, data: bytes) -> None:
        self.log.append(stream, data)

    def crash(self, lost: int) -> None:
        self.log.close()
        index = Path(self.directory, "index")
        if index.exists():
            os.truncate(index, max(index.stat().st_size - lost, 0))
        self.log = JobLog(self.directory, limit=self.limit)

    def close(self) -> None:
        self.log.close()
        for pipe in self.pipes:
            pipe.close()


@settings(max_examples=200)
@given(history=HISTORY, limit=st.integers(0, 300), merge=st.booleans(), pieces=st.sampled_from([3, 65536]))
def test_any_history_keeps_every_byte_once_and_in_order(
    history: list[tuple[int, bytes] | int], limit: int, merge: bool, pieces: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(joblog, "MERGE_NS", 1_000_000 if merge else 0)
        patch.setattr(joblog, "MAX_PIECES", pieces)
        player = Player(directory, limit)
        for number, event in enumerate(history):
            if isinstance(event, int):
                player.crash(event)
            else:
                player.write(*event, player.through_pipe if number % 2 else player.by_append)
        player.log.finish()
        assert player.log.read_all() == tuple(player.expected)
        assert joined(chunks(player.log, follow=True)) == tuple(player.expected)
        player.close()
