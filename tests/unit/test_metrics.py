"""/metrics: read with the parser of Prometheus' own library, and asked by clients of every kind, hostile ones too."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from turns import turns

from warden import errors
from warden.client.aio import AsyncClient
from warden.errors import BadInput, KernelRefused
from warden.model.info import DiskStat, State
from warden.model.stats import (
    CpuStats,
    DeviceStats,
    InterfaceStats,
    MemoryStats,
    PidStats,
    Pressure,
    ShapingDrops,
    Stall,
    Stats,
)
from warden.server import metrics
from warden.server.config import parse
from warden.server.counters import Counters
from warden.server.exposition import Family, Histogram, block, histogram_block, labels
from warden.server.listen import parse_address
from warden.server.metrics_table import CONTAINER, container_blocks, reference
from warden.server.server import Server
from warden.server.settings_table import reference as settings_reference
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import config_for

FULL = Stats(
    "box", "18abc", State.ACTIVE, 1000.0, 10.0,
    MemoryStats(1, 2, 3, 4, 5, {"rss": 6, "cache": 7, "pgfault": 8, "pgmajfault": 9}, {"oom_kill": 1}),
    CpuStats(1.5, 1.0, 0.5, 10, 3, 0.25), PidStats(3, 4, 64),
    (DeviceStats(8, 0, "sda", 1, 2, 3, 4), DeviceStats(259, 1, None, 5)), (InterfaceStats("w-18abc-1", 1, 2, 3, 4, 5, 6, 7, 8),),
    ShapingDrops(1, None, 7, None), DiskStat(10, 11), {"cpu": Pressure(Stall(0, 0, 0, 0.5)), "io": Pressure(None, Stall(0, 0, 0, 0.25))},
    7, 2,
)  # fmt: skip


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "told twice"
            found[key] = sample.value
    return found


def values(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """By the labels other than handle and id."""
    return {
        tuple(item for item in given if item[0] not in ("handle", "id")): value
        for (found, given), value in samples(text).items()
        if found == name
    }


def test_everything_of_a_container() -> None:
    text = "".join(container_blocks([FULL]))
    found = samples(text)
    assert all(dict(given)["handle"] == "box" and dict(given)["id"] == "18abc" for _, given in found)
    assert {name for name, _ in found} == {family.name for family in CONTAINER}, "every metric can be had"
    assert values(text, "warden_container_cpu_seconds_total") == {(): 1.5}
    assert values(text, "warden_container_start_time_seconds") == {(): 990.0}
    assert values(text, "warden_container_memory_kind_bytes") == {(("kind", "anon"),): 6, (("kind", "file"),): 7}
    assert values(text, "warden_container_io_read_bytes_total") == {
        (("device", "sda"), ("number", "8:0")): 1,
        (("device", "259:1"), ("number", "259:1")): 5,
    }
    assert values(text, "warden_container_shaping_dropped_packets_total") == {(("direction", "receive"),): 1}
    assert values(text, "warden_container_shaping_overlimits_total") == {(("direction", "receive"),): 7}
    assert values(text, "warden_container_pressure_waiting_seconds_total") == {(("resource", "cpu"),): 0.5}


def test_v2s_kinds_of_memory() -> None:
    memory = MemoryStats(stat={"anon": 1, "file": 2, "kernel": 3, "rss": 99})
    text = "".join(container_blocks([Stats("b", "i", State.ACTIVE, 1, 1, memory)]))
    assert set(values(text, "warden_container_memory_kind_bytes").values()) == {1, 2, 3}


def test_what_is_absent_gives_no_sample() -> None:
    names = {name for name, _ in samples("".join(container_blocks([Stats("b", "i", State.ACTIVE, 1, 1)])))}
    assert names == {"warden_container_start_time_seconds", "warden_container_jobs"}
    assert "".join(container_blocks([])) == ""


def test_names_follow_the_conventions() -> None:
    for family in CONTAINER:
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert f"`{family.name}`" in reference()


def test_the_documentation_is_complete() -> None:
    page = (Path(__file__).parents[2] / "docs/statistics.md").read_text()
    assert reference() in page
    setting = next(line for line in settings_reference().splitlines() if "`metrics.listen`" in line)
    assert setting in page
    text = "".join(Counters().blocks(0, {}))
    for line in text.splitlines():
        if line.startswith("# HELP"):
            _, _, name, meaning = line.split(" ", 3)
            assert f"| `{name}` |" in page and f"| {meaning} |" in page


@given(st.binary(min_size=1, max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_any_handle_is_escaped(handle: str) -> None:
    text = "".join(container_blocks([Stats(handle, "18abc", State.ACTIVE, 1, 1)]))
    text.encode()  # Prometheus refuses a whole scrape for one byte that is not UTF-8
    [(_, given), *_] = samples(text)
    assert dict(given)["handle"] == handle.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram.empty((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    text = histogram_block(Family("x_seconds", "histogram", "X."), [(labels(request="run"), histogram)])
    found = {(name, dict(given).get("le")): value for (name, given), value in samples(text).items()}
    assert found == {
        ("x_seconds_bucket", "0.1"): 2, ("x_seconds_bucket", "1.0"): 3, ("x_seconds_bucket", "+Inf"): 4,
        ("x_seconds_sum", None): pytest.approx(7.65), ("x_seconds_count", None): 4,
    }  # fmt: skip
    assert block(Family("x", "gauge", "X."), []) == histogram_block(Family("x", "histogram", "X."), []) == ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9323", ("127.0.0.1", 9323)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("/run/warden/metrics.sock", "/run/warden/metrics.sock"),
    ],
)
def test_where_it_listens(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert parse(f"metrics:\n  listen: '{text}'\n")["metrics.listen"] == text


@pytest.mark.parametrize("text", ["9323", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9323", "[127.0.0.1]:1", "host:1", ""])
def test_where_it_cannot_listen(text: str) -> None:
    with pytest.raises(BadInput, match=r"ADDRESS:PORT"):
        parse_address(text)
    with pytest.raises(errors.ConfigError, match=r"metrics\.listen: expected ADDRESS:PORT"):
        parse(f"metrics:\n  listen: '{text}'\n")


# ---- over HTTP


def free_port() -> int:
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """A server with metrics, and ways to ask it."""

    def __init__(self, directory: Path, *, unix: bool) -> None:
        self.socket = str(directory / "w.sock")
        self.listen = str(directory / "m.sock") if unix else f"127.0.0.1:{free_port()}"
        self.engine = FakeEngine()
        self.server = Server(config_for(self.socket, metrics__listen=self.listen), self.engine)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = parse_address(self.listen)
        if isinstance(address, str):
            return await asyncio.open_unix_connection(address)
        return await asyncio.open_connection(*address)

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], str]:
        reader, writer = await self.open()
        with suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        assert status.startswith("HTTP/1.1 ")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body.decode()

    async def scrape(self) -> str:
        status, headers, body = await self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert headers["Connection"] == "close"
        assert int(headers["Content-Length"]) == len(body.encode())
        return body


@asynccontextmanager
async def running(directory: Path, *, unix: bool = False) -> AsyncIterator[Served]:
    served = Served(directory, unix=unix)
    await served.server.start()
    try:
        yield served
    finally:
        await served.server.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with running(tmp_path) as served:
        yield served


def peers(served: Served) -> int:
    assert served.server._metrics is not None
    return len(served.server._metrics._peers)


async def until_gone(served: Served) -> None:
    async with asyncio.timeout(60):
        while peers(served):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("unix", [False, True])
async def test_a_scrape(tmp_path: Path, unix: bool) -> None:
    async with running(tmp_path, unix=unix) as served:
        async with AsyncClient(served.socket) as client:
            for handle in ('we"b\\\n', "box"):
                await client.create(handle)
            with pytest.raises(errors.HandleTaken):
                await client.create("box")
            await client.container("box").destroy()
            text = await served.scrape()
        assert values(text, "warden_containers") == {(("state", "active"),): 1, (("state", "stopped"),): 0}
        assert values(text, "warden_containers_created_total") == {(): 2}
        assert values(text, "warden_containers_destroyed_total") == {(): 1}
        assert values(text, "warden_connections") == {(): 1}
        assert values(text, "warden_requests_total") == {
            (("code", "ok"), ("request", "create")): 2,
            (("code", "handle_taken"), ("request", "create")): 1,
            (("code", "ok"), ("request", "destroy")): 1,
        }
        assert values(text, "warden_request_duration_seconds_count")[(("request", "create"),)] == 3
        [(given, info)] = values(text, "warden_build_info").items()
        assert info == 1 and "version" in dict(given)
        assert ("warden_container_jobs", (("handle", 'we"b\\\n'), ("id", "fake0000001"))) in samples(text)
        if unix:
            assert os.stat(served.listen).st_mode & 0o777 == 0o660


def test_jobs_are_counted_by_verdict() -> None:
    from warden.engine.events import ContainerFacts, JobEnded, JobStarted, OutOfMemory
    from warden.model.job import JobResult, Verdict

    facts = ContainerFacts("b", "i", "active", "/", 1, "", "", "host", 1.0)
    counters = Counters()
    for verdict in (Verdict.EXITED, Verdict.EXITED, Verdict.OUT_OF_MEMORY):
        counters.on_event(JobStarted(facts, 1, "x"))
        counters.on_event(JobEnded(facts, 1, "x", JobResult(0, verdict)))
    counters.on_event(OutOfMemory(facts))
    text = "".join(counters.blocks(0, {}))
    assert values(text, "warden_jobs_started_total") == {(): 3}
    assert values(text, "warden_jobs_ended_total") == {(("verdict", "exited"),): 2, (("verdict", "out_of_memory"),): 1}
    assert values(text, "warden_out_of_memory_total") == {(): 1}


async def test_it_is_off_unless_configured(tmp_path: Path) -> None:
    server = Server(config_for(str(tmp_path / "w.sock")), FakeEngine())
    await server.start()
    assert server._metrics is None
    assert server._counters is None
    assert len(server._engine.events._listeners) == 1, "its history alone listens"
    await server.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics?x=1 HTTP/1.0\n\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /../metrics HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000, 431),
        (b"x" * 1_000_000, 431),
    ],
)
async def test_other_requests(served: Served, request_: bytes, status: int) -> None:
    try:
        assert (await served.ask(request_))[0] == status
    except ConnectionError:  # the kernel resets a connection that is closed with unread bytes
        assert len(request_) > metrics.MAX_REQUEST
    await until_gone(served)


async def test_head_has_no_body(served: Served) -> None:
    status, headers, body = await served.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 0


async def test_a_request_in_small_pieces(served: Served) -> None:
    reader, writer = await served.open()
    for byte in b"GET /metrics HTTP/1.1\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.001)
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_second_request_on_the_connection_is_not_read(served: Served) -> None:
    reader, writer = await served.open()
    writer.write(b"GET /nothing HTTP/1.1\r\n\r\n" * 2)
    with suppress(ConnectionError):
        assert (await reader.read()).count(b"HTTP/1.1") == 1
    writer.close()
    await until_gone(served)


async def test_silent_and_slow_clients_are_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ALL_S", 0.2)
    for first in (b"", b"GET /met"):
        reader, writer = await served.open()
        writer.write(first)
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
    await until_gone(served)


async def test_a_client_that_reads_nothing_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def much(_self: object) -> bytes:
        return bytes(50_000_000)

    monkeypatch.setattr(metrics, "ALL_S", 0.5)
    monkeypatch.setattr(metrics.MetricsServer, "scrape", much)
    _reader, writer = await served.open()
    writer.transport.pause_reading()
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(60):
        while not peers(served):
            await asyncio.sleep(0.005)
    await until_gone(served)
    writer.transport.abort()


async def test_many_idle_connections_do_not_keep_a_scraper_out(served: Served) -> None:
    idle = [await served.open() for _ in range(3 * metrics.MAX_OPEN)]
    await turns()
    assert peers(served) <= metrics.MAX_OPEN
    assert "warden_build_info" in await served.scrape()
    for _, writer in idle:
        writer.close()
    await until_gone(served)


async def test_one_scrape_serves_all_who_ask_meanwhile(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    go_on = asyncio.Event()

    async def slow(_handles: object = None, *, brief: bool = False) -> list[Stats]:
        nonlocal made
        made += 1
        await go_on.wait()
        return []

    monkeypatch.setattr(served.engine, "stats", slow)
    _, leaver = await served.open()
    leaver.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(60):
        while not made:
            await asyncio.sleep(0.005)
    leaver.transport.abort()  # the one that began it leaves
    asking = [asyncio.ensure_future(served.scrape()) for _ in range(5)]
    await turns()
    go_on.set()
    assert len(set(await asyncio.gather(*asking))) == 1
    assert made == 1
    await served.scrape()
    assert made == 2


async def test_a_scrape_that_fails_says_so_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_handles: object = None, *, brief: bool = False) -> list[Stats]:
        raise RuntimeError("secret")

    monkeypatch.setattr(served.engine, "stats", broken)
    status, _, body = await served.ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert status == 500
    assert "secret" not in body


async def test_no_descriptor_is_left(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        await served.scrape()
        await until_gone(served)
        await turns()  # the asking end is closed in the next turn of the loop
        before = set(os.listdir("/proc/self/fd"))
        for request in (b"GET /metrics HTTP/1.1\r\n\r\n", b"x" * 100_000, b"GET / HTTP/1.1\r\n\r\n") * 5:
            with suppress(ConnectionError):
                await served.ask(request)
        await until_gone(served)
        await turns()
        assert set(os.listdir("/proc/self/fd")) <= before


async def test_open_connections_end_with_the_server(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        reader, writer = await served.open()
        await turns()
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError):
        await served.open()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = Server(config_for(str(tmp_path / "w.sock"), metrics__listen=address), FakeEngine())
        with pytest.raises(KernelRefused, match=rf"metrics: bind {address}"):
            await server.start()
