"""Snapshots of a container: NAME/snaps/snapN/{config,rootfs,ts,comment}; each is a container of the lxcpath NAME/snaps.

One put back over its container is made ready beside it first; from then on whoever comes next finishes what was begun.
"""

from __future__ import annotations

import os
import time

from warden.errors import BadInput, HandleTaken, WrongState
from warden.kernel.paths import remove_tree
from warden.light import TYPE_CHECKING, late, suppress
from warden.lxc import configfile, copying, dependencies, destroying, reading
from warden.lxc.copying import Copy
from warden.lxc.home import RESTORING, STORAGE, Home, check_mark
from warden.lxc.rewriting import Moving
from warden.lxc.stopping import not_running
from warden.lxc.storage.base import Root, Wanted, root_of
from warden.lxc.storage.btrfs import drop_subvolume
from warden.lxc.storage.kinds import storage_of
from warden.records import dataclass

if TYPE_CHECKING:
    import re
else:
    re = late("re")

ALL = "ALL"
_MOST = 1000
_TIME = "%Y:%m:%d %H:%M:%S"
_READY, _OLD = "ready", "old"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """*taken*: as it was written; *comment*: "" without one."""

    name: str
    path: str
    taken: str
    comment: str


def take(home: Home, comment: str = "") -> str:
    """Its name. *comment*: a text. Raises as `copying.copy`."""
    mend(home)
    root = root_of(reading.load(home.config).rootfs_path)
    kind = root.kind if root else ""
    files = [("ts", time.strftime(_TIME))]
    if comment:
        files.append(("comment", comment))
    for number in range(_MOST):
        new = Home(home.snapshots, f"snap{number}")
        if new.is_defined and new.is_settled:
            continue
        order = Copy(home, new, False, kind, 0, True, True, (), False, tuple(files))
        with suppress(HandleTaken):  # somebody else took one at the same time
            copying.copy(order)
            return new.name
    raise WrongState(f"{home.name} has {_MOST} snapshots", hint="destroy some: -d NAME")


def listed(home: Home) -> tuple[Snapshot, ...]:
    """Those that are whole, by their numbers."""
    whole = (one for one in destroying.snapshots_of(home) if one.is_defined and not _is_partial(one))
    return tuple(Snapshot(one.name, home.snapshots, _text(one, "ts"), _text(one, "comment")) for one in whole)


def _is_partial(home: Home) -> bool:
    return os.path.lexists(os.path.join(home.path, "partial"))


def _text(home: Home, name: str) -> str:
    try:
        return configfile.contents(os.path.join(home.path, name), 1 << 16).decode(errors="replace")
    except OSError:
        return ""


def find(home: Home, name: str) -> Home:
    """Raises WrongState when there is no such snapshot."""
    found = Home(home.snapshots, name)
    if not re.fullmatch(r"[^/\0]{1,255}", name) or name in (".", "..") or not found.is_defined:
        there = ", ".join(one.name for one in listed(home)) or "none"
        raise WrongState(f"there is no snapshot {name!r}", hint=f"there are: {there}")
    return found


def drop(home: Home, name: str) -> None:
    """One of them, or ALL. Raises WrongState, KernelRefused."""
    wanted = destroying.snapshots_of(home) if name == ALL else (find(home, name),)
    for one in wanted:
        with one.locked():
            clones = dependencies.clones(one)
            if clones:
                names = ", ".join(clone.path for clone in clones)
                raise WrongState(f"{one.name} has clones", hint=f"destroy them first: {names}")
            if os.path.islink(one.path):
                os.unlink(one.path)
                continue
            with one.partial():
                destroying.remove_remains(one)
    with suppress(OSError):
        os.rmdir(home.snapshots)


def restore_as(home: Home, name: str, new: Home) -> None:
    """A new container that begins as the snapshot. Raises as `copying.copy`."""
    one = find(home, name)
    root = root_of(reading.load(one.config).rootfs_path)
    copying.copy(Copy(one, new, backing=root.kind if root else "", hooks=False))


