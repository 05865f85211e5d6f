"""The asyncio client against a real server with the fake engine; cancelling kills."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from turns import turns

import warden
from warden import errors
from warden.client import aio, blocking
from warden.client.aio import AsyncClient, AsyncContainer
from warden.client.result import CommandFailed
from warden.model.job import Verdict
from warden.model.net import NetRule
from warden.protocol import warden_pb2 as pb
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import serving


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "w.sock")


@pytest.fixture
async def engine(socket: str) -> AsyncIterator[FakeEngine]:
    async with serving(socket) as engine:
        yield engine


@pytest.fixture
async def client(socket: str, engine: FakeEngine) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(socket, timeout=60) as client:
        yield client


@pytest.fixture
async def container(client: AsyncClient) -> AsyncIterator[AsyncContainer]:
    async with await client.create("c") as container:
        yield container


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "pair",
    [
        (blocking.Client, aio.AsyncClient),
        (blocking.Container, aio.AsyncContainer),
        (blocking.JobHandle, aio.AsyncJobHandle),
        (blocking.JobStream, aio.AsyncJobStream),
        (blocking.Attachment, aio.AsyncAttachment),
    ],
)
def test_both_clients_have_the_same_names_and_arguments(pair: tuple[type, type]) -> None:
    one, other = ({name: f for name, f in inspect.getmembers(c, callable) if name[0] != "_"} for c in pair)
    assert set(other) - set(one) <= {"open"}
    for name, function in one.items():
        expected = set(inspect.signature(function).parameters)
        assert set(inspect.signature(other[name]).parameters) - {"kill_on_cancel"} == expected


async def test_the_package_names_it() -> None:
    assert warden.AsyncClient is AsyncClient
    assert warden.AsyncContainer is AsyncContainer


async def test_small_requests(client: AsyncClient) -> None:
    await client.ping()
    assert await client.echo(b"\xff") == b"\xff"
    assert await client.version() == warden.__version__
    assert await client.list() == []


async def test_run(container: AsyncContainer) -> None:
    for kill_on_cancel in (True, False):
        result = await container.run("out a\nexit 3", kill_on_cancel=kill_on_cancel)
        assert (result.stdout, result.exit_status) == (b"a", 3)
    with pytest.raises(CommandFailed):
        await container.run("exit 1", check=True)


async def test_a_created_container_is_destroyed_at_the_end(client: AsyncClient) -> None:
    async with await client.create("a") as container:
        await container.destroy()
    await client.create("b")
    async with client.container("b"):
        pass
    assert await client.list() == ["b"]
    assert [info.handle for info in await client.containers()] == ["b"]


async def test_pause_resume_and_kill(container: AsyncContainer) -> None:
    job = await container.spawn("wait")
    await container.pause()
    assert (await container.info()).paused
    await container.resume()
    assert not (await container.info()).paused
    await container.kill()
    assert (await job.wait()).verdict is Verdict.STOPPED


async def test_cancelling_run_kills_the_whole_job(container: AsyncContainer, engine: FakeEngine) -> None:
    running = asyncio.create_task(container.run("wait"))
    await until(lambda: engine.jobs)
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.jobs[0].signals == [(signal.SIGKILL, True)]
    await until(lambda: engine.jobs[0].forgotten)
    assert (await container.run("out x")).stdout == b"x"


async def test_cancelling_before_the_job_has_a_number_kills_it_too(
    container: AsyncContainer, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = engine.containers["c"]
    spawn, entered, gate = inside.spawn, asyncio.Event(), asyncio.Event()

    async def slow(spec: Any) -> Any:
        entered.set()
        await gate.wait()
        return await spawn(spec)

    monkeypatch.setattr(inside, "spawn", slow)
    running = asyncio.create_task(container.run("wait"))
    await entered.wait()
    running.cancel()
    await turns()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.jobs[0].signals == [(signal.SIGKILL, True)]
    assert engine.jobs[0].forgotten


async def test_a_timeout_around_run_kills(container: AsyncContainer, engine: FakeEngine) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await container.run("wait")
    assert engine.jobs[0].result is not None


async def test_without_kill_on_cancel_the_job_goes_on(container: AsyncContainer, engine: FakeEngine) -> None:
    running = asyncio.create_task(container.run("sleep 0.1", kill_on_cancel=False))
    await until(lambda: engine.jobs)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: engine.jobs[0].forgotten)
    assert engine.jobs[0].signals == []


async def test_wait_inspect_and_events(client: AsyncClient, container: AsyncContainer) -> None:
    job = await container.spawn("sleep 0.02\nexit 3")
    assert (await container.wait()).exit_status == 3
    assert (await job.wait()).exit_status == 3, "nothing was collected"
    await container.spawn("wait")
    with pytest.raises(TimeoutError, match="still waiting"):
        await container.wait(timeout=0.01)
    assert (await container.inspect())["handle"] == container.handle
    found = [record async for record in client.events(since=0.0, until="0s", containers=[container.handle])]
    assert [record.event for record in found] == ["create"]


async def test_stream_attach_and_logs(container: AsyncContainer, engine: FakeEngine) -> None:
    stream = (await container.spawn("out a\nerr b\nexit 1")).stream()
    assert [(chunk.stream, chunk.data) async for chunk in stream] == [("stdout", b"a"), ("stderr", b"b")]
    assert stream.result is not None and stream.result.exit_status == 1
    job = await container.spawn("cat", interactive=True)
    async with await job.attach() as attachment:
        await attachment.write(b"one")
        assert (await anext(aiter(attachment))).data == b"one"
        await attachment.resize(7, 8)
        await attachment.close_stdin()
        assert [chunk async for chunk in attachment] == []
    assert engine.jobs[1].sizes == [(7, 8)]
    assert [chunk.data async for chunk in container.logs(job.id)] == [b"one"]
    assert (await job.wait()).stdout == b"one"


async def test_messages_as_they_are(client: AsyncClient) -> None:
    await client.call(pb.CreateRequest(handle=b"c"))
    job_id = (await client.call(pb.SpawnRequest(handle=b"c", script=b"out a"))).job_id
    replies = [reply async for reply in client.call_stream(pb.StreamRequest(handle=b"c", job_id=job_id))]
    assert [reply.data for reply in replies] == [b"a", b""]
    with pytest.raises(errors.BadInput, match="not a request"):
        await client.call(pb.CreateResponse(handle=b"c"))


async def test_tasks_share_a_client(container: AsyncContainer) -> None:
    results = await asyncio.gather(*(container.run(f"sleep 0.01\nout {number}") for number in range(100)))
    assert [result.stdout for result in results] == [b"%d" % number for number in range(100)]


async def test_errors(client: AsyncClient, socket: str) -> None:
    with pytest.raises(errors.UnknownHandle):
        await client.container("no").info()
    with pytest.raises(errors.Unreachable, match="start it with: sudo wardend"):
        await AsyncClient(socket + "x").ping()
    await client.close()
    with pytest.raises(errors.Unreachable, match="closed"):
        await client.ping()


async def test_a_server_that_ends_in_the_middle(socket: str) -> None:
    client = AsyncClient(socket)
    async with serving(socket):
        job = await (await client.create("c")).spawn("wait")
        waiting = asyncio.create_task(job.wait())
        await turns()
    with pytest.raises(errors.Unreachable, match="lost before the reply"):
        await waiting
    async with serving(socket):
        await client.ping()
    await client.close()


async def test_a_job_killed_by_its_container(container: AsyncContainer) -> None:
    running = asyncio.create_task(container.run("wait"))
    await turns()
    await container.stop(kill=True)
    assert (await running).verdict is Verdict.STOPPED


async def test_copies(container: AsyncContainer, engine: FakeEngine) -> None:
    await container.copy_in("/a/", "b")
    await container.copy_out("b", "/c", "nobody")
    assert engine.containers["c"].copies == [("in", "/a/", "b"), ("out", "b", "/c", "nobody")]


async def test_network_rules(container: AsyncContainer, engine: FakeEngine) -> None:
    assert await container.net_in(6001, 80) == (6001, 80)
    await container.net_out("10.0.0.0/8", port=80)
    assert engine.containers["c"].net_out_rules == [NetRule("10.0.0.0/8", "80")]


async def test_how_all_are_connected(client: AsyncClient, engine: FakeEngine) -> None:
    await client.create("box")
    host, box = (await client.topology()).spaces
    assert (host.host, host.links[0].addresses, box.handles) == (True, ("127.0.0.1/8",), ("box",))


async def test_networks_are_made_shown_and_removed(client: AsyncClient, engine: FakeEngine) -> None:
    made = await client.create_network("web")
    assert made.bridge.subnet4 == "10.252.0.0/24"
    assert await client.networks() == [await client.network("web")] == [made]
    await client.remove_network("web")
    assert engine.bridges == {}
