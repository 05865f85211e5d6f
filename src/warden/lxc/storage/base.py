"""What every kind of storage does, and the few things they share: the value of lxc.rootfs.path, mounts nobody else sees.

Nothing here deletes: what lies in the container's directory goes with it (destroying.py), the rest only when told so.
"""

from __future__ import annotations

import os

from warden.errors import BadInput, KernelRefused
from warden.kernel import mounts
from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.lxc.home import ROOTFS, Home
from warden.lxc.values import size, split_kind
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol
else:
    Protocol = object

DEFAULT_SIZE = 1 << 30
SMALLEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Root:
    """The value of lxc.rootfs.path, taken apart: "overlay:/a:/b" is of *kind* "overlay" in *place* "/a:/b"."""

    kind: str
    place: str

    def __str__(self) -> str:
        return self.place if self.kind == "device" else f"{self.kind}:{self.place}"


def root_of(value: str) -> Root | None:
    """None for a container that shares the host's."""
    return Root(*split_kind(value.rstrip("/") or value)) if value else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How storage is to be made. *directory*: outside of the container's own; *size* in bytes, 0 the usual."""

    directory: str = ""
    fstype: str = "ext4"
    size: int = 0


class Storage(Protocol):
    """One kind. Errors of all: BadInput, NotSupported, KernelRefused, EngineFault."""

    @property
    def name(self) -> str: ...

    def why_not(self, directory: str, /) -> str:
        """Why it cannot be had below *directory*; "" when it can."""
        ...

    def make(self, home: Home, wanted: Wanted) -> Root:
        """An empty one."""
        ...

    def begins_in(self, root: Root, /) -> str:
        """The directory that what a container begins with is written to; "" when it has to be mounted for that."""
        ...

    def shows_in(self, root: Root, /) -> str:
        """The directory that shows all of it; "" when it has to be mounted for that."""
        ...

    def mount(self, root: Root, target: str, data: str = "") -> None:
        """At *target*, in the mount namespace of the calling thread; *data*: further options of its file system."""
        ...

    def clone(self, root: Root, home: Home, wanted: Wanted, /) -> Root:
        """One of the same kind and content in *home*, that depends on nothing."""
        ...

    def snapshot(self, root: Root, home: Home, /) -> Root:
        """The same, as quickly as the kind can. It may depend on the old one (`depends`)."""
        ...

    def depends(self, root: Root, /) -> str:
        """The directory of another container's that it is nothing without; "" when there is none."""
        ...

    def measure(self, root: Root) -> int:
        """Bytes that it occupies by itself."""
        ...

    def places(self, root: Root) -> tuple[str, ...]:
        """The paths that are its own."""
        ...


class Directory:
    """What dir and btrfs share: it is a directory already."""

    def begins_in(self, root: Root) -> str:
        return root.place

    def shows_in(self, root: Root) -> str:
        return root.place

    def mount(self, root: Root, target: str, data: str = "") -> None:
        mount(root.place, target, "", mounts.MS_BIND | mounts.MS_REC, data)

    def depends(self, _root: Root) -> str:
        return ""

    def measure(self, root: Root) -> int:
        return occupied(root.place)

    def places(self, root: Root) -> tuple[str, ...]:
        return (root.place,)


def occupied(directory: str) -> int:
    """Bytes on the disk of all that is in a directory."""
    from warden.rootfs.generation import tree_size  # few ask

    return tree_size(directory)


def rootfs_directory(home: Home) -> str:
    """Where the root is, or is mounted while the tools work on it; made when missing."""
    path = os.path.join(home.path, ROOTFS)
    make_directory(path)
    return path


def make_directory(path: str) -> None:
    """With mode 0755. One that is there is fine; raises KernelRefused."""
    try:
        with suppress(FileExistsError):
            os.mkdir(path)
            os.chmod(path, 0o755)
        if not os.path.isdir(path) or os.path.islink(path):
            raise BadInput(f"{path} is not a directory")
    except OSError as error:
        raise KernelRefused("mkdir", path, error.errno or 0) from error


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2); raises KernelRefused naming both."""
    try:
        mounts.mount(source, target, fstype, flags, data)
    except OSError as error:
        raise KernelRefused("mount", f"{source} at {target}", error.errno or 0) from error


def private_mounts() -> None:
    """A mount namespace of its own for the calling thread, for good; mounts of the host still arrive in it. Raises
    KernelRefused."""
    try:
        mounts.unshare(mounts.CLONE_NEWNS)
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_SLAVE)
    except OSError as error:
        raise KernelRefused("unshare", "the mount namespace", error.errno or 0, hint="this is root's work") from error


@contextmanager
def unseen(target: str) -> Iterator[None]:
    """For mounts at *target* that nobody else sees, gone at the end and with this process at the latest."""
    private_mounts()
    try:
        yield
    finally:
        while mounts.is_mounted(os.path.realpath(target)):
            mounts.umount2(target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)


def parse_size(value: str) -> int:
    """Bytes of lxc-create's --fssize: a number and a unit of bBkKmMgGtT, M without one. Raises BadInput."""
    text = value.strip()
    if text[-1:] in ("t", "T") and text[:-1].isdecimal():
        text = f"{int(text[:-1]) * 1024}G"
    try:
        found = size(f"{text}M" if text.isdecimal() else text)
    except BadInput:
        found = 0
    if found < SMALLEST:
        hint = "a number and one of b k M G T, M without; at least 4M"
        raise BadInput(f"{value!r} is not the size of a file system", hint=hint)
    return found
