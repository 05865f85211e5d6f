"""The wire as an old client sees it, written by hand: nothing of this project's protocol package is used here.

The daemon's server runs in this process with the fake engine; what is proved is bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oldclient import (
    CREATE,
    DESTROY,
    ECHO,
    ERROR,
    INFO,
    LIMIT_MEMORY,
    LINK,
    LIST,
    PING,
    RUN,
    SPAWN,
    STOP,
    STREAM,
    OldClient,
    frame,
    message,
    original,
)

from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import serving_in_thread


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with serving_in_thread(str(tmp_path / "s")) as engine:
        yield engine


@pytest.fixture
def client(engine: FakeEngine, tmp_path: Path) -> Iterator[OldClient]:
    client = OldClient(str(tmp_path / "s"))
    yield client
    client.close()


def test_ping_is_answered_with_the_same_bytes(client: OldClient) -> None:
    client.socket.sendall(b"4\r\n\x08\x5b\x12\x00\r\n")
    assert client.file.read(9) == b"4\r\n\x08\x5b\x12\x00\r\n"


def test_lengths_as_the_original_reads_them_and_skipped_bytes(client: OldClient) -> None:
    client.socket.sendall(b" 0x4 \r\n\x08\x5b\x12\x00XY" + b"0b100\r\n\x08\x5b\x12\x00\0\0")
    assert [client.read(), client.read()] == [(PING, []), (PING, [])]


def test_a_byte_at_a_time(client: OldClient) -> None:
    for byte in frame(ECHO, (1, b"\xff\0\xfe")):
        client.socket.sendall(bytes([byte]))
    assert client.read() == (ECHO, [(1, b"\xff\0\xfe")])


def test_the_life_of_a_container(client: OldClient) -> None:
    assert client.call(LIST) == (LIST, [])
    assert client.call(CREATE, (3, b"h\xff")) == (CREATE, [(1, b"h\xff")])
    assert client.call(LIST) == (LIST, [(1, b"h\xff")])
    assert client.call(LIMIT_MEMORY, (1, b"h\xff"), (2, 67108865)) == (LIMIT_MEMORY, [(1, 67108864)])
    kind, info = client.call(INFO, (1, b"h\xff"))
    assert kind == INFO
    assert original(info)[0] == (10, b"active")
    assert [tag for tag, _ in original(info)] == sorted(tag for tag, _ in original(info))
    assert dict(info)[43] == message((1, 4294967295), (2, 4294967295), (3, 4294967295), (4, 4294967295))
    assert not {20, 44} & {tag for tag, _ in info}, "empty lists are absent"
    assert client.call(STOP, (1, b"h\xff"), (10, 0)) == (STOP, [])
    assert client.call(DESTROY, (1, b"h\xff")) == (DESTROY, [])


def test_zero_and_empty_are_encoded(client: OldClient) -> None:
    client.call(CREATE, (3, b"h"))
    kind, fields = client.call(RUN, (1, b"h"), (2, b""))
    assert kind == RUN
    assert original(fields)[:3] == [(1, 0), (2, b""), (3, b"")]


def test_spawn_link_and_stream(client: OldClient) -> None:
    client.call(CREATE, (3, b"h"))
    assert client.call(SPAWN, (1, b"h"), (2, b"out \xff\0\xfe\nerr e\nexit 7")) == (SPAWN, [(1, 1)])
    kind, fields = client.call(LINK, (1, b"h"), (2, 1))
    assert (kind, original(fields)[:3]) == (LINK, [(1, 7), (2, b"\xff\0\xfe"), (3, b"e")])
    assert client.call(SPAWN, (1, b"h"), (2, b"out a\nexit 0")) == (SPAWN, [(1, 2)])
    assert client.call(STREAM, (1, b"h"), (2, 2)) == (STREAM, [(1, b"stdout"), (2, b"a")])
    kind, fields = client.read()
    assert kind == STREAM
    assert [tag for tag, _ in original(fields)] == [3, 4], "no name, no data, an exit status of 0"
    assert dict(fields)[3] == 0


def test_errors_keep_the_connection(client: OldClient) -> None:
    kind, fields = client.call(INFO, (1, b"no"))
    assert (kind, original(fields)) == (ERROR, [(2, b"unknown handle")])
    client.call(CREATE, (3, b"h"))
    assert original(client.call(LINK, (1, b"h"), (2, 99))[1]) == [(2, b"no such job")]
    assert original(client.call(CREATE, (3, b"h"))[1]) == [(2, b"container with handle: h already exists.")]
    assert client.call(PING) == (PING, [])


def test_unknown_fields_are_ignored(client: OldClient) -> None:
    assert client.call(PING, (50, b"later"), (51, 7)) == (PING, [])


def test_pipelining_is_first_in_first_out(client: OldClient) -> None:
    client.socket.sendall(
        frame(CREATE, (3, b"h")) + frame(RUN, (1, b"h"), (2, b"sleep 0.05")) + frame(PING) + frame(LIST)
    )
    assert [client.read()[0] for _ in range(4)] == [CREATE, RUN, PING, LIST]
