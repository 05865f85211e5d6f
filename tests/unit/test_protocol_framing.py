"""Frames: byte for byte as the original, in any pieces, and no garbage breaks the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.protocol.framing import FrameError, FrameParser, encode_frame, parse_length

PING = b"4\r\n\x08\x5b\x12\x00\r\n"


def test_ping_is_byte_exact() -> None:
    assert encode_frame(91, b"") == PING


def test_long_lengths_and_high_types_are_varints() -> None:
    frame = encode_frame(300, b"x" * 200)
    assert frame == b"206\r\n\x08\xac\x02\x12\xc8\x01" + b"x" * 200 + b"\r\n"


@pytest.mark.parametrize("line", [b"4", b" 4 ", b"\t4", b"0x4", b"0b100", b"0o4", b"+4", b"0_4"[2:]])
def test_lenient_lengths(line: bytes) -> None:
    assert list(FrameParser().feed(line + b"\r\nabcd\r\n")) == [b"abcd"]


def test_underscores_are_digits_separators() -> None:
    assert parse_length(b"1_0") == 10


@pytest.mark.parametrize("line", [b"", b"x", b"-1", b"4.0", b"1 2", b"010", b"\xb2", b"1e3", b"0x", b"\n4 5"])
def test_what_is_no_length_is_refused(line: bytes) -> None:
    with pytest.raises(FrameError):
        parse_length(line)


def test_the_two_bytes_after_the_payload_are_not_looked_at() -> None:
    assert list(FrameParser().feed(b"1\r\naXY1\r\nb\r\n")) == [b"a", b"b"]


def test_a_line_feed_alone_ends_nothing() -> None:
    assert list(FrameParser().feed(b"4\nabcd\n")) == []


def test_a_length_line_has_a_bound() -> None:
    parser = FrameParser()
    assert list(parser.feed(b" " * 31 + b"1")) == []
    assert list(parser.feed(b"\r")) == []
    assert list(parser.feed(b"\na\r\n")) == [b"a"]
    with pytest.raises(FrameError, match="32 bytes"):
        list(parser.feed(b"1" * 34))


def test_frames_before_the_bad_one_are_delivered_and_nothing_after() -> None:
    parser = FrameParser()
    got: list[bytes] = []
    with pytest.raises(FrameError):
        got.extend(parser.feed(PING))
        for payload in parser.feed(PING + b"bad\r\n" + PING):
            got.append(payload)
    assert got == [b"\x08\x5b\x12\x00"] * 2
    with pytest.raises(FrameError):
        list(parser.feed(PING))


def test_frame_limit() -> None:
    assert list(FrameParser(limit=4).feed(b"4\r\nabcd\r\n")) == [b"abcd"]
    with pytest.raises(FrameError, match="limit of 4"):
        list(FrameParser(limit=4).feed(b"5\r\n"))


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=8), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=50)
)
def test_any_cutting_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(b"%d\r\n%s\r\n" % (len(payload), payload) for payload in payloads)
    parser, position, turn = FrameParser(), 0, 0
    got: list[bytes] = []
    while position < len(wire):
        step = cuts[turn % len(cuts)]
        got.extend(parser.feed(wire[position : position + step]))
        position, turn = position + step, turn + 1
    assert got == payloads
    assert parser.buffered == 0


@given(st.lists(st.binary(max_size=64) | st.sampled_from([PING, b"\r\n", b"4\r\n", b"0x"]), max_size=30))
def test_garbage_is_refused_or_waited_for(pieces: list[bytes]) -> None:
    parser = FrameParser(limit=1000)
    try:
        for piece in pieces:
            for payload in parser.feed(piece):
                assert len(payload) <= 1000
    except FrameError:
        assert parser.buffered == 0
    assert parser.buffered <= 1000 + 64 + 34
