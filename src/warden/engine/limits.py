"""Changing the limits of a container that lives, and setting them again after a restart.

Owns the order: the kernel first, then the snapshot, so that what is recorded was in force. What a limit is made of is
for cgroup and network to know.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from warden.engine.build import layer_of
from warden.engine.events import LimitsChanged
from warden.engine.limitinput import check_link, with_numbers
from warden.engine.networking import shaped
from warden.errors import BadInput, NotSupported, WardenError
from warden.model import resources
from warden.model.info import BandwidthStat, DiskStat, State
from warden.model.limits import Bandwidth, DiskChange, DiskLimits, Limits
from warden.model.resources import LimitReport
from warden.network import shaping
from warden.records import replace
from warden.rootfs.disk import Disk, Layer
from warden.undo import Undo

if TYPE_CHECKING:
    from warden.engine.container import Container

log = logging.getLogger("warden.limits")


async def limit(
    container: Container, settings: Sequence[tuple[str, str]], *, best_effort: bool = False, raw: bool = False
) -> LimitReport:
    """See Container.limit."""
    container.require(State.ACTIVE, State.STOPPED)
    warnings: tuple[str, ...] = ()
    if settings:
        also = frozenset(row for name, _ in settings for row in resources.rows_of(name))
        async with container.changing():
            numbered = await container.site.blocking(with_numbers, settings)
            wanted = resources.apply(limits_of(container), numbered)
            warnings = await _change(container, wanted, also, best_effort=best_effort)
    return await _report(container, warnings, raw=raw)


async def _change(
    container: Container, wanted: Limits, also: Collection[str], *, best_effort: bool = False
) -> tuple[str, ...]:
    """All of *wanted* or, unless *best_effort*, nothing; then the record. What could not be done, in sentences."""
    before = limits_of(container)
    _refuse_without_a_way(container, wanted, _touched(before, wanted, also))
    left_out: tuple[str, ...] = ()
    if best_effort:
        wanted, also, left_out = await container.site.blocking(_without_disk, container, before, wanted, also)
    done, warnings = await container.site.blocking(_put, container, before, wanted, also, best_effort)
    _remember(container, done, memory_limit=done.memory_bytes)
    if done.memory_bytes is not None:
        container.memory.watch()
    shown = {row.name: (row.show(before), row.show(done)) for row in resources.RESOURCES}
    changed = {name: new for name, (old, new) in shown.items() if name in also or new != old}
    container.tell(partial(LimitsChanged, limits=changed))
    return (*left_out, *warnings)


def _without_disk(
    container: Container, before: Limits, wanted: Limits, also: Collection[str]
) -> tuple[Limits, Collection[str], tuple[str, ...]]:
    """Blocking: leaves a limit out that the way of its disk cannot do, and tells why."""
    if "disk" not in _touched(before, wanted, also):
        return wanted, also, ()
    try:
        _disk_to_limit(container).check(wanted.disk or DiskLimits())
    except NotSupported as error:
        return replace(wanted, disk=before.disk), set(also) - {"disk.max", "disk.inodes"}, (str(error),)
    return wanted, also, ()


def _touched(before: Limits, wanted: Limits, also: Collection[str]) -> frozenset[str]:
    """Of what is no cgroup's: "bandwidth" and "disk", if they are to be set."""
    named = {"bandwidth.in": "bandwidth", "bandwidth.out": "bandwidth", "disk.max": "disk", "disk.inodes": "disk"}
    fields = {"bandwidth": "shaping", "disk": "disk"}
    differing = {name for name, field in fields.items() if getattr(before, field) != getattr(wanted, field)}
    return frozenset(differing | {named[name] for name in also if name in named})


def _refuse_without_a_way(container: Container, wanted: Limits, touched: Collection[str]) -> None:
    check_link(wanted if "bandwidth" in touched else Limits(), container.handle, has_link=bool(_links(container)))
    if "disk" in touched and not container.site.settings.disk_quota_enabled:
        raise BadInput("limit_disk: quota.disk_quota_enabled is false in the daemon's configuration")


def _put(
    container: Container, before: Limits, wanted: Limits, also: Collection[str], best_effort: bool
) -> tuple[Limits, tuple[str, ...]]:
    """Blocking. The limits that are in force afterwards, and what was left out."""
    with Undo() as undo:
        skipped = container.group.set_limits(wanted, before, also=also, best_effort=best_effort)
        undo.add("limits", container.group.set_limits, before, wanted)
        touched = _touched(before, wanted, also)
        for link in _links(container) if "bandwidth" in touched else ():
            shaping.limit(link, wanted.shaping, before.shaping)
            undo.add("bandwidth", shaping.limit, link, before.shaping, wanted.shaping)
        if "disk" in touched:
            _limit_disk(container, wanted.disk or DiskLimits())
        undo.release()
    kept = {field: getattr(before, field) for item in skipped for field in item.fields}
    return replace(wanted, **kept), tuple(item.reason for item in skipped)


