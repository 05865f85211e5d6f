"""The server over a real Unix socket, with the fake engine: order, errors, disconnects, flow control, drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from socket import AF_UNIX
from socket import socket as Socket  # a fixture here is called socket
from typing import Any

import pytest
from turns import turns

from warden import errors
from warden.model.limits import OomPolicy
from warden.model.net import NetRule
from warden.model.spec import ContainerSpec
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.framing import FrameParser
from warden.server import listen
from warden.server.server import Server
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import config_for, serving


class Peer:
    """A client that sends what it is told and reads reply by reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._parser = FrameParser()
        self._frames: list[bytes] = []

    def send(self, *requests: Any) -> None:
        self.writer.write(b"".join(codec.encode(codec.KINDS[type(r).__name__[: -len("Request")]], r) for r in requests))

    async def receive(self) -> Any:
        while not self._frames:
            data = await asyncio.wait_for(self.reader.read(65536), 60)
            if not data:
                raise EOFError
            self._frames += self._parser.feed(data)
        kind, payload = codec.decode_envelope(self._frames.pop(0))
        return codec.decode_response(kind, payload)

    async def call(self, request: Any) -> Any:
        self.send(request)
        return await self.receive()

    async def create(self, handle: str = "c", **fields: Any) -> None:
        assert (await self.call(pb.CreateRequest(handle=handle.encode(), **fields))).handle == handle.encode()

    async def spawn(self, script: bytes, handle: bytes = b"c", **fields: Any) -> int:
        job_id: int = (await self.call(pb.SpawnRequest(handle=handle, script=script, **fields))).job_id
        return job_id

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def connect(socket: str) -> Peer:
    return Peer(*await asyncio.open_unix_connection(socket))


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "warden.sock")


@pytest.fixture
async def engine(socket: str) -> AsyncIterator[FakeEngine]:
    async with serving(socket) as engine:
        yield engine


@pytest.fixture
async def peer(socket: str, engine: FakeEngine) -> AsyncIterator[Peer]:
    peer = await connect(socket)
    yield peer
    await peer.close()


def is_error(response: Any, text: str, code: str) -> bool:
    expected = (text.encode(), code.encode())
    return isinstance(response, pb.ErrorResponse) and (response.message, response.code) == expected


# Requests.


async def test_ping_echo_list_version(peer: Peer) -> None:
    assert await peer.call(pb.PingRequest()) == pb.PingResponse()
    assert (await peer.call(pb.EchoRequest(message=b"\xff\0"))).message == b"\xff\0"
    assert list((await peer.call(pb.ListRequest())).handles) == []
    assert (await peer.call(pb.VersionRequest())).pid == os.getpid()


async def test_life_of_a_container(peer: Peer, engine: FakeEngine) -> None:
    await peer.create("a b/ü", memory_limit=8192)
    handle = "a b/ü".encode()
    assert engine.containers["a b/ü"].spec.limits.oom_policy is OomPolicy.STOP
    assert list((await peer.call(pb.ListRequest())).handles) == [handle]
    assert (await peer.call(pb.InfoRequest(handle=handle))).state == b"active"
    assert (await peer.call(pb.LimitMemoryRequest(handle=handle))).limit_in_bytes == 8192
    assert (await peer.call(pb.LimitMemoryRequest(handle=handle, limit_in_bytes=5000))).limit_in_bytes == 4096
    assert isinstance(await peer.call(pb.StopRequest(handle=handle, kill=True)), pb.StopResponse)
    assert engine.containers["a b/ü"].stops == [True]
    assert isinstance(await peer.call(pb.DestroyRequest(handle=handle)), pb.DestroyResponse)
    assert is_error(await peer.call(pb.DestroyRequest(handle=handle)), "unknown handle", "unknown_handle")


async def test_unlimited_memory_is_the_originals_number(peer: Peer) -> None:
    await peer.create()
    assert (await peer.call(pb.LimitMemoryRequest(handle=b"c"))).limit_in_bytes == 9223372036854771712


