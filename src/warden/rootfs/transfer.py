"""Copying a tree from one side to the other as `rsync -r -p --links` does, between a host and a hostile container.

Owns the walk. Every entry is opened by its name in an open directory, never by a path, never through a link: what is
renamed or replaced meanwhile can make the copy miss something, it cannot lead it elsewhere. Each side is touched with
that side's identity alone. Blocking: needs a thread of its own, whose identity it changes for good.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable

from warden.errors import BadInput, KernelRefused
from warden.kernel import identity
from warden.records import dataclass, field
from warden.rootfs import copypaths, place
from warden.rootfs.copypaths import Placing, There
from warden.rootfs.copyreport import Cancelled, Order, Report, Side

_WINDOW = 32  # levels of which descriptors are held; those above are opened again on the way back
_BATCH = 4096  # names read at a time
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(slots=True)
class _Level:
    """A directory in work, *mode* is what it gets at the end. Descriptors are -1 while closed."""

    name: str
    source_fd: int
    target_fd: int
    mode: int
    source_id: tuple[int, int]
    target_id: tuple[int, int]
    pending: list[str] = field(default_factory=list)


def copy(order: Order) -> None:
    """Does it. BadInput: a path that cannot be copied, nothing was changed. KernelRefused: names the first entry that
    failed or vanished, when all others are copied; or the file at which the disk was full. Raises Cancelled."""
    identity.drop_groups()
    walk = _Walk(order)
    try:
        walk.start()
        walk.finish()
    finally:
        walk.close()
    walk.judge()


class _Walk:
    """One copy: the directories from the top down, and what went wrong so far."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._report = Report(order)
        self._side: Side | None = None
        self._levels: list[_Level] = []
        self._top: tuple[int, int] | None = None
        self._target_path = order.target_path

    # ---- where from, where to

    def start(self) -> None:
        """Opens both ends and copies the top entry."""
        order = self._order
        origin = copypaths.parse_source(order.source_path)
        with contextlib.ExitStack() as stack:
            source_fd = self._open_source(origin)
            stack.callback(os.close, source_fd)
            status = os.fstat(source_fd)
            kind = stat.S_IFMT(status.st_mode)
            if kind in _KINDS:
                raise BadInput(f"{order.operation}: {order.source_path}: {_KINDS[kind]} cannot be copied")
            parent_fd, name = self._open_target(source_fd, is_directory=kind == stat.S_IFDIR)
            stack.callback(os.close, parent_fd)
            self._top = _identity(parent_fd)
            try:
                if name or origin.name:
                    self._target_path = order.target_path if name else os.path.join(order.target_path, origin.name)
                    self._put(source_fd, status, parent_fd, name or origin.name, "")
                else:
                    self._enter(source_fd, status, lambda: os.dup(parent_fd), "")
            except OSError as error:
                self._note(error, "")

    def _open_source(self, origin: copypaths.Source) -> int:
        self._become(self._order.source)
        try:
            if not origin.name:
                return self._order.source.open(origin.directory, os.O_PATH | os.O_DIRECTORY)
            directory_fd = self._order.source.open(origin.directory, os.O_PATH | os.O_DIRECTORY)
            try:
                return os.open(origin.name, _ENTRY, dir_fd=directory_fd)
            finally:
                os.close(directory_fd)
        except OSError as error:
            raise self._report.unusable(self._order.source, self._order.source_path, error) from None

    def _open_target(self, source_fd: int, *, is_directory: bool) -> tuple[int, str]:
        """The directory that is copied into, and the name that the copy gets there; "" the source's own."""
        order, path = self._order, self._order.target_path
        try:
            is_empty = is_directory and self._is_empty(source_fd)
        except OSError as error:
            raise self._report.unusable(order.source, order.source_path, error) from None
        self._become(order.target)
        try:
            there, fd = self._look(path)
            how = copypaths.placing(path, there, is_directory=is_directory, is_empty=is_empty)
            if how is Placing.INTO:
                return fd, ""
            directory, name = copypaths.split(path)
            parent_fd = order.target.open(directory, os.O_PATH | os.O_DIRECTORY)
            return (parent_fd, name) if how is Placing.AS else (self._make(parent_fd, name), "")
        except OSError as error:
            raise self._report.unusable(order.target, path, error) from None
        except BadInput as error:
            raise BadInput(f"{order.operation}: {error.message}", hint=error.hint) from None

    def _look(self, path: str) -> tuple[There, int]:
        try:
            return There.DIRECTORY, self._order.target.open(path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return There.MISSING, -1
        except NotADirectoryError:
            return There.OTHER, -1

    def _make(self, parent_fd: int, name: str) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
            fd = os.open(name, place.DIRECTORY, dir_fd=parent_fd)
            place.finish(fd, 0o755, self._order.owner)
        finally:
            os.close(parent_fd)
        return fd

    def _is_empty(self, fd: int) -> bool:
        listing = os.open(".", _LISTING, dir_fd=fd)
        try:
            with os.scandir(listing) as entries:
                return next(entries, None) is None
        finally:
            os.close(listing)

    # ---- the walk

    def finish(self) -> None:
        """Copies all that lies below what `start` entered."""
        while self._levels:
            self._check()
            level = self._levels[-1]
            if level.pending:
                self._copy(level, level.pending.pop(), descend=True)
            else:
                self._leave()

    def _copy(self, level: _Level, name: str, *, descend: bool) -> None:
        """One entry of the directory in work; a directory is only remembered unless *descend*."""
        try:
            self._become(self._order.source)
            fd = os.open(name, _ENTRY, dir_fd=level.source_fd)
            try:
                status = os.fstat(fd)
                if stat.S_ISDIR(status.st_mode) and not descend:
                    level.pending.append(name)
                else:
                    self._put(fd, status, level.target_fd, name, name)
            finally:
                os.close(fd)
        except OSError as error:
            self._note(error, name)

    def _put(self, fd: int, status: os.stat_result, target_fd: int, name: str, shown: str) -> None:
        """The entry behind the O_PATH descriptor *fd* as *name*; *shown* is its name in errors."""
        self._become(self._order.source)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._put_file(fd, status, target_fd, name)
        elif kind == stat.S_IFLNK:
            text = os.readlink("", dir_fd=fd)
            self._become(self._order.target)
            place.put_link(text, target_fd, name, self._order.owner)
        elif kind == stat.S_IFDIR:
            self._enter(fd, status, lambda: place.open_directory(target_fd, name), shown)
        else:
            self._report.skip(self._path(shown), _KINDS.get(kind, "no file"))

    def _put_file(self, path_fd: int, status: os.stat_result, target_fd: int, name: str) -> None:
        # Only now, when it is known to be a regular file, is it opened: no FIFO blocks and no device notices.
        fd = os.open(place.by_descriptor(path_fd), _READING)
        try:
            self._become(self._order.target)
            place.put_file(fd, status, target_fd, name, self._order.owner, self._check)
        finally:
            os.close(fd)

    def _enter(self, path_fd: int, status: os.stat_result, open_target: Callable[[], int], name: str) -> None:
        """Goes down into a directory; when it cannot be read, none is made for it."""
        with contextlib.ExitStack() as stack:
            self._become(self._order.source)
            source_fd = os.open(".", _LISTING, dir_fd=path_fd)
            stack.callback(os.close, source_fd)
            self._become(self._order.target)
            target_fd = open_target()
            stack.callback(os.close, target_fd)
            source_id, target_id = _identity(source_fd), _identity(target_fd)
            if source_id in (target_id, self._top):
                raise BadInput(f"{self._order.operation}: {self._path(name)} would be copied into itself")
            place.make_usable(target_fd, self._order.target.uid)
            stack.pop_all()
        level = _Level(name, source_fd, target_fd, stat.S_IMODE(status.st_mode), source_id, target_id)
        self._levels.append(level)
        if len(self._levels) > _WINDOW:
            _close(self._levels[-1 - _WINDOW])
        self._scan(level)

    def _scan(self, level: _Level) -> None:
        """Copies what is no directory, remembers what is one."""
        self._become(self._order.source)
        with os.scandir(level.source_fd) as entries:
            while batch := list(itertools.islice(entries, _BATCH)):
                for entry in batch:
                    self._check()
                    self._become(self._order.source)
                    if entry.is_dir(follow_symlinks=False):
                        level.pending.append(entry.name)
                    else:
                        self._copy(level, entry.name, descend=False)
                self._become(self._order.source)

    def _leave(self) -> None:
        """Comes back from a directory that is done, to the one that holds it."""
        level = self._levels[-1]
        self._become(self._order.target)
        try:
            place.finish(level.target_fd, level.mode, self._order.owner)
        except OSError as error:
            self._note(error, "")
        if len(self._levels) > 1 and self._levels[-2].source_fd < 0:
            self._reopen(self._levels[-2], level)
        self._levels.pop()
        _close(level)

    def _reopen(self, parent: _Level, child: _Level) -> None:
        """By "..", which is right as long as nobody moved the child: the descriptors must be of the same directories."""
        try:
            self._become(self._order.source)
            parent.source_fd = os.open("..", _LISTING, dir_fd=child.source_fd)
            self._become(self._order.target)
            parent.target_fd = os.open("..", place.DIRECTORY, dir_fd=child.target_fd)
            same = _identity(parent.source_fd) == parent.source_id and _identity(parent.target_fd) == parent.target_id
        except OSError as error:
            raise self._refused(error) from None
        if not same:
            raise self._refused(OSError(errno.ESTALE, ""))

    def _refused(self, error: OSError) -> KernelRefused:
        side = self._side or self._order.source
        return self._report.refused(side, self._path(""), error, "directories were moved while they were copied")

    def judge(self) -> None:
        """Raises what `copy` raises at the end."""
        self._report.judge()

    def close(self) -> None:
        """Closes what is open; also after an error."""
        self._become(Side())
        for level in self._levels:
            _close(level)

    # ---- identity and errors

    def _become(self, side: Side) -> None:
        if side is not self._side:
            self._side = None
            identity.become(side.uid, side.gid)
            self._side = side

    def _check(self) -> None:
        if not self._order.going_on():
            raise Cancelled

    def _path(self, name: str) -> str:
        """An entry of the directory in work, on the side that is being touched."""
        order = self._order
        top = self._target_path if self._side is order.target else order.source_path
        return os.path.join(top, *(part for part in (*(level.name for level in self._levels), name) if part))

    def _note(self, error: OSError, name: str) -> None:
        if self._side is None:  # the identity could not be changed: nothing more may be done with another one
            raise KernelRefused(f"{self._order.operation}: setfsuid", "", error.errno or 0) from None
        self._report.note(self._side, self._path(name), error)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _close(level: _Level) -> None:
    for fd in (level.source_fd, level.target_fd):
        if fd >= 0:
            os.close(fd)
    level.source_fd = level.target_fd = -1
