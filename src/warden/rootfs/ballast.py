"""Inodes that a container may not use: empty files beside its layer, in its own file system. Blocking."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_BLOCK = 4096
_NAME = ".taken"
_BYTES_PER_ENTRY = 32  # of a directory, with the free half of blocks that were split


class Ballast:
    """The directory .taken of the layer *path*: files 0, 1, ... are in it. A crash leaves some number of them."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}/{_NAME}"
        try:
            # ext4 counts a directory's subdirectories alone, so the number of files has to be read.
            self._files = len(os.listdir(self._path))
            self._there = True
        except FileNotFoundError:
            self._files, self._there = 0, False

    @property
    def inodes(self) -> int:
        """Taken, that of the directory too."""
        return self._files + self._there

    @property
    def blocks(self) -> int:
        """What the directory takes, in blocks of 4 KiB."""
        return os.stat(self._path).st_blocks * 512 // _BLOCK if self._there else 0

    @staticmethod
    def blocks_for(inodes: int) -> int:
        """No fewer than the directory of so many will take."""
        return inodes * _BYTES_PER_ENTRY // _BLOCK + 4 if inodes else 0

    def resize(self, inodes: int) -> None:
        """Takes so many inodes in all. Raises OSError, ENOSPC when there are not so many; then it is as before."""
        if inodes == 0:
            self._shrink(0)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self._path)
            self._there = False
            return
        if not self._there:
            os.mkdir(self._path, 0o700)
            self._there = True
        before = self._files
        try:
            self._grow(inodes - 1)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._shrink(before)
            raise
        self._shrink(inodes - 1)

    def _grow(self, files: int) -> None:
        with contextlib.closing(_Directory(self._path)) as directory:
            while self._files < files:
                os.mknod(str(self._files), stat.S_IFREG, dir_fd=directory.fd)
                self._files += 1

    def _shrink(self, files: int) -> None:
        if self._files <= files:
            return
        with contextlib.closing(_Directory(self._path)) as directory:
            while self._files > files:
                os.unlink(str(self._files - 1), dir_fd=directory.fd)
                self._files -= 1


class _Directory:
    """An open directory."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)
