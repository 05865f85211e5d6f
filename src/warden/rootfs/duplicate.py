"""A whole root file system copied or given to other owners, as root: modes, times, links, devices, attributes and all.

Owns the walk of a tree that is at rest, such as that of a container that does not run. Every entry is opened by its name
in an open directory, never by a path, never through a link; mounts are not entered, what lies below them is not seen.
`transfer` is for trees that somebody changes meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat

from warden.errors import BadInput, KernelRefused
from warden.kernel.paths import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from warden.light import TYPE_CHECKING
from warden.records import dataclass, field
from warden.rootfs.place import DIRECTORY, by_descriptor, stream

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOW = 32  # levels of which descriptors are held; those above are opened again on the way back
_ENTRY = os.O_PATH | os.O_NOFOLLOW
_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INSIDE = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS
#: What the target's file system, or root of a user namespace, cannot keep: left out, as by cp(1).
_LEFT_OUT = (errno.ENOTSUP, errno.EPERM)


@dataclass(slots=True)
class _Level:
    """A directory in work. *status*: what it gets at the end; descriptors are -1 while closed."""

    name: str
    source_fd: int
    target_fd: int
    status: os.stat_result
    pending: list[str] = field(default_factory=list)


def copy_tree(source: str, target: str) -> None:
    """All that *source*, a directory, holds into *target*, an empty one; its own mode and owner too. Blocks are shared
    where the file system can. Raises BadInput for a target in the source, KernelRefused naming the entry; what was copied
    by then stays."""
    inside = os.path.realpath(target) + "/"
    if inside.startswith(os.path.realpath(source).rstrip("/") + "/"):
        raise BadInput(f"{source} cannot be copied into itself", hint=f"{target} is below it")
    walk = _Copy(source, target)
    try:
        walk.run()
    except OSError as error:
        raise KernelRefused("copy", walk.place(), error.errno or 0) from error
    finally:
        walk.close()


class _Copy:
    def __init__(self, source: str, target: str) -> None:
        self._source = source
        self._target = target
        self._levels: list[_Level] = []
        self._root_fd = -1
        self._links: dict[tuple[int, int], str] = {}
        self._name = ""

    def place(self) -> str:
        """What is being copied."""
        return os.path.join(self._source, *(level.name for level in self._levels if level.name), self._name)

    def run(self) -> None:
        self._root_fd = os.open(self._target, DIRECTORY)
        source_fd = os.open(self._source, _LISTING & ~os.O_NOFOLLOW)
        self._enter("", source_fd, os.dup(self._root_fd))
        while self._levels:
            level = self._levels[-1]
            if level.pending:
                self._directory(level, level.pending.pop())
            else:
                self._leave()

    def close(self) -> None:
        for level in self._levels:
            _close(level)
        if self._root_fd >= 0:
            os.close(self._root_fd)

    # ---- directories

    def _directory(self, level: _Level, name: str) -> None:
        self._name = name
        os.mkdir(name, 0o700, dir_fd=level.target_fd)
        try:
            source_fd = openat2(name, _LISTING, resolve=_INSIDE, dir_fd=level.source_fd)
        except OSError as error:
            if error.errno != errno.EXDEV:  # else a mount: its place alone
                raise
            os.chmod(name, 0o755, dir_fd=level.target_fd)
            return
        self._enter(name, source_fd, os.open(name, DIRECTORY, dir_fd=level.target_fd))

    def _enter(self, name: str, source_fd: int, target_fd: int) -> None:
        level = _Level(name, source_fd, target_fd, os.fstat(source_fd))
        self._levels.append(level)
        if len(self._levels) > _WINDOW:
            _close(self._levels[-1 - _WINDOW])
        with os.scandir(source_fd) as entries:
            for entry in entries:
                self._name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    level.pending.append(entry.name)
                else:
                    self._file(level, entry.name)
        self._name = ""

    def _leave(self) -> None:
        level = self._levels[-1]
        self._name = ""
        _dress(level.source_fd, level.target_fd, level.status)
        if len(self._levels) > 1 and self._levels[-2].source_fd < 0:
            self._reopen(self._levels[-2], level)
        self._levels.pop()
        _close(level)

    def _reopen(self, parent: _Level, child: _Level) -> None:
        parent.source_fd = os.open("..", _LISTING, dir_fd=child.source_fd)
        parent.target_fd = os.open("..", DIRECTORY, dir_fd=child.target_fd)
        now = os.fstat(parent.source_fd)
        if (now.st_dev, now.st_ino) != (parent.status.st_dev, parent.status.st_ino):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    # ---- everything else

    def _file(self, level: _Level, name: str) -> None:
        try:
            fd = openat2(name, _ENTRY, resolve=_INSIDE, dir_fd=level.source_fd)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            os.close(os.open(name, _WRITING, 0o644, dir_fd=level.target_fd))
            return
        try:
            status = os.fstat(fd)
            if status.st_nlink > 1 and self._linked(level, name, status):
                return
            self._make(fd, status, level.target_fd, name)
            made = os.open(name, _ENTRY | os.O_CLOEXEC, dir_fd=level.target_fd)
            try:
                _dress(fd, made, status)
            finally:
                os.close(made)
        finally:
            os.close(fd)

    def _linked(self, level: _Level, name: str, status: os.stat_result) -> bool:
        """Whether it is a further name of what was copied, and made so. One whose path is too long becomes a copy."""
        key = (status.st_dev, status.st_ino)
        first = self._links.get(key)
        if first is None:
            self._links[key] = os.path.join(*(one.name for one in self._levels), name)
            return False
        try:
            os.link(first, name, src_dir_fd=self._root_fd, dst_dir_fd=level.target_fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK):
                raise
            return False
        return True

    def _make(self, fd: int, status: os.stat_result, target_fd: int, name: str) -> None:
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink("", dir_fd=fd), name, dir_fd=target_fd)
        elif stat.S_ISREG(status.st_mode):
            # Only now, when it is known to be a regular file, is it opened: no FIFO blocks and no device notices.
            source = os.open(by_descriptor(fd), os.O_RDONLY | os.O_CLOEXEC)
            try:
                out = os.open(name, _WRITING, 0o600, dir_fd=target_fd)
                try:
                    stream(source, out, status, lambda: None)
                finally:
                    os.close(out)
            finally:
                os.close(source)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target_fd)


def _dress(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    """Owner, attributes, mode and times, in this order: chown(2) takes set-user-ID bits and capabilities away."""
    source, target = by_descriptor(source_fd), by_descriptor(target_fd)
    os.chown(target, status.st_uid, status.st_gid)
    for name in _attributes(source):
        _copy_attribute(source, target, name)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError as error:
        if error.errno not in _LEFT_OUT:
            raise
        return []


def _copy_attribute(source: str, target: str, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in _LEFT_OUT:
            raise


def _close(level: _Level) -> None:
    for fd in (level.source_fd, level.target_fd):
        if fd >= 0:
            os.close(fd)
    level.source_fd = level.target_fd = -1


def give_tree(path: str, user: Callable[[int], int], group: Callable[[int], int]) -> None:
    """Every entry of the tree at *path* and itself belongs to what *user* and *group* make of its owner. Set-user-ID bits
    and file capabilities stay. Raises KernelRefused."""
    giving = _Giving(user, group, set())
    try:
        for _, directories, files, fd in os.fwalk(path):
            for name in (*directories, *files):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    giving.give(name, fd)
            giving.give(".", fd)
    except OSError as error:
        raise KernelRefused("chown", path, error.errno or 0) from error


@dataclass(slots=True)
class _Giving:
    user: Callable[[int], int]
    group: Callable[[int], int]
    given: set[tuple[int, int]]  # what has further names is given once

    def give(self, name: str, dir_fd: int) -> None:
        fd = os.open(name, _ENTRY | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            status, path = os.fstat(fd), by_descriptor(fd)
            if (status.st_dev, status.st_ino) in self.given:
                return
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                self.given.add((status.st_dev, status.st_ino))
            able = _capabilities(fd) if stat.S_ISREG(status.st_mode) else b""
            os.chown(path, self.user(status.st_uid), self.group(status.st_gid))
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(path, stat.S_IMODE(status.st_mode))
            if able:
                os.setxattr(path, "security.capability", able)
        finally:
            os.close(fd)


def _capabilities(fd: int) -> bytes:
    try:
        return os.getxattr(by_descriptor(fd), "security.capability")
    except OSError as error:
        if error.errno not in (errno.ENODATA, *_LEFT_OUT):
            raise
        return b""
