"""Copies of containers: whole ones, clones that share what does not change, and new names.

The new one is whole or not there, as one that is created. A clone that is nothing without its parent is recorded there
(dependencies.py). Renaming moves the directory in one step; a file in it says what it was called until its configuration
has the new name.
"""

from __future__ import annotations

import contextlib
import errno
import os

from warden.errors import BadInput, HandleTaken, KernelRefused, WrongState
from warden.lxc import configfile, creating, dependencies, destroying, reading
from warden.lxc.configfile import ConfigFile
from warden.lxc.home import RENAMED, SNAPSHOTS, Home, check_mark
from warden.lxc.rewriting import Moving
from warden.lxc.settings import LxcConfig
from warden.lxc.stopping import not_running
from warden.lxc.storage.base import DEFAULT_SIZE, Root, Wanted, root_of
from warden.lxc.storage.kinds import choose, filling, storage_of
from warden.lxc.storage.kinds import reading as showing
from warden.lxc.storage.overlay import over_in_memory
from warden.lxc.values import uts_name
from warden.records import dataclass, replace
from warden.rootfs.duplicate import copy_tree
from warden.undo import Undo


@dataclass(frozen=True, slots=True)
class Copy:
    """*snapshot*: share what can be shared; *backing*: kind of storage, "" the same; *args*: for lxc.hook.clone, which is
    run unless *hooks* is false; *files*: name and content of what else belongs to it. *running*: the old one may run;
    *tmpfs*: what a clone changes lies in memory; *lines*: keys and values that its configuration ends with."""

    old: Home
    new: Home
    snapshot: bool = False
    backing: str = ""
    size: int = 0
    keep_name: bool = False
    keep_mac: bool = False
    args: tuple[str, ...] = ()
    hooks: bool = True
    files: tuple[tuple[str, str], ...] = ()
    running: bool = False
    tmpfs: bool = False
    lines: tuple[tuple[str, str], ...] = ()


def copy(order: Copy) -> None:
    """Raises WrongState, HandleTaken, BadInput, NotSupported before anything is made; what storage and hooks raise after
    what was made is gone again."""
    old, new = order.old, order.new
    with old.locked(shared=True), contextlib.nullcontext() if order.running else not_running(old, shared=True):
        config = reading.load(old.config)
        root = root_of(config.rootfs_path)
        _check(order, root)
        creating.make_directory(new)
        with new.partial(new=True), Undo() as undo:
            undo.add("container", destroying.remove_remains, new)
            made = _copy_root(order, root) if root else None
            _copy_config(order, config, root, made)
            dependencies.record(new, needed(old, root, new, made))
            for name, text in order.files:
                configfile.write(configfile.parse(text, os.path.join(new.path, name)))
            if order.hooks:
                _run_hook(order, made)
            undo.release()


def _check(order: Copy, root: Root | None) -> None:
    if order.new.path == order.old.path:
        raise HandleTaken("Container already exists", hint="give it another name")
    if not order.keep_name:
        uts_name(order.new.name)
    if root is None:
        return
    kind = storage_of(root)
    if order.backing:
        choose(order.backing, order.new.lxcpath)
    if order.snapshot and order.backing not in ("", kind.name, "overlay"):
        raise BadInput(f"-s: a clone of {kind.name} cannot be {order.backing}", hint="without -s it is copied")
    if order.snapshot and order.backing == "overlay" and kind.name == "loop":
        raise BadInput("-s: there can be no overlay over loop", hint="without -s it is copied")
    if order.tmpfs and (kind.name != "dir" or order.backing not in ("", "dir", "overlay")):
        raise BadInput(f"-t: a clone of {kind.name} cannot be on a tmpfs", hint="only one of a directory can")


def needed(old: Home, root: Root | None, new: Home, made: Root | None) -> tuple[Home, ...]:
    """The containers that *new* with the root *made*, from the root of *old*, is nothing without."""
    if root is None or made is None:
        return ()
    below = storage_of(made).depends(made)
    known = dependencies.parents(old)
    if not below or below.startswith(new.path + "/"):
        return ()
    found = tuple(home for home in (old, *known) if below.startswith(home.path + "/"))
    if found or root.kind not in ("dir", "btrfs"):
        return found or known
    return (old,)  # what is below is outside of all of them, and goes with it if that is asked for