async def _report(container: Container, warnings: tuple[str, ...], *, raw: bool) -> LimitReport:
    asked, group = limits_of(container), container.group
    found = await container.site.blocking(group.limits_in_force, asked)
    shown = {row.name: row.show(asked) for row in resources.RESOURCES}
    found |= {name: shown[name] for name in ("oom.policy", "disk.max", "disk.inodes")}
    band = await bandwidth(container)
    found["bandwidth.in"] = _shown_bucket(band.in_rate, band.in_burst)
    found["bandwidth.out"] = _shown_bucket(band.out_rate, band.out_burst)
    files = await container.site.blocking(group.raw_limits) if raw else []
    ordered = {row.name: found[row.name] for row in resources.RESOURCES if row.name in found}
    return LimitReport(ordered, resources.shown(asked), tuple(files), warnings)


def _shown_bucket(rate: int | None, burst: int | None) -> str:
    return resources.UNLIMITED if rate is None else f"{rate} {burst}"


async def limit_memory(container: Container, limit_bytes: int | None) -> int | None:
    """See Container.limit_memory."""
    container.require(State.ACTIVE, State.STOPPED)
    if limit_bytes is not None:
        async with container.changing():
            await _change(container, replace(limits_of(container), memory_bytes=limit_bytes), ("memory.max",))
    return container.group.memory_limit()


async def limit_cpu(container: Container, shares: int | None) -> int:
    """See Container.limit_cpu."""
    container.require(State.ACTIVE, State.STOPPED)
    if shares is not None:
        async with container.changing():
            changed = replace(limits_of(container), cpu_shares=shares, cpu_weight=None)
            await _change(container, changed, ("cpu.weight",))
    return container.group.cpu_shares(limits_of(container).cpu_shares)


async def limit_bandwidth(container: Container, wanted: Bandwidth) -> Bandwidth:
    """See Container.limit_bandwidth."""
    container.require(State.ACTIVE, State.STOPPED)
    async with container.changing():
        both = replace(limits_of(container), bandwidth_in=wanted, bandwidth_out=wanted)
        await _change(container, both, resources.rows_of("bandwidth"))
        return wanted


async def bandwidth(container: Container) -> BandwidthStat:
    """The limits of its links as the kernel has them, of several the first's; one that is gone is not limited."""
    links, known = _links(container), limits_of(container).shaping
    if not links or not known:
        return BandwidthStat()
    return await container.site.blocking(shaping.read, links[0], known)


async def limit_disk(container: Container, change: DiskChange) -> DiskLimits | None:
    """See Container.limit_disk."""
    container.require(State.ACTIVE, State.STOPPED)
    if not container.site.settings.disk_quota_enabled:
        return None
    async with container.changing():
        before = limits_of(container).disk or DiskLimits()
        if change == DiskChange() and _disk(container).limits:
            return before
        wanted = change.applied_to(before)
        await _change(container, replace(limits_of(container), disk=wanted), ("disk.max",))
        return wanted


def _limit_disk(container: Container, wanted: DiskLimits) -> None:
    _disk_to_limit(container).limit(_layer(container), wanted)


def _disk_to_limit(container: Container) -> Disk:
    """The way that may limit it. Raises NotSupported when it has none and others would."""
    disk, chosen = _disk(container), container.site.disks.chosen()
    if not disk.limits and chosen.limits:
        hint = "create it anew: where a container's files lie is decided when it is made"
        raise NotSupported(f"limit_disk: container {container.handle} was made when disks were not limited", hint=hint)
    return disk if disk.limits else chosen


async def disk_use(container: Container) -> DiskStat | None:
    """What its files use, None where it is not measured. Raises KernelRefused."""
    waits = _disk(container).waits
    return await container.site.blocking(disk_now, container) if waits else disk_now(container)


def disk_now(container: Container) -> DiskStat | None:
    """The same; blocking where the disk's way `waits`."""
    disk = _disk(container)
    return disk.usage(_layer(container)) if disk.limits else None


def _disk(container: Container) -> Disk:
    """The way that it was made with, whatever new ones get."""
    return container.site.disks.of(container.snapshot.disk)


def _layer(container: Container) -> Layer:
    return layer_of(container.snapshot, container.directory)


def _links(container: Container) -> tuple[shaping.Link, ...]:
    return shaped(container.snapshot, container.site.settings.mtu)


async def reapply(container: Container) -> None:
    """After a restart: sets what the snapshot says, and takes away what a crash left of a limit that was never
    recorded. What cannot be done is logged, the container goes on."""
    for step in (_reapply_groups, _reapply_bandwidth, _reapply_disk):
        try:
            await container.site.blocking(step, container)
        except WardenError as error:
            log.error("container %s: its limits could not be set again: %s", container.handle, error)


def _reapply_groups(container: Container) -> None:
    """One limit that cannot be set any more, such as that of a disk that is gone, costs none of the others."""
    for skipped in container.group.set_limits(limits_of(container), best_effort=True):
        log.error("container %s: a limit could not be set again: %s", container.handle, skipped.reason)


def _reapply_bandwidth(container: Container) -> None:
    for link in _links(container):
        shaping.restore(link, limits_of(container).shaping)


def _reapply_disk(container: Container) -> None:
    wanted = limits_of(container).disk
    if wanted is not None:
        _limit_disk(container, wanted)


def limits_of(container: Container) -> Limits:
    """As they were last asked."""
    return container.snapshot.spec.limits


def _remember(container: Container, changed: Limits, **more: Any) -> None:
    spec = replace(container.snapshot.spec, limits=changed)
    container.save(replace(container.snapshot, spec=spec, **more))
