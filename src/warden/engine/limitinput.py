"""What people ask for as limits, checked against this machine before anything is changed: links, block devices."""

from __future__ import annotations

from collections.abc import Sequence

from warden.errors import BadInput
from warden.kernel.blockdev import whole_disk
from warden.model import resources
from warden.model.limits import IoLimit, Limits
from warden.model.size import format_size
from warden.records import asdict, replace

MIN_MEMORY = 64 << 10  # a job's own cgroup takes some 20 KiB of it for each processor, a program as much again


def check_link(wanted: Limits, handle: str, *, has_link: bool) -> None:
    """Raises BadInput for a bandwidth without a link that it could hold for."""
    if wanted.shaping and not has_link:
        hint = 'the network modes "warden" and "bridge" have links to limit'
        raise BadInput(f"limit_bandwidth: container {handle} has no link of its own", hint=hint)


def check_memory(wanted: Limits) -> None:
    """Raises BadInput for a new container's memory that the kernel could not even make a job's cgroup in (ENOMEM)."""
    if wanted.memory_bytes is not None and wanted.memory_bytes < MIN_MEMORY:
        problem = f"memory: {wanted.memory_bytes} bytes are too few for any job"
        raise BadInput(problem, hint=f"{format_size(MIN_MEMORY)} at least; a suffix such as 64M says what it counts")


def with_numbers(settings: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Blocking: *settings* with devices by number, so that one device has one name. Raises BadInput."""
    found = []
    for name, text in settings:
        device, *rest = text.split(None, 1) or [""]
        throttled = bool(rest) and resources.find(name)[0] == "io.max"
        found.append((name, f"{_device(device)} {rest[0]}" if throttled else text))
    return found


def with_device_numbers(limits: Limits) -> Limits:
    """Blocking: devices by number, as the kernel wants them. Raises BadInput for one that is unknown."""
    merged: dict[str, IoLimit] = {}
    for item in limits.io_max:
        device = _device(item.device)
        given = {name: value for name, value in asdict(item).items() if value is not None}
        merged[device] = replace(merged.get(device, item), **{**given, "device": device})
    return replace(limits, io_max=tuple(item for item in merged.values() if not item.nothing))


def _device(target: str) -> str:
    try:
        return whole_disk(target)
    except OSError as error:
        hint = "a device such as /dev/sda, MAJOR:MINOR, or a directory that lies on one disk; lsblk lists them"
        raise BadInput(f"io.max: {target}: {error.strerror or error}", hint=hint) from None
