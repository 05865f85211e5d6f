"""Events of a real engine: which come, in which order, filtered, of the past, over restarts, to readers that are slow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from scene import client_of, wait_until

from warden.client.aio import AsyncClient
from warden.client.blocking import Client
from warden.errors import BadInput, TooSlow
from warden.model.events import EventRecord
from warden.protocol import codec
from warden.protocol import warden_pb2 as pb
from warden.protocol.framing import FrameParser
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "warden.cli.main"]
HOG = "a=[]\nwhile True: a.append(bytearray(4<<20))"


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(shared_daemon) as made:
        yield made


def command(daemon: PrivateDaemon, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WARDEN_SOCKET": daemon.socket}
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)


class Listener:
    """Events as they come, in a thread."""

    def __init__(self, client: Client, **options: object) -> None:
        self.records: list[EventRecord] = []
        self.error: Exception | None = None
        self._ready = threading.Event()
        self._stream = client.events(**options)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for record in self._stream:
                self.records.append(record)
        except Exception as error:
            self.error = error

    def names(self, container: str) -> list[str]:
        return [f"{record.type} {record.event}" for record in self.records if record.container == container]

    def wait_for(self, is_it: Callable[[EventRecord], bool]) -> None:
        wait_until(lambda: any(map(is_it, self.records)), lambda: f"{self.records} {self.error}")


def names(records: list[EventRecord]) -> list[str]:
    return [f"{record.type} {record.event}" for record in records]


def test_the_life_of_a_container(client: Client, shared_daemon: PrivateDaemon) -> None:
    began = time.time()
    box = client.create("life", network="none", memory="64M")
    job = box.spawn(["sh", "-c", "exit 3"])
    box.wait(job.id)
    box.pause()
    box.resume()
    box.limit(pids=50)
    box.limit_memory("48M")
    hog = box.spawn(["python3", "-c", HOG])
    assert box.wait(hog.id).verdict.value == "out_of_memory"
    wait_until(lambda: "out of memory" in box.info().events)
    box.stop()
    box.destroy()
    records = [record for record in client.events(since=began, until=time.time()) if record.container == "life"]
    states = ("create", "pause", "unpause", "update", "oom", "stop", "destroy")
    assert set(names(records)) == {f"container {event}" for event in states} | {
        "job start", "job die",
    }  # fmt: skip
    assert names(records)[:6] == [
        "container create", "job start", "job die", "container pause", "container unpause", "container update",
    ]  # fmt: skip
    assert names(records)[-2:] == ["container stop", "container destroy"]
    ends = [record.attributes for record in records if record.event == "die"]
    assert [(end["verdict"], end["exit_status"]) for end in ends] == [("exited", "3"), ("out_of_memory", "255")]
    assert ends[0] == {
        "job": str(job.id),
        "command": "sh -c exit 3",
        "exit_status": "3",
        "verdict": "exited",
        "signal": "0",
    }
    changes = [dict(record.attributes) for record in records if record.event == "update"]
    assert changes == [{"pids.max": "50"}, {"memory.max": str(48 << 20)}]
    numbers = [record.seq for record in records]
    assert numbers == sorted(set(numbers))
    assert all(began <= record.time <= time.time() for record in records)
    assert len({record.id for record in records}) == 1

    shown = command(
        shared_daemon,
        "events",
        "--since",
        str(began),
        "--until",
        "0s",
        "-f",
        "container=life",
        "-f",
        "event=die",
        "-f",
        "event=oom",
    )
    assert shown.returncode == 0
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.match(
        stamp + r" job die life \(id=\w+, job=\d+, command=sh -c exit 3, exit_status=3, verdict=exited, signal=0\)\n",
        shown.stdout,
    )
    assert len(shown.stdout.splitlines()) == 3
    found = command(
        shared_daemon, "events", "--since", str(began), "--until", "0s", "-f", "type=job", "--format", "json"
    )
    assert {json.loads(line)["event"] for line in found.stdout.splitlines()} == {"start", "die"}
    verdicts = command(
        shared_daemon,
        "events",
        "--since",
        str(began),
        "--until",
        "0s",
        "-f",
        "event=die",
        "--format",
        ".attributes.verdict",
    )
    assert verdicts.stdout == "exited\nout_of_memory\n"
    assert command(shared_daemon, "events", "-f", "colour=red").returncode == 2


def test_filters_by_id_and_what_is_to_come(client: Client) -> None:
    with client.create("one", network="none") as one, client.create("two", network="none") as two:
        listener = Listener(client, containers=[one.info().id], since=time.time())
        two.run(["true"])
        one.run(["true"])
        listener.wait_for(lambda record: record.event == "die")
        assert names(listener.records) == ["job start", "job die"]
        assert {record.container for record in listener.records} == {"one"}


def test_networks_and_volumes(client: Client, shared_daemon: PrivateDaemon) -> None:
    began = time.time()
    client.create_network("net1", subnet="198.18.7.0/24")
    client.create_volume("kept")
    box = client.create("box", network="bridge:net1", mounts=[("kept", "/kept", "ro"), ("fresh", "/fresh")])
    own = client.create("own", network="bridge:net2", mounts=[("", "/scratch")])
    for one in (own, box):
        one.destroy()
    client.remove_network("net1")
    wait_until(lambda: {bridge.bridge.name for bridge in client.networks()} == set())
    wait_until(lambda: len(client.volumes()) == 2)
    for name in ("kept", "fresh"):
        client.remove_volume(name)
    records = [record for record in client.events(since=began, until=time.time()) if record.type in ("network", "volume")]

    def life(kind: str, name: str) -> list[tuple[str, str]]:
        found = [one for one in records if one.type == kind and one.attributes["name"] == name]
        return [(one.event, one.container) for one in found]

    on_it = [("create", ""), ("connect", "box"), ("disconnect", "box"), ("destroy", "")]
    assert life("network", "net1") == on_it
    assert life("network", "net2") == [(event, handle and "own") for event, handle in on_it]
    had = [("create", ""), ("mount", "box"), ("unmount", "box"), ("destroy", "")]
    assert life("volume", "kept") == life("volume", "fresh") == had
    [scratch] = {one.attributes["name"] for one in records if one.type == "volume"} - {"kept", "fresh"}
    assert life("volume", scratch) == [(event, handle and "own") for event, handle in had]
    by_event = {(one.type, one.event, one.attributes["name"]): dict(one.attributes) for one in records}
    assert by_event["network", "create", "net1"]["subnets"] == "198.18.7.0/24"
    connected = by_event["network", "connect", "net1"]
    assert (connected["interface"], connected["addresses"]) == ("eth0", "198.18.7.2/24")
    mounted = {"name": "kept", "destination": "/kept", "read_only": "true"}
    assert by_event["volume", "mount", "kept"] == mounted
    assert by_event["volume", "mount", "fresh"]["read_only"] == "false"

    def shown(*filters: str) -> list[str]:
        words = [word for one in filters for word in ("-f", one)]
        found = command(shared_daemon, "events", "--since", str(began), "--until", "0s", *words)
        return [" ".join(line.split()[1:3]) for line in found.stdout.splitlines()]

    events = ["create", "connect", "disconnect", "destroy"]
    assert shown("network=net1") == [f"network {event}" for event in events]
    assert shown("volume=kept", "volume=fresh", "event=mount") == ["volume mount"] * 2
    assert shown("type=network", "container=own") == ["network connect", "network disconnect"]
    assert set(shown("container=box")) >= {"container create", "network connect", "volume mount", "container destroy"}


def test_a_create_that_fails_tells_its_volumes_end(client: Client) -> None:
    began = time.time()
    with pytest.raises(BadInput):
        client.create(network="none", mounts=[("/no/such", "/x"), ("v3", "/v3")])
    records = [one for one in client.events(since=began, until=time.time()) if one.type in ("network", "volume")]
    assert names(records) == ["volume create", "volume destroy"]


def test_numbers_go_on_over_restarts_and_crashes(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        began = time.time()
        box = client.create("box", network="none")
        box.run(["true"])
        first = list(client.events(since=began, until=time.time()))
    daemon.stop()
    daemon.start()
    with client_of(daemon) as client:
        again = list(client.events(since=began, until=time.time()))
        assert again == first
        client.container("box").run(["true"])
        third = list(client.events(since=began, until=time.time()))
        assert [record.seq for record in third] == [record.seq for record in first] + [
            first[-1].seq + 1,
            first[-1].seq + 2,
        ]
    daemon.kill()
    daemon.start()
    with client_of(daemon) as client:
        client.container("box").destroy()
        last = list(client.events(since=began, until=time.time()))
        assert last[: len(first)] == first
        assert last[-1].event == "destroy"
        assert last[-1].seq > third[-1].seq, "a number is never used twice"
        mode = os.stat(f"{daemon.depot}/.events").st_mode & 0o777
        assert mode == 0o600


def test_a_listener_is_carried_over_kills_of_the_daemon(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, client_of(daemon) as other:
        listener = Listener(client, reconnect=60, since=time.time())
        box = other.create("box", network="none")
        listener.wait_for(lambda record: record.event == "create")
        box.spawn(["sh", "-c", "sleep 1; exit 5"])
        listener.wait_for(lambda record: record.event == "start")
        daemon.kill()
        time.sleep(1.2)  # it ends while no daemon runs
        daemon.start()
        listener.wait_for(lambda record: record.event == "die")
        with client_of(daemon) as after:
            after.container("box").destroy()
        listener.wait_for(lambda record: record.event == "destroy")
        assert listener.names("box") == ["container create", "job start", "job die", "container destroy"]
        assert listener.records[2].attributes["exit_status"] == "5"
        assert [record.seq for record in listener.records] == sorted({record.seq for record in listener.records})


async def test_asyncio_has_the_same(shared_daemon: PrivateDaemon) -> None:
    async with AsyncClient(shared_daemon.socket) as client:
        began = time.time()
        async with await client.create("aio", network="none"):
            pass
        found = [record async for record in client.events(since=began, until=time.time(), containers=["aio"])]
        assert names(found) == ["container create", "container destroy"]


def test_a_reader_that_is_too_slow_is_cut_off_and_costs_nothing(daemon: PrivateDaemon) -> None:
    """It asks and reads nothing: what the daemon cannot send waits in the history only, and then is gone."""
    with client_of(daemon) as client, client.create("x" * 900, network="none") as box:
        slow = client._pool.take()
        slow.send((codec.KINDS["Events"], pb.EventsRequest()))
        for _ in range(300):
            box.limit(pids=50)
        before = memory_of(daemon)
        for number in range(9000):
            box.limit_cpu(100 + number % 2)
        assert memory_of(daemon) - before < 24 << 20
        seen, error = 0, None
        parser = FrameParser(1 << 20)
        slow._socket.settimeout(60)
        while error is None:
            for frame in parser.feed(slow._socket.recv(65536)):
                kind, payload = codec.decode_envelope(frame)
                seen += kind != codec.ERROR
                error = codec.decode_response(kind, payload) if kind == codec.ERROR else error
        assert error.code == TooSlow.code.encode()
        assert b"no longer kept" in error.message
        assert seen > 50
        slow.close()
        with suppress(StopIteration):
            assert next(client.events(since=0.0, until=time.time())).seq > 0


def memory_of(daemon: PrivateDaemon) -> int:
    with open(f"/proc/{daemon.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_after_a_crash_a_reader_of_the_past_comes_to_its_end(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        began = time.time()
        client.create("box", network="none")
        wait_until(lambda: '"create"' in Path(daemon.depot, ".events").read_text())
        daemon.kill()
        daemon.start()
        assert names(list(client.events(since=began, until=time.time()))) == ["container create"]
