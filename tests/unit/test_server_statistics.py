"""Statistics over a real socket, with the fake engine: one, several, all; streams and how they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from warden import errors
from warden.client.aio import AsyncClient
from warden.client.blocking import Client
from warden.model.stats import Stats
from warden.protocol import codec
from warden.protocol import warden_pb2 as pb
from warden.server.server import Server
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import config_for, serving, serving_in_thread


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
        for handle in ("a", "b", "c"):
            await client.create(handle, memory="64M")
        yield client


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def stream_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "Connection._work" in repr(task)]


async def test_one_several_or_all(client: AsyncClient) -> None:
    assert [found.handle for found in await client.stats()] == ["a", "b", "c"]
    assert [found.handle for found in await client.stats("c", "a")] == ["c", "a"]
    found = await client.container("b").stats()
    assert isinstance(found, Stats)
    assert (found.handle, found.memory.limit, found.memory.stat) == ("b", 64 << 20, {"rss": 4096})
    assert (await client.container("b").stats(brief=True)).memory.stat == {}


async def test_nobody_to_measure(client: AsyncClient) -> None:
    for handle in "abc":
        await client.container(handle).destroy()
    assert await client.stats() == []


async def test_an_unknown_handle_is_an_error(client: AsyncClient) -> None:
    for asked in (client.stats("a", "nobody"), client.container("nobody").stats()):
        with pytest.raises(errors.UnknownHandle):
            await asked
    with pytest.raises(errors.UnknownHandle):
        async for _ in client.follow_stats("nobody"):
            pass


async def test_one_that_vanished_while_it_was_measured(
    client: AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_handles: object = None, *, brief: bool = False) -> list[Stats]:
        return []

    monkeypatch.setattr(engine, "stats", nothing)
    with pytest.raises(errors.UnknownHandle):
        await client.container("a").stats()


async def test_a_stream_measures_again_and_again(client: AsyncClient) -> None:
    seen = []
    async for found in client.follow_stats("b", interval=0.05, brief=True):
        seen += found
        if len(seen) == 3:
            break
    assert [stats.cpu.usage_s for stats in seen] == [0.5, 1.0, 1.5]
    assert seen[0].time < seen[1].time < seen[2].time


async def test_a_stream_ends_with_the_last_of_those_named(client: AsyncClient) -> None:
    sizes = []
    async for found in client.follow_stats("a", "b", interval=0.05):
        sizes.append(len(found))
        if len(sizes) == 2:
            await client.container("a").destroy()
        elif len(found) == 1:
            await client.container("b").destroy()
    assert sizes[:2] == [2, 2]
    assert set(sizes[2:]) <= {1, 2}
    assert sizes[-1] == 1
    await until(lambda: not stream_tasks())


async def test_a_stream_with_a_long_interval_ends_soon(client: AsyncClient) -> None:
    async with asyncio.timeout(60):
        async for _ in client.container("a").follow_stats(interval="1h"):
            await client.container("a").destroy()


async def test_a_new_container_of_the_same_name_is_another(client: AsyncClient) -> None:
    async with asyncio.timeout(60):
        async for _ in client.container("a").follow_stats(interval=0.2):
            await client.container("a").destroy()
            await client.create("a")


async def test_a_stream_of_all_goes_on_without_any(client: AsyncClient) -> None:
    sizes = []
    async for found in client.follow_stats(interval=0.05):
        sizes.append(len(found))
        if len(sizes) == 1:
            for handle in "abc":
                await client.container(handle).destroy()
        if sizes[-2:] == [0, 0]:
            break
    assert sizes[0] == 3


async def test_a_client_that_leaves_leaves_no_task(client: AsyncClient, socket: str, engine: FakeEngine) -> None:
    before = len(asyncio.all_tasks())
    for names in ([], [b"a"]):
        for interval in (50, 3_600_000):
            reader, writer = await asyncio.open_unix_connection(socket)
            request = pb.StatsStreamRequest(handles=names, interval_ms=interval)
            writer.write(codec.encode(codec.KINDS["StatsStream"], request))
            assert await reader.read(10)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    await until(lambda: len(asyncio.all_tasks()) <= before)
    await asyncio.sleep(0.2)
    looks = [container.looks for container in engine.containers.values()]
    await asyncio.sleep(0.2)
    assert looks == [container.looks for container in engine.containers.values()]


async def test_a_connection_is_usable_after_a_stream(client: AsyncClient, socket: str) -> None:
    async for _ in client.container("a").follow_stats(interval=0.05):
        await client.container("a").destroy()
    assert [found.handle for found in await client.stats()] == ["b", "c"]


@pytest.mark.parametrize("interval", [0, 49, 86_400_001])
async def test_an_absurd_interval_is_refused_by_name(client: AsyncClient, interval: int) -> None:
    with pytest.raises(errors.BadInput, match=rf"interval_ms: {interval} is out of range"):
        await client.call(pb.StatsStreamRequest(interval_ms=interval))


@pytest.mark.parametrize("interval", ["2 days", 0.01, "25h", -1])
async def test_the_clients_refuse_it_too(client: AsyncClient, interval: Any) -> None:
    with pytest.raises(errors.BadInput, match="interval"):
        async for _ in client.follow_stats(interval=interval):
            pass


async def test_a_drain_does_not_wait_for_a_stream(socket: str) -> None:
    server = Server(config_for(socket), FakeEngine())
    await server.start()
    async with AsyncClient(socket) as client:
        await client.create("a")
        with pytest.raises(errors.Unreachable):
            async for _ in client.follow_stats(interval=60):
                server.drain()
    async with asyncio.timeout(60):
        await server._stopping.wait()
    await server.close()


async def test_a_stream_keeps_what_it_names_alive(socket: str, engine: FakeEngine) -> None:
    async with AsyncClient(socket) as creator:
        await creator.create("short", grace_time=0)
        stream = creator.follow_stats("short", interval=0.05)
        await anext(stream)
        await asyncio.sleep(0.2)
        assert (await anext(stream))[0].handle == "short"
        await stream.aclose()


def test_the_blocking_client(tmp_path: Path) -> None:
    socket = str(tmp_path / "b.sock")
    with serving_in_thread(socket), Client(socket, timeout=60) as client:
        box = client.create("box")
        client.create("web")
        assert [found.handle for found in client.stats()] == ["box", "web"]
        assert box.stats(brief=True).memory.stat == {}
        with pytest.raises(errors.UnknownHandle):
            client.stats("nobody")
        seen = []
        for found in box.follow_stats(interval="50ms"):
            seen.append(found.cpu.usage_s)
            if len(seen) == 2:
                box.destroy()
        assert seen[:2] == [1.5, 2.0]
        assert [found.handle for found in next(client.follow_stats())] == ["web"]
