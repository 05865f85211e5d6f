"""The root file system of a container that is started: mounted first where it is no directory yet."""

from __future__ import annotations

from warden.kernel import mounts
from warden.lxc.storage.base import make_directory, private_mounts, root_of
from warden.lxc.storage.kinds import storage_of
from warden.model.spec import ContainerSpec
from warden.records import replace
from warden.undo import Undo


def mounted(spec: ContainerSpec, value: str, target: str, undo: Undo, data: str = "") -> ContainerSpec:
    """*spec* with the root that *value*, of lxc.rootfs.path, means. What has to be mounted is, at *target*, which is made,
    with *data*, options of its file system: in a mount namespace that this process gets for good and hands on to what it
    starts, so it goes with them at the latest. Raises BadInput, NotSupported, KernelRefused."""
    root = root_of(value)
    if root is None or (direct := storage_of(root).shows_in(root)):
        return replace(spec, rootfs=direct) if root else spec
    private_mounts()
    make_directory(target)
    storage_of(root).mount(root, target, data)
    undo.add("root file system", mounts.umount2, target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    return replace(spec, rootfs=target)
