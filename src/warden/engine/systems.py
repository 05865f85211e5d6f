"""Containers that LXC's tools run, told as the engine's own: `lxc:NAME`. No daemon started them, and none owns them.

Who is there is in their records (depot/systems.py); what they use and have is read from the kernel by the same code that
reads the engine's own. Nothing of a record leads to a file but its id, whose form is checked, and its first process,
which must be one of those below the tools' cgroup. Blocking.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from warden.cgroup.driver import ContainerGroup, Manager
from warden.cgroup.layout import Layout
from warden.cgroup.stats import name_devices, read_group
from warden.depot import systems
from warden.depot.systems import PREFIX, Record
from warden.engine.inspecting import namespaces_of, to_data
from warden.errors import BadInput, KernelRefused, UnknownHandle
from warden.kernel import procnet
from warden.model.info import Info, State
from warden.model.limits import Limits
from warden.model.logs import format_moment
from warden.model.spec import ContainerSpec, NetworkMode
from warden.model.stats import InterfaceStats, Stats
from warden.records import fields

_MOST = 1 << 20


def check(handle: str) -> None:
    """Raises BadInput for what a container of the engine's own must not be called."""
    if handle.startswith(PREFIX):
        raise BadInput(f"handle: {handle!r} would be one of LXC's containers", hint=f"one without {PREFIX} before it")


def records() -> Iterator[Record]:
    """Those whose first process is where the tools put it: a number alone may be anybody's by now."""
    return (record for record in systems.records() if _is_below(record.pid, systems.cgroup_parent()))


def _is_below(pid: int, parent: str) -> bool:
    return any(f"/{parent}/".encode() in line for line in _of_process(pid, "cgroup").splitlines())


def find(handle: str) -> Record:
    """`lxc:` and a name, an id, or the path of its directory; without that word too. Raises UnknownHandle, and BadInput
    when several have that name."""
    return _picked(handle, list(records()))


def _picked(handle: str, known: Sequence[Record]) -> Record:
    word = handle.removeprefix(PREFIX)
    found = [item for item in known if word in (item.name, item.identity, _path(item))]
    if not found:
        raise UnknownHandle()
    if len(found) > 1:
        paths = " or ".join(PREFIX + _path(item) for item in found)
        raise BadInput(f"{handle}: several of LXC's containers are called so", hint=f"say {paths}")
    return found[0]


def chosen(handles: Sequence[str] | None) -> list[Record]:
    """Those named, or all. Raises UnknownHandle, but leaves out one that is named by `lxc:` and gone."""
    known, found = list(records()), []
    for handle in handles or ():
        try:
            found.append(_picked(handle, known))
        except UnknownHandle:
            if not handle.startswith(PREFIX):
                raise
    return known if handles is None else found


def present(handles: Sequence[str]) -> list[str]:
    """`lxc:` and the id of each that runs; those that do not are left out. Raises BadInput as `find`."""
    known, found = list(records()), []
    for handle in handles:
        with contextlib.suppress(UnknownHandle):
            found.append(PREFIX + _picked(handle, known).identity)
    return found


def _path(record: Record) -> str:
    return f"{record.lxcpath}/{record.name}"


def _group(record: Record, manager: Manager) -> ContainerGroup:
    return manager.container(record.identity)


def measure(found: Sequence[Record], *, brief: bool, layout: Layout | None = None) -> list[Stats]:
    """What they use; those that vanish meanwhile are left out."""
    manager = Manager(systems.cgroup_parent(), layout)
    devices: dict[tuple[int, int], str | None] = {}
    measured = []
    for record in found:
        with contextlib.suppress(KernelRefused):
            measured.append(_measure(record, manager, devices, brief=brief))
    return measured


def _measure(record: Record, manager: Manager, devices: dict[tuple[int, int], str | None], *, brief: bool) -> Stats:
    group, now = read_group(_group(record, manager), brief=brief), time.time()
    return Stats(
        handle=PREFIX + record.name,
        id=record.identity,
        state=State.ACTIVE,
        time=now,
        uptime_s=max(now - record.since, 0.0),
        memory=group.memory,
        cpu=group.cpu,
        pids=group.pids,
        io=name_devices(group.io, devices),
        network=tuple(_links(record.pid)),
        pressure=group.pressure,
        processes=group.processes,
    )


def _links(pid: int) -> Iterator[InterfaceStats]:
    """As the container sees them; nothing for one that has the host's network."""
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return
    names = [item.name for item in fields(InterfaceStats)]
    for link in procnet.parse_dev(_of_process(pid, "net/dev")):
        if link.name != "lo":
            yield InterfaceStats(**{name: getattr(link, name) for name in names})


def _addresses(pid: int) -> list[str]:
    found = procnet.parse_local_addresses(_of_process(pid, "net/fib_trie"))
    return [str(address) for address in found if not address.is_loopback]


def _of_process(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read(_MOST)
    except OSError:
        return b""


def _spec(record: Record) -> ContainerSpec:
    """A root may have its kind before it (`dir:/srv/root`), and what is no path is none that can be told."""
    root = record.rootfs if record.rootfs.startswith("/") else record.rootfs.partition(":")[2]
    return ContainerSpec(rootfs=root if root.startswith("/") else None, network=NetworkMode.NONE)


def infos(layout: Layout | None = None) -> Iterator[Info]:
    """As the engine's own are told."""
    for record in records():
        with contextlib.suppress(KernelRefused):
            yield info_of(record, layout)


def info_of(record: Record, layout: Layout | None = None) -> Info:
    """Raises KernelRefused when it is gone."""
    group = _group(record, Manager(systems.cgroup_parent(), layout))
    return Info(
        handle=PREFIX + record.name,
        id=record.identity,
        state=State.ACTIVE,
        spec=_spec(record),
        created=record.since,
        path=_path(record),
        container_ip=next(iter(_addresses(record.pid)), ""),
        pid=record.pid,
        memory=group.memory_use(),
        cpu=group.cpu(),
        paused=record.state == "FROZEN",
    )


def inspect(record: Record) -> dict[str, Any]:
    """As `warden inspect` shows the engine's own, without what only a daemon knows. Raises KernelRefused."""
    group = _group(record, Manager(systems.cgroup_parent()))
    paused = record.state == "FROZEN"
    return {
        "handle": PREFIX + record.name,
        "id": record.identity,
        "created": format_moment(record.since),
        "state": {
            "status": "paused" if paused else State.ACTIVE.value,
            "running": True,
            "paused": paused,
            "pid": record.pid,
            "lxc": record.state,
        },
        "rootfs": record.rootfs,
        "path": _path(record),
        "network": {"addresses": _addresses(record.pid), "links": to_data(tuple(_links(record.pid)))},
        "limits": {"in_force": group.limits_in_force(Limits())},
        "memory": to_data(group.memory_use()),
        "cpu": to_data(group.cpu()),
        "cgroups": group.directories(),
        "namespaces": namespaces_of(record.pid),
    }
