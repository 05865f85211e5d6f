"""The channel to a PID 1, against a peer that plays it: order, descriptors, cancellation, loss."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wshd_peer import BODY_IN_DESCRIPTOR, ENDED, STARTED, Peer, Request, content, record

from warden.errors import EngineFault
from warden.process import channel
from warden.process.channel import INLINE_LIMIT, PING, SIGNAL, SPAWN, Channel, Record, connect_socket
from warden.process.launch import listen_at


class Line:
    """A channel, its peer, and what the channel told."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.told: list[object] = []
        self.peer = Peer(theirs)
        self.channel = Channel(ours, lambda kind, record: self.told.append((kind, record.job)), self._lost)

    def _lost(self) -> None:
        self.told.append("lost")


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    before = open_files()
    made = Line()
    yield made
    made.channel.close()
    made.peer.close()
    assert open_files() <= before, "descriptors are left"


def open_files() -> set[str]:
    """Pipes, sockets and memory files; the event loop's own epoll descriptor and socket pair stay out."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return {name for name in found if name.startswith(("pipe:", "/memfd:"))}


async def turns(count: int = 10) -> None:
    """Lets the loop run until nothing is left to do."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_request_is_a_packet_and_its_reply_comes_back(line: Line) -> None:
    asked = asyncio.ensure_future(line.channel.request(SIGNAL, 9, flags=5, a=15, b=1, body=b"xy"))
    await turns()
    got = line.peer.receive()
    assert (got.kind, got.flags, got.job, got.a, got.b, got.length, got.body) == (SIGNAL, 5, 9, 15, 1, 2, b"xy")
    line.peer.send(SIGNAL, job=9, error=3, a=11, b=12)
    reply = await asked
    assert (reply.error, reply.a, reply.b, reply.records, reply.descriptors) == (3, 11, 12, (), {})


async def test_replies_go_to_their_requests_in_order_and_events_come_between(line: Line) -> None:
    asked = [asyncio.ensure_future(line.channel.request(PING, number)) for number in range(5)]
    await turns()
    for number in range(5):
        assert line.peer.receive().job == number
        line.peer.event(STARTED, 100 + number)
        line.peer.send(PING, a=number)
        line.peer.event(ENDED, 100 + number)
    replies = await asyncio.gather(*asked)
    assert [reply.a for reply in replies] == list(range(5))
    await turns()
    assert line.told == [(kind, 100 + number) for number in range(5) for kind in (STARTED, ENDED)]


async def test_records_come_whole(line: Line) -> None:
    asked = asyncio.ensure_future(line.channel.request(channel.LIST))
    await turns()
    line.peer.send(channel.LIST, b=64, records=(record(1), record(2, state=4), record(3, state=3, status=9)))
    reply = await asked
    assert reply.records[0] == Record(1, 7, 2, 0, 3, 2, 6, 1001, 1002, 1003, 1004, 1005)
    assert [(found.job, found.over, found.status) for found in reply.records] == [(1, False, 0), (2, True, 0), (3, True, 9)]


async def test_descriptors_are_named_by_their_flags_and_are_close_on_exec(line: Line) -> None:
    asked = asyncio.ensure_future(line.channel.request(SPAWN, 1))
    await turns()
    (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
    line.peer.send(SPAWN, flags=channel.WANT_STDOUT | channel.WANT_STDERR, fds=(out_read, err_read))
    reply = await asked
    assert set(reply.descriptors) == {channel.WANT_STDOUT, channel.WANT_STDERR}
    assert not any(os.get_inheritable(fd) for fd in reply.descriptors.values())
    os.write(err_write, b"error")
    assert os.read(reply.descriptors[channel.WANT_STDERR], 9) == b"error"
    for fd in (out_read, out_write, err_read, err_write, *reply.descriptors.values()):
        os.close(fd)


async def test_who_waits_for_a_reply_runs_before_the_events_behind_it(line: Line) -> None:
    async def spawn() -> None:
        reply = await line.channel.request(SPAWN, 1)
        line.told.append("taken")
        os.close(reply.descriptors[channel.WANT_STDOUT])

    task = asyncio.ensure_future(spawn())
    await turns()
    read, write = os.pipe()
    line.peer.send(SPAWN, flags=channel.WANT_STDOUT, fds=(read,))
    line.peer.event(STARTED, 1)
    line.peer.event(ENDED, 1)
    await task
    await turns()
    assert line.told == ["taken", (STARTED, 1), (ENDED, 1)]
    os.close(read)
    os.close(write)


async def test_a_cancelled_request_lets_go_of_its_descriptors_and_keeps_the_order(line: Line) -> None:
    first = asyncio.ensure_future(line.channel.request(SPAWN, 1))
    second = asyncio.ensure_future(line.channel.request(PING))
    await turns()
    first.cancel()
    await turns()
    read, write = os.pipe()
    line.peer.send(SPAWN, flags=channel.WANT_STDOUT, fds=(read,))
    line.peer.send(PING, a=42)
    assert (await second).a == 42
    assert first.cancelled()
    os.close(read)
    with pytest.raises(BrokenPipeError):  # nobody holds the read end any more
        os.write(write, b"x")
    os.close(write)


async def test_a_request_cancelled_while_its_reply_is_on_the_way_to_it(line: Line) -> None:
    asked = asyncio.ensure_future(line.channel.request(SPAWN, 1))
    await turns()
    read, write = os.pipe()
    line.peer.send(SPAWN, flags=channel.WANT_STDOUT, fds=(read,))
    os.close(read)
    line.channel._readable()  # as the loop does; its caller has not run yet
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(BrokenPipeError):
        os.write(write, b"x")
    os.close(write)


@pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT])
async def test_a_body_up_to_the_limit_is_in_the_packet(line: Line, size: int) -> None:
    body = os.urandom(size)
    asked = asyncio.ensure_future(line.channel.request(SPAWN, body=body))
    await turns()
    got = line.peer.receive()
    assert (got.flags, got.length, got.body, got.fds) == (0, size, body, [])
    line.peer.send(SPAWN)
    await asked