def _copy_root(order: Copy, root: Root) -> Root:
    kind, new = storage_of(root), order.new
    wanted = order.backing or ("dir" if kind.name == "overlay" and not order.snapshot else kind.name)
    if order.snapshot:
        if order.tmpfs:
            return over_in_memory(root.place, new)
        if kind.name == "btrfs" and order.backing == "overlay":
            return storage_of(Root("dir", "")).snapshot(root, new)
        return kind.snapshot(root, new)
    if wanted == kind.name and not order.size:
        return kind.clone(root, new, Wanted())
    made = choose(wanted, new.lxcpath)
    size = order.size or max(DEFAULT_SIZE, kind.measure(root) * 5 // 4)
    target = made.make(new, Wanted(size=size))
    with showing(order.old, root) as source, filling(new, target) as directory:
        copy_tree(source, directory)
    return target


def _copy_config(order: Copy, config: LxcConfig, root: Root | None, made: Root | None) -> None:
    moving = Moving(
        order.old,
        order.new,
        config.rootfs_path,
        str(made) if made else "",
        (directory_of(root), directory_of(made)),
        order.keep_name,
        order.keep_mac,
    )
    write_config(moving, configfile.read(order.old.config), config, order.lines)


def directory_of(root: Root | None) -> str:
    """Where targets of mounts begin that are written with the root in front."""
    return root.place.partition(":")[0] if root and root.kind in ("dir", "btrfs") else ""


def write_config(
    moving: Moving, file: ConfigFile, config: LxcConfig, lines: tuple[tuple[str, str], ...] = ()
) -> None:
    """The configuration of the new one, with *lines* at its end, and the files below the old directory that it needs."""
    copy_files(moving, file, config, moving.new.path)
    written = moving.config(file)
    for key, value in lines:
        written = written.appended(key, value)
    reading.config_of(written)
    configfile.write(written)
    os.chmod(written.path, 0o640)


def copy_files(moving: Moving, file: ConfigFile, config: LxcConfig, directory: str) -> None:
    """What the configuration needs of the old directory, into *directory*."""
    for name in moving.files(file):
        target = os.path.join(directory, name)
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        source = os.path.join(moving.old.path, name)
        if source == config.mount_fstab:
            text = moving.fstab(configfile.read(source).text)
            configfile.write(configfile.parse(text, target))
        else:
            from shutil import copy2  # few have such files

            copy2(source, target, follow_symlinks=False)


def _run_hook(order: Copy, made: Root | None) -> None:
    """With the new root in sight."""
    config, new = reading.load(order.new.config), order.new
    if not config.hooks("clone"):
        return
    from warden.lxc.hooks import Scene  # few have any

    with showing(new, made) if made else contextlib.nullcontext("") as directory:
        scene = Scene(config, new.name, new.config, directory, os.environ)
        scene.run_on_host("clone", {"LXC_SRC_NAME": order.old.name}, order.args)


# ---- another name


def rename(old: Home, new: Home) -> None:
    """In one step, with its snapshots and its place among clones and parents. Raises WrongState, HandleTaken,
    KernelRefused (EXDEV: the new lxcpath is on another file system)."""
    if os.path.lexists(new.path):
        raise HandleTaken("Container already exists", hint=f"{new.path} is there")
    with old.locked(), not_running(old), not_running(new):
        reading.load(old.config)
        clones = [clone for clone in dependencies.clones(old) if not clone.path.startswith(old.path + "/")]
        if clones:
            names = ", ".join(clone.path for clone in clones)
            raise WrongState(f"{old.name} has clones", hint=f"they name its directory; destroy them first: {names}")
        destroying.refuse_mounts(old.path)
        note = os.path.join(old.path, RENAMED)
        configfile.write(configfile.parse(f"{old.lxcpath}\n{old.name}\n", note))
        try:
            os.rename(old.path, new.path)
        except OSError as error:
            os.unlink(note)
            hint = "copy it, then destroy the old one" if error.errno == errno.EXDEV else ""
            raise KernelRefused("rename", f"{old.path} to {new.path}", error.errno or 0, hint=hint) from error
        finish_renaming(new)


def finish_renaming(home: Home) -> None:
    """What a rename leaves to be done, also when somebody was killed in the middle of it. Nothing where nothing is."""
    note = os.path.join(home.path, RENAMED)
    if os.path.lexists(note):
        check_mark(note)
    try:
        lxcpath, name, *_ = configfile.read(note).text.split("\n") if os.path.lexists(note) else ("", "")
    except ValueError as error:
        raise WrongState(
            f"{note} is not what was written there", hint="remove it when the container is right"
        ) from error
    if not name:
        return
    old = Home(lxcpath, name)
    if old.path != home.path:
        _rewrite(old, home)
        for snapshot in destroying.snapshots_of(home):
            _rewrite(Home(os.path.join(old.path, SNAPSHOTS), snapshot.name), snapshot, keep_name=True)
            dependencies.moved(Home(os.path.join(old.path, SNAPSHOTS), snapshot.name), snapshot)
        dependencies.moved(old, home)
    os.unlink(note)


def _rewrite(old: Home, new: Home, *, keep_name: bool = False) -> None:
    """The same container, whose directory is called otherwise."""
    if not new.is_defined:
        return
    file = configfile.read(new.config)
    config = reading.config_of(file)
    root = root_of(config.rootfs_path)
    moved = replace(root, place=moved_place(root.place, old, new)) if root else None
    places = (directory_of(root), directory_of(moved))
    moving = Moving(old, new, config.rootfs_path, str(moved) if moved else "", places, keep_name, keep_mac=True)
    fstab = os.path.join(new.path, os.path.relpath(config.mount_fstab, old.path)) if config.mount_fstab else ""
    if config.mount_fstab.startswith(old.path + "/") and os.path.isfile(fstab):
        configfile.write(configfile.parse(moving.fstab(configfile.read(fstab).text), fstab))
    configfile.write(moving.config(file))


def moved_place(place: str, old: Home, new: Home) -> str:
    """Every path of *place* that was below the old directory is below the new one."""
    paths = place.split(":")
    return ":".join(new.path + p[len(old.path) :] if p.startswith(old.path + "/") else p for p in paths)