async def test_limits_by_name(peer: Peer, engine: FakeEngine) -> None:
    await peer.create("c", limits=[pb.Setting(name=b"pids.max", value=b"7")])
    assert engine.containers["c"].spec.limits.pids_max == 7
    settings = [pb.Setting(name=b"memory.limit_in_bytes", value=b"64M"), pb.Setting(name=b"cpus", value=b"0.5")]
    reply = await peer.call(pb.LimitRequest(handle=b"c", settings=settings, raw=True))
    assert {item.name: item.value for item in reply.asked} == {
        b"memory.max": b"67108864", b"pids.max": b"7", b"cpu.max": b"50000 100000", b"oom.policy": b"stop"
    }  # fmt: skip
    assert len(reply.raw) == 4
    wrong = pb.LimitRequest(handle=b"c", settings=[*settings, pb.Setting(name=b"memroy.max", value=b"1")])
    assert is_error(await peer.call(wrong), "limit: 'memroy.max' is not a resource (did you mean memory.max?)", "bad_input")
    bad = pb.CreateRequest(limits=[pb.Setting(name=b"pids.max", value=b"many")])
    assert is_error(await peer.call(bad), "pids.max: 'many' is not a whole number", "bad_input")


async def test_shares_are_asked_and_changed(peer: Peer) -> None:
    await peer.create()
    assert (await peer.call(pb.LimitCpuRequest(handle=b"c"))).limit_in_shares == 1024
    assert (await peer.call(pb.LimitCpuRequest(handle=b"c", limit_in_shares=0))).limit_in_shares == 2
    assert (await peer.call(pb.LimitCpuRequest(handle=b"c"))).limit_in_shares == 2


async def test_pause_resume_and_kill(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    spawned = await peer.call(pb.SpawnRequest(handle=b"c", script=b"wait"))
    assert isinstance(await peer.call(pb.PauseRequest(handle=b"c")), pb.PauseResponse)
    info = await peer.call(pb.InfoRequest(handle=b"c"))
    assert (info.paused, info.state) == (True, b"active")
    refused = await peer.call(pb.SpawnRequest(handle=b"c", script=b""))
    assert is_error(refused, "container c: it is paused (resume it first)", "wrong_state")
    assert isinstance(await peer.call(pb.KillRequest(handle=b"c")), pb.KillResponse)
    ended = await peer.call(pb.LinkRequest(handle=b"c", job_id=spawned.job_id))
    assert (ended.verdict, ended.signal) == (b"stopped", 9)
    assert isinstance(await peer.call(pb.ResumeRequest(handle=b"c")), pb.ResumeResponse)
    assert not (await peer.call(pb.InfoRequest(handle=b"c"))).paused
    for cls in (pb.PauseRequest, pb.ResumeRequest, pb.KillRequest):
        assert is_error(await peer.call(cls(handle=b"none")), "unknown handle", "unknown_handle")


async def test_bandwidth(peer: Peer) -> None:
    await peer.create()
    response = await peer.call(pb.LimitBandwidthRequest(handle=b"c", rate=5, burst=7))
    assert (response.rate, response.burst) == (5, 7)
    stat = (await peer.call(pb.InfoRequest(handle=b"c"))).bandwidth_stat
    assert (stat.in_rate, stat.in_burst, stat.out_rate, stat.out_burst) == (5, 7, 5, 7)
    refused = await peer.call(pb.LimitBandwidthRequest(handle=b"c", rate=5, burst=0))
    assert is_error(refused, "bandwidth: burst: 0 is out of range (1 to 4294967295)", "bad_input")


async def test_disk_limits_add_up(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    await peer.call(pb.LimitDiskRequest(handle=b"c", byte=1025))
    response = await peer.call(pb.LimitDiskRequest(handle=b"c", inode_soft=3))
    assert (response.block_limit, response.byte_hard, response.inode_soft) == (2, 2048, 3)
    engine.containers["c"].disk = None
    assert await peer.call(pb.LimitDiskRequest(handle=b"c")) == pb.LimitDiskResponse()


async def test_run_answers_everything_even_when_empty(peer: Peer) -> None:
    await peer.create()
    response = await peer.call(pb.RunRequest(handle=b"c", script=b""))
    assert all(response.HasField(name) for name in ("exit_status", "stdout", "stderr", "info"))
    response = await peer.call(pb.RunRequest(handle=b"c", script=b"out \xff\nerr e\nexit 3", want_info=False))
    assert (response.exit_status, response.stdout, response.stderr, response.verdict) == (3, b"\xff", b"e", b"exited")
    assert not response.HasField("info")


async def test_link_collects_the_job(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out x")
    assert (await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id))).stdout == b"x"
    assert engine.jobs[0].forgotten
    assert is_error(await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id)), "no such job", "unknown_job")


