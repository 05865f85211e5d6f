"""The interface of every way to limit the disks of containers, and the way that limits nothing.

The ways: project and user quotas (quotadisk.py), an XFS in a file (pool.py), btrfs (btrfsdisk.py), a file with an ext4
for each container (loopdisk.py), tmpfs (tmpfsdisk.py). Which one new containers get, and which one an existing one has,
is decided in disks.py. Knows no container. Blocking.
"""

# ruff: noqa: ARG002 (a way that limits nothing has the interface's arguments all the same)
from __future__ import annotations

import os
from collections.abc import Collection
from typing import Protocol

from warden.errors import NotSupported
from warden.kernel.paths import remove_tree
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits
from warden.records import dataclass

#: Below the depot: what does not lie in a container's own directory.
DIRECTORY = ".disk"
LAYERS = ("upper", "work")
REMEDY = "warden doctor tells which ways work here and what others need; see disk.backend"


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a container's writable files lie, and by which numbers limits find them.

    *project*: of its quota. *owner*: the host's id of its root, None for the host's own root; *user*: that of vcap.
    """

    path: str
    project: int = 0
    owner: int | None = None
    user: int = 0


class Disk(Protocol):
    """Layers of containers. A layer is a directory with overlay's upper and work in it."""

    @property
    def name(self) -> str:
        """The value of disk.backend."""
        ...

    @property
    def limits(self) -> bool:
        """Whether it can limit at all; if not, `check`, `limit` and `usage` raise."""
        ...

    def place(self, container_directory: str) -> str:
        """The path of a new container's layer, to be made by `make`."""
        ...

    def check(self, wanted: DiskLimits) -> None:
        """Raises NotSupported for what it can never limit. Looks at nothing."""
        ...

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        """Makes upper and work, limited from the start. Raises OSError, WardenError; then it may be there in part."""
        ...

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        """In force at once, also for what is there already. Raises KernelRefused, BadInput, NotSupported; then nothing is
        changed."""
        ...

    def usage(self, layer: Layer) -> DiskStat:
        """What it holds now. Raises KernelRefused."""
        ...

    def remove(self, path: str) -> None:
        """Removes a layer; one that is absent or made in part is fine. Raises KernelRefused."""
        ...

    def sweep(self, known: Collection[str]) -> None:
        """Removes every layer whose path is not *known* and that lies outside the containers' own directories."""
        ...

    @property
    def waits(self) -> bool:
        """Whether `usage` may wait for the disk; if not, it is a system call or two."""
        ...

    def promised(self) -> int:
        """Bytes that were written into its sparse files and that the host has not given them yet."""
        ...

    def confine(self, room: int | None) -> None:
        """A layer in a sparse file may take about *room* bytes more at most, whatever its limit; None lifts that."""
        ...

    def rest(self) -> None:
        """Lets go of what was made ahead for containers to come; those that are there go on."""
        ...

    def close(self) -> None:
        """After the last container: gives back what the machine lent."""
        ...


def make_layer(layer: Layer) -> None:
    """upper and work below its path, which may be there already, as overlay wants them: owned by the mapped root."""
    os.makedirs(layer.path, mode=0o711, exist_ok=True)
    for name in LAYERS:
        os.mkdir(f"{layer.path}/{name}", 0o755)
    own_layer(layer)


def own_layer(layer: Layer) -> None:
    if layer.owner is not None:
        for name in LAYERS:
            os.chown(f"{layer.path}/{name}", layer.owner, layer.owner)


def refuse_soft(name: str, wanted: DiskLimits) -> None:
    """A limit that one may exceed for a week is a matter of quotas. Raises NotSupported, naming the field."""
    for kind in ("block", "inode"):
        soft, hard = getattr(wanted, f"{kind}_soft"), getattr(wanted, f"{kind}_hard")
        if soft and not 0 < hard <= soft:
            hint = f"set {kind}_hard; project, pool and user have soft limits"
            raise NotSupported(f"limit_disk: {kind}_soft: the disk backend {name} has hard limits alone", hint=hint)


class NotSparse:
    """What a way without sparse files does about the host's room: it meets the host's own ENOSPC."""

    waits = False

    def promised(self) -> int:
        return 0

    def confine(self, room: int | None) -> None:
        return

    def rest(self) -> None:
        return


class NoDisk(NotSparse):
    """No limits: costs nothing and asks for nothing. *reasons*: why no other way is in use."""

    name = "none"
    limits = False

    def __init__(self, reasons: Collection[str] = ()) -> None:
        self._reasons = tuple(reasons)

    def place(self, container_directory: str) -> str:
        return container_directory

    def _refusal(self, what: str) -> NotSupported:
        why = f" ({'; '.join(self._reasons)})" if self._reasons else ""
        return NotSupported(f"{what}: no way to limit disks is in use{why}", hint=REMEDY)

    def check(self, wanted: DiskLimits) -> None:
        raise self._refusal("limit_disk")

    def make(self, layer: Layer, wanted: DiskLimits) -> None:
        make_layer(layer)

    def limit(self, layer: Layer, wanted: DiskLimits) -> None:
        raise self._refusal("limit_disk")

    def usage(self, layer: Layer) -> DiskStat:
        raise self._refusal("disk usage")

    def remove(self, path: str) -> None:
        remove_tree(path)

    def sweep(self, known: Collection[str]) -> None:
        return

    def close(self) -> None:
        return
