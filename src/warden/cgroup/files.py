"""Reading, writing, making and removing cgroup files and directories; every refusal becomes KernelRefused.

Knows no controller and no layout.
"""

from __future__ import annotations

import errno
import os
import time

from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: An empty group can stay EBUSY for a moment after its last process ended.
REMOVE_TIMEOUT_S = 0.5
#: What the kernel answers for a group that is gone: by path, and through a file opened before.
GONE = frozenset({errno.ENOENT, errno.ENODEV})

#: Of a path, from which on there may be no place for another name of 255 bytes in PATH_MAX.
_LONG = 3072

_HINTS = {
    errno.EROFS: "the cgroup file system is mounted read-only",
    errno.EACCES: "root is needed",
    errno.EPERM: "root is needed",
}


def refused(operation: str, path: str, error: OSError, hint: str = "") -> KernelRefused:
    """The KernelRefused for *error*, with a hint where the errno alone tells what to do."""
    number = error.errno or 0
    return KernelRefused(operation, path, number, hint=hint or _HINTS.get(number, ""))


def read(path: str) -> str:
    """The whole text of a cgroup file; raises KernelRefused."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read_all(fd).decode()
        finally:
            os.close(fd)
    except OSError as error:
        raise refused("read", path, error) from error


def read_optional(path: str) -> str | None:
    """The same; None where the kernel has no such file."""
    try:
        return read(path)
    except KernelRefused as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)


def write(path: str, value: str, *, hint: str = "") -> None:
    """Write *value* in one write(2), as cgroup files want it; raises KernelRefused with *hint*."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise refused("write", path, error, hint) from error


def open_write(path: str) -> int:
    """A close-on-exec descriptor to write *path* later; raises KernelRefused."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise refused("open", path, error) from error


def make_group(path: str, *, exist_ok: bool = False) -> bool:
    """Make one group; whether it was made now; raises KernelRefused, for one that exists too unless *exist_ok*."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError as error:
        if exist_ok:
            return False
        raise refused("mkdir", path, error, "left by an earlier run: remove its container first") from error
    except OSError as error:  # what the kernel keeps of a group counts as memory of the one above (mem_cgroup_css_alloc)
        hint = "the memory limit of the container leaves no room: raise it" if error.errno == errno.ENOMEM else ""
        raise refused("mkdir", path, error, hint) from error
    return True


def ours(levels: Sequence[str]) -> list[str]:
    """Of a path's directories, from the mount down, those whose cgroup.subtree_control may be written: what lies above
    one that was delegated is somebody else's. systemd marks those it delegates (systemd's CGROUP_DELEGATION)."""
    delegated = [number for number, level in enumerate(levels) if _is_delegated(level)]
    return list(levels[delegated[-1] if delegated else 0 :])


def _is_delegated(path: str) -> bool:
    for name in ("trusted.delegate", "user.delegate"):
        try:
            if os.getxattr(path, name) == b"1":
                return True
        except OSError:  # no such mark, no such group yet, or a kernel without them (user.*: since 5.7)
            pass
    return False


def subgroups(path: str) -> list[str]:
    """Names of the groups directly below *path*; [] when it is gone; raises KernelRefused."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise refused("scandir", path, error) from error


def listing(path: str) -> list[str]:
    """Names in a directory of sysfs; [] when there is none."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def remove_group(path: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
    """Remove *path* and the groups below it, however deep a container made them; one that is gone is fine; raises
    KernelRefused after *timeout_s* of EBUSY of one that has none below: rmdir(2) itself may wait long for others'."""
    since, pause = 0.0, 0.0002
    with _Stack(path) as waiting:
        while waiting.paths:
            last = waiting.paths[-1]
            if (error := _rmdir(last)) is None:
                waiting.pop()
            elif error.errno != errno.EBUSY:
                raise refused("rmdir", last, error)
            elif below := subgroups(last):
                waiting.push(last, below)
            else:
                since = since or time.monotonic()
                if time.monotonic() - since > timeout_s:
                    raise refused("rmdir", last, error, "a process is still in it")
                time.sleep(pause)
                pause = min(2 * pause, 0.02)
                continue
            since, pause = 0.0, 0.0002


def walk(path: str) -> Iterator[str]:
    """*path*, and every group below it, each before its own; to be used before the next is asked for. Raises KernelRefused.
    """
    with _Stack(path) as waiting:
        seen: list[str] = []
        while waiting.paths:
            last = waiting.paths[-1]
            if seen and seen[-1] is last:  # all that is below it has been
                seen.pop()
                waiting.pop()
                continue
            yield last
            seen.append(last)
            waiting.push(last, subgroups(last))


class _Stack:
    """Paths of groups, each above those below it. A container may make groups deeper than PATH_MAX, and deeper than Python
    recurses: from a long path on they are named by a descriptor."""

    def __init__(self, path: str) -> None:
        self.paths = [path]
        self._held: list[tuple[str, int]] = []

    def push(self, path: str, below: Sequence[str]) -> None:
        if below and len(path) > _LONG:
            try:
                fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in GONE:
                    return
                raise refused("open", path, error) from error
            self._held.append((path, fd))
            path = f"/proc/self/fd/{fd}"
        self.paths += [f"{path}/{name}" for name in below]

    def pop(self) -> None:
        path = self.paths.pop()
        while self._held and self._held[-1][0] is path:
            os.close(self._held.pop()[1])

    def __enter__(self) -> _Stack:
        return self

    def __exit__(self, *_exception: object) -> None:
        for _, fd in self._held:
            os.close(fd)


def remove_empty(path: str) -> bool:
    """One rmdir(2), nothing below is touched; False when the group is in use; raises KernelRefused."""
    error = _rmdir(path)
    if error is not None and error.errno != errno.EBUSY:
        raise refused("rmdir", path, error)
    return error is None


def _rmdir(path: str) -> OSError | None:
    try:
        os.rmdir(path)
    except OSError as error:
        return None if error.errno in GONE else error
    return None
