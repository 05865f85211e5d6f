"""Devices of a running container: a node made in it and allowed, a network interface moved in and out.

Every path inside is looked up below the container's root, by descriptor. What was allowed is kept in STATE/ID/devices, so
that under cgroup v2, where a program has all rules, a further one joins those before.
"""

from __future__ import annotations

import os
import socket
import stat

from warden.errors import BadInput, KernelRefused
from warden.kernel.paths import open_in_root
from warden.kernel.proc import parse_id_map
from warden.light import suppress
from warden.lxc import place, reading
from warden.lxc.home import Home
from warden.lxc.place import Running, Site
from warden.lxc.translate_limits import translate_limits
from warden.model.limits import DeviceRule
from warden.plainjson import dumps, loads
from warden.records import dataclass

_ALLOWED = "devices"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Guest:
    """A container that runs: where its tools keep its things, and its first process."""

    site: Site
    home: Home
    running: Running


def find(site: Site, home: Home) -> Guest:
    """Raises WrongState when it does not run, or was started by other tools."""
    return Guest(site, home, place.find(site, home.lxcpath, home.name))


# ---- nodes


def add_node(guest: Guest, device: str, inside: str) -> None:
    """The host's *device* as *inside*, an absolute path. Raises BadInput, KernelRefused."""
    status = _node(device)
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c"
    rule = DeviceRule(kind, os.major(status.st_rdev), os.minor(status.st_rdev))
    parent = _parent(guest, inside, make=True)
    try:
        name = os.path.basename(inside)
        mask = os.umask(0)  # its mode at once: the container may put a link in its place, and chmod(2) follows it
        try:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=parent)
        finally:
            os.umask(mask)
        os.chown(name, _owner(guest, "uid_map"), _owner(guest, "gid_map"), dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        raise KernelRefused("mknod", f"{inside} in {guest.home.name}", error.errno or 0) from error
    finally:
        os.close(parent)
    _allow(guest, (*_allowed(guest), rule), added=rule)


def remove_node(guest: Guest, inside: str) -> None:
    """It is gone, and no longer allowed where *inside* was added before. Raises BadInput, KernelRefused."""
    parent = _parent(guest, inside, make=False)
    try:
        name = os.path.basename(inside)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISBLK(status.st_mode) and not stat.S_ISCHR(status.st_mode):
            raise BadInput(f"{inside} in {guest.home.name} is not a device")
        os.unlink(name, dir_fd=parent)
    except OSError as error:
        raise KernelRefused("unlink", f"{inside} in {guest.home.name}", error.errno or 0) from error
    finally:
        os.close(parent)
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c"
    rule = DeviceRule(kind, os.major(status.st_rdev), os.minor(status.st_rdev))
    if rule in _allowed(guest):
        _allow(guest, tuple(one for one in _allowed(guest) if one != rule), removed=rule)


def _node(device: str) -> os.stat_result:
    try:
        status = os.stat(device)
    except OSError as error:
        raise BadInput(f"{device}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode) and not stat.S_ISCHR(status.st_mode):
        raise BadInput(f"{device} is not a device", hint="a device node, or the name of a network interface")
    return status


def _parent(guest: Guest, inside: str, *, make: bool) -> int:
    """The directory of *inside* as the container sees it; what is missing is made when *make*."""
    parts = [part for part in inside.split("/") if part]
    if not inside.startswith("/") or not parts or ".." in parts:
        raise BadInput(f"{inside!r} is not an absolute path without '..'")
    try:
        at = os.open(f"/proc/{guest.running.pid}/root", _DIRECTORY | os.O_CLOEXEC)
        root = os.dup(at)
        try:
            for count, part in enumerate(parts[:-1], 1):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=at)
                os.close(at)
                at = open_in_root(root, "/".join(parts[:count]), _DIRECTORY)
        finally:
            os.close(root)
    except OSError as error:
        raise KernelRefused("open", f"{inside} in {guest.home.name}", error.errno or 0) from error
    return at


def _owner(guest: Guest, which: str) -> int:
    """The host's id of its root."""
    with open(f"/proc/{guest.running.pid}/{which}", "rb") as file:
        return next((item.outside for item in parse_id_map(file.read()) if item.inside == 0), 0)


# ---- what is allowed


def _allowed(guest: Guest) -> tuple[DeviceRule, ...]:
    """Those that were added."""
    try:
        with open(_file(guest), encoding="utf-8") as file:
            return tuple(DeviceRule(*item) for item in loads(file.read()))
    except FileNotFoundError:
        return ()


def _allow(
    guest: Guest, rules: tuple[DeviceRule, ...], added: DeviceRule | None = None, removed: DeviceRule | None = None
) -> None:
    """Nothing where the configuration allows everything."""
    config = reading.load(guest.home.config)
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    first = translate_limits(config.cgroup, config.cgroup2, unified=unified).limits.devices
    if first is not None:
        _set(guest, (*first, *rules), added, removed if removed not in first else None)
    scratch = f"{_file(guest)}.new"
    with open(scratch, "w", encoding="utf-8", opener=place.own) as file:
        file.write(dumps([(rule.kind, rule.major, rule.minor, rule.access) for rule in rules]))
    os.replace(scratch, _file(guest))


def _set(guest: Guest, rules: tuple[DeviceRule, ...], added: DeviceRule | None, removed: DeviceRule | None) -> None:
    from warden.cgroup import devices, files  # the start of the tool must not wait for them
    from warden.cgroup.driver import Manager
    from warden.lxc.running import JOB

    group = Manager(guest.site.parent).container(guest.running.container_id)
    v1, v2 = group.place("devices"), group.place("")
    if v1 is not None and not v1.is_v2:
        # of one that sees its cgroups: what is denied above is denied there, what is allowed is not allowed
        below = f"{v1.path}/job-{JOB}"
        paths = (v1.path, below) if os.path.isdir(below) else (v1.path,)
        for name, rule in (("devices.allow", added), ("devices.deny", removed)):
            for path in paths if rule is not None else ():
                files.write(f"{path}/{name}", str(rule))
    elif v2 is not None:
        devices.set_program(v2.path, rules)


def _file(guest: Guest) -> str:
    return f"{guest.site.state}/{guest.running.container_id}/{_ALLOWED}"


# ---- network interfaces


def is_interface(name: str) -> bool:
    """Of the caller's network namespace."""
    return name in [found for _, found in socket.if_nameindex()]


def add_interface(guest: Guest, name: str, inside: str) -> None:
    """The host's interface goes into the container, as *inside*. Raises BadInput, KernelRefused."""
    namespace = _network(guest)
    try:
        _move(name, namespace, inside)
    finally:
        os.close(namespace)


def remove_interface(guest: Guest, inside: str, name: str) -> None:
    """It comes back to the host, as *name*. Raises BadInput, KernelRefused."""
    from warden.engine.lending import in_namespace

    namespace = _network(guest)
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        in_namespace(namespace, lambda: _move(inside, own, name))
    finally:
        os.close(own)
        os.close(namespace)


def _network(guest: Guest) -> int:
    try:
        return os.open(f"/proc/{guest.running.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelRefused("open", f"the network of {guest.home.name}", error.errno or 0) from error


def _move(name: str, namespace: int, new: str) -> None:
    from warden.network.netlink import move_link
    from warden.network.route import Route

    try:
        index = socket.if_nametoindex(name)
    except OSError as error:
        raise BadInput(f"there is no interface {name!r}") from error
    with Route() as route:
        route.ask(move_link(index, namespace, name=new), f"ip link set {name} netns")
