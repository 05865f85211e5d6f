"""The host's side of `lxc.mount.auto = shmounts:PATH`: a directory whose mounts the container's kernel gets too.

Owns that it is shared while a container needs it. What was shared before is left as it is; what was made for a container
goes with the last that has it, at its end or when the next start sweeps up.
"""

from __future__ import annotations

import errno
import fcntl
import os

from warden.errors import BadInput, KernelRefused, WrongState
from warden.kernel.mounts import MS_BIND, is_mounted, mount, mount_of_path, umount2
from warden.light import TYPE_CHECKING, NamedTuple, contextmanager, suppress
from warden.lxc.place import TUNNEL, TURN, write_down
from warden.plainjson import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warden.undo import Undo

_MS_SHARED, _MNT_DETACH = 1 << 20, 2


class _Record(NamedTuple):
    """*shares*: it is mounted on itself for containers, where the mount *before* was seen; *made*: directories above it and
    itself, from the top, that go with containers."""

    path: str
    shares: bool
    made: list[str]
    before: int


def opened(directory: str, path: str, undo: Undo) -> None:
    """Until the container in *directory* has ended *path* is there and shared, on the host. Raises BadInput, WrongState,
    KernelRefused."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise BadInput(f"lxc.mount.auto: shmounts:{path}: is not a directory", hint="name one, or what is not there yet")
    with _alone(directory):
        others = list(_others(directory))
        found = next((one for one in others if one.path == path), None)
        if found is None:
            _check_overlap(path, others)
            above = {name for one in others for name in one.made if path.startswith(f"{name}/")}
            made = [*sorted(above), *_missing(path)]  # the last of those below them takes them away
            found = _Record(path, not _is_shared(path), made, _seen(path))
        write_down(f"{directory}/{TUNNEL}", list(found))
        undo.add("shared mounts", closed, directory)
        for name in found.made:
            with suppress(FileExistsError):
                os.mkdir(name)
                os.chmod(name, 0o711)  # whatever the umask: a container's root passes here
        if found.shares and not _is_shared(path):
            _share(path)


def closed(directory: str) -> None:
    """Twice is fine. Raises KernelRefused."""
    if not os.path.exists(f"{directory}/{TUNNEL}"):
        return
    with _alone(directory):
        found = _recalled(directory)
        if all(one.path != found.path for one in _others(directory)):
            # killed before it was mounted, or after it was unmounted: what is there is somebody else's
            if found.shares and _seen(found.path) != found.before and is_mounted(os.path.realpath(found.path)):
                _unmount(found.path)
            for name in reversed(found.made):
                with suppress(OSError):  # it was not made yet, or somebody has put something there
                    os.rmdir(name)
        os.unlink(f"{directory}/{TUNNEL}")


def _check_overlap(path: str, others: list[_Record]) -> None:
    """A mount of ours above or below another's would hide it, or go with its end."""
    for one in others:
        if f"{one.path}/".startswith(f"{path}/") or f"{path}/".startswith(f"{one.path}/"):
            problem = f"lxc.mount.auto: shmounts:{path}: a container that runs has {one.path}"
            raise WrongState(problem, hint="name the same directory, or one that is not above or below it")


def _seen(path: str) -> int:
    """The mount that *path* is on, or will be when it is made."""
    found = mount_of_path(path)
    return found.mount_id if found else 0


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


def _recalled(directory: str) -> _Record:
    with open(f"{directory}/{TUNNEL}", encoding="utf-8", errors="surrogateescape") as file:
        return _Record(*loads(file.read()))


def _others(directory: str) -> Iterator[_Record]:
    state, own = os.path.split(directory)
    for name in os.listdir(state):
        if name != own:
            with suppress(OSError, ValueError, TypeError):
                yield _recalled(f"{state}/{name}")
