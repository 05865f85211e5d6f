"""The host's side of `lxc.mount.auto = shmounts:PATH`: a directory whose mounts the container's kernel gets too.

Owns that it is shared while a container needs it. What was shared before is left as it is; what was made for a container
goes with the last that has it, at its end or when the next start sweeps up.
"""

from __future__ import annotations

import errno
import fcntl
import os

from warden.errors import BadInput, KernelRefused
from warden.kernel.mounts import MS_BIND, mount, mount_of_path, umount2
from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.lxc.place import TUNNEL, TURN, own
from warden.plainjson import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warden.undo import Undo

_MS_SHARED, _MNT_DETACH = 1 << 20, 2


def opened(directory: str, path: str, undo: Undo) -> None:
    """Until the container in *directory* has ended *path* is there and shared, on the host. Raises BadInput, KernelRefused.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise BadInput(f"lxc.mount.auto: shmounts:{path}: is not a directory", hint="name one, or what is not there yet")
    with _alone(directory):
        ours = next((one for one in _others(directory) if one[0] == path), None)
        missing = [] if ours else list(_missing(path))
        shares = ours is None and (bool(missing) or not _is_shared(path))
        _record(directory, [path, ours[1] if ours else shares, ours[2] if ours else missing])
        undo.add("shared mounts", closed, directory)
        for name in missing:
            os.mkdir(name, 0o711)
        if shares and not _is_shared(path):
            _share(path)


def closed(directory: str) -> None:
    """Twice is fine. Raises KernelRefused."""
    if not os.path.exists(f"{directory}/{TUNNEL}"):
        return
    with _alone(directory):
        path, shares, made = _recalled(directory)
        if all(one[0] != path for one in _others(directory)):
            if shares:
                _unmount(path)
            with suppress(OSError):  # somebody has put something there
                for name in reversed(made):
                    os.rmdir(name)
        os.unlink(f"{directory}/{TUNNEL}")


def _share(path: str) -> None:
    try:
        mount(path, path, "", MS_BIND)
        mount("", path, "", _MS_SHARED)
    except OSError as error:
        raise KernelRefused("mount --make-shared", path, error.errno or 0) from error


def _unmount(path: str) -> None:
    try:
        umount2(path, _MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise KernelRefused("umount", path, error.errno or 0) from error


def _missing(path: str) -> Iterator[str]:
    """From the top."""
    parent = os.path.dirname(path)
    if not os.path.isdir(path):
        yield from _missing(parent)
        yield path


def _is_shared(path: str) -> bool:
    found = mount_of_path(path)
    return found is not None and any(word.startswith("shared:") for word in found.propagation)


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    turn = os.open(f"{os.path.dirname(directory)}/{TURN}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def _record(directory: str, found: list[object]) -> None:
    with open(f"{directory}/{TUNNEL}", "w", encoding="utf-8", errors="surrogateescape", opener=own) as file:
        file.write(dumps(found))


def _recalled(directory: str) -> tuple[str, bool, list[str]]:
    with open(f"{directory}/{TUNNEL}", encoding="utf-8", errors="surrogateescape") as file:
        path, shares, made = loads(file.read())
    return path, shares, made


def _others(directory: str) -> Iterator[tuple[str, bool, list[str]]]:
    state, own = os.path.split(directory)
    for name in os.listdir(state):
        if name != own:
            with suppress(OSError, ValueError):
                yield _recalled(f"{state}/{name}")
