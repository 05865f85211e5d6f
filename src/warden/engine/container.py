"""One container from its first to its last moment: state, jobs, limits, events, stop, destroy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from warden.cgroup.groups import ContainerGroup
from warden.depot.depot import ContainerDirectory
from warden.depot.snapshot import Snapshot
from warden.engine import (
    belongings,
    copying,
    destroying,
    diskroom,
    inspecting,
    limits,
    logs,
    networking,
    oom,
    pausing,
    sharing,
    spawn,
    stats,
    stopping,
    waiting,
)
from warden.engine.describe import info_of
from warden.engine.events import (
    ContainerDestroyed,
    ContainerFacts,
    ContainerStopped,
    Event,
    JobEnded,
)
from warden.engine.facts import facts_of
from warden.engine.initprocess import InitProcess
from warden.engine.job import Job
from warden.engine.jobtable import JobTable
from warden.engine.mainjob import MainJob
from warden.engine.record import ContainerRecord, rows_of
from warden.engine.site import Site
from warden.errors import WrongState
from warden.model.info import Info, State
from warden.model.job import Chunk, JobResult, JobSpec, Verdict, WaitCondition
from warden.model.limits import Bandwidth, DiskChange, DiskLimits
from warden.model.logs import LogPlace, LogSelection
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Refusals
from warden.model.resources import LimitReport
from warden.model.stats import Stats
from warden.process.channel import Channel
from warden.records import replace

log = logging.getLogger("warden.container")

TOO_MUCH_OUTPUT = "command exceeded maximum output"


class Container:
    """A container. *on_gone* is called once when it is destroyed, so that its resources are given back."""

    def __init__(
        self,
        site: Site,
        snapshot: Snapshot,
        directory: ContainerDirectory,
        group: ContainerGroup,
        pidfd: int,
        on_gone: Callable[[Container], None],
        warnings: Sequence[str] = (),
    ) -> None:
        self.warnings = tuple(warnings)
        self._site = site
        self.record = ContainerRecord(directory, snapshot)
        self._directory = directory
        self._group = group
        group.recall(self.record.past)
        self._on_gone = on_gone
        self.table = JobTable(self)
        self._changing = asyncio.Lock()
        self._gate = pausing.Gate()
        self._deciding = asyncio.Lock()  # held from a stop's hooks to the stop
        self.last_facts: tuple[Snapshot, ContainerFacts] | None = None  # kept by facts.py
        self.main = MainJob(self)
        self.memory = oom.MemoryWatch(self)
        self.init = InitProcess(
            directory / "run", pidfd, lambda: self.handle, self.table.take, self.table.missed, self._on_init_over
        )
        if snapshot.memory_limit is not None:
            self.memory.watch()

    # ---- what it is

    @property
    def id(self) -> str:
        return self.snapshot.container_id

    @property
    def handle(self) -> str:
        return self.snapshot.handle

    @property
    def grace_time(self) -> float | None:
        return self.snapshot.grace_time

    @property
    def state(self) -> State:
        return self.snapshot.state

    @property
    def snapshot(self) -> Snapshot:
        return self.record.snapshot

    @property
    def site(self) -> Site:
        return self._site

    @property
    def directory(self) -> ContainerDirectory:
        return self._directory

    @property
    def group(self) -> ContainerGroup:
        return self._group

    @property
    def pid(self) -> int:
        """PID 1 as the host numbers it; 0 when it is gone."""
        return self.init.pid

    @property
    def pidfd(self) -> int:
        """Of PID 1; -1 when it is gone and reaped."""
        return self.init.pidfd

    def tell(self, kind: Callable[[ContainerFacts], Event]) -> None:
        """Tells whoever listens that *kind* has happened to it."""
        if self._site.events:
            self._site.events.emit(kind(facts_of(self)))

    def connection(self) -> Channel:
        """To its PID 1; raises EngineFault when that is gone."""
        return self.init.connection()

    def require(self, *allowed: State) -> None:
        """Raises WrongState, with Warden's text, unless the state is one of *allowed*."""
        if self.state not in allowed:
            names = ", ".join(state.value for state in allowed)
            raise WrongState(f"Container state must be one of '{names}', current state is '{self.state.value}'")

    # ---- jobs

    async def spawn(self, spec: JobSpec) -> Job:
        """Starts a job. Raises WrongState, also while it is paused, and JobFailed when it cannot start (then nothing is
        left of it)."""
        self.require(State.ACTIVE)
        spec.check_script()
        with self.passing():
            return await spawn.spawn(self, spec)

    def passing(self) -> contextlib.AbstractContextManager[None]:
        """Around each start of a job. Raises WrongState while the container is paused."""
        return self._gate.passing(self)

    async def start(self) -> None:
        """Starts its main job unless it runs; if it was stopped it becomes active. Raises BadInput without a main job,
        WrongState, JobFailed."""
        self.require(State.ACTIVE, State.STOPPED)
        await self.main.start()

    async def restart(self, *, kill: bool = False) -> None:
        """Stops it, and starts its main job."""
        self.require(State.ACTIVE, State.STOPPED)
        await self.main.restart(kill=kill)

    def job(self, job_id: int) -> Job:
        """Raises UnknownJob."""
        return self.table.get(job_id)

    def jobs(self) -> list[Job]:
        return self.table.all()

    def logs(self, selection: LogSelection) -> AsyncIterator[Chunk | tuple[LogPlace, ...]]:
        """The output kept of its jobs, in the order of time; when it is followed, first where each of them begins. Raises
        UnknownJob."""
        return logs.read(self, selection)

    def main_job(self) -> Job:
        """The job that it was made for. Raises UnknownJob."""
        return waiting.main_job(self)

    async def wait(self, job: Job | None, condition: WaitCondition) -> JobResult:
        """Waits without collecting anything: for the end of *job* (None: of none in particular), for the next end of a
        job, or for its own removal; then the result is *job*'s, 0 without one."""
        return await waiting.wait(self, job, condition)

    def job_ended(self, job: Job, result: JobResult) -> None:
        """A job was judged."""
        self._site.janitor.add_record(self)
        if result.verdict is Verdict.OUTPUT_LIMIT:
            self.add_event(TOO_MUCH_OUTPUT)
        self.tell(partial(JobEnded, job_id=job.id, command=job.about.command, result=result))
        self.main.ended(job, result)

    def lack_of_room(self) -> str:
        """Blocking: what of its disk is full, "" when nothing is."""
        return diskroom.lack_of_room(self)

    def disown(self, job: Job) -> None:
        """A job whose result was collected is no longer one of the container's."""
        self.table.remove(job)

    # ---- control

    async def pause(self) -> None:
        """Every process but PID 1 stands still until `resume`, also over restarts; it can be stopped, killed and
        destroyed all the same. Wall clocks of jobs go on. Twice is fine. Raises WrongState, KernelRefused when a process
        cannot be frozen (then none is)."""
        await pausing.pause(self, self._gate)

    async def resume(self) -> None:
        """Lets them go on; fine for one that is not paused. Raises WrongState, KernelRefused."""
        await pausing.resume(self)
        self.main.resumed()

    async def kill(self) -> None:
        """SIGKILL to every process of every job, and returns when the jobs have ended; the container stays active, and
        paused if it was, and its main job is not started again. Raises WrongState, KernelRefused."""
        self.require(State.ACTIVE)
        await self.main.halt_settled()
        await stopping.kill_jobs(self)

    # ---- files

    async def copy_in(self, src: str, dst: str) -> None:
        """Copies *src* of the host to *dst* in the container, with rsync's meaning of slashes, as user vcap. Raises
        WrongState, BadInput (nothing was changed) and KernelRefused, naming the file."""
        self.require(State.ACTIVE)
        await copying.copy_in(self, src, dst)

    async def copy_out(self, src: str, dst: str, owner: str = "") -> None:
        """Copies *src* of the container to *dst* of the host, owned by root or by *owner*, "user" or "user:group"."""
        self.require(State.ACTIVE, State.STOPPED)
        await copying.copy_out(self, src, dst, owner)

    # ---- limits and statistics

    async def limit(
        self, settings: Sequence[tuple[str, str]] = (), *, best_effort: bool = False, raw: bool = False
    ) -> LimitReport:
        """Changes any limits, (name, value) by the names of model/resources.py, all of them or none, and tells all.

        Raises WrongState, BadInput, KernelRefused. *best_effort*: what this machine cannot do is left out and told as
        a warning. *raw*: the kernel's files too.
        """
        return await limits.limit(self, settings, best_effort=best_effort, raw=raw)

    async def limit_memory(self, limit_bytes: int | None) -> int | None:
        """Sets the limit when one is given; answers the one in force as the kernel rounded it, None unlimited."""
        return await limits.limit_memory(self, limit_bytes)

    async def limit_cpu(self, shares: int | None) -> int:
        """Sets the shares when they are given; answers those in force as the kernel clamped them."""
        return await limits.limit_cpu(self, shares)

    async def limit_bandwidth(self, wanted: Bandwidth) -> Bandwidth:
        """Limits its link in both directions; answers what was asked. Raises BadInput without a link, KernelRefused;
        then the limit before is in force."""
        return await limits.limit_bandwidth(self, wanted)

    async def limit_disk(self, change: DiskChange) -> DiskLimits | None:
        """Changes what is given; answers what was asked so far, None where disks are not to be limited at all. Raises
        BadInput where there is no way to limit them."""
        return await limits.limit_disk(self, change)

    def alone(self) -> asyncio.Lock:
        """Held by whoever changes this container, whatever its state."""
        return self._changing

    @contextlib.asynccontextmanager
    async def changing(self, *allowed: State) -> AsyncIterator[None]:
        """Inside, nobody else changes this container. Raises WrongState unless its state is one of *allowed*, by default
        any but destroyed."""
        states = allowed or (State.ACTIVE, State.STOPPED)
        self.require(*states)
        async with self._changing:
            self.require(*states)
            yield

    # ---- network

    async def net_in(self, host_port: int | None = None, container_port: int | None = None) -> tuple[int, int]:
        """Forwards a TCP port of the host's addresses, *container_port* the same unless given; both as they are then.
        Several containers may ask for one, the first has it.

        Raises WrongState, PoolExhausted without a *host_port*, BadInput, EngineFault; then nothing was changed.
        """
        wish = networking.net_in_wish(host_port, container_port)
        async with self.changing(State.ACTIVE):
            found = await networking.net_in(self, wish, alone=False)
            return found.host_port, found.container_port

    async def publish(self, wish: PortMap) -> PortMap:
        """The same for TCP and UDP, one address of the host or all, and for this container alone: BadInput is raised when
        another one or a program of the host has the port. Host port 0: one of the pool; container port 0: the same."""
        async with self.changing(State.ACTIVE):
            return await networking.net_in(self, wish, alone=True)

    async def remove_port(self, host_port: int, protocol: str = "tcp", host_ip: str | None = None) -> None:
        """A port that leads here does not any more; connections that are established go on. *host_ip* None: at whatever
        address. Raises BadInput when none does, WrongState, EngineFault."""
        async with self.changing(State.ACTIVE):
            await networking.remove_port(self, host_port, protocol, host_ip)

    async def net_out(self, rule: NetRule) -> None:
        """Lets the container begin such traffic. Raises WrongState, EngineFault; then nothing was changed."""
        async with self.changing(State.ACTIVE):
            await networking.net_out(self, rule)

    def net_state(self) -> NetState:
        """What it may reach, and which ports lead to it."""
        return networking.state(self.snapshot)

    async def remove_rule(self, index: int | None = None, rule: NetRule | None = None) -> None:
        """Takes a rule of net_out back, by its number from 1 up, the oldest first, or the oldest that is equal.
        Connections that are established go on. Raises BadInput when there is none, WrongState, EngineFault."""
        async with self.changing(State.ACTIVE):
            await networking.remove_rule(self, index, rule)

    async def replace_rules(
        self,
        rules: Sequence[NetRule] | None = None,
        *,
        policy: NetPolicy | None = None,
        keep_policy: bool = True,
        connections: int | None = None,
        keep_connections: bool = True,
    ) -> None:
        """All its rules at once, None: they stay; and unless *keep_policy* where it may go without one, None: as all;
        *connections*: the same of how many it may have. Raises WrongState, EngineFault; then nothing was changed."""
        async with self.changing(State.ACTIVE):
            before = self.snapshot
            wanted = before.net_policy if keep_policy else policy
            bound = before.net_connections if keep_connections else connections
            await networking.replace_rules(self, before.net_out if rules is None else rules, wanted, bound)

    async def refusals(self) -> Refusals:
        """What it was refused within the last hour. Raises EngineFault."""
        return await self._site.blocking(self._site.firewall.refusals, self.id)

    def rename(self, handle: str) -> None:
        """From now on it has this handle; raises KernelRefused, and then the old one holds."""
        self.record.write(replace(self.snapshot, handle=handle, spec=replace(self.snapshot.spec, handle=handle)))
        sharing.renamed(self)

    def save(self, snapshot: Snapshot) -> None:
        """From now on *snapshot* is what it is, on disk too, as soon as that has room."""
        self.record.save(snapshot)
        if self.record.behind:
            self._site.janitor.add_record(self)

    @property
    def behind(self) -> bool:
        """Whether what is on disk of it is not what it is."""
        return self.record.behind

    def job_table(self) -> Callable[[], None]:
        """Puts the table of its jobs on disk as it is now, when it is called: blocking."""
        return self.record.table_writer(rows_of(self.jobs()), self._group.past)

    async def info(self) -> Info:
        """State, addresses, statistics and jobs at this moment."""
        self.require(State.ACTIVE, State.STOPPED)
        return await info_of(self)

    async def inspect(self) -> dict[str, Any]:
        """Everything known of it, as a document of plain values (docs/observing.md)."""
        self.require(State.ACTIVE, State.STOPPED)
        return await inspecting.inspect(self)

    async def stats(self, *, brief: bool = False) -> Stats:
        """What it uses now; *brief*: what costs little. Raises WrongState, KernelRefused."""
        self.require(State.ACTIVE, State.STOPPED)
        return await stats.measure_one(self, brief=brief)

    # ---- what happens to it

    def catch_up(self) -> None:
        """What an earlier engine had begun or had not seen: a stop that it did not finish, a want of memory."""
        self.memory.catch_up()
        if self.state is State.STOPPED:
            self._site.in_background(asyncio.ensure_future(self.main.end_stop()))
        else:
            self.memory.look()
            self.main.catch_up()

    def add_event(self, text: str) -> None:
        """Each event is told once; one of a container that is gone is dropped."""
        if text not in self.snapshot.events and not self.init.gone:
            self.save(replace(self.snapshot, events=(*self.snapshot.events, text)))

    # ---- the end

    async def stop(self, *, kill: bool = False) -> None:
        """Ends every process but PID 1: TERM, after `stop_timeout` KILL, or KILL at once. A second stop does nothing.
        Raises HookFailed when a hook refuses it."""
        self.require(State.ACTIVE, State.STOPPED)
        async with self._deciding:
            if self.state is State.ACTIVE:
                await self._site.hooks.run("before_stop", facts_of(self))
            if self.state is not State.ACTIVE or self.init.ending:
                return
            self.save(self.main.stopped())
            self.main.halt()
        await stopping.end_stopped(self, kill=kill)

    async def destroy(self) -> None:
        """Kills and removes everything. Goes on after errors and raises the first; twice is fine. Raises WrongState while
        others share its network."""
        sharing.check_unshared(self)
        self.init.ending = True
        self.main.close()
        self.init.kill()  # before the lock: a stop that waits for its processes ends with them
        await self._site.transfers.end(self.id)
        async with self._changing:
            if self.state is State.DESTROYED:
                return
            failures = await destroying.take_away(self)
            if failures:
                raise failures[0]
            self.record.snapshot = self.snapshot.with_state(State.DESTROYED)
            belongings.tell_given_back(self)
            self._on_gone(self)
            self.tell(ContainerDestroyed)
            await self._site.hooks.run("after_destroy", facts_of(self))

    def _on_init_over(self) -> None:
        """Unless it was asked to, the container is over, its jobs with it."""
        if self.init.ending:
            self.init_gone()
            return
        log.error("container %s: its PID 1 is gone", self.handle)
        self.init_gone(Verdict.ENGINE_ERROR, "PID 1 of the container was killed")
        self.save(self.snapshot.with_state(State.STOPPED))
        self.tell(ContainerStopped)

    def init_gone(self, cause: Verdict = Verdict.STOPPED, detail: str = "") -> None:
        """PID 1 has ended, and every job with it, for this *cause*."""
        self.init.disconnect()
        self.table.lose(cause, detail)

    def close(self) -> None:
        """Lets go of everything; container and jobs go on."""
        self.main.close()
        self.memory.close()
        self.table.close()
        self.init.close()
