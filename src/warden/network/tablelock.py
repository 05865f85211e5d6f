"""A lock that keeps two daemons from one table of nftables: a file for each table and network namespace."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time

from warden.errors import EngineFault

LOCKS = "/run/warden"
TRIES = 5
_NAME = re.compile(r"nft-.+-[0-9]+\.lock")


class TableLock:
    """Held from `take` to `release`, and by nobody once its holder is gone."""

    def __init__(self, table: str, directory: str = LOCKS) -> None:
        self._table, self._directory = table, directory
        self._fd = -1

    @property
    def held(self) -> bool:
        return self._fd >= 0

    @property
    def _path(self) -> str:
        return f"{self._directory}/nft-{self._table}-{os.stat('/proc/self/ns/net').st_ino}.lock"

    def take(self) -> None:
        """Raises EngineFault when another daemon has it."""
        os.makedirs(self._directory, mode=0o755, exist_ok=True)
        sweep(self._directory)
        path = self._path
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(fd):
            os.close(fd)
            hint = "give each daemon a network.nft_table of its own"
            raise EngineFault(f"firewall: another daemon has the table inet {self._table}", hint=hint)
        if not os.path.exists(path) or os.stat(path).st_ino != os.fstat(fd).st_ino:
            os.close(fd)  # its last holder removed the file between our open and our lock
            self.take()
            return
        self._fd = fd

    def release(self) -> None:
        """Twice is fine."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = -1


def _locked(fd: int) -> bool:
    """Who sweeps has it for a moment only."""
    for left in reversed(range(TRIES)):
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01 if left else 0)
    return False


def sweep(directory: str) -> None:
    """Removes what daemons left that were killed: a lock that nobody holds is nobody's. Their files do not say whether
    their network namespace is there still, and need not."""
    for entry in os.scandir(directory):
        if not _NAME.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):  # it is held, or somebody else sweeps
            fd = os.open(entry.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.stat(entry.path).st_ino == os.fstat(fd).st_ino:
                    os.unlink(entry.path)
            finally:
                os.close(fd)
