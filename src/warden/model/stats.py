"""Stats: what one container uses at a moment, as the kernel counts it.

Owns the shape alone. A number that the kernel does not have, or that was not asked for, is None, an empty tuple or an
empty mapping; it is never a 0 that nobody counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from warden.light import TYPE_CHECKING
from warden.model.info import DiskStat, State
from warden.records import dataclass, field, fields, is_dataclass

if TYPE_CHECKING:
    from typing import Any

#: Shortest and longest time between two measurements of a stream, in seconds.
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.05, 86400.0


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Bytes. *limit* and *swap_limit* None: unlimited, or not known; v1's limit of memory and swap together is turned
    into one of swap. *stat*: memory.stat of the container and all its jobs, by the kernel's names (v1: the total_ ones,
    without that word). *events*: counts since its creation by the kernel's names, v2's low, high, max, oom, oom_kill …,
    v1's failcnt and oom_kill."""

    current: int | None = None
    peak: int | None = None
    limit: int | None = None
    swap: int | None = None
    swap_limit: int | None = None
    stat: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CpuStats:
    """Seconds of processor time, over all processors. *periods*: those in which a quota was in force and somebody ran,
    *throttled_periods*: those of them in which it ran out, *throttled_s*: for how long, summed over processors."""

    usage_s: float | None = None
    user_s: float | None = None
    system_s: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_s: float | None = None


@dataclass(frozen=True, slots=True)
class PidStats:
    """Tasks, that is, threads too: now, at most so far, and allowed (None: unlimited)."""

    current: int | None = None
    peak: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """What went to and came from one block device. *name*: as in /sys/block, None for a device that is gone."""

    major: int
    minor: int
    name: str | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """One network interface by its name in the container, and as the container sees it: rx is what came in."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_drops: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_drops: int = 0


@dataclass(frozen=True, slots=True)
class ShapingDrops:
    """Packets that a bandwidth limit dropped: *rx* on the way to the container, *tx* on the way from it; and how often
    one had to wait (*…_overlimits*). None: that direction is not limited."""

    rx: int | None = None
    tx: int | None = None
    rx_overlimits: int | None = None
    tx_overlimits: int | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """Share of time lost to waiting, in percent over 10, 60 and 300 seconds, and in seconds since the beginning."""

    avg10: float
    avg60: float
    avg300: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information: *some* or all (*full*) of the tasks that could run waited for the resource."""

    some: Stall | None = None
    full: Stall | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """A container at one moment. *time*: seconds since the epoch. *uptime_s*: since its creation. *processes*: of its
    jobs, without PID 1. *jobs*: those that run. *shaping*: only under a bandwidth limit. *pressure*: by resource, cpu,
    memory and io, where the kernel keeps it (v2 only)."""

    handle: str
    id: str
    state: State
    time: float
    uptime_s: float
    memory: MemoryStats = field(default_factory=MemoryStats)
    cpu: CpuStats = field(default_factory=CpuStats)
    pids: PidStats = field(default_factory=PidStats)
    io: tuple[DeviceStats, ...] = ()
    network: tuple[InterfaceStats, ...] = ()
    shaping: ShapingDrops | None = None
    disk: DiskStat | None = None
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    processes: int | None = None
    jobs: int = 0


def to_data(stats: Stats) -> dict[str, Any]:
    """For JSON: what is None or empty is left out, at every depth."""
    data = _data(stats)
    assert isinstance(data, dict)
    return data


def _data(value: Any) -> Any:
    if isinstance(value, State):
        return value.value
    if is_dataclass(value):
        return _present((item.name, getattr(value, item.name)) for item in fields(value))
    if isinstance(value, Mapping):
        return _present(value.items())
    if isinstance(value, tuple):
        return [_data(item) for item in value]
    return value


def _present(items: Any) -> dict[str, Any]:
    found = {name: _data(item) for name, item in items}
    return {name: item for name, item in found.items() if item is not None and item not in ([], {})}
