"""The output of one job on disk: what its pipes bring is moved into files, and read from there any number of times.

The move is splice(2) from pipe to file: consuming and writing are one system call, so a daemon killed at any instant
loses no byte and doubles none. An index keeps the order of both streams and the time of each piece. Files appear with the
first byte, so a silent job costs nothing. Owns the files `stdout`, `stderr` and `index` of a job's directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import struct
import time
from collections.abc import AsyncIterator, Callable

from warden.model.job import Chunk

STREAMS = ("stdout", "stderr")
_PIECE = struct.Struct("<IIQ")  # stream, length, time in ns since the epoch
#: A job that alternates its streams byte by byte must not grow the index for ever; past this, order is only kept
#: within each stream.
MAX_PIECES = 65536
CHUNK = 256 * 1024
SPLICE_NONBLOCK = 2  # SPLICE_F_NONBLOCK
MERGE_NS = 1_000_000


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
        self._pieces: list[tuple[int, int, int]] = []
        self._sizes = [0, 0]
        self._indexed = [0, 0]
        self._changed = asyncio.Event()
        self.truncated = False
        self.disk_full = False  # that is why it was cut, not its limit
        self.complete = False
        if not discard:
            self._load()

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _load(self) -> None:
        """Takes up what an earlier daemon wrote; bytes that it had no time to index follow the indexed ones."""
        for stream, name in enumerate(STREAMS):
            with contextlib.suppress(FileNotFoundError):
                self._sizes[stream] = os.stat(self._path(name)).st_size
        with contextlib.suppress(FileNotFoundError), open(self._path("index"), "rb") as index:
            data = index.read()
            for stream, length, stamp in _PIECE.iter_unpack(data[: len(data) - len(data) % _PIECE.size]):
                self._pieces.append((stream, length, stamp))
                self._indexed[stream] += length
        for stream in (0, 1):
            self._note(stream, self._sizes[stream] - self._indexed[stream])

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

    def _note(self, stream: int, length: int) -> None:
        if length <= 0 or len(self._pieces) >= MAX_PIECES:
            return
        stamp = time.time_ns()
        self._indexed[stream] += length
        last = self._pieces[-1] if self._pieces else None
        if last and last[0] == stream and stamp - last[2] < MERGE_NS and last[1] + length < 1 << 31:
            self._pieces[-1] = (stream, last[1] + length, last[2])
        else:
            self._pieces.append((stream, length, stamp))
        with contextlib.suppress(OSError):  # a full disk costs the order, not the output
            if self._index_fd < 0:
                self._index_fd = os.open(self._path("index"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._index_fd, _PIECE.pack(*self._pieces[-1]), (len(self._pieces) - 1) * _PIECE.size)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def finish(self) -> None:
        """No more will come: readers end, files are closed (and opened again by late readers)."""
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

    async def follow(self, *, follow: bool = True) -> AsyncIterator[Chunk]:
        """Everything from the first byte in order; with *follow* until the job has ended. Memory: one chunk."""
        cursor = _Cursor(self)
        try:
            while True:
                changed, complete = self._changed, self.complete
                while (chunk := cursor.next()) is not None:
                    yield chunk
                if complete or not follow:
                    while (chunk := cursor.rest()) is not None:
                        yield chunk
                    return
                await changed.wait()
        finally:
            cursor.close()


class _Cursor:
    """A reader's place in a log: piece, and offset in each stream. Descriptors of its own, so files may be closed."""

    def __init__(self, log: JobLog) -> None:
        self._log = log
        self._piece = 0
        self._within = 0
        self._offsets = [0, 0]
        self._files = [-1, -1]

    def next(self) -> Chunk | None:
        """The next indexed bytes."""
        pieces = self._log._pieces
        while self._piece < len(pieces):
            stream, length, stamp = pieces[self._piece]
            if self._within < length:
                chunk = self._read(stream, length - self._within, stamp)
                self._within += len(chunk.data)
                return chunk
            if self._piece + 1 >= len(pieces):
                # The last piece may still grow; once the index is full, what it does not know follows.
                return self.rest() if len(pieces) >= MAX_PIECES else None
            self._piece, self._within = self._piece + 1, 0
        return None

    def rest(self) -> Chunk | None:
        """Bytes past the index."""
        for stream in (0, 1):
            left = self._log._sizes[stream] - self._offsets[stream]
            if left > 0:
                return self._read(stream, left, time.time_ns())
        return None

    def _read(self, stream: int, length: int, stamp: int) -> Chunk:
        if self._files[stream] < 0:
            self._files[stream] = os.open(self._log._path(STREAMS[stream]), os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(self._files[stream], min(length, CHUNK), self._offsets[stream])
        self._offsets[stream] += len(data)
        if not data:  # somebody cut the file; what was indexed is gone
            raise EOFError(f"{STREAMS[stream]} of the job is shorter than its index")
        return Chunk(STREAMS[stream], data, stamp / 1e9)

    def close(self) -> None:
        for fd in self._files:
            if fd >= 0:
                os.close(fd)


def _state(source: int) -> int | None:
    """As `move` tells: 0 at the end of a pipe, None when it is empty, 1 when bytes wait. Takes none of them."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    events = next((events for _, events in poll.poll(0)), 0)
    return 1 if events & select.POLLIN else 0 if events else None
