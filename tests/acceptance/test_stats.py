"""Statistics of real containers: numbers move with what jobs do, streams end, metrics are read, nothing is left."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scene import client_of, configured_daemon, nothing_new, read_until, wait_until

from warden.cgroup.layout import detect
from warden.client.aio import AsyncClient
from warden.client.blocking import Client, Container
from warden.errors import UnknownHandle
from warden.model.stats import Stats
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

MIB = 1 << 20
TREES = detect().used()
IS_V2 = any(tree.is_v2 for tree in TREES)


def free_address() -> str:
    """Below the ports that the kernel gives out by itself: nobody takes it while no daemon runs."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise AssertionError("no port is free")


METRICS = free_address()


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    """With metrics; its containers may talk to the host."""
    with configured_daemon(network={"allow_host_access": True}, metrics={"listen": METRICS}) as private:
        yield private


def measured(container: Container, is_so: Callable[[Stats], object]) -> Stats:
    """The statistics once they are as wanted."""
    found = [container.stats()]

    def look() -> bool:
        found[0] = container.stats()
        return bool(is_so(found[0]))

    wait_until(look, lambda: f"it never came: {found[0]}")
    return found[0]


def test_an_idle_container(client: Client) -> None:
    with client.create("idle") as container:
        found = container.stats()
        assert (found.handle, found.id, found.state.value) == ("idle", container.info().id, "active")
        assert (found.jobs, found.processes, found.pids.current) == (0, 0, 0)
        assert found.memory.limit is None
        assert found.memory.current is not None and found.memory.current < MIB
        assert 0 <= found.uptime_s < 60
        assert [link.name for link in found.network] == [f"w-{found.id}-1"]
        assert found.shaping is None
        if not IS_V2:
            assert found.pressure == {}


def test_processor_time_grows_with_a_busy_job(client: Client) -> None:
    with client.create() as container:
        job = container.spawn("while :; do :; done")
        found = measured(container, lambda stats: (stats.cpu.usage_s or 0) > 0.5)
        assert (found.jobs, found.processes) == (1, 1)
        assert found.cpu.user_s is not None and found.cpu.user_s > 0.2
        job.kill()
        job.wait()
        after = container.stats()
        assert after.jobs == 0
        assert after.cpu.usage_s is not None and after.cpu.usage_s >= 0.5, "what ended jobs used counts"


def test_memory_grows_with_what_a_job_touches(client: Client) -> None:
    program = "import time; x = b'x' * (32 << 20); print('ready', flush=True); time.sleep(100)"
    with client.create(memory="128M") as container:
        read_until(container.spawn(["python3", "-c", program]), b"ready")
        found = container.stats()
        assert found.memory.limit == 128 * MIB
        assert found.memory.current is not None and 32 * MIB <= found.memory.current <= 128 * MIB
        assert found.memory.peak is None or found.memory.peak >= 32 * MIB
        assert found.memory.stat.get("anon", found.memory.stat.get("rss", 0)) >= 32 * MIB
        assert found.memory.events["oom_kill"] == 0


def test_want_of_memory_is_counted(client: Client) -> None:
    with client.create(memory="32M") as container:
        container.run(["python3", "-c", "x = b'x' * (256 << 20)"])
        assert container.stats().memory.events["oom_kill"] >= 1


def test_tasks_and_processes(client: Client) -> None:
    program = "import threading, time; [threading.Thread(target=time.sleep, args=(100,)).start() for _ in range(4)]; time.sleep(100)"
    with client.create() as container:
        container.spawn(["python3", "-c", program])
        container.spawn("sleep 100 & sleep 100 & wait")
        found = measured(container, lambda stats: stats.pids.current == 8)
        assert (found.jobs, found.processes) == (2, 4)
        assert found.pids.peak is None or found.pids.peak >= 8


WRITER = """
import mmap, os
fd = os.open("/home/vcap/file", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
area = mmap.mmap(-1, 1 << 20)
for _ in range(8):
    os.writev(fd, [area])
os.fsync(fd)
"""


def test_what_is_written_to_a_disk_is_counted(client: Client, daemon: PrivateDaemon) -> None:
    major = os.major(os.stat(daemon.depot).st_dev)
    if not os.path.exists(f"/sys/dev/block/{major}:{os.minor(os.stat(daemon.depot).st_dev)}"):
        pytest.skip("the depot lies on no block device")
    with client.create() as container:
        assert container.run(["python3", "-c", WRITER]).exit_status == 0
        found = container.stats()
        assert sum(device.written_bytes or 0 for device in found.io) >= 8 * MIB
        assert all(device.name for device in found.io)
        assert container.run(["python3", "-c", WRITER]).exit_status == 0
        more = sum(device.written_bytes or 0 for device in container.stats().io)
        assert more >= 16 * MIB, "jobs that ended count as well"
        time.sleep(0.2)  # their groups go some time after their end
        assert sum(device.written_bytes or 0 for device in container.stats().io) >= more
        daemon.kill()
        daemon.start()
        assert sum(device.written_bytes or 0 for device in container.stats().io) >= more, "and after a crash"


