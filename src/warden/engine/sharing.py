"""Containers in another's network namespace: whose it is, and that it stays as long as it is needed.

The launcher enters the namespace with the host's rights. It belongs to its owner's user namespace, so who shares it has
no rights over it: no raw sockets, no addresses or routes of his own. It is kept by whoever is in it, but the owner's
links and their rules go when the owner is destroyed: that is refused while it is shared.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from warden.engine.facts import addresses
from warden.engine.pidfd import pid_of
from warden.errors import WrongState
from warden.model.info import State
from warden.model.spec import NetworkMode
from warden.plan.container import Shared
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from warden.engine.build import Order
    from warden.engine.container import Container
    from warden.engine.site import Site


@dataclass(frozen=True, slots=True)
class Share:
    """One container's part in another's network, while it is made. *fd*: the namespace, to be closed when it is in."""

    site: Site
    owner_id: str
    sharer_id: str
    fd: int

    def undo(self) -> None:
        """It could not be made."""
        self.site.sharers.get(self.owner_id, {}).pop(self.sharer_id, None)


def share(site: Site, order: Order, owner: Container) -> tuple[Order, Share]:
    """*order* in the network namespace of *owner*, which cannot be destroyed from here on. Raises WrongState."""
    theirs = owner.snapshot
    owner.require(State.ACTIVE)
    if theirs.spec.network is NetworkMode.HOST:
        raise WrongState(f"network_of: container {owner.handle} has the host's network", hint="take the mode host")
    if theirs.spec.network is NetworkMode.CONTAINER:
        hint = f"take container:{theirs.spec.network_of}"
        raise WrongState(f"network_of: container {owner.handle} shares another's network itself", hint=hint)
    fd = _open(owner)
    snapshot = replace(order.snapshot, network_owner=owner.id)
    site.sharers.setdefault(owner.id, {})[snapshot.container_id] = snapshot.handle
    shared = Shared(f"/proc/{os.getpid()}/fd/{fd}", f"/proc/{os.getpid()}/ns/net")
    order = replace(order, snapshot=snapshot, shared=shared, shared_ip=addresses(theirs)[1])
    return order, Share(site, owner.id, snapshot.container_id, fd)


def _open(owner: Container) -> int:
    """The number of a process that has ended may be another's: only the pidfd knows."""
    try:
        fd = os.open(f"/proc/{owner.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        fd = -1
    if fd < 0 or pid_of(owner.pidfd) != owner.pid:
        if fd >= 0:
            os.close(fd)
        raise WrongState(f"network_of: container {owner.handle}: its PID 1 is gone")
    return fd


def renamed(container: Container) -> None:
    """Whose network it shares knows it by its new name."""
    for sharers in container.site.sharers.values():
        if container.id in sharers:
            sharers[container.id] = container.handle


def check_unshared(container: Container) -> None:
    """Raises WrongState while others are in its network."""
    if others := container.site.sharers.get(container.id):
        names = ", ".join(sorted(others.values()))
        raise WrongState(f"container {container.handle}: its network is shared by {names}", hint="destroy those first")
