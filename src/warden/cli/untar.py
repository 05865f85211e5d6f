"""Unpacking an archive that a stranger made, below one directory and nowhere else.

Every entry is made by its name in a directory that was opened from the top without following a link (openat2(2)), so a link
of the archive leads none of its entries away. What is neither file, directory nor link is refused. Owners, setuid and
setgid are not taken over. Memory: the names of the directories.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterator

from warden.errors import BadInput
from warden.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(archive: tarfile.TarFile, place: str) -> None:
    """All of *archive* into *place*, a directory nobody else writes in. Raises BadInput, OSError, tarfile's errors."""
    root_fd = os.open(place, _DIRECTORY | os.O_CLOEXEC)
    modes: dict[str, int] = {}
    try:
        for entry in archive:
            parts = _parts(entry.name)
            if parts:
                _put(archive, entry, root_fd, parts, modes)
        for path, mode in sorted(modes.items(), reverse=True):  # not before all is in them
            with _opened(root_fd, path.split("/")) as fd:
                os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(root_fd)


def _parts(name: str) -> list[str]:
    """The names on the way, a leading slash left out as tar(1) does. Raises BadInput."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise BadInput(f"{name!r} leads out of the archive")
    return parts


def _put(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, root_fd: int, parts: list[str], modes: dict[str, int]
) -> None:
    mode = entry.mode & 0o777
    if entry.isdir():
        _make_directories(root_fd, parts)
        modes["/".join(parts)] = mode
        return
    _make_directories(root_fd, parts[:-1])
    with _opened(root_fd, parts[:-1]) as fd:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(parts[-1], dir_fd=fd)  # a later entry of the same name wins
        if entry.isreg():
            _put_file(archive, entry, fd, parts[-1], mode)
        elif entry.issym():
            os.symlink(entry.linkname, parts[-1], dir_fd=fd)
        elif entry.islnk():
            source = _parts(entry.linkname)
            with _opened(root_fd, source[:-1]) as source_fd:
                os.link(source[-1], parts[-1], src_dir_fd=source_fd, dst_dir_fd=fd, follow_symlinks=False)
        else:
            raise BadInput(f"{entry.name!r} is no file, directory or link", hint="devices and FIFOs are not copied")


def _put_file(archive: tarfile.TarFile, entry: tarfile.TarInfo, dir_fd: int, name: str, mode: int) -> None:
    source = archive.extractfile(entry)
    assert source is not None
    with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=dir_fd), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 18)
        os.fchmod(target.fileno(), mode)


def _make_directories(root_fd: int, parts: list[str]) -> None:
    for count in range(1, len(parts) + 1):
        with _opened(root_fd, parts[: count - 1]) as fd, contextlib.suppress(FileExistsError):
            os.mkdir(parts[count - 1], 0o755, dir_fd=fd)


@contextlib.contextmanager
def _opened(root_fd: int, parts: list[str]) -> Iterator[int]:
    fd = openat2("/".join(parts) or ".", _DIRECTORY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, dir_fd=root_fd)
    try:
        yield fd
    finally:
        os.close(fd)
