"""An engine without a kernel: satisfies `warden.server.ports.Engine` in memory.

Owns the behaviour that a server can see, nothing below it. Jobs are not run: a script is a small program of words that
`FakeJob` understands, so that a test chooses what a job does and when it ends.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from warden.engine.events import ContainerCreated, ContainerDestroyed, ContainerFacts, Emitter
from warden.engine.history import History
from warden.errors import (
    BadInput,
    HandleTaken,
    UnknownHandle,
    UnknownJob,
    UnknownNetwork,
    UnknownVolume,
    VolumeInUse,
    VolumeTaken,
    WrongState,
)
from warden.model import resources
from warden.model.info import BandwidthStat, Info, JobInfo, MemoryUse, State
from warden.model.interfaces import Bridge, BridgeMember, BridgeReport
from warden.model.job import Chunk, JobResult, JobSpec, Usage, Verdict, WaitCondition
from warden.model.limits import Bandwidth, DiskChange, DiskLimits
from warden.model.logs import LogPlace, LogSelection
from warden.model.mounts import check_volume_name
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Refusals
from warden.model.resources import LimitReport
from warden.model.spec import ContainerSpec
from warden.model.stats import CpuStats, MemoryStats, Stats
from warden.model.topology import Node, Space, Topology
from warden.model.volumes import Volume
from warden.records import replace


class FakeJob:
    """A job that follows its script, one command a line: `out TEXT`, `err TEXT`, `sleep SECONDS`, `wait`, `cat`,
    `flood BYTES` (to stdout, 64 KiB a chunk) and `exit STATUS`. `wait` ends by a signal only, `cat` copies stdin."""

    CHUNK = 65536

    def __init__(self, job_id: int, spec: JobSpec) -> None:
        self.id = job_id
        self.spec = spec
        self.result: JobResult | None = None
        self.signals: list[tuple[int, bool]] = []
        self.sizes: list[tuple[int, int]] = []
        self.forgotten = False
        self.produced = 0
        self.started = time.time()
        self._chunks: list[Chunk] = []
        self._news = asyncio.Condition()
        self._stdin: asyncio.Queue[bytes | None] = asyncio.Queue()
        if spec.stdin is not None or not spec.interactive:
            for data in (spec.stdin or b"", None):
                self._stdin.put_nowait(data)
        self._flood = 0
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def command(self) -> str:
        return " ".join(self.spec.argv) or (self.spec.script or b"").decode("utf-8", "replace")

    async def _run(self) -> None:
        lines = (self.spec.script or b"").splitlines() or [" ".join(self.spec.argv).encode()]
        status = 0
        for line in lines:
            word, _, rest = line.partition(b" ")
            if word == b"exit":
                status = int(rest)
                break
            await self._do(word, rest)
        await self._end(JobResult(status, Verdict.EXITED, usage=Usage(wall_s=time.time() - self.started)))

    async def _do(self, word: bytes, rest: bytes) -> None:
        if word in (b"out", b"err"):
            await self._put("std" + word.decode(), rest)
        elif word == b"sleep":
            await asyncio.sleep(float(rest))
        elif word == b"wait":
            await asyncio.Event().wait()
        elif word == b"flood":
            self._flood = int(rest)
        elif word == b"cat":
            while (data := await self._stdin.get()) is not None:
                await self._put("stdout", data)

    async def _put(self, stream: str, data: bytes) -> None:
        if data and not self.spec.discard_output:
            async with self._news:
                self._chunks.append(Chunk(stream, data, time.time()))
                self._news.notify_all()

    async def _end(self, result: JobResult) -> None:
        async with self._news:
            if self.result is None:
                self.result = result
            self._news.notify_all()

    async def wait(self) -> JobResult:
        async with self._news:
            await self._news.wait_for(lambda: self.result is not None)
        assert self.result is not None
        return self.result

    def place(self, tail: int) -> LogPlace:
        """Lines and bytes are chunks here."""
        return LogPlace(self.id, (max(len(self._chunks) - tail, 0), 0))

    async def follow(self, *, follow: bool = True, place: LogPlace | None = None) -> AsyncIterator[Chunk]:
        for _ in range(0, self._flood, self.CHUNK):  # made on demand, so that a test can see how far a reader got
            self.produced += self.CHUNK
            yield Chunk("stdout", bytes(self.CHUNK))
        position = 0 if place is None else place.offsets[0]
        while True:
            for chunk in self._chunks[position:]:
                position += 1
                yield chunk
            if not follow or (self.result is not None and position == len(self._chunks)):
                return
            async with self._news:
                await self._news.wait_for(lambda: self.result is not None or position < len(self._chunks))  # noqa: B023

    async def output(self) -> tuple[bytes, bytes]:
        if self.forgotten:
            raise UnknownJob()
        joined = {name: b"".join(c.data for c in self._chunks if c.stream == name) for name in ("stdout", "stderr")}
        return bytes(self._flood) + joined["stdout"], joined["stderr"]

    async def write_stdin(self, data: bytes) -> None:
        if not self.spec.interactive:
            raise BadInput("stdin: the job is not interactive")
        await self._stdin.put(data)

    async def close_stdin(self) -> None:
        await self._stdin.put(None)

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    async def signal(self, number: int, *, tree: bool = True) -> None:
        self.signals.append((number, tree))
        verdict = Verdict.STOPPED if number == signal.SIGKILL else Verdict.SIGNALED
        await self.kill(JobResult(255, verdict, signal=number))

    async def kill(self, result: JobResult) -> None:
        """Ends the job at once with *result*."""
        if self.result is None:
            self._task.cancel()
        await self._end(result)

    async def forget(self) -> None:
        self.forgotten = True


class FakeContainer:
    """A container that is a dictionary of jobs."""

    def __init__(self, engine: FakeEngine, number: int, spec: ContainerSpec) -> None:
        self.id = f"fake{number:07d}"
        self.handle = spec.handle if spec.handle is not None else self.id
        self.grace_time = spec.grace_time
        self.spec = spec
        self.state = State.ACTIVE
        self.memory_limit = spec.limits.memory_bytes
        self.limits = spec.limits
        self.warnings: tuple[str, ...] = ()
        self.shares = 1024
        self.bandwidth = BandwidthStat()
        self.disk: DiskLimits | None = DiskLimits()
        self.paused = False
        self.stops: list[bool] = []
        self.looks = 0
        self.events: list[str] = []
        self.selections: list[LogSelection] = []
        self.conditions: list[WaitCondition] = []
        self.copies: list[tuple[str, ...]] = []
        self.net_in_pairs: list[tuple[int, int]] = []
        self.net_out_rules: list[NetRule] = []
        self.net_policy: NetPolicy | None = spec.net_policy
        self.net_connections = spec.net_connections
        self.published: list[PortMap] = list(spec.publish)
        self.refused = Refusals()
        self._engine = engine
        self._jobs: dict[int, FakeJob] = {}
        self.main: FakeJob | None = None

    async def spawn(self, spec: JobSpec) -> FakeJob:
        self._require_active()
        if self.paused:
            raise WrongState(f"container {self.handle}: it is paused", hint="resume it first")
        job = FakeJob(next(self._engine.job_ids), spec)
        self._jobs[job.id] = job
        self._engine.jobs.append(job)
        return job

    def _require_active(self) -> None:
        if self.state is not State.ACTIVE:
            raise WrongState(f"Container state must be one of 'active', current state is '{self.state.value}'")

    def job(self, job_id: int) -> FakeJob:
        job = self._jobs.get(job_id)
        if job is None or job.forgotten:
            raise UnknownJob()
        return job

    def jobs(self) -> list[FakeJob]:
        return [job for job in self._jobs.values() if not job.forgotten]

    async def logs(self, selection: LogSelection) -> AsyncIterator[Chunk | tuple[LogPlace, ...]]:
        """Of the jobs there are, one after the other; *tail* counts chunks."""
        self.selections.append(selection)
        jobs = self.jobs() if selection.job is None else [self.job(selection.job)]
        if selection.follow:
            yield tuple(LogPlace(job.id) for job in jobs)
        for job in jobs:
            place = None if selection.tail is None else job.place(selection.tail)
            async for chunk in job.follow(follow=selection.follow, place=place):
                if selection.streams[chunk.stream == "stderr"]:
                    yield replace(chunk, job=job.id)

    def main_job(self) -> FakeJob:
        if not self.jobs():
            raise UnknownJob(f"container {self.handle}: it has no job")
        return self.jobs()[0]

    async def wait(self, job: FakeJob | None, condition: WaitCondition) -> JobResult:
        """For *job* whatever the *condition*."""
        self.conditions.append(condition)
        return JobResult(0, Verdict.EXITED) if job is None else await job.wait()

    async def inspect(self) -> dict[str, Any]:
        return {"handle": self.handle, "id": self.id, "state": {"status": self.state.value}}

    async def info(self) -> Info:
        jobs = tuple(
            JobInfo(
                id=job.id,
                command=job.command,
                running=job.result is None,
                started=job.started,
                exit_status=job.result.exit_status if job.result else None,
                verdict=job.result.verdict.value if job.result else "",
                tty=job.spec.tty,
                interactive=job.spec.interactive,
            )
            for job in self.jobs()
        )
        return Info(
            handle=self.handle,
            id=self.id,
            state=self.state,
            spec=self.spec,
            created=1.0,
            path="/nowhere/" + self.id,
            events=tuple(self.events),
            bandwidth=self.bandwidth,
            memory=MemoryUse(current=1, limit=self.memory_limit, stat={"rss": 4096}),
            jobs=jobs,
            paused=self.paused,
            main_job=None if self.main is None else self.main.id,
        )

    async def stats(self, *, brief: bool = False) -> Stats:
        """Memory as in `info`; every look has cost it 0.5 s of processor time."""
        self.looks += 1
        stat = {} if brief else {"rss": 4096}
        return Stats(
            handle=self.handle,
            id=self.id,
            state=self.state,
            time=time.time(),
            uptime_s=1.0,
            memory=MemoryStats(current=1, limit=self.memory_limit, stat=stat),
            cpu=CpuStats(usage_s=self.looks / 2),
            jobs=sum(job.result is None for job in self.jobs()),
        )

    def facts(self) -> ContainerFacts:
        return ContainerFacts(self.handle, self.id, self.state.value, "/nowhere/" + self.id, 1, "", "", "host", 1.0)

    async def stop(self, *, kill: bool = False) -> None:
        self.stops.append(kill)
        self.state = State.STOPPED
        await self._end_jobs()

    async def destroy(self) -> None:
        self.state = State.DESTROYED
        if self._engine.containers.pop(self.handle, None) is not None:
            self._engine.events.emit(ContainerDestroyed(self.facts()))
        await self._end_jobs()

    async def _end_jobs(self, number: int = 0) -> None:
        for job in self._jobs.values():
            if job.result is None:
                await job.kill(JobResult(255, Verdict.STOPPED, signal=number))

    async def start(self) -> None:
        if self.spec.main is None:
            raise BadInput(f"container {self.handle}: it has no main job")
        self.state = State.ACTIVE
        if self.main is None or self.main.result is not None:
            self.main = await self.spawn(self.spec.main)

    async def restart(self, *, kill: bool = False) -> None:
        await self.stop(kill=kill)
        await self.start()

    async def pause(self) -> None:
        self._require_active()
        self.paused = True

    async def resume(self) -> None:
        self._require_active()
        self.paused = False

    async def kill(self) -> None:
        self._require_active()
        await self._end_jobs(signal.SIGKILL)

    async def copy_in(self, src: str, dst: str) -> None:
        self.copies.append(("in", src, dst))

    async def copy_out(self, src: str, dst: str, owner: str = "") -> None:
        self.copies.append(("out", src, dst, owner))

    async def limit(
        self, settings: Sequence[tuple[str, str]] = (), *, best_effort: bool = False, raw: bool = False
    ) -> LimitReport:
        self.limits = resources.apply(self.limits, settings)
        shown = resources.shown(self.limits)
        files = tuple((f"/fake/{name}", text) for name, text in shown.items()) if raw else ()
        return LimitReport({**shown}, shown, files, ("left out: nothing",) if best_effort else ())

    async def limit_memory(self, limit_bytes: int | None) -> int | None:
        if limit_bytes is not None:
            self.memory_limit = limit_bytes // 4096 * 4096
        return self.memory_limit

    async def net_in(self, host_port: int | None = None, container_port: int | None = None) -> tuple[int, int]:
        host_port = host_port if host_port is not None else 61001 + len(self.net_in_pairs)
        pair = (host_port, host_port if container_port is None else container_port)
        self.net_in_pairs.append(pair)
        return pair

    async def publish(self, wish: PortMap) -> PortMap:
        host_port = wish.host_port or 61001 + len(self.published)
        port = PortMap(wish.host_ip, host_port, wish.container_port or host_port, wish.protocol)
        self.published.append(port)
        return port

    async def remove_port(self, host_port: int, protocol: str = "tcp", host_ip: str | None = None) -> None:
        wanted = (host_port, protocol)
        left = [
            port
            for port in self.published
            if (port.host_port, port.protocol) != wanted or host_ip not in (None, port.host_ip)
        ]
        if len(left) == len(self.published):
            raise BadInput(f"port {host_port}/{protocol} does not lead to container {self.handle}")
        self.published = left

    async def net_out(self, rule: NetRule) -> None:
        self.net_out_rules.append(rule)

    def net_state(self) -> NetState:
        pairs = tuple(PortMap(None, *pair) for pair in self.net_in_pairs)
        return NetState(tuple(self.net_out_rules), self.net_policy, (*pairs, *self.published), self.net_connections)

    async def remove_rule(self, index: int | None = None, rule: NetRule | None = None) -> None:
        if index is not None and not 1 <= index <= len(self.net_out_rules):
            raise BadInput(f"net_remove: index: there is no rule {index}")
        del self.net_out_rules[self.net_out_rules.index(rule) if index is None and rule else (index or 0) - 1]

    async def replace_rules(
        self,
        rules: Sequence[NetRule] | None = None,
        *,
        policy: NetPolicy | None = None,
        keep_policy: bool = True,
        connections: int | None = None,
        keep_connections: bool = True,
    ) -> None:
        if rules is not None:
            self.net_out_rules = list(rules)
        if not keep_policy:
            self.net_policy = policy
        if not keep_connections:
            self.net_connections = connections

    async def refusals(self) -> Refusals:
        return self.refused

    async def limit_cpu(self, shares: int | None) -> int:
        if shares is not None:
            self.shares = min(max(shares, 2), 262144)
        return self.shares

    async def limit_bandwidth(self, wanted: Bandwidth) -> Bandwidth:
        self.bandwidth = BandwidthStat(wanted.rate, wanted.burst, wanted.rate, wanted.burst)
        return wanted

    async def limit_disk(self, change: DiskChange) -> DiskLimits | None:
        if self.disk is not None:
            self.disk = change.applied_to(self.disk)
        return self.disk


class FakeVolumes:
    """Names, and which of them are anonymous; in use is what a container's spec names."""

    def __init__(self, engine: FakeEngine) -> None:
        self.names: dict[str, bool] = {}
        self._engine = engine

    async def create(self, name: str | None = None) -> Volume:
        chosen = check_volume_name(name) if name else f"made{len(self.names):04d}"
        if chosen in self.names:
            raise VolumeTaken(f"volume {chosen}: it exists")
        self.names[chosen] = name is None
        return await self.get(chosen)

    async def all(self) -> list[Volume]:
        return [await self.get(name) for name in sorted(self.names)]

    async def get(self, name: str) -> Volume:
        if name not in self.names:
            raise UnknownVolume(f"volume {name}: there is none")
        containers = self._engine.containers.values()
        users = tuple(c.handle for c in containers if any(mount.source == name for mount in c.spec.mounts))
        return Volume(name, "/nowhere/" + name, 1.0, self.names[name], users)

    async def remove(self, name: str) -> None:
        if users := (await self.get(name)).used_by:
            raise VolumeInUse(f"volume {name}: in use by " + ", ".join(users))
        del self.names[name]

    async def prune(self, *, every: bool = False) -> list[str]:
        found = [volume for volume in await self.all() if not volume.used_by and (volume.anonymous or every)]
        for volume in found:
            del self.names[volume.name]
        return [volume.name for volume in found]