SENDER = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall(bytes(1 << 20))
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1)
"""


def exchange(container: Container) -> None:
    """One MiB from the container to its host's end."""
    host_ip = container.info().host_ip
    with socket.create_server((host_ip, 0)) as server:
        job = container.spawn(["python3", "-c", SENDER, host_ip, str(server.getsockname()[1])])
        server.settimeout(60)
        with server.accept()[0] as peer:
            while peer.recv(65536):
                pass
        assert job.wait().exit_status == 0


def test_what_is_sent_is_counted_as_the_container_sees_it(client: Client) -> None:
    with client.create() as container:
        [before] = container.stats().network
        exchange(container)
        [after] = container.stats().network
        assert after.tx_bytes - before.tx_bytes >= MIB
        assert 0 < after.rx_bytes - before.rx_bytes < MIB
        assert after.tx_packets > before.tx_packets
        lines = container.run(["cat", "/proc/net/dev"]).text.splitlines()
        [numbers] = [line.split() for line in lines if line.strip().startswith(f"{after.name}:")]
        [now] = container.stats().network
        assert after.rx_bytes <= int(numbers[1]) <= now.rx_bytes
        assert after.tx_bytes <= int(numbers[9]) <= now.tx_bytes


def test_what_a_bandwidth_limit_drops(client: Client) -> None:
    flood = "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); [s.sendto(bytes(1000), (sys.argv[1], 9)) for _ in range(2000)]"
    with client.create() as container:
        container.limit_bandwidth("20K", "4K")
        found = container.stats().shaping
        assert found is not None and (found.rx, found.tx) == (0, 0)
        container.run(["python3", "-c", flood, container.info().host_ip])
        found = container.stats().shaping
        assert found is not None and found.tx, "what it sends is dropped in its ifb device"


def test_without_a_network_of_its_own(client: Client) -> None:
    with client.create(network="none") as container:
        assert container.stats().network == ()


def test_several_or_all_and_those_that_are_gone(client: Client) -> None:
    with client.create("one"), client.create("two"), client.create("three"):
        assert sorted(found.handle for found in client.stats()) == ["one", "three", "two"]
        assert [found.handle for found in client.stats("two", "one", brief=True)] == ["two", "one"]
        with pytest.raises(UnknownHandle):
            client.stats("one", "four")
    with pytest.raises(UnknownHandle):
        client.container("one").stats()


def test_a_stopped_container_is_measured(client: Client) -> None:
    with client.create() as container:
        container.run("for i in $(seq 100000); do :; done")
        container.stop()
        found = container.stats()
        assert found.state.value == "stopped"
        assert found.cpu.usage_s


def test_after_a_crash_of_the_daemon(client: Client, daemon: PrivateDaemon) -> None:
    with client.create(memory="64M") as container:
        container.spawn("while :; do :; done")
        before = measured(container, lambda stats: (stats.cpu.usage_s or 0) > 0.1)
        daemon.kill()
        daemon.start()
        after = container.stats()
        assert after.id == before.id
        assert after.cpu.usage_s is not None and before.cpu.usage_s is not None
        assert after.cpu.usage_s >= before.cpu.usage_s
        assert after.jobs == 1
        assert after.uptime_s > before.uptime_s


def test_measuring_while_containers_come_and_go(client: Client, daemon: PrivateDaemon) -> None:
    over = threading.Event()

    def come_and_go() -> None:
        with client_of(daemon) as mine:
            while not over.is_set():
                with mine.create() as container:
                    container.run("true")

    with nothing_new(daemon):
        others = [threading.Thread(target=come_and_go) for _ in range(3)]
        for other in others:
            other.start()
        try:
            for _ in range(100):
                for found in client.stats():
                    assert found.memory.current is not None
        finally:
            over.set()
            for other in others:
                other.join()
        client.close()


def test_a_stream_ends_when_its_container_is_destroyed(client: Client) -> None:
    container = client.create()
    seen = []
    for found in container.follow_stats(interval=0.1):
        seen.append(found)
        if len(seen) == 3:
            container.destroy()
    assert len(seen) >= 3  # and some more, while it is destroyed
    assert seen[0].time < seen[1].time < seen[2].time


