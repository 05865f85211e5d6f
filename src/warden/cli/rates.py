"""What two measurements of a container say together: processor share and rates, and how people read them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from warden.model.size import format_size
from warden.model.stats import Stats
from warden.model.text import escaped
from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """One row. None: not counted, or not yet: rates need two measurements. *cpu_percent*: 100 is one processor. Bytes,
    those of *…_rate* a second."""

    handle: str
    cpu_percent: float | None
    memory: int | None
    limit: int | None
    tasks: int | None
    received: int | None
    sent: int | None
    read: int | None
    written: int | None
    disk: int | None
    network_rate: float | None = None
    io_rate: float | None = None

    @property
    def memory_percent(self) -> float | None:
        return None if self.memory is None or not self.limit else 100 * self.memory / self.limit


def usage_of(now: Stats, before: Stats | None) -> Usage:
    """*before*: the measurement before this one, None for the first; one of another container is none."""
    if before is not None and before.id != now.id:
        before = None
    received, sent = (_sum(getattr(link, name) for link in now.network) for name in ("rx_bytes", "tx_bytes"))
    read, written = (_sum(getattr(device, name) for device in now.io) for name in ("read_bytes", "written_bytes"))
    cpu = _rate(now, before, lambda stats: stats.cpu.usage_s)
    return Usage(
        handle=now.handle,
        cpu_percent=None if cpu is None else 100 * cpu,
        memory=now.memory.current,
        limit=now.memory.limit,
        tasks=now.pids.current,
        received=received,
        sent=sent,
        read=read,
        written=written,
        disk=None if now.disk is None else now.disk.bytes_used,
        network_rate=_rate(now, before, lambda stats: _sum(link.rx_bytes + link.tx_bytes for link in stats.network)),
        io_rate=_rate(now, before, _io_bytes),
    )


def _io_bytes(stats: Stats) -> int | None:
    return _sum((device.read_bytes or 0) + (device.written_bytes or 0) for device in stats.io)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rate(now: Stats, before: Stats | None, read: Callable[[Stats], float | None]) -> float | None:
    """A second; a device that appears with the first byte has moved all it has since then."""
    if before is None or now.time <= before.time:
        return None
    after, earlier = read(now), read(before)
    if after is None:
        return None
    return max(after - (earlier or 0), 0.0) / (now.time - before.time)


def usages(now: Sequence[Stats], before: Sequence[Stats]) -> list[Usage]:
    known = {stats.id: stats for stats in before}
    return [usage_of(stats, known.get(stats.id)) for stats in now]


def size(count: float | None) -> str:
    return "-" if count is None else format_size(round(count))


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def pair(first: int | None, second: int | None) -> str:
    return "-" if first is None and second is None else f"{size(first)} / {size(second)}"


HEADER = ("HANDLE", "CPU", "MEMORY / LIMIT", "MEM", "PIDS", "NET IN / OUT", "READ / WRITTEN", "DISK")


def cells(usage: Usage) -> tuple[str, ...]:
    """A row of HEADER's table."""
    return (
        escaped(usage.handle),
        percent(usage.cpu_percent),
        pair(usage.memory, usage.limit),
        percent(usage.memory_percent),
        "-" if usage.tasks is None else str(usage.tasks),
        pair(usage.received, usage.sent),
        pair(usage.read, usage.written),
        size(usage.disk),
    )
