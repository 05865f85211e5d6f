"""A container described: all that is known of it (Info) and the little that events and hooks carry (ContainerFacts)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warden.depot.snapshot import Snapshot
from warden.engine import limits
from warden.engine.events import ContainerFacts
from warden.engine.networking import attachment
from warden.model.info import Info

if TYPE_CHECKING:
    from warden.engine.container import Container


def _addresses(snapshot: Snapshot) -> tuple[str, str]:
    """Of the host's end and of the container's; empty without a network of its own."""
    link = attachment(snapshot, 0)
    return ("", "") if link is None else (str(link.host_ip), str(link.container_ip))


async def info_of(container: Container) -> Info:
    """State, addresses, statistics and jobs at this moment; raises KernelRefused when the cgroups are gone."""
    snapshot, group = container.snapshot, container.group
    host_ip, container_ip = _addresses(snapshot)
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
    )


def facts_of(container: Container) -> ContainerFacts:
    """As it is at this moment."""
    return facts_from(container.snapshot, container.directory.path, container.pid)


def facts_from(snapshot: Snapshot, path: str, pid: int = 0) -> ContainerFacts:
    """The same of one that is not yet made."""
    host_ip, container_ip = _addresses(snapshot)
    return ContainerFacts(
        handle=snapshot.handle,
        id=snapshot.container_id,
        state=snapshot.state.value,
        path=path,
        pid=pid,
        host_ip=host_ip,
        container_ip=container_ip,
        image=snapshot.spec.rootfs or snapshot.spec.image,
        created=snapshot.created,
    )
