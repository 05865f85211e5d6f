"""The plan of a container that is not made: what `warden plan` prints. Needs no root and changes nothing."""

from __future__ import annotations

import time

from warden.cgroup.driver import Manager
from warden.depot.depot import Depot
from warden.depot.snapshot import Snapshot
from warden.engine import assignment, build, networking, starthooks
from warden.engine.facts import facts_from
from warden.engine.ids import IdSource
from warden.engine.site import make_pools, system_lang
from warden.engine.volumes import place_of
from warden.model.info import State
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, Mount
from warden.plan.container import Shared, container_plan
from warden.plan.job import JobPlace
from warden.plan.seccomp import job_filter
from warden.rootfs.images import Image


def preview(spec: ContainerSpec, settings: EngineSettings) -> str:
    """The steps for *spec*, one a line, with the first free network, ids and the image where the store would have it.

    Raises BadInput when a mount's source does not exist.
    """
    snapshot, cgroups = _snapshot(spec, settings), Manager(settings.cgroup_parent)
    order = build.Order(
        snapshot,
        _image(spec, settings),
        Depot(settings.depot).directory(snapshot.container_id),
        cgroups.container(snapshot.container_id),
        networking.attachment(snapshot, settings.mtu),
        parents=dict.fromkeys((link.bridge or link.parent for link in snapshot.links), 0),
        shared=Shared("/proc/OWNER/ns/net", "/proc/WARDEND/ns/net") if spec.network_of else None,
    )
    guest = JobPlace(starthooks.ROOT, "", 0, settings.rlimits, system_lang(), job_filter())
    programs = starthooks.programs(settings, facts_from(snapshot, order.directory.path), guest)
    mounts = build.check_mounts(spec, lambda name: f"{place_of(settings)}/{name or 'NEW'}/data")
    place = build.placement(cgroups, order, mounts, programs, settings.mtu)
    return container_plan(spec, place).describe()


def _snapshot(spec: ContainerSpec, settings: EngineSettings) -> Snapshot:
    pools, container_id = make_pools(settings), IdSource().next()
    return Snapshot(
        container_id=container_id,
        handle=spec.handle or container_id,
        state=State.BORN,
        spec=spec,
        created=time.time(),
        uid=pools.take_uid(),
        id_base=pools.take_range() if spec.user_namespace and settings.user_namespace else None,
        hostname=spec.hostname or container_id,
        shell="/bin/bash",
        links=assignment.preview(container_id, spec, settings),
        network=str(pools.networks.acquire(time.monotonic()).network_address) if build.wants_network(spec) else "",
    )


def _image(spec: ContainerSpec, settings: EngineSettings) -> Image:
    if spec.rootfs is not None:
        return Image(spec.rootfs, spec.rootfs, (), "/bin/bash")
    binds = (Mount("/usr", "/usr"),) if spec.image == "host" else ()
    return Image(spec.image, f"{settings.images}/{spec.image}/current/rootfs", binds, "/bin/bash")
