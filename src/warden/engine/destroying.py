"""The end of a container: everything that it has is taken away, in an order that a crash cannot spoil.

Its record goes before its processes do: what is half destroyed is destroyed by the next engine. Goes on after errors.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from warden.engine import networking
from warden.errors import WardenError
from warden.kernel.paths import remove_tree
from warden.network import afterlife, shaping

if TYPE_CHECKING:
    from warden.engine.container import Container
    from warden.engine.site import Site

log = logging.getLogger("warden.container")

LINK_TRIES, LINK_PAUSE_S = 20, 0.05


async def take_away(container: Container) -> list[Exception]:
    """All but what the engine's pools lent it; what failed."""
    failures: list[Exception] = []
    for step in (_remove_ifbs, _end_processes, _leave_kernel, _leave_networks, _remove_directory):
        try:
            await step(container)
        except (WardenError, OSError) as error:
            log.error("container %s: %s: %s", container.handle, step.__name__.strip("_"), error)
            failures.append(error)
    return failures


async def _remove_ifbs(container: Container) -> None:
    """Unlike its links they do not go with the network namespace."""
    names = [link.ifb_name for link in networking.shaped(container.snapshot, 0)]
    if any(map(shaping.have_link, names)):
        await container.site.blocking(shaping.remove_ifbs, names)


async def _end_processes(container: Container) -> None:
    container.memory.close()
    container.record.drop()
    if container.init.pidfd >= 0:
        container.init.kill()
        if container.snapshot.paused:  # v1: what is frozen does not die, and PID 1 waits for it
            await container.site.blocking(container.group.kill)
        await container.init.wait()
    container.init_gone()


async def _leave_kernel(container: Container) -> None:
    await container.site.blocking(_leave_groups_and_firewall, container)


def _leave_groups_and_firewall(container: Container) -> None:
    try:
        container.group.kill()
        container.group.remove()
    finally:
        container.site.firewall.shut(container.id)  # not before its processes are gone: until then it is filtered


async def _leave_networks(container: Container) -> None:
    site = container.site
    if names := site.firewall.links_of(container.id):
        site.in_background(asyncio.ensure_future(_bury(site, container.id, names)))
    if container.snapshot.links:
        await networking.leave(site, container.id)


async def _bury(site: Site, container_id: str, names: Collection[str]) -> None:
    """Its links stay shut until they are gone, which takes the kernel some 20 ms unless somebody keeps them; conntrack
    forgets it."""
    try:
        await asyncio.sleep(LINK_PAUSE_S)  # several are forgotten at the price of one
        await site.blocking(site.firewall.forget)
        for _ in range(LINK_TRIES):
            if not afterlife.still_there(names):
                break
            await asyncio.sleep(LINK_PAUSE_S)
        else:
            await site.blocking(afterlife.cut, names)
        await site.blocking(site.firewall.drop, container_id)
    except WardenError as error:
        log.error("container %s: %s", container_id, error)


async def _remove_directory(container: Container) -> None:
    for job in container.jobs():
        job.close()
    hidden = container.site.depot.hide(container.directory)
    # Out of sight already; the time it takes depends on what the container wrote, nobody need wait for it.
    if hidden is not None and container.snapshot.layer:
        container.site.in_background(asyncio.ensure_future(_clear(container, hidden)))
    elif hidden is not None:
        container.site.janitor.add_tree(hidden)


async def _clear(container: Container, hidden: str) -> None:
    site, snapshot = container.site, container.snapshot
    try:
        await site.blocking(remove_tree, hidden)
        await site.blocking(site.disks.of(snapshot.disk).remove, snapshot.layer)
    except WardenError as error:
        log.error("container %s: what it left is removed at the next start: %s", container.handle, error)
