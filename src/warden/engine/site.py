"""What every part of one engine shares: settings, the layers' drivers, worker threads, pools."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from warden.cgroup.driver import Manager
from warden.depot.depot import Depot
from warden.engine import networking
from warden.engine.events import Emitter
from warden.engine.hooks import Hooks
from warden.engine.janitor import Janitor
from warden.engine.lending import Lending
from warden.engine.logtag import Syslog
from warden.engine.networks import Networks
from warden.engine.resolvers import Resolvers
from warden.engine.transfers import Transfers
from warden.engine.volumes import Volumes
from warden.errors import PoolExhausted
from warden.model.settings import EngineSettings
from warden.network.firewall import Firewall
from warden.network.forwarding import read_ephemeral_end
from warden.network.holding import PortHolder
from warden.network.pool import NetworkPool, PortPool
from warden.network.slots import Slots
from warden.plan.container import ID_COUNT
from warden.process.launch import Binary
from warden.records import dataclass, field
from warden.rootfs.disks import Disks
from warden.rootfs.images import ImageStore

T = TypeVar("T")
WORKERS = 8
FILLERS = 4  # creates at once that may have to fill a volume; their threads start with the first


@dataclass(slots=True)
class Pools:
    """What containers take and give back: networks, ports, uids of vcap, ranges of host ids."""

    networks: NetworkPool
    ports: PortPool
    uids: Slots
    ranges: Slots
    first_uid: int
    first_id: int

    def take_uid(self) -> int:
        slot = self.uids.acquire(time.monotonic())
        if slot is None:
            raise PoolExhausted("no uid available", hint="raise user.pool_size, or destroy containers")
        return self.first_uid + slot

    def give_uid(self, uid: int) -> None:
        self.uids.release(uid - self.first_uid, time.monotonic())

    def take_range(self) -> int:
        slot = self.ranges.acquire(time.monotonic())
        if slot is None:
            hint = "raise user.id_range_count, or destroy containers"
            raise PoolExhausted("no range of host ids available", hint=hint)
        return self.first_id + slot * ID_COUNT

    def give_range(self, base: int) -> None:
        self.ranges.release((base - self.first_id) // ID_COUNT, time.monotonic())


@dataclass(slots=True)
class Site:
    """One engine's world. Blocking work goes through `blocking`, so that the event loop never waits for the kernel."""

    settings: EngineSettings
    depot: Depot
    images: ImageStore
    cgroups: Manager
    firewall: Firewall
    binary: Binary
    pools: Pools
    disks: Disks
    workers: ThreadPoolExecutor
    lang: str
    seccomp: bytes
    syslog: Syslog
    hooks: Hooks
    networks: Networks
    lending: Lending
    resolvers: Resolvers
    #: Whose network is shared, by id, and by whom: id and handle.
    sharers: dict[str, dict[str, str]] = field(default_factory=dict)
    transfers: Transfers = field(default_factory=Transfers)
    events: Emitter = field(default_factory=Emitter)
    held: PortHolder = field(default_factory=PortHolder)
    builders: ThreadPoolExecutor | None = None  # where creates wait for hooks without holding up others; None: workers
    fillers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(FILLERS, thread_name_prefix="filler"))
    last_job: int = 0
    background: set[asyncio.Task[None]] = field(default_factory=set)
    janitor: Janitor = field(init=False)
    volumes: Volumes = field(init=False)

    def __post_init__(self) -> None:
        self.janitor = Janitor(self.blocking, self.in_background)
        self.volumes = Volumes(self.settings, self.blocking, self.in_background, self.events)

    async def blocking(self, function: Callable[..., T], *args: object) -> T:
        """Runs *function* in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, function, *args)

    async def building(self, function: Callable[..., T], *args: object, copies: bool = False) -> T:
        """The same for what an operator's program may hold up, or a copy of whatever size (*copies*)."""
        threads = self.fillers if copies else self.builders or self.workers
        return await asyncio.get_running_loop().run_in_executor(threads, function, *args)

    def next_job(self) -> int:
        """Numbers of jobs count up over the whole engine (spec/warden.md §4)."""
        self.last_job += 1
        return self.last_job

    def in_background(self, task: asyncio.Task[None]) -> None:
        """Keeps a task alive until it is done; `Engine.close` waits for it."""
        self.background.add(task)
        task.add_done_callback(self.background.discard)


def make_pools(settings: EngineSettings) -> Pools:
    """Raises BadInput when the pool of networks is not one, or there are too few ports."""
    network = networking.network(settings.pool_network, "network.pool_network")
    return Pools(
        networks=NetworkPool(network, release_delay=settings.release_delay),
        ports=PortPool(read_ephemeral_end(), settings.pool_start_port, settings.pool_port_count),
        uids=Slots(settings.pool_uid_count),
        ranges=Slots(settings.id_range_count),
        first_uid=settings.pool_start_uid,
        first_id=settings.id_range_start,
    )


def system_lang() -> str:
    """LANG of jobs: the engine's own, else Warden's default."""
    return os.environ.get("LANG") or "en_US.UTF-8"
