"""The little that events and hooks carry of a container, also of one that is not yet made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warden.depot.snapshot import Snapshot
from warden.engine.events import ContainerFacts
from warden.engine.networking import attachment

if TYPE_CHECKING:
    from warden.engine.container import Container


def addresses(snapshot: Snapshot) -> tuple[str, str]:
    """Of the host's end and of the container's; empty without a network of its own."""
    link = attachment(snapshot, 0)
    if link is not None:
        return str(link.host_ip), str(link.container_ip)
    for item in snapshot.links:
        for address in item.addresses:
            if ":" not in address:
                return next((text for text in item.gateways if ":" not in text), ""), address.partition("/")[0]
    return "", ""


def facts_of(container: Container) -> ContainerFacts:
    """As it is at this moment. Made anew only when it has changed: every event of a job asks for it."""
    snapshot, pid = container.snapshot, container.pid
    last = container.last_facts
    if last is None or last[0] is not snapshot or last[1].pid != pid:
        last = container.last_facts = snapshot, facts_from(snapshot, container.directory.path, pid)
    return last[1]


def facts_from(snapshot: Snapshot, path: str, pid: int = 0) -> ContainerFacts:
    """The same of one that is not yet made."""
    host_ip, container_ip = addresses(snapshot)
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
