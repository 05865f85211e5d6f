"""Frames on the wire: decimal length, CR LF, that many bytes of an encoded `Message`, CR LF (spec/warden.md §1).

Owns bytes only: an incremental parser and an encoder. It knows nothing of sockets, of protobuf's library or of what a
message means.
"""

from __future__ import annotations

from collections.abc import Iterator

from warden.errors import BadInput

CRLF = b"\r\n"
MAX_LENGTH_LINE = 32
DEFAULT_FRAME_LIMIT = 64 * 1024 * 1024


class FrameError(BadInput):
    """The bytes are not a frame. What follows on the connection cannot be understood any more."""


class FrameParser:
    """Cuts a stream of bytes into frames, whatever the sizes of the pieces it comes in.

    *limit*: the longest payload accepted, in bytes. A frame's payload is copied once; waiting for the rest of a long
    frame costs nothing per piece. After a FrameError the parser stays unusable.
    """

    def __init__(self, limit: int = DEFAULT_FRAME_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._payload: int | None = None  # length of the frame being received, its length line already taken
        self._failure: FrameError | None = None

    @property
    def buffered(self) -> int:
        """Bytes received that do not make a frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Takes *data* and yields each payload it completes; raises FrameError once the complete ones are out."""
        self._buffer += data
        while (payload := self._next()) is not None:
            yield payload

    def _next(self) -> bytes | None:
        if self._failure is not None:
            raise self._failure
        try:
            return self._take()
        except FrameError as error:
            self._failure = error
            self._buffer.clear()
            raise

    def _take(self) -> bytes | None:
        if self._payload is None:
            self._payload = self._take_length()
        # The two bytes after the payload are skipped unchecked, as the original does.
        if self._payload is None or len(self._buffer) < self._payload + len(CRLF):
            return None
        payload = bytes(memoryview(self._buffer)[: self._payload])
        del self._buffer[: self._payload + len(CRLF)]  # a bytearray drops its front without moving the rest
        self._payload = None
        return payload

    def _take_length(self) -> int | None:
        end = self._buffer.find(CRLF, 0, MAX_LENGTH_LINE + len(CRLF))
        if end < 0:
            if len(self._buffer) > MAX_LENGTH_LINE + 1:
                raise FrameError(f"frame: no length line within {MAX_LENGTH_LINE} bytes")
            return None
        length = parse_length(bytes(self._buffer[:end]))
        if length > self._limit:
            raise FrameError(f"frame: {length} bytes are more than the limit of {self._limit}")
        del self._buffer[: end + len(CRLF)]
        return length


def parse_length(line: bytes) -> int:
    """The number on a length line, as leniently as the original: blanks around it, 0x, 0o and 0b, underscores.

    A number with a leading zero is refused: the original reads it as octal and every other reader as decimal.
    """
    try:
        length = int(line.decode("ascii"), 0)
    except ValueError:
        length = -1
    if length < 0:
        raise FrameError(f"frame: {line!r} is not a length")
    return length


def encode_varint(value: int) -> bytes:
    """Protobuf's base-128 number, for values of at least 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_frame(kind: int, payload: bytes) -> bytes:
    """One frame around the message {1: *kind*, 2: *payload*}; an empty payload is present on the wire all the same."""
    head = b"\x08" + encode_varint(kind) + b"\x12" + encode_varint(len(payload))
    return b"".join((b"%d\r\n" % (len(head) + len(payload)), head, payload, CRLF))
