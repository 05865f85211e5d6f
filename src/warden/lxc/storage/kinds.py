"""The kinds of storage that are here, by name; choosing one; and finding the one of a container."""

from __future__ import annotations

import os

from warden.errors import BadInput, NotSupported
from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.lxc.home import Home
from warden.lxc.storage.base import Root, Storage, rootfs_directory, unseen
from warden.lxc.storage.btrfs import BtrfsStorage
from warden.lxc.storage.directory import DirStorage
from warden.lxc.storage.loop import LoopStorage
from warden.lxc.storage.overlay import OverlayStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: dict[str, Storage] = {
    kind.name: kind for kind in (DirStorage(), OverlayStorage(), LoopStorage(), BtrfsStorage())
}
#: What `best` tries, in this order. LXC has zfs and lvm before these.
_BEST = ("btrfs", "dir")
#: Those of LXC's that are not here, and what to do instead.
_ABSENT = {
    "zfs": "mount the data set and give its mount point as dir:PATH; for copies that share take -B btrfs or overlay",
    "lvm": "mount the volume and give its mount point as dir:PATH; -B loop is a file system of its own in a file",
    "rbd": "map and mount it and give its mount point as dir:PATH; -B loop is a file system of its own in a file",
    "nbd": "connect it with qemu-nbd, mount it and give its mount point as dir:PATH",
    "aufs": "the kernel has it no more: overlay:LOWER:UPPER does the same",
    "device": "mount it and give its mount point as dir:PATH",
}


def storage(kind: str) -> Storage:
    """Raises BadInput, NotSupported."""
    name = "overlay" if kind == "overlayfs" else kind
    if name in KINDS:
        return KINDS[name]
    hint = "one of " + ", ".join((*KINDS, "best"))
    if name in _ABSENT:
        raise NotSupported(f"storage {kind!r} is not carried out here", hint=_ABSENT[name])
    raise BadInput(f"{kind!r} is not a kind of storage", hint=hint)


def storage_of(root: Root) -> Storage:
    return storage(root.kind)


def choose(wanted: str, directory: str) -> Storage:
    """The first of *wanted*, names separated by commas, `best` or "" among them, that works below *directory*, which
    may not exist yet. Raises BadInput with every reason, NotSupported."""
    there = directory
    while not os.path.exists(there):
        there = os.path.dirname(there)
    reasons = []
    for word in (wanted or "dir").split(","):
        for name in _BEST if word.strip() == "best" else (word.strip(),):
            found = storage(name)
            why = found.why_not(there)
            if not why:
                return found
            reasons.append(f"{name}: {why}")
    raise BadInput("storage: " + "; ".join(reasons), hint="-B dir works everywhere")


@contextmanager
def reading(home: Home, root: Root) -> Iterator[str]:
    """A directory that shows all of *root*, which is mounted in *home* if it has to be (`unseen`)."""
    with _opened(home, root, storage_of(root).shows_in(root)) as found:
        yield found


@contextmanager
def filling(home: Home, root: Root) -> Iterator[str]:
    """The directory that what a container begins with is written to."""
    with _opened(home, root, storage_of(root).begins_in(root)) as found:
        with suppress(FileNotFoundError):
            os.rmdir(os.path.join(found, "lost+found"))
        yield found


@contextmanager
def _opened(home: Home, root: Root, direct: str) -> Iterator[str]:
    if direct:
        yield direct
        return
    target = rootfs_directory(home)
    with unseen(target):
        storage_of(root).mount(root, target)
        yield target
