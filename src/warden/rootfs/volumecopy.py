"""What an image has at a path, copied into a new volume: owners and modes, by descriptor.

Owns the walk. The image may be anybody's: its paths are resolved below its root, no link is followed, no device or
FIFO is opened or made, and set-user-ID bits stay behind.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from warden.errors import ImageError, KernelRefused
from warden.kernel.paths import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, open_in_root, openat2
from warden.records import dataclass
from warden.rootfs import place
from warden.rootfs.copypaths import Owner

MAX_DEPTH = 200
DIRECTORY_MODE = 0o3777  # there the set-group-ID bit gives files a group, and nobody rights
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Origin:
    """A tree that is looked into: its *root*, and what is taken from the owners found there."""

    root: str
    base: int = 0


def copy_into(directory: str, origins: Sequence[Origin], path: str) -> bool:
    """Copies what lies at *path* of each of *origins*, the later over the earlier, into *directory*, which gets the owner
    and mode of the last. False, and nothing was done, when none has a directory there. Raises ImageError, KernelRefused."""
    found = False
    for origin in origins:
        try:
            found = _copy_one(directory, origin, path) or found
        except OSError as error:
            where = f"{origin.root}{path}" if error.filename is None else str(error.filename)
            raise KernelRefused("copy into volume", where, error.errno or 0) from error
    return found


def _copy_one(directory: str, origin: Origin, path: str) -> bool:
    try:
        root = os.open(origin.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            source = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(root)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        target = os.open(directory, place.DIRECTORY)
        try:
            _copy_directory(source, target, origin, path, 0)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True


def _copy_directory(source: int, target: int, origin: Origin, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ImageError(f"volume: {path[:80]}… lies deeper than {MAX_DEPTH} directories", hint="mount it with nocopy")
    for name in os.listdir(source):
        entry = os.open(name, _ENTRY, dir_fd=source)
        try:
            _copy_entry(source, entry, name, target, origin, f"{path}/{name}", depth)
        finally:
            os.close(entry)
    status = os.fstat(source)
    owner, shown = _owner(status, origin), place.by_descriptor(target)
    os.chown(shown, owner.uid, owner.gid)
    os.chmod(shown, stat.S_IMODE(status.st_mode) & DIRECTORY_MODE)


def _copy_entry(source: int, entry: int, name: str, target: int, origin: Origin, path: str, depth: int) -> None:
    status = os.fstat(entry)
    owner, kind = _owner(status, origin), stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        fd = os.open(place.by_descriptor(entry), _READING)
        try:
            place.put_file(fd, status, target, name, owner, lambda: None)
        finally:
            os.close(fd)
    elif kind == stat.S_IFLNK:
        place.put_link(os.readlink("", dir_fd=entry), target, name, owner)
    elif kind == stat.S_IFDIR:
        below = os.open(name, _LISTING, dir_fd=source)
        try:
            made = place.open_directory(target, name)
            try:
                _copy_directory(below, made, origin, path, depth + 1)
            finally:
                os.close(made)
        finally:
            os.close(below)


def _owner(status: os.stat_result, origin: Origin) -> Owner:
    return Owner(max(status.st_uid - origin.base, 0), max(status.st_gid - origin.base, 0))


def make_place(directory: str, path: str, *, is_directory: bool) -> None:
    """Makes *path* below *directory*, for something to be mounted on: in an id-mapped mount the kernel lets nobody create
    whose ids it does not map (EOVERFLOW), and the launcher is such a one. Where a link or a file of a container's is in the
    way nothing is made, and the mount fails or follows it inside."""
    *above, last = [part for part in path.split("/") if part]
    fd = os.open(directory, place.DIRECTORY)
    try:
        for name in (*above, last) if is_directory else above:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=fd)
            below = openat2(name, place.DIRECTORY, resolve=RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV, dir_fd=fd)
            os.close(fd)
            fd = below
        if not is_directory:
            os.close(os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=fd))
    except OSError:
        pass
    finally:
        os.close(fd)
