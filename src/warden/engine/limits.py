"""Changing the limits of a container that lives, and setting them again after a restart.

Owns the order: the kernel first, then the snapshot, so that what is recorded was in force. What a limit is made of is
for cgroup and network to know.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from warden.engine.networking import attachment
from warden.errors import BadInput, WardenError
from warden.model.info import BandwidthStat, DiskStat, State
from warden.model.spec import Bandwidth, DiskChange, DiskLimits, Limits
from warden.network import shaping
from warden.network.links import Attachment

if TYPE_CHECKING:
    from warden.engine.container import Container

log = logging.getLogger("warden.limits")


async def limit_memory(container: Container, limit_bytes: int | None) -> int | None:
    """See Container.limit_memory."""
    container.require(State.ACTIVE, State.STOPPED)
    if limit_bytes is None:
        return container.group.memory_limit()
    async with container.changing():
        changed = replace(_limits(container), memory_bytes=limit_bytes)
        await container.site.blocking(container.group.set_limits, changed)
        _remember(container, changed, memory_limit=limit_bytes)
        container.watch_memory()
        return container.group.memory_limit()


async def limit_cpu(container: Container, shares: int | None) -> int:
    """See Container.limit_cpu."""
    container.require(State.ACTIVE, State.STOPPED)
    if shares is not None:
        async with container.changing():
            changed = replace(_limits(container), cpu_shares=shares)
            await container.site.blocking(container.group.set_limits, changed)
            _remember(container, changed)
    return container.group.cpu_shares(_limits(container).cpu_shares)


async def limit_bandwidth(container: Container, wanted: Bandwidth) -> Bandwidth:
    """See Container.limit_bandwidth."""
    container.require(State.ACTIVE, State.STOPPED)
    async with container.changing():
        link = _link(container)
        if link is None:
            hint = 'only the network mode "warden" has a link to limit'
            raise BadInput(f"limit_bandwidth: container {container.handle} has no link of its own", hint=hint)
        await container.site.blocking(shaping.limit, link, wanted, _limits(container).bandwidth)
        _remember(container, replace(_limits(container), bandwidth=wanted))
        return wanted


async def bandwidth(container: Container) -> BandwidthStat:
    """The limits of its link as the kernel has them; a link that is gone is not limited."""
    link, known = _link(container), _limits(container).bandwidth
    if link is None or known is None:
        return BandwidthStat()
    return await container.site.blocking(shaping.read, link, known)


async def limit_disk(container: Container, change: DiskChange) -> DiskLimits | None:
    """See Container.limit_disk."""
    container.require(State.ACTIVE, State.STOPPED)
    if not container.site.settings.disk_quota_enabled:
        return None
    async with container.changing():
        before = _limits(container).disk or DiskLimits()
        if change == DiskChange() and _project(container):
            return before
        wanted = change.applied_to(before)
        await container.site.blocking(_limit_disk, container, wanted)
        _remember(container, replace(_limits(container), disk=wanted))
        return wanted


def _limit_disk(container: Container, wanted: DiskLimits) -> None:
    project = _project(container)
    if not project and container.site.disk.limits:
        hint = "create it anew: where a container's files lie is decided when it is made"
        raise BadInput(f"limit_disk: container {container.handle} was made when disks were not limited", hint=hint)
    container.site.disk.limit(project, wanted)


async def disk_use(container: Container) -> DiskStat | None:
    """What its files use, None where it is not measured. Raises KernelRefused."""
    project = _project(container)
    return await container.site.blocking(container.site.disk.usage, project) if project else None


def _project(container: Container) -> int:
    """The number that its files have in the backend in use, 0 when they are not there."""
    snapshot, disk = container.snapshot, container.site.disk
    own = container.directory.path
    return snapshot.project if disk.limits and disk.place(own) == (snapshot.layer or own) else 0


def disk_project(container: Container) -> int:
    """The number that its files have in the backend in use, 0 when they are not there."""
    return _project(container)


def _link(container: Container) -> Attachment | None:
    return attachment(container.snapshot, container.site.settings.mtu)


async def reapply(container: Container) -> None:
    """After a restart: sets what the snapshot says, and takes away what a crash left of a limit that was never
    recorded. What cannot be done is logged, the container goes on."""
    for step in (_reapply_groups, _reapply_bandwidth, _reapply_disk):
        try:
            await container.site.blocking(step, container)
        except WardenError as error:
            log.error("container %s: its limits could not be set again: %s", container.handle, error)


def _reapply_groups(container: Container) -> None:
    container.group.set_limits(_limits(container))


def _reapply_bandwidth(container: Container) -> None:
    link, wanted = _link(container), _limits(container).bandwidth
    if link is not None and wanted is not None:
        shaping.limit(link, wanted, wanted)
    elif link is not None and shaping.have_link(link.ifb_name):
        shaping.lift(link)


def _reapply_disk(container: Container) -> None:
    wanted = _limits(container).disk
    if wanted is not None:
        _limit_disk(container, wanted)


def _limits(container: Container) -> Limits:
    return container.snapshot.spec.limits


def _remember(container: Container, changed: Limits, **more: Any) -> None:
    spec = replace(container.snapshot.spec, limits=changed)
    container.save(replace(container.snapshot, spec=spec, **more))
