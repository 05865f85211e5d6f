"""`warden ps`, `info`, `stop`, `destroy`: what exists, and its end."""

from __future__ import annotations

import time
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, output
from warden.cli.options import Command
from warden.errors import BadInput, Unreachable, WardenError
from warden.model.info import BandwidthStat, Info, JobInfo, State
from warden.model.life import RestartMode
from warden.model.size import format_size
from warden.model.text import escaped
from warden.records import asdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from warden.model.mounts import Mount

_HEADER = ("HANDLE", "STATE", "IMAGE", "ADDRESS", "MEMORY", "LIMIT", "JOBS", "AGE")


def age(seconds: float) -> str:
    """A duration at a glance: 5 s, 3 min, 2 h, 4 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def _row(info: Info, now: float) -> tuple[str, ...]:
    memory = info.memory
    running = sum(job.running for job in info.jobs)
    return (
        escaped(info.handle),
        "paused" if info.paused else info.state.value,
        escaped(info.spec.rootfs or info.spec.image),
        info.container_ip or "-",
        format_size(memory.current),
        format_size(memory.limit) if memory.limit else "-",
        f"{running}/{len(info.jobs)}",
        age(now - info.created),
    )


def job_as_json(job: JobInfo) -> dict[str, Any]:
    """A job as `info --json` shows it."""
    return {
        "id": job.id,
        "command": job.command,
        "running": job.running,
        "started": job.started,
        "exit_status": job.exit_status,
        "verdict": job.verdict or None,
    }


def _bandwidth_as_json(bandwidth: BandwidthStat) -> dict[str, int | None] | None:
    """Bytes and bytes a second, as the container sees in and out; null without a limit."""
    return None if bandwidth == BandwidthStat() else asdict(bandwidth)


def as_json(info: Info) -> dict[str, Any]:
    """A container as `ps --json` and `info --json` show it."""
    memory, cpu = info.memory, info.cpu
    return {
        "handle": info.handle,
        "id": info.id,
        "state": info.state.value,
        "paused": info.paused,
        "image": info.spec.image,
        "rootfs": info.spec.rootfs,
        "hostname": info.spec.hostname,
        "network": info.spec.network.value,
        "created": info.created,
        "path": info.path,
        "pid": info.pid or None,
        "host_ip": info.host_ip or None,
        "container_ip": info.container_ip or None,
        "network_of": info.spec.network_of,
        "interfaces": [asdict(link) | {"kind": link.kind.value} for link in info.links],
        "events": list(info.events),
        "memory": {
            "current": memory.current,
            "peak": memory.peak,
            "limit": memory.limit,
            "oom_kills": memory.oom_kills,
        },
        "cpu": {"usage_ns": cpu.usage_ns, "user_ticks": cpu.user, "system_ticks": cpu.system},
        "bandwidth": _bandwidth_as_json(info.bandwidth),
        "disk": None if info.disk is None else asdict(info.disk),
        "jobs": [job_as_json(job) for job in info.jobs],
        "main_job": info.main_job,
        "restarts": info.restarts,
        "restart": str(info.spec.restart),
        "auto_remove": info.spec.auto_remove,
        "labels": dict(info.spec.labels),
        "read_only": info.spec.read_only,
        "mounts": [_mount_as_json(mount) for mount in info.spec.mounts],
    }


def _has_label(info: Info, wanted: str) -> bool:
    """NAME or NAME=VALUE."""
    name, sign, value = wanted.partition("=")
    labels = dict(info.spec.labels)
    return name in labels and (not sign or labels[name] == value)


#: What `ps --filter` knows: whether a container is what the value says.
FILTERS: dict[str, Callable[[Info, str], bool]] = {
    "name": lambda info, value: value in info.handle,
    "id": lambda info, value: info.id.startswith(value),
    "label": _has_label,
    "state": lambda info, value: value == ("paused" if info.paused else info.state.value),
}


def parse_filters(words: Sequence[str]) -> list[tuple[str, str]]:
    """KEY=VALUE words; raises BadInput."""
    found = []
    for word in words:
        name, sign, value = word.partition("=")
        name = "state" if name == "status" else name
        if not sign or name not in FILTERS:
            raise BadInput(f"--filter: {word!r} is not a filter", hint="KEY=VALUE with " + ", ".join(FILTERS))
        found.append((name, value))
    return found


def matches(info: Info, filters: Sequence[tuple[str, str]]) -> bool:
    """Of each kind of filter one must hold, of labels all, as docker has it."""
    held: dict[str, list[bool]] = {}
    for name, value in filters:
        held.setdefault(name, []).append(FILTERS[name](info, value))
    return all(all(found) if name == "label" else any(found) for name, found in held.items())


def _print_picked(found: Sequence[Info], form: str) -> None:
    import json

    from warden.cli.picking import as_text, pick

    for info in found:
        if form == "json":
            print(json.dumps(as_json(info)))
        else:
            print("\t".join(" ".join(map(as_text, pick(as_json(info), path))) for path in form.split(",")))


def _mount_as_json(mount: Mount) -> dict[str, Any]:
    return {
        "type": mount.kind.value,
        "source": mount.source or None,
        "target": mount.target,
        "read_only": mount.read_only,
        "options": list(mount.options),
    }


def _of_daemon(options: Namespace) -> list[Info]:
    with closing(connect.open_client(options)) as client:
        return [info for info in client.containers() if options.all or info.state is not State.STOPPED]


def _all(options: Namespace) -> list[Info]:
    """With LXC's, which no daemon owns. Raises Unreachable where there is neither a daemon nor one of them."""
    from warden.engine import systems

    others = list(systems.infos())
    try:
        return _of_daemon(options) + others
    except Unreachable:
        if not others:
            raise
        return others


