"""A root file system out of a tar archive, as root: owners by number, modes, devices, links, attributes.

Owns where each member goes: its directory is looked up below the root as a process in there would, so neither "..", nor an
absolute name, nor a link in the archive or on the disk leads out. Nothing is ever written through a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from warden.errors import BadInput, ImageError, KernelRefused
from warden.kernel.paths import open_in_root
from warden.rootfs.place import by_descriptor

_CHUNK = 1 << 20
_XATTR = "SCHILY.xattr."
#: What tells the kernel's overlay where a layer's files are, is for whoever makes the layer.
_OF_OVERLAYS = "trusted.overlay."
_ZSTD = b"\x28\xb5\x2f\xfd"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def unpack(archive: str, root: str) -> int:
    """Everything in the file *archive* (tar; gzip, bzip2, xz or zstd) into the directory *root*; how many members it had.
    BadInput: it is no archive, or a member cannot be placed. Raises KernelRefused naming the member, ImageError."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|*") as members:
            return _Unpacking(root_fd).all(members)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        # the last two: numbers in headers that are none, of which tarfile says no more
        raise BadInput(f"{archive}: is not a whole tar archive: {error}") from error
    finally:
        os.close(root_fd)


@contextlib.contextmanager
def _opened(archive: str) -> Iterator[IO[bytes]]:
    """Uncompressed where tarfile cannot do it itself."""
    try:
        fd = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadInput(f"{archive} cannot be read: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        if os.pread(fd, len(_ZSTD), 0) != _ZSTD:
            yield file
            return
        program = shutil.which("zstd")
        if program is None:
            raise ImageError(f"{archive}: zstd is not installed", hint="install the package zstd")
        with subprocess.Popen([program, "-dc"], stdin=file, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield process.stdout


class _Unpacking:
    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._times: list[tuple[str, float]] = []  # of directories: set when nothing more is put into them

    def all(self, members: tarfile.TarFile) -> int:
        count = 0
        for member in members:
            count += 1
            try:
                self._one(members, member)
            except OSError as error:
                raise KernelRefused("unpack", repr(member.name), error.errno or 0) from error
            except (ValueError, OverflowError) as error:  # a NUL in a name, an owner or a time that cannot be
                raise BadInput(f"{member.name[:200]!r}: {error}") from error
        for name, time in reversed(self._times):
            with contextlib.suppress(OSError):  # replaced by something else later in the archive
                self._set_time(name, time)
        return count

    def _one(self, members: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise BadInput(f"archive: {member.name!r} has '..' in it", hint="it is not the archive of a root")
        if not parts:
            if member.isdir():
                self._dress(self._root_fd, member)
            return
        parent_fd = self._parent(parts[:-1])
        try:
            fd = self._make(members, member, parent_fd, parts[-1])
            if fd >= 0:
                try:
                    self._dress(fd, member)
                finally:
                    os.close(fd)
        finally:
            os.close(parent_fd)
        if member.isdir():
            self._times.append(("/".join(parts), member.mtime))

    def _parent(self, parts: list[str]) -> int:
        """The directory that a member goes into; what is missing of it is made."""
        with contextlib.suppress(FileNotFoundError):
            return open_in_root(self._root_fd, "/".join(parts) or ".", _DIRECTORY)
        at = os.dup(self._root_fd)
        for count, part in enumerate(parts, 1):
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=at)
            finally:
                os.close(at)
            at = open_in_root(self._root_fd, "/".join(parts[:count]), _DIRECTORY)
        return at

    def _make(self, members: tarfile.TarFile, member: tarfile.TarInfo, parent_fd: int, name: str) -> int:
        """Puts it in its place; a descriptor of it, or -1 for a further name of something else."""
        if member.isdir():
            return self._directory(parent_fd, name)
        _clear(parent_fd, name)
        if member.isreg():
            return _file(members, member, parent_fd, name)
        if member.islnk():
            self._link(member.linkname, parent_fd, name)
            return -1
        if member.issym():
            os.symlink(member.linkname, name, dir_fd=parent_fd)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent_fd)
        elif member.ischr() or member.isblk():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent_fd)
        else:
            raise BadInput(f"archive: {member.name!r} is of an unknown type {member.type!r}")
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)

    def _directory(self, parent_fd: int, name: str) -> int:
        """One that is there stays, a link to one does not."""
        try:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                _clear(parent_fd, name)
                os.mkdir(name, 0o755, dir_fd=parent_fd)
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)

    def _link(self, target: str, parent_fd: int, name: str) -> None:
        """A further name of what is in the archive already: looked up below the root, and never of what a link means."""
        head, tail = os.path.split(target.strip("/"))
        if tail in ("", ".", "..") or ".." in head.split("/"):
            raise BadInput(f"archive: a link to {target!r} cannot be made")
        there = open_in_root(self._root_fd, head or ".", _DIRECTORY)
        try:
            os.link(tail, name, src_dir_fd=there, dst_dir_fd=parent_fd, follow_symlinks=False)
        finally:
            os.close(there)

    def _dress(self, fd: int, member: tarfile.TarInfo) -> None:
        path = by_descriptor(fd)
        os.chown(path, member.uid, member.gid)
        for key, value in member.pax_headers.items():
            name = key.removeprefix(_XATTR)
            if name != key and not name.startswith(_OF_OVERLAYS):
                _attribute(path, name, value)
        if not member.issym():
            os.chmod(path, member.mode & 0o7777)
        os.utime(path, (member.mtime, member.mtime))

    def _set_time(self, name: str, time: float) -> None:
        fd = open_in_root(self._root_fd, name, _DIRECTORY)
        try:
            os.utime(by_descriptor(fd), (time, time))
        finally:
            os.close(fd)


def _attribute(path: str, name: str, value: str) -> None:
    try:
        os.setxattr(path, name, value.encode("utf-8", "surrogateescape"))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def _clear(parent_fd: int, name: str) -> None:
    """Takes away what is there, as tar(1) does; a directory only when it is empty."""
    try:
        os.unlink(name, dir_fd=parent_fd)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        os.rmdir(name, dir_fd=parent_fd)


def _file(members: tarfile.TarFile, member: tarfile.TarInfo, parent_fd: int, name: str) -> int:
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent_fd)
    try:
        content = cast(IO[bytes], members.fileobj)
        content.seek(member.offset_data)  # where all that is no hole lies in one piece
        parts = cast(list[tuple[int, int]] | None, member.sparse)
        for start, size in parts or [(0, member.size)]:
            os.lseek(fd, start, os.SEEK_SET)
            _write(fd, content, size)
        os.ftruncate(fd, member.size)  # it may end in a hole
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write(fd: int, content: IO[bytes], size: int) -> None:
    while size:
        data = content.read(min(size, _CHUNK))
        if not data:
            raise tarfile.ReadError("unexpected end of data")
        size -= len(data)
        while data:
            data = data[os.write(fd, data) :]