async def test_asyncio_streams_side_by_side(daemon: PrivateDaemon) -> None:
    async with AsyncClient(daemon.socket) as client, await client.create() as first, await client.create() as second:

        async def look(handle: str) -> list[float]:
            times = []
            async for [found] in client.follow_stats(handle, interval="50ms"):
                assert found.handle == handle
                times.append(found.time)
                if len(times) == 5:
                    break
            return times

        for times in await asyncio.gather(look(first.handle), look(second.handle)):
            assert times == sorted(times)


def test_a_client_that_leaves_in_the_middle_costs_nothing(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as owner, owner.create() as container, nothing_new(daemon):
        for _ in range(5):
            leaver = Client(daemon.socket)
            stream = leaver.container(container.handle).follow_stats(interval=0.05)
            next(stream)
            stream.close()
            leaver.close()
        command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, "stats", "-f", "--json"]
        for child in [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]:
            assert child.stdout is not None and child.stdout.readline()
            child.kill()
            child.wait()
            child.stdout.close()
        owner.ping()


def cli(daemon: PrivateDaemon, *words: str) -> str:
    command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_command(client: Client, daemon: PrivateDaemon) -> None:
    with client.create("busy", memory="64M") as busy, client.create("quiet"):
        busy.spawn("while :; do :; done")
        rows = {line.split()[0]: line.split() for line in cli(daemon, "stats").splitlines()}
        assert float(rows["busy"][1]) > 1 > float(rows["quiet"][1])
        [found] = json.loads(cli(daemon, "stats", "--json", "--all-fields", "busy"))
        assert found["memory"]["limit"] == 64 * MIB
        assert found["memory"]["stat"]["pgfault"] > 0
        assert "pressure" in found or not IS_V2
        assert "limit" not in json.loads(cli(daemon, "stats", "--json", "quiet"))[0]["memory"]
        table = cli(daemon, "top", "-b", "-n", "1", "--interval", "200ms").splitlines()
        assert [line.split()[0] for line in table[2:4]] == ["busy", "quiet"]
        with subprocess.Popen(
            [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, "stats", "-f", "--json", "--interval", "100ms", "busy"],
            stdout=subprocess.PIPE, text=True,
        ) as following:  # fmt: skip
            assert following.stdout is not None
            used = (json.loads(line)["cpu"]["usage_s"] for line in following.stdout)
            first = next(used)
            assert any(later > first for later in itertools.islice(used, 100))
            busy.destroy()
            following.stdout.read()
            assert following.wait(60) == 0, "it ends with its container"


# ---- metrics


Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def scrape() -> Samples:
    """Samples by name and by labels, read by Prometheus' own parser."""
    with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name][tuple(sorted(labels.items()))]


HOSTILE = 'a"b\\c\nd\x1b[31m{e="f"} 字'


@pytest.mark.usefixtures("daemon")
def test_metrics_follow_what_happens(client: Client) -> None:
    before = scrape()
    with client.create(HOSTILE, memory="64M") as container:
        whose = {"handle": HOSTILE, "id": container.info().id}
        job = container.spawn("while :; do :; done")
        measured(container, lambda stats: (stats.cpu.usage_s or 0) > 0.2)
        container.run("exit 3")
        container.run(["python3", "-c", "x = b'x' * (256 << 20)"])
        found = scrape()
        assert of(found, "warden_container_cpu_seconds_total", **whose) > 0.2
        assert of(found, "warden_container_memory_limit_bytes", **whose) == 64 * MIB
        assert of(found, "warden_container_jobs", **whose) == 1
        assert of(found, "warden_container_memory_events_total", **whose, event="oom_kill") >= 1
        assert of(found, "warden_containers", state="active") == 1
        started, ended = "warden_jobs_started_total", "warden_jobs_ended_total"
        assert of(found, started) - of(before, started) == 3
        known = before.get(ended, {})
        for verdict in ("exited", "out_of_memory"):
            key = (("verdict", verdict),)
            assert found[ended][key] - known.get(key, 0) == 1
        job.kill()
        job.wait()
    after = scrape()
    assert not [key for samples in after.values() for key in samples if ("handle", HOSTILE) in key]
    for name in ("warden_containers_created_total", "warden_containers_destroyed_total"):
        assert of(after, name) - of(before, name) == 1
    assert of(after, "warden_request_duration_seconds_count", request="create") >= 1


def test_a_hostile_scraper_harms_nobody(client: Client, daemon: PrivateDaemon) -> None:
    host, port = METRICS.split(":")
    with client.create() as container, nothing_new(daemon):
        idle = [socket.create_connection((host, int(port))) for _ in range(100)]
        for number, sock in enumerate(idle):
            with suppress(OSError):
                sock.sendall(b"GET /metrics HTTP/1.1\r\n" if number % 2 else b"x" * 100_000)
        assert container.run("echo fine").text == "fine\n"
        assert scrape()["warden_build_info"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{METRICS}/", timeout=60)
        for sock in idle:
            sock.close()