def ps(options: Namespace) -> int:
    """`warden ps`."""
    filters = parse_filters(options.filter)
    if any(name == "state" for name, _ in filters):
        options.all = True  # as docker: who asks for a state gets it
    found = _all(options) if options.all else _of_daemon(options)
    found = [info for info in found if matches(info, filters)]
    if options.json:
        output.print_json([as_json(info) for info in found])
    elif options.format is not None:
        _print_picked(found, options.format)
    elif options.quiet:
        print("".join(info.handle + "\n" for info in found), end="")
    else:
        now = time.time()
        print(output.table(_HEADER, (_row(info, now) for info in found)), end="")
    return 0


def _lines(info: Info) -> Iterable[tuple[str, str]]:
    memory = info.memory
    yield "handle", info.handle
    yield "id", info.id
    paused = ", paused" if info.paused else ""
    yield "state", info.state.value + paused + (" (" + ", ".join(info.events) + ")" if info.events else "")
    yield "root", info.spec.rootfs or f"image {info.spec.image}"
    yield "created", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created))
    yield "path", info.path
    yield "pid", str(info.pid or "-")
    yield "address", f"{info.container_ip} (host {info.host_ip})" if info.container_ip else "-"
    for link in info.links:
        yield "interface", f"{link.name} {link.kind.value} {link.parent} {' '.join(link.addresses)}".rstrip()
    if info.spec.network_of is not None:
        yield "network of", info.spec.network_of
    yield "memory", format_size(memory.current)
    yield "peak", "-" if memory.peak is None else format_size(memory.peak)
    yield "limit", "-" if memory.limit is None else format_size(memory.limit)
    yield "oom kills", str(memory.oom_kills)
    yield "processor", f"{info.cpu.usage_ns / 1e9:.2f} s"
    band = info.bandwidth
    for direction, rate, burst in (("in", band.in_rate, band.in_burst), ("out", band.out_rate, band.out_burst)):
        if rate is not None:
            yield f"rate {direction}", f"{format_size(rate)} a second, {format_size(burst or 0)} at once"
    yield from _life_lines(info)
    if info.disk is not None:
        yield "disk", f"{format_size(info.disk.bytes_used)} in {info.disk.inodes_used} files"


def _life_lines(info: Info) -> Iterable[tuple[str, str]]:
    """What a container has only when it was asked for."""
    spec = info.spec
    if spec.restart.mode is not RestartMode.NO:
        yield "restart", f"{spec.restart}, {info.restarts} so far"
    for name, value in spec.labels:
        yield "label", escaped(f"{name}={value}")
    for mount in spec.mounts:
        source = f"{mount.kind.value} {mount.source}".rstrip()
        yield "mount", escaped(f"{mount.target} from {source}{', read-only' if mount.read_only else ''}")
    if spec.read_only:
        yield "read-only", "all but mounts and /dev/shm"


def _job_row(job: JobInfo) -> tuple[str, ...]:
    status = "" if job.exit_status is None else f" {job.exit_status}"
    return str(job.id), "running" if job.running else (job.verdict or "ended") + status, job.command


def info(options: Namespace) -> int:
    """`warden info`."""
    from warden.cli import foreign

    found = foreign.either(options, options.handle, lambda container: container.info(), foreign.as_info)
    if options.json:
        output.print_json(as_json(found))
        return 0
    for name, value in _lines(found):
        print(f"{name + ':':<11}{escaped(value)}")
    if found.jobs:
        print()
        print(output.table(("JOB", "STATE", "COMMAND"), map(_job_row, found.jobs)), end="")
    return 0


def stop(options: Namespace) -> int:
    """`warden stop`."""
    with closing(connect.open_client(options)) as client:
        client.container(options.handle).stop(kill=options.kill)
    return 0


def destroy(options: Namespace) -> int:
    """`warden destroy`: every handle is tried; the exit code is the first failure's."""
    code = 0
    with closing(connect.open_client(options)) as client:
        for handle in options.handles:
            try:
                client.container(handle).destroy()
            except WardenError as error:
                output.say(f"{handle}: {error}")
                code = code or error.exit_code
    return code


COMMANDS = {
    "ps": Command(
        "[-a] [-q] [-f KEY=VALUE]... [--format json|PATH,...] [--json]",
        "Lists containers; with --all those too that are stopped, and LXC's that run here, as lxc:NAME.\n"
        "Filters: name (a part of the handle), id (its beginning),\n"
        "label (NAME or NAME=VALUE), state (active, stopped, paused); of one kind one must match, of labels all.",
        ("all", "quiet", "filter", "columns", "json"),
        "warden ps\nwarden ps --all --json\nwarden ps --filter name=web --format .handle,.container_ip\n"
        "warden ps -aq | xargs -r warden destroy",
        ps,
    ),
    "info": Command(
        "[--json] HANDLE",
        "Shows state, memory, processor time, addresses and jobs of a container, lxc:NAME for one of LXC's.",
        ("json", "handle"),
        "warden info box\nwarden info --json box",
        info,
    ),
    "stop": Command(
        "[--kill] HANDLE",
        "Ends all processes of a container: SIGTERM, then SIGKILL. Its files stay until it is destroyed.",
        ("kill", "handle"),
        "warden stop box\nwarden stop --kill box",
        stop,
    ),
    "destroy": Command(
        "HANDLE...",
        "Removes containers with everything that belongs to them.",
        ("handles",),
        "warden destroy box\nwarden destroy web worker",
        destroy,
    ),
}