@pytest.mark.parametrize("size", [INLINE_LIMIT + 1, 3 << 20])
async def test_a_larger_body_goes_by_descriptor_before_the_others(line: Line, size: int) -> None:
    body = os.urandom(size)
    read, write = os.pipe()
    asked = asyncio.ensure_future(line.channel.request(SPAWN, flags=2, body=body, fds=(read,)))
    await turns()
    got = line.peer.receive()
    assert (got.flags, got.length, got.body, len(got.fds)) == (2 | BODY_IN_DESCRIPTOR, size, b"", 2)
    assert content(got.fds[0]) == body
    os.write(write, b"for the job")
    assert os.read(got.fds[1], 99) == b"for the job"
    line.peer.send(SPAWN)
    await asked
    for fd in (read, write, got.fds[1]):
        os.close(fd)


async def test_a_lost_connection_fails_all_that_wait_and_is_told_once(line: Line) -> None:
    asked = [asyncio.ensure_future(line.channel.request(PING)) for _ in range(3)]
    await turns()
    line.peer.close()
    for found in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(found, EngineFault)
        assert str(found) == "wshd: connection lost"
    assert line.told == ["lost"]


async def test_events_before_the_loss_are_told_first(line: Line) -> None:
    line.peer.event(ENDED, 5)
    line.peer.close()
    await turns()
    assert line.told == [(ENDED, 5), "lost"]


async def test_a_closed_channel_refuses_and_tells_nobody(line: Line) -> None:
    asked = asyncio.ensure_future(line.channel.request(PING))
    await turns()
    line.channel.close()
    line.channel.close()
    with pytest.raises(EngineFault, match="connection lost"):
        await asked
    with pytest.raises(EngineFault, match="connection lost"):
        await line.channel.request(PING)
    assert line.told == []


async def received(peer: Peer) -> Request:
    """The next request, while the channel goes on sending."""
    while not peer.has_more():
        await asyncio.sleep(0)
    return peer.receive()


def many(line: Line, count: int) -> list[asyncio.Future[channel.Reply]]:
    """More than the socket takes at once."""
    return [asyncio.ensure_future(line.channel.request(PING, n, body=b"x" * INLINE_LIMIT)) for n in range(count)]


async def test_requests_wait_while_pid_1_does_not_read_and_keep_their_order(line: Line) -> None:
    asked = many(line, 40)
    await turns()
    for number in range(40):
        assert (await received(line.peer)).job == number
        line.peer.send(PING, a=number)
    assert [reply.a for reply in await asyncio.gather(*asked)] == list(range(40))


async def test_a_loss_wakes_also_those_that_could_not_send_yet(line: Line) -> None:
    asked = many(line, 40)
    await turns()
    line.peer.close()
    found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
    assert all(isinstance(error, EngineFault) for error in found)
    assert line.told == ["lost"]


async def test_closing_wakes_those_that_could_not_send_yet_and_leaves_no_watch_on_the_descriptor(line: Line) -> None:
    asked = many(line, 40)
    await turns()
    number = line.channel._socket.fileno()
    line.channel.close()
    found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
    assert all(isinstance(error, EngineFault) for error in found)
    assert not asyncio.get_running_loop().remove_writer(number)


async def test_a_cancelled_sender_lets_the_next_one_send(line: Line) -> None:
    asked = many(line, 40)
    await turns()
    blocked = len(line.channel._waiting)  # those before it were sent
    assert blocked < 39
    asked[blocked].cancel()
    await turns()
    numbers = [number for number in range(40) if number != blocked]
    for number in numbers:
        assert (await received(line.peer)).job == number
        line.peer.send(PING, a=number)
    assert [(await asked[number]).a for number in numbers] == numbers


async def test_connects_below_a_path_longer_than_a_socket_s_name(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    told: list[str] = []
    with listen_at(str(directory)) as listener:
        made = Channel.connect(str(directory), lambda kind, record: None, lambda: told.append("lost"))
        accepted, _ = listener.accept()
        asked = asyncio.ensure_future(made.request(PING))
        await turns()
        peer = Peer(accepted)
        assert peer.receive().kind == PING
        peer.send(PING, a=1)
        assert (await asked).a == 1
        made.close()
        peer.close()
    assert told == []


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect_socket(str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        connect_socket(str(tmp_path))
    listen_at(str(tmp_path)).close()
    with pytest.raises(ConnectionRefusedError):
        connect_socket(str(tmp_path))
