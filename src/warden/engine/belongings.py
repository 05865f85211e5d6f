"""What a container shares with others, told as events: networks that it is on, volumes that it has.

It has them from its creation to its destruction, whether it runs or not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from warden.engine.events import NetworkConnected, NetworkDisconnected, VolumeMounted, VolumeUnmounted
from warden.model.interfaces import bridge_device
from warden.model.mounts import MountKind

if TYPE_CHECKING:
    from warden.engine.container import Container


def tell_taken(container: Container) -> None:
    """It was made."""
    for link in container.snapshot.links:
        if link.bridge == bridge_device(link.parent):
            addresses = ",".join(link.addresses)
            container.tell(partial(NetworkConnected, name=link.parent, interface=link.name, addresses=addresses))
    for mount in container.snapshot.spec.mounts:
        if mount.kind is MountKind.VOLUME:
            name, place = mount.source, mount.place
            container.tell(partial(VolumeMounted, name=name, destination=place, read_only=mount.read_only))


def tell_given_back(container: Container) -> None:
    """It was destroyed."""
    for link in container.snapshot.links:
        if link.bridge == bridge_device(link.parent):
            container.tell(partial(NetworkDisconnected, name=link.parent, interface=link.name))
    for mount in container.snapshot.spec.mounts:
        if mount.kind is MountKind.VOLUME:
            container.tell(partial(VolumeUnmounted, name=mount.source, destination=mount.place))
