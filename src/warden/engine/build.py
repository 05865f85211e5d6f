"""Making one container: everything blocking between the decision and a serving PID 1. Runs in a worker thread.

Every acquisition registers its undo; a failure leaves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from warden.cgroup.driver import Manager
from warden.cgroup.groups import ContainerGroup
from warden.depot.depot import ContainerDirectory
from warden.depot.snapshot import Snapshot
from warden.engine import naming, networking, ports, starthooks
from warden.engine.facts import facts_from
from warden.engine.limitinput import check_link, with_device_numbers
from warden.engine.refusals import refusal
from warden.engine.site import Site
from warden.engine.volumes import names_in
from warden.errors import BadInput, KernelRefused, NotSupported
from warden.model.info import State
from warden.model.interfaces import LinkKind
from warden.model.limits import DiskLimits, Limits, Shaping
from warden.model.mounts import Mount, MountKind, in_order
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network import links, shaping
from warden.network.interfaces import container_part, host_part
from warden.plan.container import Batch, Bind, IdMap, Placement, Shared, container_plan
from warden.plan.job import JobPlace
from warden.plan.mounting import Tmpfs
from warden.plan.program import Programs
from warden.plan.steps import Op, Plan
from warden.process.launch import Launched, StepFailed, launch, listen_at
from warden.records import dataclass, field, replace
from warden.rootfs import etc
from warden.rootfs.disk import Disk, Layer
from warden.rootfs.images import Image
from warden.rootfs.volumecopy import Origin
from warden.undo import Undo

HOME = "/home/vcap"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made: the snapshot it will have, its image, its place in the depot and in the cgroups."""

    snapshot: Snapshot
    image: Image
    directory: ContainerDirectory
    group: ContainerGroup
    attachment: links.Attachment | None
    parents: Mapping[str, int] = field(default_factory=dict)  # of the host's links, by name
    shared: Shared | None = None
    shared_ip: str = ""  # an address of the network that is shared

    @property
    def layer(self) -> Layer:
        return layer_of(self.snapshot, self.directory)


def layer_of(snapshot: Snapshot, directory: ContainerDirectory) -> Layer:
    """Where a container's writable files are, as its disk's limits need it."""
    base = snapshot.id_base
    return Layer(snapshot.layer or directory.path, snapshot.project, base, (base or 0) + snapshot.vcap_uid)


def find_image(site: Site, spec: ContainerSpec) -> Image:
    """Raises ImageError or BadInput."""
    return site.images.from_directory(spec.rootfs) if spec.rootfs is not None else site.images.find(spec.image)


def look_up(site: Site, spec: ContainerSpec) -> tuple[ContainerSpec, Image, tuple[Bind | Tmpfs, ...]]:
    """Blocking: what the machine must have for *spec*, and that with devices by number. Raises WardenError."""
    check_link(spec.limits, spec.handle or "", has_link=networking.can_shape(spec))
    naming.check(spec)
    if (spec.publish or spec.net_policy or spec.net_connections) and not (wants_network(spec) or has_port(spec)):
        name = "publish" if spec.publish else "net_policy" if spec.net_policy else "net_connections"
        raise BadInput(f"{name}: a container with network {spec.network.value} has no address of its own")
    if spec.limits.io_max:
        spec = replace(spec, limits=with_device_numbers(spec.limits))
    return spec, find_image(site, spec), check_mounts(spec, site.volumes.path)


def fit_disk(spec: ContainerSpec, disk: Disk) -> tuple[ContainerSpec, tuple[str, ...]]:
    """*spec*, and why its disk limit was left out of it: a *disk* that cannot do it, and best effort. Else raises
    NotSupported."""
    if spec.limits.disk in (None, DiskLimits()):
        return spec, ()
    try:
        disk.check(spec.limits.disk)
    except NotSupported as error:
        if not spec.best_effort:
            raise
        return replace(spec, limits=replace(spec.limits, disk=None)), (str(error),)
    return spec, ()


def check_mounts(spec: ContainerSpec, volume_path: Callable[[str], str]) -> tuple[Bind | Tmpfs, ...]:
    """The mounts of *spec*; raises BadInput with Warden's text when a source does not exist."""
    return tuple(_placed(mount, volume_path) for mount in in_order(spec.mounts))


