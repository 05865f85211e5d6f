"""What a container takes from the engine's pools, all of it or nothing, and gives back when it has gone."""

from __future__ import annotations

import contextlib
import time
from ipaddress import IPv4Network

from warden.depot.snapshot import Snapshot
from warden.engine import build, ports
from warden.engine.site import Site
from warden.engine.volumes import names_in, vcap_number
from warden.errors import WardenError
from warden.model.info import State
from warden.model.spec import ContainerSpec
from warden.network.pool import SLOT_PREFIX
from warden.plan.container import ID_COUNT
from warden.records import replace
from warden.rootfs.disk import Disk


def acquire(site: Site, spec: ContainerSpec, handle: str, container_id: str, shell: str, disk: Disk) -> Snapshot:
    """All or nothing. Raises PoolExhausted, BadInput."""
    pools, now = site.pools, time.monotonic()
    network = ""
    if build.wants_network(spec):
        address = spec.network_address
        slot = pools.networks.acquire(now) if address is None else pools.networks.acquire_address(address, now)
        network = str(slot.network_address)
    draft = Snapshot(
        container_id=container_id,
        handle=handle,
        state=State.ACTIVE,
        spec=spec,
        created=time.time(),
        uid=-1,
        id_base=None,
        hostname=build.hostname_of(spec, container_id),
        shell=shell,
        network=network,
        memory_limit=spec.limits.memory_bytes,
        grace_time=spec.grace_time,
        net_policy=spec.net_policy,
        net_connections=spec.net_connections,
    )
    if spec.publish:
        draft = _with_ports(site, draft)
    return _with_disk(site, _with_ids(site, draft), disk)


def _with_ports(site: Site, draft: Snapshot) -> Snapshot:
    try:
        published, owned = ports.choose(site, draft.container_id, draft.spec.publish)
    except WardenError:
        release(site, draft)
        raise
    return replace(draft, published=published, ports=owned)


def _with_ids(site: Site, draft: Snapshot) -> Snapshot:
    pools = site.pools
    try:
        draft = replace(draft, uid=pools.take_uid())
        if draft.spec.user_namespace and site.settings.user_namespace:
            draft = replace(draft, id_base=pools.take_range())
            if names_in(draft.spec.mounts):
                draft = replace(draft, vcap=vcap_number(site.settings))
    except WardenError:
        release(site, draft)
        raise
    return draft


def _with_disk(site: Site, draft: Snapshot, disk: Disk) -> Snapshot:
    own = site.depot.directory(draft.container_id).path
    layer = disk.place(own)
    project = site.settings.disk_project_start + draft.uid - site.pools.first_uid if disk.limits else 0
    return replace(draft, project=project, layer="" if layer == own else layer, disk=disk.name)


def release(site: Site, snapshot: Snapshot) -> None:
    """Gives it back."""
    pools, now = site.pools, time.monotonic()
    pools.give_uid(snapshot.uid)
    if snapshot.id_base is not None:
        pools.give_range(snapshot.id_base)
    if snapshot.network:
        pools.networks.release(IPv4Network((snapshot.network, SLOT_PREFIX)), now)
    for port in snapshot.ports:
        pools.ports.release(port, now)
    if snapshot.network_owner:
        site.sharers.get(snapshot.network_owner, {}).pop(snapshot.container_id, None)
    if snapshot.ports or snapshot.net_in or snapshot.published:
        site.held.release_all(snapshot.container_id)


def take_up(site: Site, snapshot: Snapshot) -> None:
    """What a container has that an earlier engine made."""
    pools, now = site.pools, time.monotonic()
    pools.uids.take(snapshot.uid - pools.first_uid, now)
    if snapshot.id_base is not None:
        pools.ranges.take((snapshot.id_base - pools.first_id) // ID_COUNT, now)
    if snapshot.network:
        with contextlib.suppress(WardenError):  # the pool may have been configured anew
            pools.networks.acquire_address(snapshot.network, now)
    for port in snapshot.ports:
        pools.ports.take(port, now)
    if snapshot.network_owner:
        site.sharers.setdefault(snapshot.network_owner, {})[snapshot.container_id] = snapshot.handle
