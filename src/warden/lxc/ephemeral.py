"""Copies that are started at once, and, unless kept, are gone when they stop: what they have beside a clone.

A clone over the original takes what is written; on a tmpfs with -t, which lies in the container's own mount namespace and
so goes with it. Further mounts are lines of the new configuration.
"""

from __future__ import annotations

import os
import secrets

from warden.errors import BadInput, HandleTaken, WardenError, WrongState
from warden.light import TYPE_CHECKING, suppress
from warden.lxc import destroying
from warden.lxc.copying import Copy, copy
from warden.lxc.destroying import Destruction
from warden.lxc.home import Home, home_of
from warden.lxc.stopping import running
from warden.lxc.storage.base import make_directory
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_TRIES = 100
#: What would end a path in the options of an overlay.
_BAD = ",:\\"


@dataclass(frozen=True, slots=True)
class Mount:
    """One of -m: *kind* bind or overlay, absolute *source* on the host and *target* inside."""

    kind: str
    source: str
    target: str
    read_only: bool = False


def parse_mounts(text: str) -> Iterator[Mount]:
    """ "bind=/src:/dest:ro,overlay=/src:/dest"; without a target it is the source. Raises BadInput."""
    for part in filter(None, text.split(",")):
        kind, equals, rest = part.partition("=")
        paths = rest.split(":")
        if not equals or kind not in ("bind", "overlay"):
            raise BadInput(f"--mount: {part!r}: is of no kind", hint="{bind,overlay}=/src or {bind,overlay}=/src:/dest")
        mode = paths.pop() if kind == "bind" and len(paths) > 1 and paths[-1] in ("ro", "rw") else "rw"
        if len(paths) not in (1, 2) or not all(path.startswith("/") for path in paths):
            raise BadInput(f"--mount: {part!r}: paths must be absolute", hint=f"{kind}=/src or {kind}=/src:/dest")
        if ".." in paths[-1].split("/"):
            raise BadInput(f"--mount: {part!r}: a target must not contain '..'")
        if not os.path.exists(paths[0]) or (kind == "overlay" and not os.path.isdir(paths[0])):
            raise BadInput(f"--mount: {paths[0]}: there is no such {'directory' if kind == 'overlay' else 'file'}")
        yield Mount(kind, paths[0], paths[-1], mode == "ro")


def start_copy(order: Copy, mounts: tuple[Mount, ...], keep: bool, begin: Callable[[Home], int]) -> int:
    """*order* with a name drawn where its new home's is ""; it is gone again when *begin*, which starts it, does not give
    0. Raises WardenError."""
    settled = _copied(order, mounts, keep)
    try:
        for number, mount in enumerate(mounts):
            if mount.kind == "overlay":
                _make_layers(settled.new, number, mount)
        code = begin(settled.new)
    except BaseException:
        _destroy(settled.new)
        raise
    if code:
        _destroy(settled.new)
    return code


def _copied(order: Copy, mounts: tuple[Mount, ...], keep: bool) -> Copy:
    for _ in range(_TRIES):
        new = order.new
        if not new.name:
            drawn = "".join(secrets.choice(_LETTERS) for _ in range(6))
            new = home_of(new.lxcpath, f"{order.old.name}_{drawn}")
        lines = [("lxc.mount.entry", _entry(new, number, mount)) for number, mount in enumerate(mounts)]
        if not keep:
            lines.append(("lxc.ephemeral", "1"))
        settled = replace(order, new=new, snapshot=True, lines=tuple(lines))
        try:
            copy(settled)
        except HandleTaken:
            if order.new.name:
                raise
            continue
        return settled
    raise WrongState("there is no free name", hint="give one: -N NAME")


def _entry(new: Home, number: int, mount: Mount) -> str:
    target = _escaped(mount.target.lstrip("/")) or "."
    if mount.kind == "bind":
        create = "dir" if os.path.isdir(mount.source) else "file"
        return f"{_escaped(mount.source)} {target} none {'ro,' if mount.read_only else ''}bind,create={create}"
    layers = (mount.source, *_layers(new, number))
    if any(letter in path for path in layers for letter in _BAD):
        hint = "a comma, a colon or a backslash ends an option"
        raise BadInput(f"--mount: an overlay cannot be over {mount.source} in {new.path}", hint=hint)
    data = ",".join(f"{name}={path}" for name, path in zip(("lowerdir", "upperdir", "workdir"), layers, strict=True))
    return f"none {target} overlay {_escaped(data)},create=dir"


def _layers(new: Home, number: int) -> tuple[str, str]:
    return f"{new.path}/overlay/mount{number}/delta", f"{new.path}/overlay/mount{number}/work"


def _make_layers(new: Home, number: int, mount: Mount) -> None:
    """With the owner and the mode of what is below, which is what is seen of the uppermost directory."""
    delta, work = _layers(new, number)
    for path in (f"{new.path}/overlay", os.path.dirname(delta), delta, work):
        make_directory(path)
    status = os.stat(mount.source)
    os.chown(delta, status.st_uid, status.st_gid)
    os.chmod(delta, status.st_mode & 0o7777)


def _escaped(text: str) -> str:
    """As getmntent(3) undoes it."""
    return "".join(f"\\{ord(letter):03o}" if letter in " \t\n\\" else letter for letter in text)


def _destroy(home: Home) -> None:
    """Unless its own end does that, or did."""
    with suppress(WardenError):
        if home.is_defined and not running(home):
            destroying.destroy(Destruction(home))