def _placed(mount: Mount, volume_path: Callable[[str], str]) -> Bind | Tmpfs:
    if mount.kind is MountKind.TMPFS:
        return Tmpfs(mount.target, mount.options, mount.read_only)
    if mount.kind is MountKind.VOLUME:
        return Bind(volume_path(mount.source), mount.target, mount.read_only)
    try:
        kind = os.stat(mount.source).st_mode
    except OSError as error:
        raise BadInput(f"Source path for bind mount does not exist: {mount.source}") from error
    id_map = IdMap.WELCOME if mount.read_only else IdMap.NEEDED
    return Bind(mount.source, mount.target, mount.read_only, stat.S_ISDIR(kind), id_map)


def placement(
    cgroups: Manager, order: Order, binds: tuple[Bind | Tmpfs, ...], programs: Programs, mtu: int
) -> Placement:
    """Where the container goes, as its plan needs it."""
    snapshot = order.snapshot
    image_binds = tuple(Bind(m.source, m.target, m.read_only, id_map=IdMap.NONE) for m in order.image.binds)
    host, inside = _batches(order, mtu)
    return Placement(
        directory=order.directory.path,
        lower=order.image.lower,
        layer=order.layer.path,
        hostname=snapshot.hostname,
        id_base=snapshot.id_base,
        binds=image_binds + binds,
        joins=tuple(cgroups.supervisor_joins()),
        into=cgroups.supervisor_into(),
        host_network=host,
        container_network=inside,
        programs=programs,
        shared=order.shared,
    )


def _batches(order: Order, mtu: int) -> tuple[Batch | None, Batch]:
    """The host's part of the network, None when there is none, and the container's."""
    outside, inside = [], [links.LOOPBACK]
    if order.attachment is not None:
        outside, inside = [order.attachment.host_part()], [links.LOOPBACK, order.attachment.container_part()]
    if order.snapshot.links:
        outside.append(host_part(order.snapshot.links, order.parents, mtu))
        inside.append(container_part(order.snapshot.links))
    return (_batch(outside) if outside else None), _batch(inside)


def _batch(parts: Sequence[links.Part]) -> Batch:
    made = links.batch_of(*parts)
    return Batch(made.messages, made.text)


@dataclass(frozen=True, slots=True)
class Built:
    """A container that runs: its PID 1, its record, and the limits that were to be best effort and are not there."""

    launched: Launched
    snapshot: Snapshot
    warnings: tuple[str, ...] = ()


def build(site: Site, order: Order, binds: tuple[Bind | Tmpfs, ...]) -> Built:
    """Makes the container's directory, cgroups and PID 1. Raises WardenError; then nothing is left."""
    base, guest_id = order.snapshot.id_base, order.snapshot.container_id
    with Undo() as undo:
        try:
            order.directory.claim()
            undo.add("container directory", site.depot.discard, order.directory)
            order.directory.fill()
            disk = site.disks.of(order.snapshot.disk)
            if order.snapshot.layer:
                undo.add("layer", disk.remove, order.layer.path)
            disk.make(order.layer, order.snapshot.spec.limits.disk or DiskLimits())
            _write_etc(site, order, base or 0)
            _fill_volumes(site, order, base or 0)
        except OSError as error:
            path = error.filename or order.directory.path
            hint = f"make room where {site.settings.depot} lies" if error.errno == errno.ENOSPC else ""
            raise KernelRefused("create: write", path, error.errno or 0, hint=hint) from error
        order.group.create()
        undo.add("cgroups", order.group.remove)
        snapshot, warnings = _limit(order)
        guest = networking.guest(order.snapshot)
        if guest is not None:  # before the link exists: there is no moment in which it is not filtered
            ports.admit(site, None, guest, alone=True)
            undo.add("firewall", site.firewall.drop, guest.container_id)
        if order.snapshot.links:
            order = replace(order, parents=site.networks.parents_of(order.snapshot.links))
            if site.lending.lend(guest_id, order.snapshot.links):
                undo.add("lent links", site.lending.fetch, guest_id)
        launched = _launch(site, order, binds)
        undo.add("PID 1", end_init, launched.pidfd)
        _shape(order, site.settings.mtu, undo)
        if guest is not None and guest.ports:
            ports.open_links(guest)
        etc.settle(f"/proc/{launched.pid}/root", HOME)
        order.directory.write_snapshot(snapshot)
        undo.release()
    return Built(launched, snapshot, warnings)


