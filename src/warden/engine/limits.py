"""Changing the limits of a container that lives, and setting them again after a restart.

Owns the order: the kernel first, then the snapshot, so that what is recorded was in force. What a limit is made of is
for cgroup and network to know.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from warden.errors import WardenError
from warden.model.info import State
from warden.model.spec import Limits

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


async def reapply(container: Container) -> None:
    """After a restart: sets what the snapshot says. What cannot be set is logged, the container goes on."""
    try:
        await container.site.blocking(container.group.set_limits, _limits(container))
    except WardenError as error:
        log.error("container %s: its limits could not be set again: %s", container.handle, error)


def _limits(container: Container) -> Limits:
    return container.snapshot.spec.limits


def _remember(container: Container, changed: Limits, **more: Any) -> None:
    spec = replace(container.snapshot.spec, limits=changed)
    container.save(replace(container.snapshot, spec=spec, **more))
