"""What an image has at a path, copied into a new volume: owners, modes, times, hard links, holes, attributes.

Owns the walk, by descriptor, its bound and its end. The image may be anybody's: its paths are resolved below its root,
no link is followed, no device or FIFO is opened or made; set-user-ID bits and file capabilities stay behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence

from warden.errors import ImageError, KernelRefused
from warden.kernel.paths import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, open_in_root, openat2
from warden.model.text import escaped
from warden.records import dataclass, field
from warden.rootfs import place
from warden.rootfs.copypaths import Owner
from warden.rootfs.copyreport import Cancelled

MAX_DEPTH = 200
ENTRY_BYTES = 1024  # that each entry counts for, beside its blocks: a million of empty files is too much as well
DIRECTORY_MODE = 0o3777  # there the set-group-ID bit gives files a group, and nobody rights
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: What means nothing elsewhere (trusted.overlay.*) or gives rights (security.*) stays behind.
_ATTRIBUTES = ("user.", "system.posix_acl_")
#: What the volume's file system cannot keep is left out, as by cp(1).
_LEFT_OUT = (errno.ENOTSUP, errno.EPERM, errno.E2BIG, errno.ERANGE)


@dataclass(frozen=True, slots=True)
class Origin:
    """A tree that is looked into: its *root*, and what is taken from the owners found there."""

    root: str
    base: int = 0


@dataclass(slots=True)
class Bound:
    """*room*: bytes that may be copied yet, None for any number; *goes_on*: asked before each entry and each few MiB; *at*:
    the last entry."""

    room: int | None = None
    goes_on: Callable[[], bool] = lambda: True
    at: str = ""

    def check(self) -> None:
        """Raises Cancelled."""
        if not self.goes_on():
            raise Cancelled

    def enter(self, path: str) -> None:
        """An entry. Raises Cancelled, or OSError with EFBIG when it is too much."""
        self.at = path
        self.check()
        self._take(ENTRY_BYTES)

    def take(self, status: os.stat_result) -> None:
        """For what is in it. Raises OSError with EFBIG when it is too much."""
        self._take(min(status.st_size, status.st_blocks * 512))

    def _take(self, count: int) -> None:
        if self.room is not None:
            self.room -= count
            if self.room < 0:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def copy_into(directory: str, origins: Sequence[Origin], path: str, bound: Bound | None = None) -> bool:
    """Copies what lies at *path* of each of *origins*, the later over the earlier, into *directory*, which gets the owner
    and mode of the last. False, and nothing was done, when none has a directory there. Raises ImageError, also for what is
    beyond *bound*, KernelRefused, Cancelled."""
    found, bound = False, bound or Bound()
    for origin in origins:
        try:
            found = _copy_one(directory, origin, path, bound) or found
        except OSError as error:
            if error.errno == errno.EFBIG and bound.room is not None and bound.room < 0:
                hint = "mount it with nocopy"
                raise ImageError(f"volume: what the image has at {path} is too large", hint=hint) from error
            where = f"{origin.root}{path.rstrip('/')}/{bound.at}"
            raise KernelRefused("copy into volume", escaped(where), error.errno or 0) from error
    return found


def _copy_one(directory: str, origin: Origin, path: str, bound: Bound) -> bool:
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
            _Copy(origin, path, bound, target).directory(source, target, "", 0)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True


@dataclass(slots=True)
class _Copy:
    """One of *origin*'s; *top* is the descriptor that all goes below, paths are seen from there."""

    origin: Origin
    path: str
    bound: Bound
    top: int
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def directory(self, source: int, target: int, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            where = f"{self.path}/{path}"[:80]
            raise ImageError(f"volume: {where}… lies deeper than {MAX_DEPTH} directories", hint="mount it with nocopy")
        with os.scandir(source) as entries:  # its names may be more than memory should hold
            for name in (each.name for each in entries):
                entry = os.open(name, _ENTRY, dir_fd=source)
                try:
                    self._entry(source, entry, name, target, f"{path}{name}", depth)
                finally:
                    os.close(entry)
        status = os.fstat(source)
        owner, shown = self._owner(status), place.by_descriptor(target)
        os.chown(shown, owner.uid, owner.gid)
        os.chmod(shown, stat.S_IMODE(status.st_mode) & DIRECTORY_MODE)
        self._dress(source, target, status)

    def _entry(self, source: int, entry: int, name: str, target: int, path: str, depth: int) -> None:
        status = os.fstat(entry)
        self.bound.enter(path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            below = os.open(name, _LISTING, dir_fd=source)
            try:
                made = place.open_directory(target, name)
                try:
                    self.directory(below, made, f"{path}/", depth + 1)
                finally:
                    os.close(made)
            finally:
                os.close(below)
        elif kind in (stat.S_IFREG, stat.S_IFLNK) and not self._linked(status, target, name, path):
            self._put(entry, status, target, name)

    def _put(self, entry: int, status: os.stat_result, target: int, name: str) -> None:
        self.bound.take(status)
        owner = self._owner(status)
        if stat.S_ISLNK(status.st_mode):
            place.put_link(os.readlink("", dir_fd=entry), target, name, owner)
        else:
            fd = os.open(place.by_descriptor(entry), _READING)
            try:
                place.put_file(fd, status, target, name, owner, self.bound.check)
            finally:
                os.close(fd)
        made = os.open(name, _ENTRY, dir_fd=target)
        try:
            self._dress(entry, made, status)
        finally:
            os.close(made)

    def _linked(self, status: os.stat_result, target: int, name: str, path: str) -> bool:
        """Whether it is a further name of what was copied, and made so. One that cannot be becomes a copy."""
        if status.st_nlink < 2:
            return False
        first = self.links.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=target)  # of an earlier origin
            os.link(first, name, src_dir_fd=self.top, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK, errno.EISDIR):
                raise
            return False
        return True

    def _dress(self, source: int, target: int, status: os.stat_result) -> None:
        """Attributes and times, after owner and mode: an access list has the mode in it."""
        shown, made = place.by_descriptor(source), place.by_descriptor(target)
        for name in _attributes(shown) if not self.origin.base else ():  # the numbers in access lists would be wrong
            try:
                os.setxattr(made, name, os.getxattr(shown, name))
            except OSError as error:
                # ext4 has a block for attributes, and says ENOSPC of one that is larger
                if error.errno not in _LEFT_OUT and not (error.errno == errno.ENOSPC and os.statvfs(made).f_bavail):
                    raise
        os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _owner(self, status: os.stat_result) -> Owner:
        return Owner(max(status.st_uid - self.origin.base, 0), max(status.st_gid - self.origin.base, 0))


def _attributes(path: str) -> list[str]:
    try:
        return [name for name in os.listxattr(path) if name.startswith(_ATTRIBUTES)]
    except OSError as error:
        if error.errno not in _LEFT_OUT:
            raise
        return []


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
