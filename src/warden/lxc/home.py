"""The directory of one container: LXCPATH/NAME, what lies where in it, who may change it, and whether it is whole.

A container that is being made or destroyed has the file `partial` in its directory, locked by whoever works on it, as
LXC has it. When that process is gone the lock is too: the container is half made, and whoever comes next removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from warden.errors import BadInput, HandleTaken, KernelRefused, WrongState
from warden.light import TYPE_CHECKING, contextmanager, pattern, suppress
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG, PARTIAL, SNAPSHOTS, ROOTFS = "config", "partial", "snaps", "rootfs"
#: What is there only while something is being done to a container, or after somebody was killed doing it.
RENAMED, RESTORING = "renamed", ".restore"
#: What storage has in a container's directory.
STORAGE = (ROOTFS, "overlay", "tmpfs", "rootdev")
_MOMENT_S, _PATIENCE_S, _PAUSE_S = 1.0, 30.0, 0.01
_NAME = pattern(r"[^/\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class Home:
    """*name* in *lxcpath*, an absolute path without a slash at its end. It may not exist."""

    lxcpath: str
    name: str

    @property
    def path(self) -> str:
        return os.path.join(self.lxcpath, self.name)

    @property
    def config(self) -> str:
        return os.path.join(self.path, CONFIG)

    @property
    def is_defined(self) -> bool:
        """As LXC has it: there is a configuration."""
        return os.path.isfile(self.config)

    @property
    def snapshots(self) -> str:
        """A lxcpath itself: its snapshots are containers there."""
        return os.path.join(self.path, SNAPSHOTS)

    def holds(self, path: str) -> bool:
        """Whether an absolute *path* is below the directory, as it is written and as it is once links are followed."""
        plain = os.path.normpath(path)
        inside = plain.startswith(self.path + "/")
        return inside and os.path.realpath(plain).startswith(os.path.realpath(self.path) + "/")

    # ---- whole or not

    @property
    def is_settled(self) -> bool:
        """Nothing is being done to it, and nobody was killed while he did."""
        return not any(os.path.lexists(os.path.join(self.path, name)) for name in (PARTIAL, RENAMED, RESTORING))

    @property
    def is_half_made(self) -> bool:
        """Whether somebody began to make or to destroy it and is no longer there to finish."""
        with self.remains() as found:
            return found

    @contextmanager
    def remains(self) -> Iterator[bool]:
        """The same, and in the `with` block nobody else takes what there is for his. A link is not followed: what is
        where it leads was not made here. Raises WrongState while somebody is at it."""
        fd = -1
        if not os.path.islink(self.path):
            with suppress(FileNotFoundError, NotADirectoryError):
                fd = os.open(os.path.join(self.path, PARTIAL), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        if fd < 0:
            yield False
            return
        try:
            self._lock(fd)
            yield os.fstat(fd).st_nlink > 0  # else somebody was faster
        finally:
            os.close(fd)

    @contextmanager
    def partial(self, *, new: bool = False) -> Iterator[None]:
        """While it is being made or destroyed; *new*: its directory was made just now, and whoever has the mark first has
        that. Left behind by an error: the caller removes what there is. Raises WrongState, HandleTaken for a new one."""
        path = os.path.join(self.path, PARTIAL)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags | os.O_EXCL if new else flags, 0o600)
        except (FileExistsError, FileNotFoundError) as error:
            raise HandleTaken(f"{self.name} is being made by somebody else") from error
        try:
            try:
                self._lock(fd)
            except WrongState as error:
                raise HandleTaken(error.message, hint=error.hint) if new else error from error
            if new and os.fstat(fd).st_nlink and os.listdir(self.path) != [PARTIAL]:
                os.unlink(path)  # an empty directory is taken by whoever comes: another one has, and is done by now
                raise HandleTaken("Container already exists", hint=f"{self.path} is somebody else's")
            if not os.fstat(fd).st_nlink:
                raise HandleTaken(f"{self.name} is being made by somebody else")
            os.fsync(fd)
            yield
            with suppress(FileNotFoundError):
                os.unlink(path)
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise WrongState(f"{self.name} is being made or destroyed", hint="wait until that is done") from error

    # ---- who may change it

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Held by whoever starts, destroys, renames or restores it, and *shared* by whoever reads it at length. The kernel
        drops it when we die. Raises WrongState, naming who has it, when that is not over in a moment."""
        fd = self.lock(shared=shared)
        try:
            yield
        finally:
            os.close(fd)

    def lock(self, *, shared: bool = False) -> int:
        """The same until the descriptor is closed."""
        return _locked(self.path, self.name, _MOMENT_S, shared=shared)


def home_of(lxcpath: str, name: str) -> Home:
    """Raises BadInput for a name that cannot be one."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise BadInput(f"{name!r} is not a container's name", hint="no slash, no control character, at most 255 bytes")
    if "\n" in lxcpath or "\0" in lxcpath:
        raise BadInput(f"{lxcpath!r} is not a usable path")
    return Home(os.path.abspath(lxcpath), name)


def check_mark(path: str) -> None:
    """Before what somebody began is finished. Raises WrongState for what a tool of ours, or of root's, did not leave: who
    owns a directory would have the files moved or written that he names."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode) or status.st_uid not in (0, os.geteuid()):
        raise WrongState(f"{path} is a link, or somebody else's", hint="its owner's tools finish it, or remove it")


def existing(lxcpath: str, name: str) -> Home:
    """Of a container that is defined; raises WrongState."""
    home = home_of(lxcpath, name)
    if not home.is_defined:
        raise WrongState("Container is not defined", hint=f"there is no {home.config}")
    return home


@contextmanager
def bookkeeping(lxcpath: str) -> Iterator[None]:
    """While the files that say who depends on whom are read and written. Raises WrongState when its turn does not come."""
    try:
        fd = _locked(lxcpath, lxcpath, _PATIENCE_S)
    except OSError as error:
        raise KernelRefused("open", lxcpath, error.errno or 0) from error
    try:
        yield
    finally:
        os.close(fd)


def _locked(directory: str, name: str, patience_s: float, *, shared: bool = False) -> int:
    """The lock of a directory, until the descriptor is closed. It is a file that nobody else can open: flock(2) on the
    directory itself is anybody's who may read that, for as long as he likes. Raises WrongState, naming who has it."""
    from warden.lxc import place

    status = os.stat(directory)
    path = f"{place.lock_directory()}/{status.st_dev}-{status.st_ino}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return fd
        except BlockingIOError as error:
            if time.monotonic() > until:
                os.close(fd)
                from warden.lxc.owners import owners

                whose = owners(path) or "another of LXC's tools"
                raise WrongState(f"{name} is in use by {whose}", hint="wait until it is done") from error
        time.sleep(_PAUSE_S)
