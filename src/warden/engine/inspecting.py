"""Everything known of a container as one document: plain dictionaries, lists, texts and numbers, its keys stable
(docs/observing.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from warden.engine import limits
from warden.engine.facts import addresses
from warden.engine.job import Job
from warden.engine.networking import attachment
from warden.light import Enum
from warden.model.logs import format_moment
from warden.records import fields, is_dataclass

if TYPE_CHECKING:
    from warden.engine.container import Container

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


async def inspect(container: Container) -> dict[str, Any]:
    """See Container.inspect."""
    snapshot, group = container.snapshot, container.group
    report = await limits.limit(container, ())
    disk = await limits.disk_use(container)
    return {
        "handle": snapshot.handle,
        "id": snapshot.container_id,
        "created": format_moment(snapshot.created),
        "state": _state(container),
        "image": snapshot.spec.image,
        "rootfs": snapshot.spec.rootfs,
        "hostname": snapshot.hostname,
        "path": container.directory.path,
        "network": _network(container),
        "mounts": to_data(snapshot.spec.mounts),
        "limits": {"in_force": dict(report.in_force), "asked": dict(report.asked)},
        "memory": to_data(group.memory_use()),
        "cpu": to_data(group.cpu()),
        "disk": {"backend": snapshot.disk, "layer": snapshot.layer or container.directory.path, "use": to_data(disk)},
        "user": {"uid": snapshot.uid, "id_base": snapshot.id_base, "namespace": snapshot.id_base is not None},
        "cgroups": group.directories(),
        "namespaces": namespaces_of(container.pid),
        "grace_time": snapshot.grace_time,
        "labels": dict(snapshot.spec.labels),
        "main": _main(container),
        "jobs": [_job(job) for job in container.jobs()],
        "spec": to_data(snapshot.spec),
    }


def _state(container: Container) -> dict[str, Any]:
    snapshot = container.snapshot
    running = any(job.result is None for job in container.jobs())
    return {
        "status": "paused" if snapshot.paused else snapshot.state.value,
        "running": running,
        "paused": snapshot.paused,
        "pid": container.pid or None,
        "events": list(snapshot.events),
    }


def _main(container: Container) -> dict[str, Any]:
    """What is known of its main job, beside the entry in jobs."""
    snapshot, job = container.snapshot, container.main.job()
    return {
        "job": None if job is None else job.id,
        "phase": snapshot.phase.value,
        "restarts": snapshot.restarts,
        "restart": str(snapshot.spec.restart),
    }


def _network(container: Container) -> dict[str, Any]:
    snapshot = container.snapshot
    host_ip, container_ip = addresses(snapshot)
    link = attachment(snapshot, 0)
    state = container.net_state()
    return {
        "mode": snapshot.spec.network.value,
        "ip": container_ip or None,
        "host_ip": host_ip or None,
        "subnet": f"{snapshot.network}/30" if snapshot.network else None,
        "link": None if link is None else link.host_name,
        "links": to_data(snapshot.links),
        "owner": snapshot.network_owner or None,
        "ports": to_data(state.ports),
        "allowed": to_data(state.rules),
        "policy": to_data(state.policy),
    }


def _job(job: Job) -> dict[str, Any]:
    result, about = job.result, job.about
    return {
        "id": job.id,
        "command": about.command,
        "running": result is None,
        "pid_inside": job.inner_pid or None,
        "started": format_moment(job.started_at),
        "tty": about.tty,
        "interactive": about.interactive,
        "output": {"stdout": job.log.sizes[0], "stderr": job.log.sizes[1], "limit": about.output_limit},
        "wall_limit_s": about.wall_limit_s,
        "cpu_limit_s": about.cpu_limit_s,
        "log_tag": about.log_tag,
        "cgroups": job.group.directories(),
        "result": to_data(result),
    }


def namespaces_of(pid: int) -> dict[str, str]:
    """Kind to name, such as net:[4026532008]; without those that the kernel has not, {} for no process."""
    found = {}
    for kind in NAMESPACES if pid else ():
        try:
            found[kind] = os.readlink(f"/proc/{pid}/ns/{kind}")
        except OSError:
            continue
    return found


def to_data(value: Any) -> Any:
    """Dataclasses become dictionaries by their fields' names, enums their values, tuples lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_data(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): to_data(part) for name, part in value.items()}
    if isinstance(value, (tuple, list, frozenset, set)):
        return [to_data(part) for part in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