async def test_stream_sends_pieces_and_then_the_end(peer: Peer) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out a\nerr b\nexit 2")
    peer.send(pb.StreamRequest(handle=b"c", job_id=job_id))
    pieces = [await peer.receive() for _ in range(3)]
    assert [(p.name, p.data) for p in pieces[:2]] == [(b"stdout", b"a"), (b"stderr", b"b")]
    assert not pieces[0].HasField("exit_status")
    assert pieces[2].exit_status == 2
    assert not pieces[2].HasField("name")
    assert pieces[2].info.state == b"active"
    assert is_error(await peer.call(pb.StreamRequest(handle=b"c", job_id=job_id)), "no such job", "unknown_job")


async def test_every_linker_and_streamer_gets_all(peer: Peer, socket: str, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out x\nwait")
    others = [await connect(socket) for _ in range(3)]
    for other in others[:2]:
        other.send(pb.LinkRequest(handle=b"c", job_id=job_id))
    others[2].send(pb.StreamRequest(handle=b"c", job_id=job_id))
    assert (await others[2].receive()).data == b"x"
    await peer.call(pb.SignalRequest(handle=b"c", job_id=job_id, signal=15))
    assert [(await other.receive()).stdout for other in others[:2]] == [b"x", b"x"]
    assert (await others[2].receive()).signal == 15
    await until(lambda: engine.jobs[0].forgotten)
    for other in others:
        await other.close()


async def test_copies_reach_the_container_as_they_were_sent(peer: Peer, engine: FakeEngine) -> None:
    copy_out = pb.CopyOutRequest(handle=b"c", src_path=b"a\xff/", dst_path=b"/b")
    assert is_error(await peer.call(copy_out), "unknown handle", "unknown_handle")
    await peer.create()
    await peer.call(pb.CopyInRequest(handle=b"c", src_path=b"/\xff", dst_path=b"d/"))
    await peer.call(copy_out)
    copy_out.owner = b"nobody"
    assert isinstance(await peer.call(copy_out), pb.CopyOutResponse)
    assert engine.containers["c"].copies == [
        ("in", "/\udcff", "d/"),
        ("out", "a\udcff/", "/b", ""),
        ("out", "a\udcff/", "/b", "nobody"),
    ]


class SlowCopy:
    """Stands in for a container's copy_in."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def __call__(self, src: str, dst: str) -> None:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_client_that_goes_away_ends_its_copy(
    peer: Peer, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.create()
    slow = SlowCopy()
    monkeypatch.setattr(engine.containers["c"], "copy_in", slow)
    peer.send(pb.CopyInRequest(handle=b"c", src_path=b"/a", dst_path=b"b"))
    await slow.begun.wait()
    await peer.close()
    await until(lambda: slow.cancelled)


async def test_a_drain_waits_for_a_copy(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, slow = FakeEngine(), SlowCopy()
    running = asyncio.create_task(Server(config_for(socket), engine).run())
    await until(lambda: os.path.exists(socket))
    peer = await connect(socket)
    await peer.create()
    monkeypatch.setattr(engine.containers["c"], "copy_in", slow)
    peer.send(pb.CopyInRequest(handle=b"c", src_path=b"/a", dst_path=b"b"))
    await slow.begun.wait()
    os.kill(os.getpid(), signal.SIGUSR2)
    await turns()
    assert not running.done() and not slow.cancelled
    slow.may_end.set()
    assert isinstance(await peer.receive(), pb.CopyInResponse)
    await asyncio.wait_for(running, 60)
    await peer.close()


async def test_net_in_and_net_out(peer: Peer, engine: FakeEngine) -> None:
    assert is_error(await peer.call(pb.NetInRequest(handle=b"c")), "unknown handle", "unknown_handle")
    await peer.create()
    response = await peer.call(pb.NetInRequest(handle=b"c"))
    assert response.host_port == response.container_port
    assert await peer.call(pb.NetInRequest(handle=b"c", host_port=1, container_port=2)) == pb.NetInResponse(
        host_port=1, container_port=2
    )
    assert await peer.call(pb.NetOutRequest(handle=b"c", network=b"1.2.3.4", port=80)) == pb.NetOutResponse()
    assert engine.containers["c"].net_out_rules == [NetRule("1.2.3.4", "80")]
    text = "Please specify network, port, and/or port_range."
    assert is_error(await peer.call(pb.NetOutRequest(handle=b"c", network=b"")), text, "bad_input")


async def test_attach_both_ways(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"cat\nexit 4", interactive=True)
    peer.send(pb.AttachRequest(handle=b"c", job_id=job_id), pb.AttachInputRequest(data=b"hello"))
    assert (await peer.receive()).data == b"hello"
    peer.send(pb.AttachInputRequest(rows=3, columns=4), pb.AttachInputRequest(data=b"bye", eof=True))
    assert (await peer.receive()).data == b"bye"
    assert (await peer.receive()).exit_status == 4
    assert engine.jobs[0].sizes == [(3, 4)]
    peer.send(pb.AttachInputRequest(data=b"late"))
    assert await peer.call(pb.PingRequest()) == pb.PingResponse()
    assert (await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id))).stdout == b"hellobye"


async def test_input_of_who_has_left_is_read_though_an_answer_finds_nobody(
    peer: Peer, engine: FakeEngine, socket: str
) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out 1\ncat\nexit 4", interactive=True)
    loop = asyncio.get_running_loop()
    with Socket(AF_UNIX) as leaving:
        leaving.connect(socket)
        leaving.sendall(codec.encode(codec.KINDS["Attach"], pb.AttachRequest(handle=b"c", job_id=job_id)))
        leaving.setblocking(False)
        await asyncio.wait_for(loop.sock_recv(leaving, 1), 60)
        for request in (pb.AttachInputRequest(data=b"bye"), pb.AttachInputRequest(data=b"!", eof=True)):
            leaving.sendall(codec.encode(codec.KINDS["AttachInput"], request))
    await engine.jobs[0]._put("stdout", b"2")  # is sent before the loop looks at what there is to read
    await asyncio.wait_for(engine.jobs[0].wait(), 60)
    assert (await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id))).stdout == b"12bye!"


async def test_logs_consume_nothing(peer: Peer) -> None:
    await peer.create()
    first, _second = await peer.spawn(b"out 1"), await peer.spawn(b"out 2\nsleep 0.05\nout 3")
    for follow in (True, True):
        peer.send(pb.LogsRequest(handle=b"c", follow=follow))
        replies = [await peer.receive() for _ in range(4)]
        assert sorted((r.job_id, r.data) for r in replies[:3]) == [(first, b"1"), (first + 1, b"2"), (first + 1, b"3")]
        assert replies[3].end
    peer.send(pb.LogsRequest(handle=b"c", job_id=first))
    assert [(await peer.receive()).data, (await peer.receive()).end] == [b"1", True]


async def test_logs_pass_on_what_is_wanted(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out 1\nerr 2\nout 3")
    await engine.jobs[0].wait()
    moments = {"since_us": 5, "until_us": 2**50}
    peer.send(pb.LogsRequest(handle=b"c", follow=True, lasting=True, tail=2, stream=b"stdout", **moments))
    assert [place.job_id for place in (await peer.receive()).places] == [job_id]
    assert [(await peer.receive()).data, (await peer.receive()).end] == [b"3", True]
    (wanted,) = engine.containers["c"].selections
    assert (wanted.since, wanted.until, wanted.tail) == (5e-6, 2**50 / 1e6, 2)
    assert (wanted.stream, wanted.lasting) == ("stdout", True)
    text = "stream: 'x' is no stream of a job (stdout or stderr)"
    assert is_error(await peer.call(pb.LogsRequest(handle=b"c", stream=b"x")), text, "bad_input")


async def test_attach_may_leave_out_what_was_written(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out 1\nout 2\nwait")
    while len(engine.jobs[0]._chunks) < 2:
        await asyncio.sleep(0.001)
    peer.send(pb.AttachRequest(handle=b"c", job_id=job_id, tail=1))
    first = await peer.receive()
    assert (first.place.job_id, first.place.stdout) == (job_id, 1)
    assert (await peer.receive()).data == b"2"
    await engine.jobs[0].signal(15)
    assert (await peer.receive()).verdict == b"signaled"


async def test_waiting_collects_nothing(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    assert is_error(await peer.call(pb.WaitRequest(handle=b"c")), "container c: it has no job", "unknown_job")
    job_id = await peer.spawn(b"sleep 0.02\nexit 3")
    peer.send(pb.WaitRequest(handle=b"c"))
    first, last = await peer.receive(), await peer.receive()
    assert (first.job_id, last.end, last.exit_status, last.verdict) == (job_id, True, 3, b"exited")
    peer.send(pb.WaitRequest(handle=b"c", job_id=job_id, condition=b"next-exit"))
    first, last = await peer.receive(), await peer.receive()
    assert (first.HasField("job_id"), last.end) == (False, True), "one that has ended will not end again"
    assert [condition.value for condition in engine.containers["c"].conditions] == ["not-running", "next-exit"]
    waiting = await peer.spawn(b"wait")
    peer.send(pb.WaitRequest(handle=b"c", job_id=waiting, timeout_ms=1))
    assert [(await peer.receive()).job_id, (await peer.receive()).timed_out] == [waiting, True]
    bad = await peer.call(pb.WaitRequest(handle=b"c", condition=b"soon"))
    assert bad.code == b"bad_input"
    assert (await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id))).exit_status == 3


async def test_inspect_is_json(peer: Peer) -> None:
    await peer.create()
    assert json.loads((await peer.call(pb.InspectRequest(handle=b"c"))).document)["handle"] == "c"


async def test_events_of_the_past_and_to_come(peer: Peer, socket: str, engine: FakeEngine) -> None:
    listener = await connect(socket)
    listener.send(pb.EventsRequest(names=[b"create"], containers=[b"c", b"d"]))
    assert (await listener.receive()).seq == 0
    await peer.create()
    event = await listener.receive()
    assert (event.seq, event.type, event.name, event.handle) == (1, b"container", b"create", b"c")
    await peer.call(pb.DestroyRequest(handle=b"c"))
    peer.send(pb.EventsRequest(since_us=0, until_us=round(time.time() * 1e6) + 1, types=[b"container"]))
    found = [await peer.receive() for _ in range(3)]
    assert [(each.seq, each.name) for each in found] == [(0, b""), (1, b"create"), (2, b"destroy")]
    await listener.close()
    other = await connect(socket)
    other.send(pb.EventsRequest(after=1, until_us=1))
    assert [(await other.receive()).seq, (await other.receive()).end] == [1, True]
    engine.history._lost = 2
    assert (await other.call(pb.EventsRequest(after=1))).seq == 1
    assert (await other.receive()).code == b"too_slow"
    await other.close()


async def test_a_destroyed_container_answers_its_linkers_with_an_obituary(peer: Peer, socket: str) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out x\nwait")
    linker, streamer = await connect(socket), await connect(socket)
    linker.send(pb.LinkRequest(handle=b"c", job_id=job_id))
    streamer.send(pb.StreamRequest(handle=b"c", job_id=job_id))
    assert (await streamer.receive()).data == b"x"
    await peer.call(pb.DestroyRequest(handle=b"c"))
    for response in (await linker.receive(), await streamer.receive()):
        assert (response.exit_status, response.verdict, response.info.state) == (255, b"stopped", b"active")
    await linker.close()
    await streamer.close()


async def test_stop_in_the_background(peer: Peer, engine: FakeEngine) -> None:
    await peer.create()
    await peer.call(pb.StopRequest(handle=b"c", background=True))
    await until(lambda: engine.containers["c"].stops == [False])
    response = await peer.call(pb.SpawnRequest(handle=b"c", script=b"x"))
    assert is_error(response, "Container state must be one of 'active', current state is 'stopped'", "wrong_state")


# Order and malformed input.


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(peer: Peer, engine: FakeEngine) -> None:
    peer.send(
        pb.CreateRequest(handle=b"c"),
        pb.RunRequest(handle=b"c", script=b"sleep 0.05\nout 1"),
        pb.RunRequest(handle=b"c", script=b"out 2"),
        pb.PingRequest(),
    )
    kinds = [type(await peer.receive()).__name__ for _ in range(4)]
    assert kinds == ["CreateResponse", "RunResponse", "RunResponse", "PingResponse"]
    assert engine.jobs[1].started >= engine.jobs[0].started + 0.05


async def test_connections_do_not_wait_for_each_other(peer: Peer, socket: str) -> None:
    await peer.create()
    job_id = await peer.spawn(b"wait")
    peer.send(pb.LinkRequest(handle=b"c", job_id=job_id), pb.PingRequest())
    other = await connect(socket)
    assert await other.call(pb.PingRequest()) == pb.PingResponse()
    await other.call(pb.SignalRequest(handle=b"c", job_id=job_id, signal=9))
    assert (await peer.receive()).verdict == b"stopped"
    assert await peer.receive() == pb.PingResponse()
    await other.close()


async def test_many_more_requests_than_the_queue_holds(peer: Peer) -> None:
    peer.send(*(pb.EchoRequest(message=b"%d" % number) for number in range(5000)))
    assert [int((await peer.receive()).message) for _ in range(5000)] == list(range(5000))


@pytest.mark.parametrize(
    "frame",
    [
        b"0\r\n\r\n",
        b"2\r\n\xff\xff\r\n",
        b"4\r\n\x08\x3c\x12\x00\r\n",
        b"4\r\n\x08\x15\x12\x00\r\n",
        b"4\r\n\x08\x01\x12\x00\r\n",
    ],
)
async def test_a_frame_that_is_no_request_is_answered_and_the_connection_goes_on(peer: Peer, frame: bytes) -> None:
    peer.writer.write(frame)
    assert (await peer.receive()).code == b"bad_input"
    assert await peer.call(pb.PingRequest()) == pb.PingResponse()


@pytest.mark.parametrize("garbage", [b"hello\r\n", b"x" * 40, b"99999999999\r\n", b"-1\r\n"])
async def test_garbage_ends_that_connection_alone(peer: Peer, socket: str, garbage: bytes) -> None:
    other = await connect(socket)
    other.send(pb.PingRequest())
    other.writer.write(garbage)
    assert isinstance(await other.receive(), pb.PingResponse)
    assert (await other.receive()).code == b"bad_input"
    with pytest.raises(EOFError):
        await other.receive()
    assert await peer.call(pb.PingRequest()) == pb.PingResponse()
    await other.close()


async def test_an_unexpected_failure_is_an_error_reply(peer: Peer, engine: FakeEngine, monkeypatch: Any) -> None:
    def explode() -> list[str]:
        raise ValueError("boom")

    monkeypatch.setattr(engine, "handles", explode)
    assert is_error(await peer.call(pb.ListRequest()), "boom", "engine_fault")


# Disconnects.


async def test_a_client_that_only_stops_sending_gets_its_answers(peer: Peer, socket: str) -> None:
    await peer.create()
    other = await connect(socket)
    other.send(pb.RunRequest(handle=b"c", script=b"sleep 0.05\nout x"), pb.PingRequest())
    other.writer.write_eof()
    assert (await other.receive()).stdout == b"x"
    assert isinstance(await other.receive(), pb.PingResponse)
    with pytest.raises(EOFError):
        await other.receive()
    await other.close()


async def test_a_linker_that_left_still_collects_the_job(peer: Peer, socket: str, engine: FakeEngine) -> None:
    await peer.create()
    job_id = await peer.spawn(b"wait")
    other = await connect(socket)
    other.send(pb.LinkRequest(handle=b"c", job_id=job_id))
    await turns()
    await other.close()
    await turns()
    await peer.call(pb.SignalRequest(handle=b"c", job_id=job_id, signal=9))
    await until(lambda: engine.jobs[0].forgotten)


@pytest.mark.parametrize("request_class", [pb.StreamRequest, pb.AttachRequest])
async def test_a_streamer_that_left_leaves_the_job(
    peer: Peer, socket: str, engine: FakeEngine, request_class: Any
) -> None:
    await peer.create()
    job_id = await peer.spawn(b"out x\nwait")
    other = await connect(socket)
    other.send(request_class(handle=b"c", job_id=job_id))
    assert (await other.receive()).data == b"x"
    await other.close()
    await turns()
    await peer.call(pb.SignalRequest(handle=b"c", job_id=job_id, signal=9))
    assert not engine.jobs[0].forgotten
    assert (await peer.call(pb.LinkRequest(handle=b"c", job_id=job_id))).stdout == b"x"


# Flow control.


async def test_a_slow_reader_holds_the_stream_back(peer: Peer, engine: FakeEngine) -> None:
    total = 50 * 1024 * 1024
    await peer.create()
    job_id = await peer.spawn(b"flood %d" % total)
    peer.send(pb.StreamRequest(handle=b"c", job_id=job_id))
    await until(lambda: engine.jobs[0].produced)
    await asyncio.sleep(0.3)
    assert engine.jobs[0].produced < 2 * 1024 * 1024
    received = 0
    while not (response := await peer.receive()).HasField("exit_status"):
        received += len(response.data)
    assert received == total


async def test_a_client_that_sends_and_never_reads_is_held_back(socket: str, engine: FakeEngine) -> None:
    other = await connect(socket)
    other.writer.transport.set_write_buffer_limits(high=0)
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            for _ in range(200):
                other.send(pb.EchoRequest(message=bytes(1024 * 1024)))
                await other.writer.drain()
                sent += 1
    assert sent < 30
    other.writer.transport.abort()


# Grace time.


async def test_grace_time_runs_from_the_last_connection(socket: str, engine: FakeEngine) -> None:
    creator = await connect(socket)
    await creator.create(grace_time=0)
    await turns()
    assert "c" in engine.containers
    await creator.close()
    await until(lambda: not engine.containers)


async def test_a_new_connection_stops_the_time_and_its_end_restarts_it(socket: str, engine: FakeEngine) -> None:
    container = await engine.create(ContainerSpec(handle="c", grace_time=0.1))
    first = await connect(socket)
    await first.call(pb.PingRequest())
    await asyncio.sleep(0.2)
    assert engine.containers == {"c": container}
    await first.close()
    await until(lambda: not engine.containers)


async def test_recovered_containers_get_their_time_at_once(socket: str) -> None:
    engine = FakeEngine()
    await engine.create(ContainerSpec(handle="c", grace_time=0.02))
    async with serving(socket, engine):
        await until(lambda: not engine.containers)


async def test_the_configured_grace_time_is_the_default(socket: str) -> None:
    async with serving(socket, server__container_grace_time=7.0) as engine:
        peer = await connect(socket)
        await peer.create("a")
        await peer.create("b", grace_time=0)
        assert [engine.containers[handle].grace_time for handle in "ab"] == [7.0, 0.0]
        await peer.close()


# Socket, drain, permissions.


async def test_socket_permissions_and_directories(socket: str, engine: FakeEngine) -> None:
    assert stat.S_IMODE(os.stat(socket).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(os.path.dirname(socket)).st_mode) == 0o755


async def test_a_live_socket_is_refused_and_a_stale_one_replaced(socket: str) -> None:
    async with serving(socket):
        second = FakeEngine()
        with pytest.raises(errors.WrongState, match="a daemon answers there"):
            await Server(config_for(socket), second).start()
        assert second.closed
    assert os.path.exists(socket)
    async with serving(socket):
        peer = await connect(socket)
        assert isinstance(await peer.call(pb.PingRequest()), pb.PingResponse)
        await peer.close()


def test_something_else_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(errors.BadInput, match="not a socket"):
        listen.open_listener(str(path), 0o660)
    assert path.read_text() == "mine"


async def test_users_that_are_not_allowed(socket: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("warden.server.connection.Connection.peer_uid", lambda _self: 1234)
    async with serving(socket, server__allowed_uids=(5,)):
        peer = await connect(socket)
        assert (await peer.receive()).code == b"not_permitted"
        with pytest.raises(EOFError):
            await peer.receive()
        await peer.close()
    async with serving(socket, server__allowed_uids=(1234,)):
        peer = await connect(socket)
        assert isinstance(await peer.call(pb.PingRequest()), pb.PingResponse)
        await peer.close()


async def test_drain_finishes_what_does_not_only_wait(socket: str, tmp_path: Path, monkeypatch: Any) -> None:
    engine = FakeEngine()
    gate, begun = asyncio.Event(), asyncio.Event()
    create = engine.create

    async def slow_create(spec: ContainerSpec, over: threading.Event) -> Any:
        if spec.handle == "slow":
            begun.set()
            await gate.wait()
        return await create(spec, over)

    monkeypatch.setattr(engine, "create", slow_create)
    pidfile = tmp_path / "pid"
    running = asyncio.create_task(Server(config_for(socket, server__pidfile=str(pidfile)), engine).run())
    await until(pidfile.exists)
    assert pidfile.read_text() == f"{os.getpid()}\n"
    idle, linker, creator = [await connect(socket) for _ in range(3)]
    await idle.create()
    job_id = await idle.spawn(b"wait")
    linker.send(pb.LinkRequest(handle=b"c", job_id=job_id))
    creator.send(pb.CreateRequest(handle=b"slow"), pb.PingRequest())
    await begun.wait()
    await turns()
    os.kill(os.getpid(), signal.SIGUSR2)
    for peer in (idle, linker):
        with pytest.raises(EOFError):
            await peer.receive()
    assert not running.done()
    gate.set()
    assert (await creator.receive()).handle == b"slow"
    with pytest.raises(EOFError):
        await creator.receive()
    await asyncio.wait_for(running, 60)
    assert engine.closed
    assert not engine.jobs[0].forgotten
    assert not pidfile.exists()
    for peer in (idle, linker, creator):
        await peer.close()


async def test_term_ends_at_once(socket: str) -> None:
    engine = FakeEngine()
    running = asyncio.create_task(Server(config_for(socket), engine).run())
    await until(lambda: os.path.exists(socket))
    peer = await connect(socket)
    await peer.create()
    job_id = await peer.spawn(b"wait")
    peer.send(pb.LinkRequest(handle=b"c", job_id=job_id))
    await turns()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 60)
    assert engine.closed and engine.jobs[0].result is None and not engine.jobs[0].forgotten
    await peer.close()


async def test_readiness_is_told(socket: str, tmp_path: Path, monkeypatch: Any) -> None:
    import socket as sockets

    address = str(tmp_path / "notify")
    read, write = os.pipe()
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as notified:
        notified.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        server = Server(config_for(socket), FakeEngine())
        await server.start(ready_fd=write)
        assert notified.recv(100) == b"READY=1"
        assert os.read(read, 10) == b"\n"
        assert os.read(read, 10) == b""
        await server.close()
    os.close(read)


def test_errors_on_the_wire_are_text_verbatim() -> None:
    error = errors.HandleTaken("container with handle: H already exists.")
    assert convert.error_to_response(error).message == b"container with handle: H already exists."


def test_the_json_log_is_one_object_a_line(tmp_path: Path) -> None:
    import json
    import logging

    from warden.server import logs

    root = logging.getLogger("warden")
    before = (root.handlers[:], root.level, root.propagate)
    path = tmp_path / "log"
    try:
        logs.setup("info", str(path), "json")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("warden.x").exception("went\nwrong")
        logging.getLogger("warden.x").debug("not this")
        for handler in root.handlers:
            handler.close()
    finally:
        root.handlers[:], root.level, root.propagate = before[0], before[1], before[2]
    (entry,) = map(json.loads, path.read_text().splitlines())
    assert (entry["log_level"], entry["source"], entry["message"]) == ("error", "warden.x", "went\nwrong")
    assert "ValueError" in entry["exception"]


def test_the_help_has_examples_and_needs_no_heavy_import() -> None:
    import subprocess

    code = (
        "import sys, warden.cli.wardend as d\n"
        "try: d.main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('asyncio', 'yaml', 'google.protobuf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_without_root_it_says_so(monkeypatch: Any, capsys: Any) -> None:
    from warden.cli import wardend

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert wardend.main([]) == 77
    assert "sudo wardend" in capsys.readouterr().err


async def test_requests_are_watched_before_around_and_after(tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []
    path = str(tmp_path / "s")
    server = Server(config_for(path), FakeEngine())

    def refuse_echo(name: str, request: Any) -> None:
        seen.append(("before", name))
        if name == "echo":
            raise errors.BadInput(f"no echo of {request.message!r}")

    @contextlib.asynccontextmanager
    async def around(name: str, _request: Any) -> AsyncIterator[None]:
        seen.append(("enter", name))
        yield
        seen.append(("leave", name))

    def fail_after(name: str, code: str, seconds: float) -> None:
        seen.append(("after", name, code))
        assert seconds >= 0
        raise RuntimeError("a watcher's own trouble")

    server.observers.before(refuse_echo)
    server.observers.around(around)
    server.observers.after(fail_after)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(path)
    peer = Peer(reader, writer)
    assert isinstance(await peer.call(pb.PingRequest()), pb.PingResponse)
    assert is_error(await peer.call(pb.EchoRequest(message=b"x")), "no echo of b'x'", "bad_input")
    writer.close()
    await server.close()
    assert seen == [
        ("before", "ping"), ("enter", "ping"), ("leave", "ping"), ("after", "ping", "ok"),
        ("before", "echo"), ("after", "echo", "bad_input"),
    ]  # fmt: skip
