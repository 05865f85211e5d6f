"""Mounts of LXC's configuration → FileSystems of a System. Pure: nothing is looked up.

A target is meant below the root file system: relative, or absolute and beginning with its path. Another absolute target
is skipped, as LXC does, but not silently. Without a root file system of its own it is the host's path.
"""

from __future__ import annotations

import os

from warden.errors import BadInput
from warden.light import TYPE_CHECKING
from warden.lxc.fstab import FstabEntry
from warden.lxc.naming import BadKey, naming
from warden.model.system import FileSystem
from warden.plan.mountoptions import mount_options
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

TUNNEL = "/dev/.lxc-mounts"
#: Options that are LXC's own, never the kernel's.
_OURS = ("optional", "relative", "create=dir", "create=file")


@dataclass(frozen=True, slots=True)
class Mounts:
    """*proc*, *sys*, *cgroups*, *tunnel*: as System has them."""

    proc: str
    sys: str
    cgroups: str
    tunnel: tuple[str, str] | None = None


def automatic(words: Iterable[str]) -> Mounts:
    """What lxc.mount.auto asks for; of two words for the same the last counts."""
    proc, sys, cgroups, tunnel = "", "", "", None
    for word in words:
        what, _, how = word.partition(":")
        if what == "proc":
            proc = how or "mixed"
        elif what == "sys":
            sys = how or "mixed"
        elif what == "shmounts":
            tunnel = _tunnel(how)
        elif word.endswith(":force"):
            cgroups = "ro" if "ro" in word.split(":") else "rw"
        # else: nothing, as LXC does where there are cgroup namespaces: its init mounts what it sees
    return Mounts(proc, sys, cgroups, tunnel)


def _tunnel(paths: str) -> tuple[str, str]:
    """HOST[:INSIDE]. Raises BadKey."""
    source, _, target = paths.partition(":")
    if not source.startswith("/") or "\0" in source:
        hint = "shmounts:/DIRECTORY[:/INSIDE], a directory of the host"
        raise BadKey("lxc.mount.auto", f"shmounts: {source!r} is not an absolute path", hint=hint)
    inside = os.path.normpath("/" + (target or TUNNEL).lstrip("/"))
    if ".." in target.split("/") or inside == "/":
        raise BadKey("lxc.mount.auto", f"shmounts: {target!r} is not a path below the root", hint=f"such as {TUNNEL}")
    return os.path.normpath(source), inside


def filesystem(entry: FstabEntry, rootfs: str, prefixes: tuple[str, ...], key: str) -> FileSystem | str:
    """One mount, or the sentence that says why it is skipped. *prefixes*: paths that mean the root file system. Raises
    ConfigError naming *key*."""
    target = _inside(entry.target, prefixes if rootfs else ("/",))
    if target is None:
        return f"{key}: {entry.target}: is not below the root file system: ignored; write it without the leading /"
    source, inside = entry.source, "relative" in entry.options and bool(rootfs)
    if "relative" in entry.options:
        source = os.path.normpath("/" + source.lstrip("/"))
    options = tuple(word for word in entry.options if word not in _OURS)
    create = next((word.removeprefix("create=") for word in entry.options if word.startswith("create=")), "")
    with naming(key):
        mount_options(options)
        _supported(options)
        found = FileSystem(source, target, entry.fstype, options, create, "optional" in entry.options, inside)
    if inside and not found.is_bind:
        raise BadKey(key, f"{source}: relative is for bind mounts", hint="add bind to its options")
    if found.is_bind and not source.startswith("/"):
        raise BadKey(key, f"{source}: the source of a bind mount is not an absolute path")
    return found


def _inside(target: str, prefixes: tuple[str, ...]) -> str | None:
    if not target.startswith("/"):
        return os.path.normpath("/" + target)
    for prefix in prefixes:
        base = prefix.rstrip("/")
        if target == base or target.startswith(base + "/"):
            return os.path.normpath("/" + target[len(base) :].lstrip("/"))
    return None


def _supported(options: tuple[str, ...]) -> None:
    mapped = [word for word in options if word.startswith("idmap=")]
    if mapped:
        raise BadInput(f"{mapped[0]}: one mount alone cannot be mapped", hint="lxc.rootfs.options has it for the root")
