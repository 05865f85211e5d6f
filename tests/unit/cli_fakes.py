"""A client without a daemon: it behaves as warden.client.blocking promises, for tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from warden.errors import UnknownHandle, UnknownNetwork, UnknownVolume, WardenError
from warden.model.events import EventRecord
from warden.model.info import Info, JobInfo, MemoryUse, State
from warden.model.interfaces import Bridge, BridgeMember, BridgeReport
from warden.model.job import Chunk, JobResult, Verdict
from warden.model.spec import ContainerSpec
from warden.model.stats import Stats
from warden.model.topology import Topology
from warden.model.volumes import Volume


@dataclass
class World:
    """What the fakes share: what a job will do, and what was asked."""

    result: JobResult = field(default_factory=lambda: JobResult(0, Verdict.EXITED))
    chunks: tuple[Chunk, ...] = ()
    fail_spawn: WardenError | None = None
    during_job: Any = None  # called between the first and the second chunk
    info: Info | None = None
    containers: list[str] = field(default_factory=list)
    created: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    spawned: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)
    kills: int = 0
    calls: list[Any] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)
    rounds: list[list[Stats]] = field(default_factory=list)  # of measurements
    records: list[EventRecord] = field(default_factory=list)
    stopped: list[tuple[str, bool]] = field(default_factory=list)
    open_clients: int = 0
    volumes: list[Volume] = field(default_factory=list)
    networks: dict[str, BridgeReport] = field(default_factory=dict)
    topology: Topology = field(default_factory=Topology)


MEMBER = BridgeMember("box", "eth0", ("10.252.0.2/24", "fd00::2/64"), "02:00:00:00:00:01", ("db",))


class FakeStream:
    def __init__(self, world: World) -> None:
        self._world = world
        self.written = b""
        self.closed = False

    def __iter__(self) -> Iterator[Chunk]:
        for index, chunk in enumerate(self._world.chunks):
            yield chunk
            if index == 0 and self._world.during_job:
                self._world.during_job()
        self.result = self._world.result

    def write(self, data: bytes) -> None:
        self.written += data

    def close_stdin(self) -> None:
        self.closed = True

    def resize(self, rows: int, columns: int) -> None:
        self._world.calls.append(("resize", rows, columns))


class FakeJob:
    def __init__(self, world: World, job_id: int = 7) -> None:
        self.id = job_id
        self._world = world

    def stream(self) -> FakeStream:
        return FakeStream(self._world)

    attach = stream

    def signal(self, number: int, tree: bool = True) -> None:
        assert tree
        self._world.signals.append(number)

    def kill(self) -> None:
        self._world.kills += 1


class FakeContainer:
    def __init__(self, world: World, handle: str) -> None:
        self.handle = handle
        self.warnings: tuple[str, ...] = ()
        self._world = world

    def __enter__(self) -> FakeContainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def spawn(self, script_or_argv: Any, **options: Any) -> FakeJob:
        if self._world.fail_spawn:
            raise self._world.fail_spawn
        self._world.spawned.append((script_or_argv, options))
        return FakeJob(self._world)

    def start(self) -> None:
        if self._world.fail_spawn:
            raise self._world.fail_spawn
        self._world.calls.append(("start", self.handle))

    def restart(self, *, kill: bool = False) -> None:
        self._world.calls.append(("restart", self.handle, kill))

    def rename(self, handle: str) -> None:
        self._world.calls.append(("rename", self.handle, handle))

    def job(self, job_id: int) -> FakeJob:
        return FakeJob(self._world, job_id)

    def info(self) -> Info:
        if self._world.info is None:
            raise UnknownHandle()
        return self._world.info

    def logs(
        self, job: int | None = None, *, follow: bool = False, reconnect: float = 0.0, **options: Any
    ) -> Iterator[Chunk]:
        given = {name: value for name, value in options.items() if value not in (None, False)}
        self._world.calls.append(("logs", job, follow, given))
        yield from self._world.chunks

    def wait(self, job: int | None = None, *, condition: str, timeout: str | None, reconnect: float) -> JobResult:
        self._world.calls.append(("wait", self.handle, job, condition))
        self._exists()
        if timeout is not None:
            raise TimeoutError
        return self._world.result

    def inspect(self) -> dict[str, Any]:
        self._exists()
        return {"handle": self.handle, "network": {"ip": "10.0.0.2"}, "jobs": [{"id": 1}, {"id": 2}]}

    def copy_in(self, src: str, dst: str) -> None:
        self._world.calls.append(("copy_in", self.handle, src, dst))

    def copy_out(self, src: str, dst: str, owner: str | None = None) -> None:
        self._world.calls.append(("copy_out", self.handle, src, dst, owner))

    def pause(self) -> None:
        self._control("pause")

    def resume(self) -> None:
        self._control("resume")

    def kill(self) -> None:
        self._control("kill")

    def _exists(self) -> None:
        if self.handle not in self._world.containers:
            raise UnknownHandle()

    def _control(self, what: str) -> None:
        self._exists()
        self._world.calls.append((what, self.handle))

    def stop(self, kill: bool = False) -> None:
        self._world.stopped.append((self.handle, kill))

    def destroy(self) -> None:
        if self.handle not in self._world.containers:
            raise UnknownHandle()
        self._world.containers.remove(self.handle)


class FakeClient:
    def __init__(self, world: World) -> None:
        self._world = world
        world.open_clients += 1

    def create(self, handle: str | None = None, **options: Any) -> FakeContainer:
        self._world.created.append((handle, options))
        self._world.containers.append(handle or "generated")
        return FakeContainer(self._world, handle or "generated")

    def container(self, handle: str) -> FakeContainer:
        return FakeContainer(self._world, handle)

    def create_volume(self, name: str | None = None) -> Volume:
        return Volume(name or "made-up", "/v/x", 1.0, name is None)

    def volumes(self) -> list[Volume]:
        return self._world.volumes

    def volume(self, name: str) -> Volume:
        for volume in self._world.volumes:
            if volume.name == name:
                return volume
        raise UnknownVolume(f"volume {name}: there is none")

    def remove_volume(self, name: str) -> None:
        self.volume(name)
        self._world.calls.append(("remove", name))

    def prune_volumes(self, *, every: bool = False) -> list[str]:
        self._world.calls.append(("prune", every))
        return []

    def containers(self) -> list[Info]:
        return [self._world.info] if self._world.info else []

    def stats(self, *handles: str, brief: bool = False) -> list[Stats]:
        self._world.calls.append(("stats", handles, brief))
        return self._world.rounds.pop(0) if self._world.rounds else []

    def follow_stats(self, *handles: str, interval: float | str, brief: bool = False) -> Iterator[list[Stats]]:
        self._world.calls.append(("follow_stats", handles, interval, brief))
        yield from self._world.rounds

    def create_network(self, name: str, **options: Any) -> BridgeReport:
        self._world.calls.append(("create_network", name, options))
        self._world.networks[name] = BridgeReport(Bridge(name, "10.252.0.0/24", "fd00::/64"), (MEMBER,))
        return self._world.networks[name]

    def topology(self) -> Topology:
        return self._world.topology

    def networks(self) -> list[BridgeReport]:
        return list(self._world.networks.values())

    def network(self, name: str) -> BridgeReport:
        if name not in self._world.networks:
            raise UnknownNetwork(f"network {name}: there is none of that name")
        return self._world.networks[name]

    def remove_network(self, name: str) -> None:
        self.network(name)
        del self._world.networks[name]

    def events(self, *, reconnect: float = 0.0, **options: Any) -> Iterator[EventRecord]:
        self._world.calls.append(("events", {name: value for name, value in options.items() if value is not None}))
        yield from self._world.records

    def ping(self) -> None:
        self._world.calls.append("ping")

    def call(self, message: Any) -> Any:
        self._world.calls.append(message)
        return self._world.replies.pop(0)

    def call_stream(self, message: Any) -> Iterator[Any]:
        self._world.calls.append(message)
        yield from self._world.replies

    def close(self) -> None:
        self._world.open_clients -= 1


def some_info(**changes: Any) -> Info:
    given: dict[str, Any] = {
        "handle": "box",
        "id": "18abc",
        "state": State.ACTIVE,
        "spec": ContainerSpec(handle="box"),
        "created": 1_700_000_000.0,
        "path": "/depot/18abc",
        "container_ip": "10.254.0.2",
        "host_ip": "10.254.0.1",
        "pid": 4711,
        "memory": MemoryUse(current=1 << 20, peak=2 << 20, limit=64 << 20, oom_kills=1),
        "jobs": (JobInfo(1, "sleep 9", True, 1.0), JobInfo(2, "true", False, 2.0, 0, "exited")),
    }
    return Info(**(given | changes))