class FakeEngine:
    """All state is public: tests look at *containers* and *jobs*, every job ever spawned."""

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.jobs: list[FakeJob] = []
        self.bridges: dict[str, BridgeReport] = {}
        self.foreign: set[str] = set()  # LXC's
        self.job_ids = itertools.count(1)
        self.events = Emitter()
        self.history = History()
        self.history.start(self.events)
        self.started = self.closed = False
        self.faults: list[str] = []
        self._numbers = itertools.count(1)
        self.volumes = FakeVolumes(self)

    async def rename(self, old: str, new: str) -> None:
        container = self.get(old)
        if new in self.containers:
            raise HandleTaken(f"container with handle: {new} already exists.")
        container.handle = new
        self.containers = {found.handle: found for found in self.containers.values()}

    async def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True
        for job in self.jobs:
            job._task.cancel()

    firewall_mended = 0

    async def firewall_faults(self, *, repair: bool = False) -> list[str]:
        found = list(self.faults)
        if repair:
            self.faults.clear()
        return found

    async def create(self, spec: ContainerSpec, over: threading.Event | None = None) -> FakeContainer:
        del over
        if spec.handle in self.containers:
            raise HandleTaken(f"container with handle: {spec.handle} already exists.")
        container = FakeContainer(self, next(self._numbers), spec)
        self.containers[container.handle] = container
        self.events.emit(ContainerCreated(container.facts()))
        return container

    async def create_network(self, wanted: Bridge, *, choose6: bool = False) -> BridgeReport:
        subnet6 = "fd00::/64" if choose6 else wanted.subnet6
        bridge = replace(wanted, subnet4=wanted.subnet4 or "10.252.0.0/24", subnet6=subnet6)
        self.bridges[bridge.name] = BridgeReport(bridge, (BridgeMember("box", "eth0", ("10.252.0.2/24",), None),))
        return self.bridges[bridge.name]

    async def networks(self, name: str | None = None) -> list[BridgeReport]:
        if name is not None and name not in self.bridges:
            raise UnknownNetwork(f"network {name}: there is none of that name")
        return [report for key, report in self.bridges.items() if name in (None, key)]

    async def topology(self) -> Topology:
        host = Space(1, links=(Node("lo", 1, up=True, addresses=("127.0.0.1/8",)),), host=True)
        return Topology((host, *(Space(2 + place, (handle,)) for place, handle in enumerate(self.containers))))

    async def remove_network(self, name: str) -> None:
        await self.networks(name)
        del self.bridges[name]

    def get(self, handle: str) -> FakeContainer:
        if handle not in self.containers:
            raise UnknownHandle()
        return self.containers[handle]

    def handles(self) -> list[str]:
        return list(self.containers)

    async def stats(self, handles: Sequence[str] | None = None, *, brief: bool = False) -> list[Stats]:
        names = self.handles() if handles is None else handles
        return [await container.stats(brief=brief) for container in [self.get(name) for name in names]]

    async def systems(self, handles: Sequence[str]) -> list[str]:
        return [handle for handle in handles if handle in self.foreign]
