"""The cgroups of a container of LXC's that is being started: made, its limits in force."""

from __future__ import annotations

import errno
import os

from warden.cgroup.driver import Manager
from warden.cgroup.groups import ContainerGroup
from warden.cgroup.layout import Layout
from warden.errors import BadInput, KernelRefused
from warden.lxc import place
from warden.lxc.namespaces import have_nodes
from warden.lxc.place import Site
from warden.model.limits import Limits
from warden.model.spec import ContainerSpec
from warden.undo import Undo


def manager_of(site: Site, spec: ContainerSpec) -> Manager:
    """Of no hierarchy at all where an ordinary user may make no group in one of them: BadInput when he wants limits."""
    manager = Manager(site.parent)
    roots = [hierarchy.root for hierarchy in manager.layout.used()]
    if all(os.access(root, os.W_OK) for root in roots) or have_nodes():
        return manager
    if spec.limits != Limits():
        raise BadInput("lxc.cgroup: no cgroup is delegated to you, so nothing can be limited", hint="take the limits out")
    return Manager(site.parent, Layout())


def limited(site: Site, spec: ContainerSpec, container_id: str, undo: Undo) -> ContainerGroup:
    """Its cgroups, with its limits in force. Those that it sees are its own in every hierarchy that can be one."""
    manager = manager_of(site, spec)
    try:
        manager.prepare()
    except KernelRefused as error:
        from warden.lxc.nested import make_room  # on v2, in a container

        if error.errno != errno.EBUSY or not make_room(manager.layout):
            raise
        manager.prepare()
    group = manager.container(container_id)
    undo.add("cgroups", place.remove_cgroups, site, container_id)
    group.create()
    group.set_limits(spec.limits, Limits())
    if spec.system is not None and spec.system.cgroups:
        from warden.lxc.nested import give_out

        give_out(group.directories().get(""))
        for controller in manager.layout.hierarchies:
            if controller not in ("blkio", *group.directories()):  # block I/O is counted in a group of its own
                group.use(controller)
    return group