def _limit(order: Order) -> tuple[Snapshot, tuple[str, ...]]:
    """The record says what is in force."""
    spec, snapshot = order.snapshot.spec, order.snapshot
    skipped = order.group.set_limits(spec.limits, Limits(), best_effort=spec.best_effort)
    if skipped:
        usual = {field: getattr(Limits(), field) for item in skipped for field in item.fields}
        in_force = replace(spec.limits, **usual)
        snapshot = replace(snapshot, spec=replace(spec, limits=in_force), memory_limit=in_force.memory_bytes)
    return snapshot, tuple(item.reason for item in skipped)


def _shape(order: Order, mtu: int, undo: Undo) -> None:
    """Its link is there only now."""
    wanted = order.snapshot.spec.limits.shaping
    if wanted:
        for link in networking.shaped(order.snapshot, mtu):
            undo.add("ifb", shaping.remove_ifbs, [link.ifb_name])
            shaping.limit(link, wanted, Shaping())


def _write_etc(site: Site, order: Order, base: int) -> None:
    snapshot, link = order.snapshot, order.attachment
    files = etc.container_files(
        order.image.lower,
        hostname=snapshot.hostname,
        container_ip=naming.own_address(snapshot) or order.shared_ip,
        resolv_conf=naming.resolv_conf(site.settings, snapshot, link),
        more_hosts=naming.more_hosts(snapshot, link),
        vcap_uid=snapshot.vcap_uid,
        shell=order.image.shell,
    )
    etc.write_upper(f"{order.layer.path}/upper", files, HOME, base, snapshot.vcap_uid)


def _fill_volumes(site: Site, order: Order, base: int) -> None:
    """New ones with what the image and our own files have there."""
    snapshot = order.snapshot
    if names_in(snapshot.spec.mounts):
        origins = (Origin(order.image.lower), Origin(f"{order.layer.path}/upper", base))
        site.volumes.fill(snapshot.container_id, snapshot.spec.mounts, origins, snapshot.vcap_uid)


def _launch(site: Site, order: Order, binds: tuple[Bind | Tmpfs, ...]) -> Launched:
    settings, directory = site.settings, order.directory
    with starthooks.guest_cgroup(settings, order.group) as joins, listen_at(directory / "run") as listener:
        guest = JobPlace(starthooks.ROOT, "", len(joins), settings.rlimits, site.lang, site.seccomp)
        facts = facts_from(order.snapshot.with_state(State.BORN), directory.path)
        programs = starthooks.programs(settings, facts, guest)
        plan = container_plan(order.snapshot.spec, placement(site.cgroups, order, binds, programs, settings.mtu))
        for pause in (*_LATE_S, None):
            try:
                return launch(
                    site.binary,
                    plan.encode(),
                    listener,
                    descriptors=joins,
                    on_ran=partial(starthooks.judge, plan),
                    on_cloned=partial(site.lending.hold, order.snapshot.container_id) if order.snapshot.links else None,
                    patience_s=starthooks.patience(settings),
                )
            except StepFailed as failed:
                if pause is None or not _is_late(order, plan, failed):
                    raise refusal(plan, failed.step, failed.errno, doing="create") from failed
                time.sleep(pause)
        raise AssertionError


#: The kernel takes the links of a namespace away some time after its last process has ended. Until then a parent
#: that allows one of a kind or of an address has it.
_LATE_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_ONE_OF_A_KIND = (LinkKind.VLAN, LinkKind.MACVLAN, LinkKind.IPVLAN)


def _is_late(order: Order, plan: Plan, failed: StepFailed) -> bool:
    busy = failed.errno in (errno.EEXIST, errno.EBUSY, errno.EADDRINUSE, errno.EINVAL)  # EINVAL: of a passthru macvlan
    network = failed.step < len(plan.steps) and plan.steps[failed.step].op is Op.NETLINK
    return busy and network and any(link.kind in _ONE_OF_A_KIND for link in order.snapshot.links)


def end_init(pidfd: int) -> None:
    """Kills a PID 1, and with it everything in its pid namespace; closes the descriptor."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


def hostname_of(spec: ContainerSpec, container_id: str) -> str:
    return spec.hostname or container_id


def wants_network(spec: ContainerSpec) -> bool:
    return spec.network is NetworkMode.WARDEN


def has_port(spec: ContainerSpec) -> bool:
    """Whether it is on a bridge, which may be one of ours."""
    return any(item.kind is LinkKind.BRIDGE for item in spec.interfaces)
