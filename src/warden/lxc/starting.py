"""What every tool that starts a container reads first: its configuration with definitions and shares, translated."""

from __future__ import annotations

import os

from warden.errors import BadInput, ConfigError
from warden.light import TYPE_CHECKING
from warden.lxc import place
from warden.lxc.configfile import parse_define
from warden.lxc.fstab import read_fstab
from warden.lxc.home import Home
from warden.lxc.hooks import Scene
from warden.lxc.options import Given, Option
from warden.lxc.place import Site
from warden.lxc.reading import load
from warden.lxc.running import Start, absent
from warden.lxc.system import default_lxcpath
from warden.lxc.translate import Circumstances, translate
from warden.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warden.lxc.fstab import FstabEntry
    from warden.lxc.settings import LxcConfig

SHARES = ("net", "ipc", "uts", "pid")
OPTIONS = (
    Option("f", "rcfile", "FILE", "Load configuration file FILE"),
    Option("s", "define", "KEY=VAL", "Assign VAL to configuration variable KEY", many=True),
    *(
        Option("", f"share-{kind}", "NAME", f"Share the {kind} namespace of another container, by name or pid")
        for kind in SHARES
    ),
)


def start_of(given: Given, *, execute: bool, argv: tuple[str, ...] = ()) -> Start:
    """Raises ConfigError and BadInput, before anything is changed."""
    if "/" in given.name or given.name in ("", ".", ".."):
        raise BadInput(f"name: {given.name!r} is not a container's name", hint="it is a directory below the lxcpath")
    site, lxcpath = Site.from_environment(), os.path.abspath(given.lxcpath or default_lxcpath())
    home = Home(lxcpath, given.name)
    if not home.is_settled:
        from warden.lxc.snapshots import settle  # only when somebody was killed

        settle(home)
    path = given.last("rcfile") or f"{lxcpath}/{given.name}/config"
    if not given.last("rcfile") and not os.path.exists(path):
        raise BadInput("No container config specified", hint=f"there is no {path}, and no -f names another")
    config = load(path, (*map(parse_define, given.values.get("define", ())), *_shares(given)))
    if config.namespace_share:
        config = replace(config, namespace_share=tuple(_by_pid(config, site, lxcpath)))
    if os.geteuid():
        from warden.lxc.ordinary import check_map  # root needs none of it

        check_map(config.idmap)
    around = Circumstances(
        fstab=_fstab(config),
        environ=os.environ,
        unified=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        argv=argv,
        execute=execute,
    )
    scene = Scene(
        config, given.name, path, "", dict(os.environ), given.last("logpriority") or config.log_level or "ERROR"
    )
    found = translate(config, given.name, around)
    lacking = (
        f"{item.key}: this kernel has no such security module: ignored" for item in found.missing if absent(item)
    )
    return Start(site, scene, lxcpath, replace(found, warnings=(*found.warnings, *lacking)))


def _fstab(config: LxcConfig) -> tuple[FstabEntry, ...]:
    try:
        return read_fstab(config.mount_fstab) if config.mount_fstab else ()
    except ConfigError as error:
        raise config.in_place("lxc.mount.fstab", error) from error


def _by_pid(config: LxcConfig, site: Site, lxcpath: str) -> Iterable[tuple[str, str]]:
    """Of another container that is named, the first process. Raises WrongState when that does not run."""
    for kind, whose in config.namespace_share:
        named = not whose.isdecimal() and not whose.startswith("/")
        yield kind, str(place.find(site, lxcpath, whose).pid) if named else whose


def _shares(given: Given) -> Iterable[tuple[str, str]]:
    for kind in SHARES:
        if whose := given.last(f"share-{kind}"):
            yield f"lxc.namespace.share.{kind}", whose
