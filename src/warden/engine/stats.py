"""What containers use at this moment, for one, several or a thousand.

Owns how the measuring is shared out: in worker threads, a few containers at a time, so that neither the event loop nor
other requests wait for a long list; and one look at the links for all of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from warden.cgroup import files
from warden.cgroup.stats import GroupStats, name_devices, read_group
from warden.depot.snapshot import Snapshot
from warden.engine import limits, systems
from warden.engine.networking import counted, shaped
from warden.engine.site import Site
from warden.errors import KernelRefused, WardenError
from warden.model.info import DiskStat, State
from warden.model.stats import InterfaceStats, ShapingDrops, Stats
from warden.network.counters import LinkCounters, from_inside, read_counters, read_drops
from warden.records import dataclass

if TYPE_CHECKING:
    from warden.engine.container import Container

log = logging.getLogger("warden.stats")

CHUNK = 50  # containers measured in one go of a worker thread: some 6 ms


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a worker thread is given, taken in the event loop: there alone jobs come and go."""

    container: Container
    state: State
    jobs: int
    shaped: bool


@dataclass(slots=True)
class _Shared:
    """What one measurement looks up once for all containers."""

    counters: Mapping[int, LinkCounters]
    devices: dict[tuple[int, int], str | None]


def _subject(container: Container) -> _Subject:
    running = sum(job.result is None for job in container.jobs())
    snapshot = container.snapshot
    return _Subject(container, container.state, running, bool(snapshot.spec.limits.shaping))


async def measure(site: Site, containers: Sequence[Container], *, brief: bool) -> list[Stats]:
    """In the order of *containers*; those that vanish meanwhile are left out."""
    linked = [index for container in containers for index in counted(container.snapshot).values()]
    shared = _Shared(await site.blocking(_counters, linked), {})
    found: list[Stats] = []
    for first in range(0, len(containers), CHUNK):
        subjects = [_subject(container) for container in containers[first : first + CHUNK]]
        found += await site.blocking(_measure_all, subjects, shared, brief)
    return found


async def measure_systems(site: Site, handles: Sequence[str] | None, *, brief: bool) -> list[Stats]:
    """Of LXC's containers, all or those named. Raises UnknownHandle, BadInput."""
    chosen = await site.blocking(systems.chosen, handles)
    found: list[Stats] = []
    for first in range(0, len(chosen), CHUNK):
        part = partial(systems.measure, chosen[first : first + CHUNK], brief=brief, layout=site.cgroups.layout)
        found += await site.blocking(part)
    return found


async def measure_one(container: Container, *, brief: bool) -> Stats:
    """Raises KernelRefused when its cgroups are gone."""
    linked = list(counted(container.snapshot).values())
    shared = _Shared(await container.site.blocking(_counters, linked), {})
    return await container.site.blocking(_measure, _subject(container), shared, brief)


def _counters(indices: list[int]) -> dict[int, LinkCounters]:
    try:
        return read_counters(indices)
    except WardenError as error:
        log.warning("links are not counted: %s", error)
        return {}


def _measure_all(subjects: Sequence[_Subject], shared: _Shared, brief: bool) -> list[Stats]:
    found = []
    for subject in subjects:
        try:
            found.append(_measure(subject, shared, brief))
        except KernelRefused as error:
            if error.errno not in files.GONE:
                log.warning("container %s is left out: %s", subject.container.handle, error)
    return found


def _measure(subject: _Subject, shared: _Shared, brief: bool) -> Stats:
    container = subject.container
    group: GroupStats = read_group(container.group, brief=brief)
    now = time.time()
    return Stats(
        handle=container.handle,
        id=container.id,
        state=subject.state,
        time=now,
        uptime_s=max(now - container.snapshot.created, 0.0),
        memory=group.memory,
        cpu=group.cpu,
        pids=group.pids,
        io=name_devices(group.io, shared.devices),
        network=_network(container.snapshot, shared.counters),
        shaping=_drops(container) if subject.shaped and not brief else None,
        disk=_disk(container),
        pressure=group.pressure,
        processes=group.processes,
        jobs=subject.jobs,
    )


def _network(snapshot: Snapshot, counters: Mapping[int, LinkCounters]) -> tuple[InterfaceStats, ...]:
    found = counted(snapshot)
    return tuple(from_inside(name, counters[index]) for name, index in found.items() if index in counters)


def _drops(container: Container) -> ShapingDrops | None:
    links = shaped(container.snapshot, container.site.settings.mtu)
    try:
        return read_drops(links) if links else None
    except WardenError as error:
        log.warning("container %s: drops of its link are not known: %s", container.handle, error)
        return None


def _disk(container: Container) -> DiskStat | None:
    try:
        return limits.disk_now(container)
    except WardenError as error:
        log.warning("container %s: its disk is not measured: %s", container.handle, error)
        return None
