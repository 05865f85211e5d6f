"""What the server needs from an engine. Declared here, where it is used; `warden.engine` satisfies it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from warden.engine.events import Emitter
from warden.engine.history import History
from warden.model.info import Info
from warden.model.interfaces import Bridge, BridgeReport
from warden.model.job import Chunk, JobResult, JobSpec, WaitCondition
from warden.model.limits import Bandwidth, DiskChange, DiskLimits
from warden.model.logs import LogPlace, LogSelection
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Refusals
from warden.model.resources import LimitReport
from warden.model.spec import ContainerSpec
from warden.model.stats import Stats
from warden.model.topology import Topology
from warden.model.volumes import Volume


class Job(Protocol):
    """A job, running or ended. Its output is kept until `forget`, and read any number of times."""

    @property
    def id(self) -> int: ...

    @property
    def result(self) -> JobResult | None:
        """None while it runs."""
        ...

    async def wait(self) -> JobResult:
        """Waits for the end. Cancelling the wait leaves the job alone."""
        ...

    def follow(self, *, follow: bool = True, place: LogPlace | None = None) -> AsyncIterator[Chunk]:
        """Output from the first byte, or from *place* on, in the order it came, to the end of the job; without *follow*
        as far as it is."""
        ...

    def place(self, tail: int) -> LogPlace:
        """Where its last *tail* lines begin."""
        ...

    async def output(self) -> tuple[bytes, bytes]:
        """All of stdout and stderr so far."""
        ...

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, number: int, *, tree: bool = True) -> None: ...

    async def forget(self) -> None:
        """Drops an ended job and its output (Warden's link does so); twice is fine."""
        ...


class Container(Protocol):
    @property
    def handle(self) -> str: ...

    @property
    def grace_time(self) -> float | None: ...

    async def spawn(self, spec: JobSpec) -> Job: ...

    def job(self, job_id: int) -> Job:
        """Raises UnknownJob."""
        ...

    def jobs(self) -> Sequence[Job]: ...

    def logs(self, selection: LogSelection) -> AsyncIterator[Chunk | tuple[LogPlace, ...]]:
        """The output kept of its jobs in the order of time; when it is followed, first where each of them begins."""
        ...

    def main_job(self) -> Job:
        """The job that it was made for. Raises UnknownJob."""
        ...

    async def wait(self, job: Any, condition: WaitCondition) -> JobResult:
        """Waits for the end of *job*, one of its own, for the next end of any, or for its own removal; collects
        nothing."""
        ...

    async def inspect(self) -> Mapping[str, Any]:
        """Everything known of it, as a document of plain values."""
        ...

    async def info(self) -> Info: ...

    async def stop(self, *, kill: bool = False) -> None: ...

    async def destroy(self) -> None:
        """Twice is fine. Jobs still running end with Verdict.STOPPED."""
        ...

    async def pause(self) -> None:
        """Its processes stand still until `resume`; twice is fine. Then jobs cannot be spawned (WrongState)."""
        ...

    async def resume(self) -> None:
        """Fine for one that is not paused."""
        ...

    async def kill(self) -> None:
        """Ends every job by SIGKILL; the container stays active. Jobs end with Verdict.STOPPED."""
        ...

    async def start(self) -> None:
        """Starts its main job unless it runs; one that was stopped becomes active. BadInput without a main job."""
        ...

    async def restart(self, *, kill: bool = False) -> None:
        """Stops it, and starts its main job."""
        ...

    async def copy_in(self, src: str, dst: str) -> None:
        """From the host into the container. Cancelling it ends the copy."""
        ...

    async def copy_out(self, src: str, dst: str, owner: str = "") -> None:
        """From the container to the host. Cancelling it ends the copy."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Limits that were asked at its creation, best effort, and could not be set."""
        ...

    async def limit(
        self, settings: Sequence[tuple[str, str]] = (), *, best_effort: bool = False, raw: bool = False
    ) -> LimitReport:
        """Changes limits by name, all or none of them, and tells all that are in force."""
        ...

    async def limit_memory(self, limit_bytes: int | None) -> int | None:
        """Sets the limit when one is given; answers the limit in force as the kernel rounded it, None unlimited."""
        ...

    async def net_in(self, host_port: int | None = None, container_port: int | None = None) -> tuple[int, int]:
        """Forwards a TCP port of the host, one of the pool unless named; answers both ports."""
        ...

    async def publish(self, wish: PortMap) -> PortMap:
        """Forwards a port for this container alone; one of the pool for host port 0."""
        ...

    async def remove_port(self, host_port: int, protocol: str = "tcp", host_ip: str | None = None) -> None: ...

    async def net_out(self, rule: NetRule) -> None: ...

    def net_state(self) -> NetState:
        """Its rules, its policy and its ports."""
        ...

    async def remove_rule(self, index: int | None = None, rule: NetRule | None = None) -> None:
        """By its number from 1 up, or the oldest that is equal."""
        ...

    async def replace_rules(
        self,
        rules: Sequence[NetRule] | None = None,
        *,
        policy: NetPolicy | None = None,
        keep_policy: bool = True,
        connections: int | None = None,
        keep_connections: bool = True,
    ) -> None:
        """All rules at once, None: they stay; and its policy unless that is kept."""
        ...

    async def refusals(self) -> Refusals:
        """What it was refused within the last hour."""
        ...

    async def limit_cpu(self, shares: int | None) -> int:
        """Sets the shares when they are given; answers those in force as the kernel clamped them."""
        ...

    async def limit_bandwidth(self, wanted: Bandwidth) -> Bandwidth:
        """Limits both directions of its link; answers what was asked."""
        ...

    async def limit_disk(self, change: DiskChange) -> DiskLimits | None:
        """Changes what is given; answers what was asked so far, None where disks are not to be limited at all."""
        ...


class Volumes(Protocol):
    """Files that outlive containers, by name."""

    async def create(self, name: str | None = None) -> Volume:
        """A new one; without *name* one is made up. Raises VolumeTaken."""
        ...

    async def all(self) -> Sequence[Volume]: ...

    async def get(self, name: str) -> Volume:
        """Raises UnknownVolume."""
        ...

    async def remove(self, name: str) -> None:
        """Raises UnknownVolume, VolumeInUse."""
        ...

    async def prune(self, *, every: bool = False) -> Sequence[str]:
        """Removes those without a name that no container has, *every*: named ones too."""
        ...


class Engine(Protocol):
    async def start(self) -> None:
        """Locks the depot and takes up what runs. Raises when another engine holds the depot."""
        ...

    async def close(self) -> None:
        """Lets go of everything and leaves all containers and jobs running."""
        ...

    async def create(self, spec: ContainerSpec, over: threading.Event | None = None) -> Container:
        """*over* is set when nobody wants it any more."""
        ...

    async def rename(self, old: str, new: str) -> None:
        """Raises UnknownHandle, HandleTaken, BadInput."""
        ...

    @property
    def volumes(self) -> Volumes: ...

    def get(self, handle: str) -> Container:
        """Raises UnknownHandle."""
        ...

    def handles(self) -> Sequence[str]: ...

    async def stats(self, handles: Sequence[str] | None = None, *, brief: bool = False) -> Sequence[Stats]:
        """What these containers use, or all, LXC's too; one that vanishes meanwhile is left out. Raises UnknownHandle."""
        ...

    async def systems(self, handles: Sequence[str]) -> Sequence[str]:
        """Handles of those of LXC's containers that are meant and that run; they mean no other later."""
        ...

    async def create_network(self, wanted: Bridge, *, choose6: bool = False) -> BridgeReport:
        """A bridge that stays until it is removed; *choose6*: its IPv6 network is chosen too."""
        ...

    async def networks(self, name: str | None = None) -> Sequence[BridgeReport]:
        """All bridges, or one, and who is on them. Raises UnknownNetwork."""
        ...

    async def remove_network(self, name: str) -> None: ...

    async def topology(self) -> Topology:
        """How host and containers are connected at this moment."""
        ...

    async def firewall_faults(self, *, repair: bool = False) -> Sequence[str]:
        """What is wrong with the tables of nftables, and was put right if *repair*."""
        ...

    @property
    def firewall_mended(self) -> int:
        """How often that was, unasked or asked."""
        ...

    @property
    def events(self) -> Emitter:
        """What happens to containers and jobs."""
        ...

    @property
    def history(self) -> History:
        """The same, numbered and kept for a while."""
        ...
