"""A container described: all that is known of it at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warden.engine import limits
from warden.engine.facts import addresses
from warden.model.info import Info

if TYPE_CHECKING:
    from warden.engine.container import Container


async def info_of(container: Container) -> Info:
    """State, addresses, statistics and jobs at this moment; raises KernelRefused when the cgroups are gone."""
    snapshot, group = container.snapshot, container.group
    host_ip, container_ip = addresses(snapshot)
    main = container.main.job()
    return Info(
        handle=snapshot.handle,
        id=snapshot.container_id,
        state=snapshot.state,
        spec=snapshot.spec,
        created=snapshot.created,
        path=container.directory.path,
        events=snapshot.events,
        host_ip=host_ip,
        container_ip=container_ip,
        pid=container.pid,
        memory=group.memory_use(),
        cpu=group.cpu(),
        bandwidth=await limits.bandwidth(container),
        disk=await limits.disk_use(container),
        jobs=tuple(job.info() for job in container.jobs()),
        paused=snapshot.paused,
        restarts=snapshot.restarts,
        main_job=None if main is None else main.id,
        links=snapshot.links,
    )
