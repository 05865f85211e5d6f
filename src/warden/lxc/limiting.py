"""The cgroups of a container of LXC's that is being started: made, its limits in force."""

from __future__ import annotations

import errno
import os

from warden.cgroup.driver import Manager
from warden.cgroup.groups import ContainerGroup
from warden.cgroup.layout import Layout
from warden.errors import BadInput, KernelRefused
from warden.light import TYPE_CHECKING
from warden.lxc import place
from warden.lxc.missing import Missing, Need
from warden.lxc.namespaces import have_nodes
from warden.lxc.place import Site
from warden.model.limits import Limits
from warden.model.spec import ContainerSpec
from warden.records import replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Sequence


def manager_of(site: Site, spec: ContainerSpec) -> Manager:
    """Of no hierarchy at all where an ordinary user may make no group in one of them: BadInput when he wants limits."""
    manager = Manager(site.parent)
    roots = [hierarchy.root for hierarchy in manager.layout.used()]
    if all(os.access(root, os.W_OK) for root in roots) or have_nodes():
        return manager
    if spec.limits != Limits():
        raise BadInput("lxc.cgroup: no cgroup is delegated to you, so nothing can be limited", hint="take the limits out")
    return Manager(site.parent, Layout())


def limited(
    manager: Manager, site: Site, spec: ContainerSpec, container_id: str, undo: Undo, missing: Sequence[Missing] = ()
) -> ContainerGroup:
    """Its cgroups, with its limits in force but for those on devices (`confine`), and what of *missing* is a file of them.
    Those that it sees are its own in every hierarchy that can be one. `Manager.count_new_devices` is left to the caller."""
    try:
        manager.prepare(count=False)
    except KernelRefused as error:
        from warden.lxc.nested import make_room  # on v2, in a container

        if error.errno != errno.EBUSY or not make_room(manager.layout):
            raise
        manager.prepare(count=False)
    group = manager.container(container_id)
    undo.add("cgroups", place.remove_cgroups, site, container_id)
    group.create()
    late = spec.limits.devices is not None and not _at_once(spec)
    early = replace(spec.limits, devices=None) if late else spec.limits
    group.set_limits(early, Limits())
    _write_files(group, [item for item in missing if item.need is Need.CGROUP and not _of_devices(item)])
    if late or any(_of_devices(item) for item in missing):
        _join_devices(group)
    if spec.system is not None and spec.system.cgroups:
        from warden.lxc.nested import give_out

        give_out(group.directories().get(""))
    if spec.system is not None and (spec.system.cgroups or not spec.user_namespace):
        _join_all(group, manager.layout)
    return group


def confine(group: ContainerGroup, spec: ContainerSpec, missing: Sequence[Missing] = ()) -> None:
    """Its limits on devices, when all is there but its program: until then a /dev is made for it, whose devices it may not
    have. Raises as `limited`."""
    if not _at_once(spec) and spec.limits.devices is not None:
        group.set_limits(spec.limits, replace(spec.limits, devices=None))
    _write_files(group, [item for item in missing if _of_devices(item)])


def _at_once(spec: ContainerSpec) -> bool:
    """One that sees its cgroups has a group below this one from its birth on, and then v1 takes no `a` any more
    (devcgroup_update_access, security/device_cgroup.c)."""
    return spec.system is not None and bool(spec.system.cgroups)


def _of_devices(item: Missing) -> bool:
    return item.need is Need.CGROUP and ".devices." in item.key


def _join_devices(group: ContainerGroup) -> None:
    """So that its first process is born in the group that will be limited."""
    place = group.place("devices")
    if place is not None and not place.made:
        group.use("devices")


def _join_all(group: ContainerGroup, layout: Layout) -> None:
    """Its root may mount any hierarchy that the host has mounted (cgroup1_get_tree() of kernel/cgroup/cgroup-v1.c), and
    sees there what its cgroup namespace has as the root: without a group of its own that is the host's."""
    for controller, root in (*layout.hierarchies.items(), *layout.named.items()):
        # block I/O is counted in a group of its own
        if controller not in ("blkio", *group.directories()) and os.access(root, os.W_OK):
            group.use(controller, empty=True)


def _write_files(group: ContainerGroup, files: Sequence[Missing]) -> None:
    """Verbatim and in this order (`lxc.cgroup.FILE` that is none of the limits). Raises KernelRefused,
    and BadInput for a controller that no hierarchy has."""
    for item in files:
        _, version, name = item.key.split(".", 2)
        controller = "" if version == "cgroup2" else name.partition(".")[0]
        where = group.place(controller)
        if where is None:
            raise BadInput(f"{item.key}: no cgroup hierarchy has {controller}", hint="`warden doctor` lists them")
        if not where.made:
            group.use(controller)
        path = f"{where.path}/{name}"
        try:
            with open(path, "wb", buffering=0) as file:
                file.write(os.fsencode(item.value))
        except OSError as error:
            hint = f"{item.key} = {item.value} asked for it"
            raise KernelRefused(f"write {item.value!r} to", path, error.errno or 0, hint=hint) from error
