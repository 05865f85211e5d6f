"""The mounts of a system as a host has them at its start: which of the optional ones, and which source is whose."""

from __future__ import annotations

import os
import stat

from warden.depot import systems
from warden.light import TYPE_CHECKING, suppress
from warden.lxc.home import CONFIG, STORAGE
from warden.model.system import FileSystem, System
from warden.records import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_LINKS = 40


def settled(system: System, rootfs: str, groups: Mapping[str, str]) -> System:
    """With its cgroups, which *groups* has by controller, where it is to see them, and without the optional mounts whose
    source, target or file system is not there. A source that is a path below the root is one of the container's own:
    what its owner made of it since, a link say, leads to nothing else."""
    found: list[FileSystem] = []
    if system.cgroups:
        from warden.lxc.nested import cgroup_mounts  # few have them

        found += cgroup_mounts(system.cgroups, groups)
    for item in system.filesystems:
        wanted = item
        if item.is_bind and not item.inside and (below := _below(item.source, rootfs)):
            wanted = replace(item, source=below, inside=True)
        elif item.is_bind and not item.inside and (lent := _lent(item.source)):
            base, source = lent
            wanted = replace(item, base=base, source=_told(base, source))
        if _wanted(wanted, rootfs, found):
            found.append(wanted)
    # a kernel without CONFIG_KEYS has no keyctl(2), and nothing to be kept from anybody
    keys = os.path.exists("/proc/keys")
    return replace(without_selinux(system), filesystems=tuple(found), keyring=system.keyring and keys)


def without_selinux(system: System) -> System:
    """Without its contexts, where the kernel has none."""
    if not (system.context or system.key_context) or os.path.exists("/sys/fs/selinux"):
        return system
    return replace(system, context="", key_context="")


def _below(path: str, rootfs: str) -> str:
    """The path inside of one of the host's that leads through the root, under whatever name; "" for others."""
    parts = os.path.normpath(path).split("/")
    with suppress(OSError):
        root = os.stat(rootfs)
        for count in range(1, len(parts) + 1 if rootfs != "/" else 1):
            if os.path.samestat(os.stat("/".join(parts[:count]) or "/"), root):
                return "/" + "/".join(parts[count:])
    return ""


def _lent(source: str) -> tuple[str, str] | None:
    """The root of another container that a path leads into, and the rest, which is that one's to change at any time; None
    for a path of the host's. Up to there only the host's links are followed."""
    pending, current = source.split("/")[::-1], "/"
    for _ in range(_LINKS):
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            path = os.path.dirname(current) if part == ".." else os.path.join(current, part)
            if os.path.islink(path):
                break
            current = path
            if any(pending) and _is_root(current):
                return current, "/" + "/".join(pending[::-1])
        else:
            return None
        target = os.readlink(path)
        pending += target.split("/")[::-1]
        current = "/" if target.startswith("/") else current
    return None


def _is_root(path: str) -> bool:
    """By its place in a container's directory, or because a container that runs has it."""
    head, name = os.path.split(path)
    if name in STORAGE and os.path.isfile(f"{head}/{CONFIG}"):
        return True
    return any(path == os.path.realpath(item.rootfs) != "/" for item in systems.records())


def _told(base: str, source: str) -> str:
    """With a slash at its end when it is a directory: when that is true no longer the kernel refuses."""
    from warden.kernel.paths import open_in_root  # few have such mounts

    with suppress(OSError):
        root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = open_in_root(root, source, os.O_PATH)
            try:
                return source.rstrip("/") + ("/" if stat.S_ISDIR(os.fstat(found).st_mode) else "")
            finally:
                os.close(found)
        finally:
            os.close(root)
    return source


def _wanted(item: FileSystem, rootfs: str, before: Sequence[FileSystem]) -> bool:
    if not item.optional:
        return True
    if item.inside and not any(f"{item.source}/".startswith(f"{place}/") for place in ("/dev", *_targets(before))):
        return os.path.lexists(f"{rootfs}{item.source}")
    if item.base and not os.path.lexists(f"{item.base}{item.source}"):
        return False
    if item.is_bind and not item.inside and not item.base and not os.path.exists(item.source):
        return False
    if not item.is_bind and not _known(item.fstype):
        return False
    below = item.target.startswith(("/proc/", "/sys/"))  # which are the kernel's, so the same there as here
    return bool(item.create) or os.path.lexists(item.target if below else f"{rootfs}{item.target}")


def _targets(items: Sequence[FileSystem]) -> list[str]:
    return [os.path.normpath(item.target) for item in items]


def _known(fstype: str) -> bool:
    with open("/proc/filesystems", encoding="utf-8") as file:
        return fstype in file.read().split()