def restore(home: Home, name: str) -> None:
    """The container itself is again as it was: configuration and root. A root outside of its directory stays where it
    is, the one that is put back lies inside. Raises WrongState when it runs or others depend on it."""
    mend(home)
    one = find(home, name)
    with home.locked(), not_running(home), one.locked(shared=True):
        clones = [clone for clone in dependencies.clones(home) if not clone.path.startswith(home.path + "/")]
        if clones:
            names = ", ".join(clone.path for clone in clones)
            raise WrongState(f"{home.name} has clones", hint=f"what is below them must not change: {names}")
        destroying.refuse_mounts(home.path)
        _prepare(home, one)
        _mend(home)


def _prepare(home: Home, one: Home) -> None:
    """Everything in its place below NAME/.restore, and then the file that says so."""
    work = Home(home.path, RESTORING)
    os.mkdir(work.path, 0o700)
    file = configfile.read(one.config)
    config = reading.config_of(file)
    root = root_of(config.rootfs_path)
    made = storage_of(root).clone(root, work, Wanted()) if root else None
    final = Root(made.kind, copying.moved_place(made.place, work, home)) if made else None
    places = (copying.directory_of(root), copying.directory_of(final))
    moving = Moving(one, home, config.rootfs_path, str(final or ""), places, keep_name=True, keep_mac=True)
    copying.copy_files(moving, file, config, work.path)
    written = moving.config(file)
    configfile.write(configfile.parse(written.text, work.config))
    parents = [(parent.lxcpath, parent.name) for parent in copying.needed(one, root, work, made)]
    entries = [entry for entry in STORAGE if os.path.lexists(os.path.join(work.path, entry))]
    import json  # few restore

    ready = json.dumps({"entries": entries, "parents": parents})
    configfile.write(configfile.parse(ready, os.path.join(work.path, _READY)))


def mend(home: Home) -> None:
    """Finishes what somebody began who was killed: a new name, a snapshot that is being put back. To be called before a
    container is used. Raises WrongState while somebody is at it."""
    if os.path.isdir(home.path) and not home.is_settled:
        with home.locked():
            _mend(home)


def _mend(home: Home) -> None:
    copying.finish_renaming(home)
    work = os.path.join(home.path, RESTORING)
    if not os.path.isdir(work):
        return
    check_mark(work)
    if os.path.exists(os.path.join(work, _READY)):
        _finish_restoring(home, work)
    remove_tree(work, drop_subvolume)


def settle(home: Home) -> None:
    """Before it is started: `mend`, and a refusal for one that is only half there. Raises WrongState."""
    if home.is_settled:
        return
    mend(home)
    if home.is_half_made:
        raise WrongState(f"{home.name} was not made to its end", hint="lxc-destroy removes what there is")


def _finish_restoring(home: Home, work: str) -> None:
    """Can be done again from any point of it."""
    import json

    try:
        ready = json.loads(configfile.read(os.path.join(work, _READY)).text)
        entries, parents = tuple(ready["entries"]), [Home(*pair) for pair in ready["parents"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{work}/{_READY} is not what was written there") from error
    old = os.path.join(work, _OLD)
    os.makedirs(old, exist_ok=True)
    for entry in STORAGE:
        new, place = os.path.join(work, entry), os.path.join(home.path, entry)
        is_next = os.path.lexists(new)
        if os.path.lexists(place) and (is_next or entry not in entries):
            os.rename(place, os.path.join(old, entry))
        if is_next:
            os.rename(new, place)
    dependencies.forget(home)
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(home.path, "lxc_rdepends"))
    dependencies.record(home, parents)
    _put_files(home, work, old)


def _put_files(home: Home, work: str, old: str) -> None:
    """The files of the configuration, and last of all itself."""
    found = [
        os.path.relpath(os.path.join(directory, name), work)
        for directory, _, names in os.walk(work)
        if directory != old and not directory.startswith(old + "/")
        for name in names
    ]
    for name in sorted(found, key=lambda name: name == "config"):
        if name != _READY:
            os.makedirs(os.path.dirname(os.path.join(home.path, name)), exist_ok=True)
            os.replace(os.path.join(work, name), os.path.join(home.path, name))
