"""The engine: a registry of containers over one depot, with or without a daemon. It is what server.ports asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from warden.cgroup.driver import Manager
from warden.depot.depot import Depot
from warden.depot.snapshot import Snapshot
from warden.engine import (
    acquiring,
    belongings,
    build,
    limits,
    mainjob,
    networking,
    pausing,
    ports,
    recovery,
    sharing,
    starthooks,
    stats,
    systems,
    topology,
)
from warden.engine.container import Container
from warden.engine.events import ContainerCreated, ContainerRenamed, Emitter, Event
from warden.engine.facts import facts_of
from warden.engine.guarding import guard
from warden.engine.history import History
from warden.engine.hooks import Hooks
from warden.engine.ids import IdSource
from warden.engine.lending import Lending
from warden.engine.limitinput import check_memory
from warden.engine.logtag import Syslog
from warden.engine.networks import Networks
from warden.engine.resolvers import Resolvers
from warden.engine.site import WORKERS, Site, make_pools, system_lang
from warden.engine.volumes import Volumes, names_in, with_borrowed
from warden.errors import EngineFault, HandleTaken, NotBuilt, NotPermitted, UnknownHandle, WardenError
from warden.model.interfaces import Bridge, BridgeReport
from warden.model.mounts import Mount
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, check_handle
from warden.model.stats import Stats
from warden.model.topology import Topology
from warden.network.firewall import open_firewall
from warden.network.forwarding import open_outer
from warden.plan.seccomp import job_filter
from warden.process.launch import Binary
from warden.records import replace
from warden.rootfs.disks import Disks
from warden.rootfs.images import ImageStore
from warden.undo import AsyncUndo, Undo

log = logging.getLogger("warden.engine")

NETWORK = ".network"  # of the depot: networks that containers share, and links that they have
HOST_LOOK_S = 1.0
BACKGROUND_S = 5.0  # how long `close` waits for what was begun, such as a stop; recovery finishes the rest


class Engine:
    """Containers of one depot. `start` before anything else; `close` leaves everything running."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.events = Emitter()
        self.history = History(os.path.join(settings.depot, ".events"))
        if settings.hooks.get("on_out_of_memory") or settings.hooks.get("on_job_end"):
            self.events.subscribe(self._run_hooks_after)
        self._containers: dict[str, Container] = {}
        self._reserved: set[str] = set()
        self._ids = IdSource()
        self._site: Site | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._creating = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def site(self) -> Site:
        if self._site is None:
            raise EngineFault("engine: not started")
        return self._site

    # ---- start and close

    async def start(self) -> None:
        """Locks the depot and takes up what runs. Raises NotPermitted without root, EngineFault when another engine
        holds the depot, BadInput when a setting is wrong."""
        if os.geteuid() != 0:
            raise NotPermitted("engine: containers need root", hint="run it with sudo")
        _raise_open_files()
        depot = Depot(self.settings.depot)
        depot.lock()
        try:
            self._site = self._make_site(depot)
            self.history.start(self.events)
            await self._recover()
            self._keepers = [asyncio.ensure_future(one) for one in (self._look_after_host(), guard(self.site))]
        except BaseException:
            await self.close()
            depot.unlock()
            raise

    async def _look_after_host(self) -> None:
        """Beside what else goes on, so that neither the start nor the first container waits for a file system."""
        site = self.site
        await site.blocking(site.disks.chosen)
        while True:
            await asyncio.sleep(HOST_LOOK_S)
            for what, look in (("disks: the host's room", site.disks.look_after_host), ("firewall", site.firewall.look)):
                try:
                    await site.blocking(look)
                except (OSError, WardenError) as error:
                    log.error("%s: %s", what, error)
            await site.blocking(site.cgroups.count_new_devices)

    def _make_site(self, depot: Depot) -> Site:
        pools = make_pools(self.settings)
        with Undo() as undo:
            disks = Disks(self.settings)
            undo.add("disks", disks.close)
            disks.start()
            cgroups = Manager(self.settings.cgroup_parent)
            cgroups.prepare()
            firewall = open_firewall(networking.policy(self.settings))
            site = Site(
                settings=self.settings,
                depot=depot,
                images=ImageStore(self.settings.images),
                cgroups=cgroups,
                firewall=firewall,
                networks=Networks(
                    self.settings, firewall, f"{depot.path}/{NETWORK}/bridges", networking.teller(self.events)
                ),
                lending=Lending(f"{depot.path}/{NETWORK}/lent"),
                resolvers=Resolvers(self.settings, self._snapshots),
                binary=Binary(self.settings.wshd),
                pools=pools,
                disks=disks,
                workers=ThreadPoolExecutor(WORKERS, thread_name_prefix="warden"),
                builders=starthooks.builders(self.settings),
                lang=system_lang(),
                seccomp=job_filter(),
                syslog=Syslog(self.settings.syslog_socket),
                hooks=Hooks(self.settings.hooks),
                events=self.events,
            )
            undo.release()
        return site

    def _snapshots(self) -> list[Snapshot]:
        return [container.snapshot for container in self._containers.values()]

    async def _recover(self) -> None:
        site = self.site
        survivors = await site.blocking(recovery.survey, site)
        site.volumes.handles = self._handles_by_id
        await site.volumes.start((found.snapshot.container_id, found.snapshot.spec) for found in survivors)
        guests = [guest for guest in (networking.guest(found.snapshot) for found in survivors) if guest is not None]
        bridges = await site.blocking(site.networks.load, [found.snapshot for found in survivors])
        await site.blocking(site.firewall.start, guests, bridges)
        await site.blocking(site.networks.settle)
        await site.blocking(site.lending.settle, [found.snapshot.container_id for found in survivors])
        await site.blocking(ports.take_up, site, guests)
        if self.settings.forwarding:
            await site.blocking(open_outer)
        for found in survivors:
            try:
                container = recovery.resume(site, found, self._gone)
            except OSError as error:
                log.error("container %s: %s; it is removed", found.snapshot.handle, error)
                await site.blocking(recovery.remove, site, found.directory, found.pidfd, found.snapshot)
                await site.volumes.release(found.snapshot.container_id)
                continue
            acquiring.take_up(site, found.snapshot)
            self._ids.avoid(found.snapshot.container_id)
            self._containers[container.handle] = container
            if found.snapshot.links:
                await site.blocking(site.lending.hold, container.id, container.pid)
            try:
                await limits.reapply(container)
                await site.blocking(pausing.reapply, container)
                await recovery.recall_jobs(container)
                container.catch_up()
            except NotBuilt:
                raise
            except (WardenError, OSError) as error:  # one that cannot be taken up must not cost the others
                log.error("container %s: %s; it is destroyed", container.handle, error)
                with contextlib.suppress(WardenError, OSError):
                    await container.destroy()
        await networking.settle_resolvers(site)

    async def close(self) -> None:
        """Finishes what is being created, then lets go of everything; containers and jobs go on."""
        if self._site is None:
            return
        self._site.volumes.cut_off()
        await self._idle.wait()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        await self._site.transfers.end()
        for container in self._containers.values():
            self._site.janitor.add_record(container)  # the last word, as the original wrote it at a drain
        await self._site.janitor.clean()
        self._site.janitor.close()
        if self._site.background:
            await asyncio.wait(self._site.background, timeout=BACKGROUND_S)
        for container in self._containers.values():
            container.close()
        if not self._containers:
            await self._site.blocking(self._site.cgroups.remove_parent_if_empty)
            await self._site.blocking(self._site.disks.close)
        else:
            await self._site.blocking(self._site.disks.rest)
        self._site.resolvers.close()
        await self._site.blocking(self._site.networks.close)
        self._site.lending.close()
        await self._site.blocking(partial(self._site.firewall.close, remove=not self._containers))
        await self._site.volumes.close()
        self._site.workers.shutdown(wait=True)
        self._site.fillers.shutdown(wait=True)
        if self._site.builders is not None:
            self._site.builders.shutdown(wait=True)
        self._site.held.close()
        self._site.binary.close()
        self._site.syslog.close()
        self.history.close()
        self._site.depot.unlock()
        self._containers.clear()
        self._site = None

    async def firewall_faults(self, *, repair: bool = False) -> list[str]:
        """What is not as it must be in the kernel's tables, in words; *repair*: and was put right. Established
        connections go on. Raises EngineFault."""
        firewall = self.site.firewall
        return await self.site.blocking(firewall.repair if repair else firewall.faults)

    @property
    def firewall_mended(self) -> int:
        """How often what other programs did to those tables was put right, since the start."""
        return 0 if self._site is None else self._site.firewall.mended

    # ---- containers

    def get(self, handle: str) -> Container:
        if handle not in self._containers:
            raise UnknownHandle()
        return self._containers[handle]

    def handles(self) -> list[str]:
        return list(self._containers)

    async def stats(self, handles: Sequence[str] | None = None, *, brief: bool = False) -> list[Stats]:
        """What these containers use now, or all, LXC's too; *brief*: what costs little. One that vanishes meanwhile is
        left out. Raises UnknownHandle."""
        names = self.handles() if handles is None else list(dict.fromkeys(handles))
        own = [self._containers[name] for name in names if name in self._containers]
        others = None if handles is None else [name for name in names if name not in self._containers]
        found = await stats.measure(self.site, own, brief=brief)
        return found + (await stats.measure_systems(self.site, others, brief=brief) if others != [] else [])

    async def systems(self, handles: Sequence[str]) -> list[str]:
        """Those of LXC's containers that *handles* mean and that run, by `lxc:` and their ids, which mean no other."""
        return await self.site.blocking(systems.present, handles)

    # ---- networks that containers share

    async def create_network(self, wanted: Bridge, *, choose6: bool = False) -> BridgeReport:
        """A bridge that stays until it is removed, its networks as given or the next of the pools (*choose6*: of IPv6
        too). Raises BadInput, WrongState, PoolExhausted, NotSupported, KernelRefused; then nothing is left."""
        site = self.site
        return BridgeReport(await site.blocking(partial(site.networks.create, wanted, choose6=choose6)))

    async def networks(self, name: str | None = None) -> list[BridgeReport]:
        """All bridges, or one, and who is on them. Raises UnknownNetwork."""
        found = await self.site.blocking(self.site.networks.members, name)
        handles = self._handles_by_id()
        return [networking.report(bridge, users, handles) for bridge, users in found]

    async def remove_network(self, name: str) -> None:
        """The kernel is not waited for. Raises UnknownNetwork, WrongState while containers are on it, KernelRefused."""
        site = self.site
        await site.blocking(site.networks.remove, name)
        site.in_background(asyncio.ensure_future(site.blocking(site.networks.bury)))

    async def topology(self) -> Topology:
        """How the host and the containers are connected at this moment."""
        with contextlib.ExitStack() as stack:
            subjects = []
            for one in self._containers.values():
                if one.pidfd >= 0:
                    pidfd = os.dup(one.pidfd)  # a container may go meanwhile
                    stack.callback(os.close, pidfd)
                    subjects.append(topology.Subject(one.snapshot, pidfd))
            bridges = [bridge.name for bridge, _ in await self.site.blocking(self.site.networks.members)]
            return await self.site.blocking(topology.survey, subjects, bridges, self.settings.mtu)

    # ---- a new container

    async def create(self, spec: ContainerSpec, over: threading.Event | None = None) -> Container:
        """A running container. Raises HandleTaken, PoolExhausted, BadInput, ImageError, KernelRefused; then nothing is
        left. *over* can be set by whoever does not want it any more: then a long copy is not waited for."""
        mainjob.check(spec)
        check_memory(spec.limits)
        systems.check(spec.handle or "")
        container_id = self._ids.next()
        handle = spec.handle or container_id
        if handle in self._containers or handle in self._reserved:
            raise HandleTaken(f"container with handle: {handle} already exists.")
        self._reserved.add(handle)
        self._creating += 1
        self._idle.clear()
        over = over or threading.Event()
        try:
            # Shielded: a caller that goes away leaves a whole container or none, never a half.
            return await asyncio.shield(asyncio.ensure_future(self._create(spec, handle, container_id, over)))
        except asyncio.CancelledError:
            over.set()
            raise

    async def rename(self, old: str, new: str) -> None:
        """From now on *old* is called *new*. Raises UnknownHandle, HandleTaken, BadInput, KernelRefused."""
        container = self.get(old)
        check_handle(new)
        systems.check(new)
        if new in self._containers or new in self._reserved:
            raise HandleTaken(f"container with handle: {new} already exists.")
        container.rename(new)
        self._containers = {found.handle: found for found in self._containers.values()}
        self.site.resolvers.changed()
        for other in self._containers.values():
            if other.snapshot.network_owner == container.id:
                other.save(replace(other.snapshot, spec=replace(other.snapshot.spec, network_of=new)))
        if self.events:
            self.events.emit(ContainerRenamed(facts_of(container), old))

    def _mounts_of(self, handle: str) -> tuple[Mount, ...]:
        if handle not in self._containers:
            raise UnknownHandle(f"volumes from {handle}: unknown handle")
        return self._containers[handle].snapshot.spec.mounts

    @property
    def volumes(self) -> Volumes:
        return self.site.volumes

    async def _create(self, spec: ContainerSpec, handle: str, container_id: str, over: threading.Event) -> Container:
        try:
            async with AsyncUndo() as undo:
                undo.add("volumes", self.volumes.release, container_id)
                borrowed = with_borrowed(spec, self._mounts_of)
                spec = await self.volumes.take(container_id, borrowed, over)
                container = await self._make(spec, handle, container_id, undo)
                undo.release()  # from here on it owns what it has
            await self._welcome(container)
            self._containers[handle] = container
            self.site.resolvers.changed()
            if self.events:
                self.events.emit(ContainerCreated(facts_of(container)))
            belongings.tell_taken(container)
            return container
        finally:
            self._reserved.discard(handle)
            self._creating -= 1
            if not self._creating:
                self._idle.set()

    async def _welcome(self, container: Container) -> None:
        """The operator's say, before anybody else knows of the container."""
        try:
            await self.site.hooks.run("after_create", facts_of(container))
        except BaseException:
            with contextlib.suppress(WardenError, OSError):  # logged there; the first error is the one to report
                await container.destroy()
            raise

    def _run_hooks_after(self, event: Event) -> None:
        if self._site is not None and self._site.hooks.wants(event):
            self._site.in_background(asyncio.ensure_future(self._site.hooks.after(event)))

    async def _make(self, spec: ContainerSpec, handle: str, container_id: str, undo: AsyncUndo) -> Container:
        site = self.site
        spec, image, binds = await site.blocking(build.look_up, site, spec)
        disk = site.disks.decided
        if disk is None:
            disk = await site.blocking(site.disks.chosen)
        spec, left_out = build.fit_disk(spec, disk)
        snapshot = acquiring.acquire(site, spec, handle, container_id, image.shell, disk)
        undo.add("resources", acquiring.release, site, snapshot)
        if spec.interfaces:
            snapshot = replace(snapshot, links=await site.blocking(site.networks.assign, container_id, spec))
            undo.add("interfaces", networking.leave, site, container_id)
            networking.require_judged(snapshot)
            if site.resolvers.misses(snapshot.links):
                await networking.settle_resolvers(site)
        order = build.Order(
            snapshot,
            image,
            site.depot.directory(container_id),
            site.cgroups.container(container_id),
            networking.attachment(snapshot, site.settings.mtu),
        )
        with contextlib.ExitStack() as opened:
            if spec.network_of is not None:
                order, shared = sharing.share(site, order, self.get(spec.network_of))
                undo.add("shared network", shared.undo)
                opened.callback(os.close, shared.fd)
            copies = site.volumes.may_fill(container_id)
            built = await site.building(build.build, site, order, binds, copies=copies)
        site.volumes.settle(container_id)
        return await self._take_up(order, built, left_out)

    async def _take_up(self, order: build.Order, built: build.Built, left_out: tuple[str, ...]) -> Container:
        site = self.site
        pidfd = built.launched.pidfd
        try:
            return Container(
                site, built.snapshot, order.directory, order.group, pidfd, self._gone, (*left_out, *built.warnings)
            )
        except BaseException as error:
            await site.blocking(recovery.remove, site, order.directory, pidfd)
            if isinstance(error, OSError):
                raise EngineFault(f"create: connect to PID 1: {error.strerror}") from error
            raise

    def _gone(self, container: Container) -> None:
        self._containers.pop(container.handle, None)
        self.site.resolvers.changed()
        acquiring.release(self.site, container.snapshot)
        if names_in(container.snapshot.spec.mounts):
            left = self.site.volumes.let_go(container.id)
            self.site.in_background(asyncio.ensure_future(self.site.volumes.drop(left)))

    def _handles_by_id(self) -> dict[str, str]:
        return {container.id: container.handle for container in self._containers.values()}


def _raise_open_files() -> None:
    """Each container costs a handful of descriptors; the soft limit is for programs that select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
