"""The output of one job on disk: what its pipes bring is moved into files, and read from there any number of times.

The move is splice(2) from pipe to file: consuming and writing are one system call, so a daemon killed at any instant
loses no byte and doubles none. An index keeps the order of both streams and the time of each piece. Files appear with the
first byte, so a silent job costs nothing. Owns the files `stdout`, `stderr` and `index` of a job's directory; who reads
them is logcursor.py's.

The index is a row of records, stream, length, time, each 16 bytes; a record of no known stream is of a format to come
and ends what is understood. The first MAX_PIECES are exact to MERGE_NS. A job that writes for weeks, or alternates its
streams byte by byte, must not grow it for ever: later records stand for all that a stream brought within ever longer
windows, and order is then kept within each stream only.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time
from collections.abc import AsyncIterator, Callable

from warden.model.job import Chunk
from warden.model.logs import STREAMS, LogPlace
from warden.process.logcursor import CHUNK, Cursor, follow_one, tail_place

PIECE = struct.Struct("<IIQ")  # stream, length, time in ns since the epoch
MAX_PIECES = 65536
SPLICE_NONBLOCK = 2  # SPLICE_F_NONBLOCK
MERGE_NS = 1_000_000
#: Of the second, third and last MAX_PIECES records: 9 hours at least, then 22 days, then three years.
WINDOWS_NS = (10**9, 60 * 10**9, 3600 * 10**9)


class JobLog:
    """Files of one job's output. *limit*: bytes of both streams together; *discard*: keep nothing."""

    def __init__(self, directory: str, *, limit: int, discard: bool = False) -> None:
        self._directory = directory
        self._limit = limit
        self._discard = discard
        self.discards = discard
        self.on_dropped: Callable[[int, bytes], None] | None = None  # told of output that is not kept by choice
        self._files: dict[int, int] = {}
        self._index_fd = -1
        self._index = bytearray()  # as on disk
        self._last = (2, 0, 0)  # of its records; before the first, one that nothing is added to
        self._window = 0  # when the first byte came that no record stands for; 0 without one
        self._sizes = [0, 0]
        self._indexed = [0, 0]
        self._watchers: list[Callable[[], None]] = []
        self._cursors: set[Cursor] = set()
        self.truncated = False
        self.disk_full = False  # that is why it was cut, not its limit
        self.complete = False
        if not discard:
            self._load()

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _load(self) -> None:
        """Takes up what an earlier daemon wrote; bytes that it had no time to index follow the indexed ones."""
        changed = [0, 0]
        for stream, name in enumerate(STREAMS):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self._path(name))
                self._sizes[stream], changed[stream] = status.st_size, status.st_mtime_ns
        with contextlib.suppress(FileNotFoundError), open(self._path("index"), "rb") as index:
            data = index.read()
            count = 0
            for piece in PIECE.iter_unpack(data[: len(data) - len(data) % PIECE.size]):
                if piece[0] not in (0, 1):
                    break
                self._indexed[piece[0]] += piece[1]
                self._last = piece
                count += 1
            self._index += data[: count * PIECE.size]
        for stream in (0, 1):
            self._note(stream, self._sizes[stream] - self._indexed[stream], changed[stream])

    @property
    def size(self) -> int:
        """Bytes kept of both streams."""
        return sum(self._sizes)

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes kept of stdout and of stderr."""
        return self._sizes[0], self._sizes[1]

    def move(self, stream: int, source: int, most: int = 1 << 20) -> int | None:
        """Moves what the pipe *source* holds to *stream*; the number of bytes, 0 at its end, None when it is empty.

        At the limit *truncated* is set, with what is too much still in the pipe; later calls read and drop it.
        """
        if self._discard or self.truncated:
            return self._pass_by(stream, source, most)
        room = self._limit - self.size
        if room <= 0:
            return self._over(source)
        if stream not in self._files and not (state := _state(source)):
            return state
        try:
            moved = os.splice(source, self._file(stream), min(most, room), flags=SPLICE_NONBLOCK)
        except BlockingIOError:
            return None
        except OSError:  # the depot's disk is full: the job goes on, its output is cut
            self.truncated = self.disk_full = True
            return self._pass_by(stream, source, most)
        if moved:
            self._grew(stream, moved)
        return moved

    def append(self, stream: int, data: bytes) -> None:
        """The same for bytes that were read already (a terminal cannot be spliced)."""
        if self._discard or self.truncated:
            self._dropped(stream, data)
            return
        kept = data[: max(self._limit - self.size, 0)]
        try:
            written = os.write(self._file(stream), kept) if kept else 0
        except OSError:
            written = 0
        self.disk_full = written < len(kept)
        self.truncated = written < len(data)
        if written:
            self._grew(stream, written)

    def _pass_by(self, stream: int, source: int, most: int) -> int | None:
        try:
            data = os.read(source, min(most, CHUNK))
        except BlockingIOError:
            return None
        self._dropped(stream, data)
        return len(data)

    def _dropped(self, stream: int, data: bytes) -> None:
        if self.on_dropped is not None and self.discards and not self.complete:
            self.on_dropped(stream, data)

    def _over(self, source: int) -> int | None:
        """Nothing is taken yet: if the engine dies before it has recorded the cut, the next one sees it as well."""
        state = _state(source)
        if state:
            self.truncated = True
        return state

    def _file(self, stream: int) -> int:
        if stream not in self._files:
            fd = os.open(self._path(STREAMS[stream]), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.lseek(fd, 0, os.SEEK_END)
            self._files[stream] = fd
        return self._files[stream]

    def _grew(self, stream: int, length: int) -> None:
        self._sizes[stream] += length
        self._note(stream, length)
        self._wake()

    def _note(self, stream: int, length: int, stamp: int = 0) -> None:
        if length <= 0:
            return
        # Whole microseconds, as the time is told; and a clock that is put back must not confuse readers.
        stamp = max((stamp or time.time_ns()) // 1000 * 1000, self._last[2])
        if len(self._index) >= MAX_PIECES * PIECE.size:
            self._note_loosely(stream, length, stamp)
        elif self._last[0] == stream and stamp - self._last[2] < MERGE_NS and self._last[1] + length < 1 << 31:
            self._write_piece(len(self._index) - PIECE.size, stream, self._last[1] + length, self._last[2])
            self._indexed[stream] += length
        else:
            self._write_piece(len(self._index), stream, length, stamp)
            self._indexed[stream] += length

    def _note_loosely(self, stream: int, length: int, stamp: int) -> None:
        """The index has its exact records: when a window is over, one for each stream that brought something in it."""
        windows = len(self._index) // (MAX_PIECES * PIECE.size) - 1
        if not self._window:
            self._window = stamp
        elif windows < len(WINDOWS_NS) and stamp - self._window >= WINDOWS_NS[windows]:
            new = [length if stream == number else 0 for number in (0, 1)]
            self._close_window(new)
            self._window = stamp

    def _close_window(self, new: list[int]) -> None:
        for stream in (0, 1):
            length = self._sizes[stream] - self._indexed[stream] - new[stream]
            if length > 0:
                length = min(length, (1 << 31) - 1)
                self._write_piece(len(self._index), stream, length, self._window)
                self._indexed[stream] += length

    def _write_piece(self, at: int, stream: int, length: int, stamp: int) -> None:
        self._last = (stream, length, stamp)
        record = PIECE.pack(stream, length, stamp)
        self._index[at:] = record
        with contextlib.suppress(OSError):  # a full disk costs the order, not the output
            if self._index_fd < 0:
                self._index_fd = os.open(self._path("index"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._index_fd, record, at)

    def _wake(self) -> None:
        for watcher in list(self._watchers):
            watcher()

    def finish(self) -> None:
        """No more will come: readers end, files are closed (and opened again by late readers)."""
        if not self.complete and self._window and len(self._index) < (len(WINDOWS_NS) + 1) * MAX_PIECES * PIECE.size:
            self._close_window([0, 0])
        self.complete = True
        self._discard = True
        self._wake()
        self.close()

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        if self._index_fd >= 0:
            os.close(self._index_fd)
            self._index_fd = -1

    def read_all(self) -> tuple[bytes, bytes]:
        """Everything kept so far of stdout and stderr."""
        return self._read_file(0), self._read_file(1)

    def _read_file(self, stream: int) -> bytes:
        if not self._sizes[stream]:
            return b""
        with open(self._path(STREAMS[stream]), "rb") as kept:
            return kept.read(self._sizes[stream])

    def follow(self, *, follow: bool = True, place: LogPlace | None = None) -> AsyncIterator[Chunk]:
        """Everything in order, or from *place* on; with *follow* until the job has ended. Memory: one chunk."""
        return follow_one(self, place or LogPlace(0), follow=follow)

    def place(self, tail: int) -> LogPlace:
        """Where the last *tail* lines begin."""
        return tail_place(self, tail)

    # ---- what readers use

    def clamped(self, offsets: tuple[int, int]) -> tuple[int, int]:
        """Offsets that a client says, no further than there are bytes."""
        return min(offsets[0], self._sizes[0]), min(offsets[1], self._sizes[1])

    @property
    def indexed(self) -> tuple[int, int]:
        """Bytes of each stream that a record stands for."""
        return self._indexed[0], self._indexed[1]

    def pieces(self) -> int:
        """How many records the index has."""
        return len(self._index) // PIECE.size

    def piece(self, number: int) -> tuple[int, int, int]:
        """Stream, length, and time in ns; the last one may still grow."""
        return PIECE.unpack_from(self._index, number * PIECE.size)

    def span(self, number: int) -> int:
        """How long after its time a record's bytes may have come, in ns; of the number past the last: those of none."""
        windows = min(number // MAX_PIECES, len(WINDOWS_NS))
        return WINDOWS_NS[windows - 1] if windows else 0

    @property
    def loose_since(self) -> int:
        """The time of the bytes that no record stands for."""
        return self._window or self._last[2]

    def open(self, stream: int) -> int:
        """A descriptor to read a stream with; raises FileNotFoundError when there is none, or it was dropped."""
        return os.open(self._path(STREAMS[stream]), os.O_RDONLY | os.O_CLOEXEC)

    def read_at(self, stream: int, offset: int, length: int) -> bytes:
        """Bytes of a stream, without what is not there."""
        try:
            fd = self.open(stream)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Calls *watcher* whenever there is more, or no more; the function returned ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def enlist(self, cursor: Cursor) -> None:
        self._cursors.add(cursor)

    def delist(self, cursor: Cursor) -> None:
        self._cursors.discard(cursor)

    def pin(self) -> None:
        """Before its files go: who is reading them may read to the end."""
        for cursor in self._cursors:
            cursor.pin()


def _state(source: int) -> int | None:
    """As `move` tells: 0 at the end of a pipe, None when it is empty, 1 when bytes wait. Takes none of them."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    events = next((events for _, events in poll.poll(0)), 0)
    return 1 if events & select.POLLIN else 0 if events else None
