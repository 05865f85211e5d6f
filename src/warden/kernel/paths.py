"""Paths in trees that somebody hostile wrote: opening below a root, and removing a whole tree.

Owns openat2(2) and `remove_tree`. Must never follow a symbolic link out of a tree or act on a path twice resolved:
everything is done by descriptor.
"""

from __future__ import annotations

import errno
import itertools
import os
import struct

from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable

    #: (parent_fd, name, fd) of a directory: whether it was removed at once, with all that was in it.
    Shortcut = Callable[[int, str, int], bool]

AT_FDCWD = -100

# enum of linux/openat2.h, since 5.6
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20

_SYS_OPENAT2 = 437  # equal on every architecture, as all numbers since 424 are
_HOW = struct.Struct("=QQQ")
_call: Callable[..., int] | None = None
_ATTEMPTS = 64

_DEPTH = 32  # levels descended, and so descriptors held, before a directory is moved up
_BATCH = 65536  # names held of one directory at a time
_HINTS = {
    errno.EBUSY: "something is mounted there, umount it",
    errno.EPERM: "it may be immutable, chattr -i -a lets it go",
}
_RESCANS = 4096  # full batches, or races with a writer, before giving up


def _openat2(*arguments: object) -> int:
    """Made when it is called first: who only removes a tree needs no ctypes."""
    global _call
    if _call is None:
        import ctypes

        from warden.kernel.syscalls import system_call

        _call = system_call(_SYS_OPENAT2, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    return _call(*arguments)


def openat2(path: str, flags: int, mode: int = 0, resolve: int = 0, dir_fd: int = AT_FDCWD) -> int:
    """openat2(2), always close-on-exec. *mode* only with O_CREAT or O_TMPFILE. Raises OSError."""
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    how = _HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    for attempt in itertools.count(1):
        try:
            return _openat2(dir_fd, os.fsencode(path), how, _HOW.size)
        except OSError as error:
            # EAGAIN: a rename or mount anywhere on the machine raced with ".." below a root (openat2(2)).
            if error.errno not in (errno.EAGAIN, errno.EINTR) or attempt == _ATTEMPTS:
                raise OSError(error.errno, error.strerror, path) from None
    raise AssertionError("not reached")


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open *path* as a process whose root directory is *root_fd* would, without /proc's magic links.

    Neither "..", nor absolute paths or symbolic links lead out of it. Raises OSError.
    """
    return openat2(path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, root_fd)


@dataclass(slots=True)
class _Frame:
    """A directory being emptied: its descriptor, where it hangs, and the subdirectories still to do."""

    fd: int
    parent_fd: int
    name: str
    pending: list[str] = field(default_factory=list)




def remove_tree(path: str, shortcut: Shortcut | None = None) -> None:
    """Remove *path* and all below it, whatever is there; an absent path is fine. Root's work.

    *shortcut* is asked of each directory before it is read. Holds 32 descriptors at most however deep the tree is: what
    is deeper is moved up first. Never enters a mount, a bind mount of the same file system included. Raises
    KernelRefused, naming the entry; what was removed by then stays removed.
    """
    head, name = os.path.split(os.path.abspath(path))
    try:
        parent_fd = os.open(head, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _Removal(head, parent_fd, shortcut).remove(name)
    finally:
        os.close(parent_fd)


class _Removal:
    """One removal: the stack of directories from the top down, at most _DEPTH of them."""

    def __init__(self, head: str, parent_fd: int, shortcut: Shortcut | None) -> None:
        self._head = head
        self._parent_fd = parent_fd
        self._shortcut = shortcut
        self._stack: list[_Frame] = []
        self._rescans = 0
        self._moved = 0
        self._mark = ""

    def remove(self, name: str) -> None:
        try:
            self._enter(self._parent_fd, name)
            while self._stack:
                self._advance()
        finally:
            for frame in self._stack:
                os.close(frame.fd)

    def _advance(self) -> None:
        frame = self._stack[-1]
        if not frame.pending:
            self._leave(frame)
        elif len(self._stack) < _DEPTH:
            self._enter(frame.fd, frame.pending.pop())
        else:
            self._move_up(frame, frame.pending.pop())

    def _enter(self, parent_fd: int, name: str) -> None:
        """Go down into *name*; what is no directory is unlinked instead."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = openat2(name, flags, resolve=RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS, dir_fd=parent_fd)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                self._unlink(parent_fd, name)
            elif error.errno == errno.EXDEV:
                raise self._refused("rmdir", name, errno.EBUSY) from None
            elif error.errno != errno.ENOENT:
                raise self._refused("open", name, error.errno) from None
            return
        if self._shortcut is not None and self._shortcut(parent_fd, name, fd):
            os.close(fd)
            return
        frame = _Frame(fd, parent_fd, name)
        self._stack.append(frame)
        self._scan(frame)

    def _scan(self, frame: _Frame) -> None:
        """Unlink what is no directory, remember what is one."""
        with os.scandir(frame.fd) as entries:
            batch = list(itertools.islice(entries, _BATCH))
        for entry in batch:
            if entry.is_dir(follow_symlinks=False):
                frame.pending.append(entry.name)
            else:
                self._unlink(frame.fd, entry.name)

    def _unlink(self, dir_fd: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=dir_fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._refused("unlink", name, error.errno) from None

    def _leave(self, frame: _Frame) -> None:
        """Remove the directory that was emptied; one that is not empty yet is read again."""
        try:
            os.rmdir(frame.name, dir_fd=frame.parent_fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._rescans += 1
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or self._rescans > _RESCANS:
                raise self._refused("rmdir", "", error.errno) from None
            self._scan(frame)
            return
        self._stack.pop()
        os.close(frame.fd)

    def _move_up(self, frame: _Frame, name: str) -> None:
        """Hang *name* as high as subvolumes and project quotas allow (EXDEV otherwise)."""
        self._mark = self._mark or os.urandom(8).hex()
        self._moved += 1
        new = f"{self._mark}-{self._moved}"
        for anchor in self._stack[:-1]:
            try:
                os.rename(name, new, src_dir_fd=frame.fd, dst_dir_fd=anchor.fd)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise self._refused("rename", name, error.errno) from None
            else:
                anchor.pending.append(new)
                return
        raise self._refused("rename", name, errno.EXDEV)

    def _refused(self, operation: str, name: str, error: int | None) -> KernelRefused:
        parts = [self._head, *(frame.name for frame in self._stack), name]
        target = os.path.join(*(part for part in parts if part))
        return KernelRefused(
            operation, repr(target) if not target.isprintable() else target, error or 0, hint=_HINTS.get(error or 0, "")
        )
