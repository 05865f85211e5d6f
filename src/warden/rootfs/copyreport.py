"""A copy's order, and what becomes of it: errors in words, what was skipped, what vanished.

Owns which failures end a copy, which leave out one entry, and the sentence at the end. Touches no file but by `Side.open`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable

from warden.errors import BadInput, KernelRefused
from warden.kernel.paths import open_in_root
from warden.model.text import escaped
from warden.records import dataclass
from warden.rootfs.copypaths import Owner

log = logging.getLogger("warden.transfer")

_NOTES = 20  # skipped entries that are logged one by one
_NAMED = 3  # vanished entries that are named
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
#: These end the whole copy: the next entry would fare no better. The second row only where it is written to.
_FATAL = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_FATAL_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_AS_VCAP = "files in a container are read and written as its user vcap"


class Cancelled(Exception):
    """The copy was told to end; what was copied by then stays."""


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a copy: below *root_fd*, or the host's own files; relative paths begin at *home*.

    *uid*, *gid*: whose rights are used, as the host numbers them.
    """

    root_fd: int | None = None
    uid: int = 0
    gid: int = 0
    home: str = "/"

    def open(self, path: str, flags: int) -> int:
        """Follows links as a process of that side would. Raises OSError."""
        path = os.path.join(self.home, path)
        if self.root_fd is None:
            return os.open(path, flags | os.O_CLOEXEC)
        return open_in_root(self.root_fd, path, flags)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be copied. *operation* begins every error; *going_on* is asked often, False ends the copy."""

    operation: str
    source: Side
    target: Side
    source_path: str
    target_path: str
    owner: Owner
    going_on: Callable[[], bool]


class Report:
    """What goes wrong in one copy. Errors say "read" of the source and "write" of the target, and the path there."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._first: KernelRefused | None = None
        self._failures = 0
        self._vanished: list[str] = []
        self._vanishings = 0
        self._skipped = 0

    def refused(self, side: Side, path: str, error: OSError, hint: str = "") -> KernelRefused:
        """The error in words."""
        verb = "write" if side is self._order.target else "read"
        if error.errno in (errno.EACCES, errno.EPERM) and side.root_fd is not None:
            hint = _joined(_AS_VCAP, hint)
        if error.errno == errno.EROFS and side.root_fd is not None:
            hint = _joined("the container's root, or what is mounted there, is read-only", hint)
        return KernelRefused(f"{self._order.operation}: {verb}", escaped(path), error.errno or 0, hint=hint)

    def unusable(self, side: Side, path: str, error: OSError) -> BadInput | KernelRefused:
        """The error for one of the two paths themselves."""
        if error.errno not in (*_ABSENT, errno.EEXIST, errno.ENAMETOOLONG):
            return self.refused(side, path, error)
        where = "on the host" if side.root_fd is None else "in the container"
        hint = "the directory it goes into must exist" if side is self._order.target else ""
        reason = (error.strerror or "cannot be opened").lower()
        return BadInput(f"{self._order.operation}: {escaped(path)} {where}: {reason}", hint=hint)

    def note(self, side: Side, path: str, error: OSError) -> None:
        """An entry that is left out. Raises KernelRefused when going on makes no sense."""
        if error.errno in _FATAL or (side is self._order.target and error.errno in _FATAL_WRITING):
            raise self.refused(side, path, error, "what was copied so far stays") from None
        if side is self._order.source and error.errno in _ABSENT:
            self._vanishings += 1
            if len(self._vanished) < _NAMED:
                self._vanished.append(escaped(path))
            return
        self._failures += 1
        self._first = self._first or self.refused(side, path, error)

    def skip(self, path: str, what: str) -> None:
        """An entry that is not copied, and need not be."""
        self._skipped += 1
        if self._skipped <= _NOTES:
            log.info("%s: skipped %s: %s", self._order.operation, escaped(path), what)

    def judge(self) -> None:
        """Raises KernelRefused when something was left out that should not have been."""
        if self._skipped > _NOTES:
            log.info("%s: skipped %d entries that are no files", self._order.operation, self._skipped)
        if self._first is not None:
            first, hint = self._first, f"{self._failures} not copied, all else was"
            raise KernelRefused(first.operation, first.target, first.errno, hint=_joined(first.hint, hint))
        if self._vanished:
            names = ", ".join(self._vanished)
            log.warning("%s: %d entries vanished, such as %s", self._order.operation, self._vanishings, names)
            hint = f"{self._vanishings} vanished while they were copied, all else was copied"
            raise KernelRefused(f"{self._order.operation}: read", names, errno.ENOENT, hint=hint)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
