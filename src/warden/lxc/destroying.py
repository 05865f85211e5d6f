"""Removing a container: all that is in its own directory, and nothing else unless told so.

LXC removes whatever lxc.rootfs.path names. Here a root file system outside of LXCPATH/NAME stays, unless `outside` is
asked for. Links are removed, never followed; trees are emptied by descriptor and never across a mount, and a mount below
the directory is a refusal before anything is touched.
"""

from __future__ import annotations

import os
import pwd
import stat

from warden.errors import BadInput, ConfigError, KernelRefused, WrongState
from warden.kernel.paths import remove_tree
from warden.kernel.proc import parse_mountinfo
from warden.lxc import configfile, dependencies, reading
from warden.lxc.home import Home
from warden.lxc.settings import LxcConfig
from warden.lxc.stopping import not_running
from warden.lxc.storage.base import Root, root_of
from warden.lxc.storage.btrfs import drop_subvolume
from warden.lxc.storage.kinds import KINDS
from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Destruction:
    """*snapshots*: those of it as well; *outside*: its root file system also where that is not in its directory."""

    home: Home
    snapshots: bool = False
    outside: bool = False


def destroy(order: Destruction) -> str:
    """The path of a root file system that stays, "" when nothing does.

    Raises WrongState when it runs, others depend on it or it has snapshots; HookFailed, KernelRefused naming what could
    not be removed: then it is half destroyed, and doing it again goes on.
    """
    home = order.home
    check_own(home)
    with home.remains() as found:
        if found:
            remove_remains(home)
            return ""
    if not home.is_defined:
        raise WrongState("Container is not defined", hint=f"there is no {home.config}")
    with home.locked(), not_running(home):
        _refuse_dependants(order)
        if os.path.islink(home.path):  # its directory is elsewhere, and is not ours
            kept = os.path.realpath(home.path)
            os.unlink(home.path)
            return kept
        return _destroy(order, _config(home))


def _destroy(order: Destruction, config: LxcConfig) -> str:
    home = order.home
    outside = _outside(home, root_of(config.rootfs_path))
    told = outside if order.outside and config.rootfs_managed else ()
    check_removable(home, told)
    refuse_mounts(home.path, *told)
    if config.hooks("destroy"):
        from warden.lxc.hooks import Scene  # few have any

        Scene(config, home.name, home.config, "", os.environ).run_on_host("destroy")
    with home.partial():
        for path in told:
            remove_tree(path, drop_subvolume)
        remove_remains(home)
    return outside[0] if outside and not told else ""


def remove_remains(home: Home) -> None:
    """A container that is whole no more, or never was. What is outside of its directory stays. Raises KernelRefused."""
    check_own(home)
    refuse_mounts(home.path)
    for snapshot in snapshots_of(home):
        dependencies.forget(snapshot)
    dependencies.forget(home)
    _unmark_last(home)


def _unmark_last(home: Home) -> None:
    """All but the mark goes first, the configuration before everything: who is killed leaves it marked. Where the directory
    is a link, nothing goes but that."""
    for name in sorted(_entries(home.path), key=lambda name: name != "config"):
        if name != "partial":
            remove_tree(os.path.join(home.path, name), drop_subvolume)
    remove_tree(home.path, drop_subvolume)


def _entries(path: str) -> list[str]:
    try:
        return [] if os.path.islink(path) else os.listdir(path)
    except FileNotFoundError:
        return []


def snapshots_of(home: Home) -> tuple[Home, ...]:
    """By their numbers, half made ones too."""
    names = [name for name in _entries(home.snapshots) if os.path.isdir(os.path.join(home.snapshots, name))]
    return tuple(Home(home.snapshots, name) for name in sorted(names, key=lambda name: (len(name), name)))


def _config(home: Home) -> LxcConfig:
    """Of one that is broken what can be read of it: it can be destroyed all the same."""
    try:
        return reading.load(home.config)
    except ConfigError:
        pass
    try:
        lines = configfile.read(home.config).lines
    except ConfigError:
        return LxcConfig()
    found = [line.value for line in lines if line.key and reading.modern_name(line.key) == "lxc.rootfs.path"]
    return LxcConfig(rootfs_path=found[-1] if found else "")


def _refuse_dependants(order: Destruction) -> None:
    home = order.home
    others = [clone for clone in dependencies.clones(home) if not clone.path.startswith(home.path + "/")]
    if others:
        names = ", ".join(clone.path for clone in others)
        raise WrongState(f"{home.name} has clones", hint=f"destroy them first: {names}")
    if not order.snapshots and snapshots_of(home):
        raise WrongState(f"{home.name} has snapshots", hint="-s destroys them as well")


def _outside(home: Home, root: Root | None) -> tuple[str, ...]:
    """What belongs to it and is not in its directory. A kind that is not known belongs to nobody."""
    if root is None:
        return ()
    try:
        places = KINDS[root.kind].places(root) if root.kind in KINDS else (root.place,)
    except BadInput:
        return ()
    return tuple(path for path in places if path.startswith("/") and not home.holds(path) and os.path.lexists(path))


def check_own(home: Home) -> None:
    """Raises BadInput where -P and a name, or a link, make one of the host's directories a container's."""
    if not os.path.islink(home.path):
        _refuse_precious(home.path)


def _refuse_precious(path: str) -> None:
    real = os.path.realpath(path)
    homes = (os.path.realpath(user.pw_dir) for user in pwd.getpwall())
    if len([part for part in real.split("/") if part]) < 2 or real in homes:
        raise BadInput(f"{path} is not removed, whatever is asked", hint="remove it by hand if that is meant")


def check_removable(home: Home, paths: tuple[str, ...]) -> None:
    """Raises BadInput for what nobody can mean: the host's own directories, somebody's home, what has all containers."""
    for path in paths:
        _refuse_precious(path)
        if (os.path.realpath(home.lxcpath) + "/").startswith(os.path.realpath(path) + "/"):
            raise BadInput(f"{path} is not removed, whatever is asked", hint="it has other containers in it")
        if not stat.S_ISDIR(os.lstat(path).st_mode) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise BadInput(f"{path} is neither a directory nor a file", hint="remove it by hand if that is meant")


def refuse_mounts(*paths: str) -> None:
    """Raises KernelRefused when something is mounted on one of *paths* or below it."""
    real = tuple(os.path.realpath(path) for path in paths)
    with open("/proc/self/mountinfo", "rb") as file:
        targets = [record.target for record in parse_mountinfo(file.read())]
    for target in targets:
        if any(target == path or target.startswith(path + "/") for path in real):
            hint = "is it in use? umount it first; nothing was removed"
            raise KernelRefused("remove", target, 16, hint=hint)  # EBUSY
