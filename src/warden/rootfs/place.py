"""One copied entry in its place: a file, a symbolic link, a directory, by the descriptor of the directory it goes in.

Owns replacing without a moment in which nothing or half of it is there. Never follows a link below that descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.rootfs.copypaths import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

MODE = 0o1777  # of the source's mode; setuid and setgid stay behind
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_SMALL = 1 << 16  # bytes that are read at once
_CHUNK = 8 << 20  # bytes between two looks at the cancellation
#: copy_file_range(2) between these two files is not possible, sendfile(2) is.
_UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)

Check = Callable[[], None]


def by_descriptor(fd: int) -> str:
    """A path for calls that take no O_PATH descriptor (fchmod(2), fchown(2), reopening); open(2), O_PATH."""
    return f"/proc/self/fd/{fd}"


def put_file(fd: int, status: os.stat_result, dir_fd: int, name: str, owner: Owner, check: Check) -> None:
    """The content of *fd*, as long as *status* says, as *name*. Raises OSError; then *name* is what it was."""
    temporary = _temporary_name()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    out = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
    with _removed_on_failure(temporary, dir_fd):
        try:
            stream(fd, out, status, check)
            if owner:
                os.fchown(out, owner.uid, owner.gid)
            os.fchmod(out, status.st_mode & MODE)
        finally:
            os.close(out)
        _rename_over(temporary, dir_fd, name)


def put_link(text: str, dir_fd: int, name: str, owner: Owner) -> None:
    """A symbolic link. Raises OSError; then *name* is what it was."""
    temporary = _temporary_name()
    os.symlink(text, temporary, dir_fd=dir_fd)
    with _removed_on_failure(temporary, dir_fd):
        if owner:
            os.chown(temporary, owner.uid, owner.gid, dir_fd=dir_fd, follow_symlinks=False)
        _rename_over(temporary, dir_fd, name)


def _temporary_name() -> str:
    return f".warden-{os.urandom(8).hex()}"


@contextmanager
def _removed_on_failure(temporary: str, dir_fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise


def _rename_over(temporary: str, dir_fd: int, name: str) -> None:
    """An empty directory makes way, as it does for rsync; ENOTEMPTY for another."""
    try:
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=dir_fd)
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def open_directory(dir_fd: int, name: str) -> int:
    """The directory *name*, O_PATH, made with mode 0700 when missing; what is none is replaced. Raises OSError."""
    for _ in range(2):
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        try:
            return os.open(name, DIRECTORY, dir_fd=dir_fd)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
        os.unlink(name, dir_fd=dir_fd)
    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)


def make_usable(fd: int, uid: int) -> None:
    """Lets a user who owns the directory *fd* write into it, whatever its mode was; `finish` sets the final one."""
    status = os.fstat(fd)
    if status.st_uid == uid and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(by_descriptor(fd), stat.S_IMODE(status.st_mode) | stat.S_IRWXU)


def finish(fd: int, mode: int, owner: Owner) -> None:
    """Owner and mode of a directory that is filled. One of somebody else's keeps its mode."""
    if owner:
        os.chown(by_descriptor(fd), owner.uid, owner.gid)
    with suppress(PermissionError):
        os.chmod(by_descriptor(fd), mode & MODE)


def stream(fd: int, out: int, status: os.stat_result, check: Check) -> None:
    """The content of *fd* into the empty file *out*, holes as holes. At most as many bytes as *status* says: a file that
    grows all the time has an end too."""
    size = status.st_size
    if size <= _SMALL:
        _read_and_write(fd, out, size)
        return
    sparse = status.st_blocks * 512 < size
    for start, end in _extents(fd, size) if sparse else [(0, size)]:
        _copy_range(fd, out, start, end, check)
    if sparse:
        os.ftruncate(out, size)


def _read_and_write(fd: int, out: int, size: int) -> None:
    while size and (data := os.read(fd, size)):
        size -= len(data)
        while data:
            data = data[os.write(out, data) :]


def _copy_range(fd: int, out: int, start: int, end: int, check: Check) -> None:
    while start < end:
        check()
        moved = _move(fd, out, start, min(_CHUNK, end - start))
        if moved == 0:
            return  # it is shorter by now
        start += moved


def _move(fd: int, out: int, offset: int, count: int) -> int:
    """copy_file_range(2) shares the blocks where it can; across file systems only since 5.19, and not all of them."""
    try:
        return os.copy_file_range(fd, out, count, offset, offset)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    os.lseek(out, offset, os.SEEK_SET)
    return os.sendfile(out, fd, offset, count)


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Where data is. Holes stay holes, or a file of some bytes could fill the disk."""
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            position = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: a hole up to the end
                raise
            return
        yield start, position
