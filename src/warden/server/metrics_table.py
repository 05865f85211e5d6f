"""Every metric of a container, once: its name, its meaning, and where it is found in Stats. Pure.

Base units, and _total for what only grows. What a container does not have gives no sample. The number of samples follows
from the number of containers and of the host's devices: nothing that a container can choose makes a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from warden.model.stats import DeviceStats, InterfaceStats, Stats
from warden.server.exposition import Family, Sample, block, joined, labels

#: Further labels, "" for none, and the value, None for none.
Found = Iterable[tuple[str, float | None]]
Read = Callable[[Stats], Found]

#: Kinds of memory by v2's names, and what v1 calls them.
_MEMORY_KINDS = {"anon": "rss", "file": "cache", "shmem": "shmem", "file_mapped": "mapped_file", "kernel": "", "slab": ""}


def _one(read: Callable[[Stats], float | None]) -> Read:
    return lambda stats: (("", read(stats)),)


def _counts(name: str) -> Read:
    return _one(lambda stats: stats.memory.stat.get(name))


def _memory_kinds(stats: Stats) -> Found:
    stat = stats.memory.stat
    for kind, older in _MEMORY_KINDS.items():
        yield labels(kind=kind), stat.get(kind, stat.get(older))


def _memory_events(stats: Stats) -> Found:
    return ((labels(event=name), value) for name, value in stats.memory.events.items())


def _devices(read: Callable[[DeviceStats], float | None]) -> Read:
    def found(stats: Stats) -> Found:
        for device in stats.io:
            number = f"{device.major}:{device.minor}"
            yield labels(device=device.name or number, number=number), read(device)

    return found


def _links(read: Callable[[InterfaceStats], float]) -> Read:
    return lambda stats: ((labels(interface=link.name), read(link)) for link in stats.network)


def _drops(stats: Stats) -> Found:
    if stats.shaping is not None:
        yield labels(direction="receive"), stats.shaping.rx
        yield labels(direction="transmit"), stats.shaping.tx


def _waits(stats: Stats) -> Found:
    if stats.shaping is not None:
        yield labels(direction="receive"), stats.shaping.rx_overlimits
        yield labels(direction="transmit"), stats.shaping.tx_overlimits


def _pressure(half: str) -> Read:
    def found(stats: Stats) -> Found:
        for resource, pressure in stats.pressure.items():
            stall = getattr(pressure, half)
            yield labels(resource=resource), None if stall is None else stall.total_s

    return found


# fmt: off
_TABLE: tuple[tuple[str, str, Read, str], ...] = (
    ("start_time_seconds", "gauge", _one(lambda s: s.time - s.uptime_s), "When it was created, since the epoch."),
    ("jobs", "gauge", _one(lambda s: s.jobs), "Jobs that run."),
    ("processes", "gauge", _one(lambda s: s.processes), "Processes of its jobs."),
    ("tasks", "gauge", _one(lambda s: s.pids.current), "Tasks, threads too."),
    ("tasks_peak", "gauge", _one(lambda s: s.pids.peak), "Most tasks so far."),
    ("tasks_limit", "gauge", _one(lambda s: s.pids.limit), "Tasks allowed."),
    ("memory_bytes", "gauge", _one(lambda s: s.memory.current), "Memory in use, page cache too."),
    ("memory_peak_bytes", "gauge", _one(lambda s: s.memory.peak), "Most memory so far."),
    ("memory_limit_bytes", "gauge", _one(lambda s: s.memory.limit), "Memory allowed."),
    ("memory_swap_bytes", "gauge", _one(lambda s: s.memory.swap), "Swap in use."),
    ("memory_swap_limit_bytes", "gauge", _one(lambda s: s.memory.swap_limit), "Swap allowed."),
    ("memory_kind_bytes", "gauge", _memory_kinds, "Memory in use by kind."),
    ("memory_page_faults_total", "counter", _counts("pgfault"), "Page faults."),
    ("memory_major_page_faults_total", "counter", _counts("pgmajfault"), "Page faults that had to read."),
    ("memory_events_total", "counter", _memory_events, "Times that memory was short, by the kernel's names."),
    ("cpu_seconds_total", "counter", _one(lambda s: s.cpu.usage_s), "Processor time."),
    ("cpu_user_seconds_total", "counter", _one(lambda s: s.cpu.user_s), "Processor time in user mode."),
    ("cpu_system_seconds_total", "counter", _one(lambda s: s.cpu.system_s), "Processor time in the kernel."),
    ("cpu_periods_total", "counter", _one(lambda s: s.cpu.periods), "Periods under a quota."),
    ("cpu_throttled_periods_total", "counter", _one(lambda s: s.cpu.throttled_periods), "Periods that were too short."),
    ("cpu_throttled_seconds_total", "counter", _one(lambda s: s.cpu.throttled_s), "Time held back by a quota."),
    ("io_read_bytes_total", "counter", _devices(lambda d: d.read_bytes), "Bytes read from a device."),
    ("io_written_bytes_total", "counter", _devices(lambda d: d.written_bytes), "Bytes written to a device."),
    ("io_reads_total", "counter", _devices(lambda d: d.reads), "Reads from a device."),
    ("io_writes_total", "counter", _devices(lambda d: d.writes), "Writes to a device."),
    ("network_receive_bytes_total", "counter", _links(lambda n: n.rx_bytes), "Bytes that came in."),
    ("network_receive_packets_total", "counter", _links(lambda n: n.rx_packets), "Packets that came in."),
    ("network_receive_errors_total", "counter", _links(lambda n: n.rx_errors), "Packets that came in broken."),
    ("network_receive_drops_total", "counter", _links(lambda n: n.rx_drops), "Packets dropped on the way in."),
    ("network_transmit_bytes_total", "counter", _links(lambda n: n.tx_bytes), "Bytes that went out."),
    ("network_transmit_packets_total", "counter", _links(lambda n: n.tx_packets), "Packets that went out."),
    ("network_transmit_errors_total", "counter", _links(lambda n: n.tx_errors), "Packets that could not go out."),
    ("network_transmit_drops_total", "counter", _links(lambda n: n.tx_drops), "Packets dropped on the way out."),
    ("shaping_dropped_packets_total", "counter", _drops, "Packets dropped by its bandwidth limit."),
    ("shaping_overlimits_total", "counter", _waits, "Times that its bandwidth limit held a packet back."),
    ("disk_bytes", "gauge", _one(lambda s: None if s.disk is None else s.disk.bytes_used), "Bytes of its own files."),
    ("disk_inodes", "gauge", _one(lambda s: None if s.disk is None else s.disk.inodes_used), "Number of its own files."),
    ("pressure_waiting_seconds_total", "counter", _pressure("some"), "Time in which a task waited for a resource."),
    ("pressure_stalled_seconds_total", "counter", _pressure("full"), "Time in which all tasks waited for a resource."),
)
# fmt: on
CONTAINER: Mapping[Family, Read] = {
    Family(f"warden_container_{name}", kind, text): read for name, kind, read, text in _TABLE
}


def container_blocks(everything: Sequence[Stats]) -> Iterator[str]:
    """One family after the other, as the format wants them."""
    owners = [(labels(handle=stats.handle, id=stats.id), stats) for stats in everything]
    for family, read in CONTAINER.items():
        yield block(family, _samples(owners, read))


def _samples(owners: Sequence[tuple[str, Stats]], read: Read) -> Iterator[Sample]:
    for owner, stats in owners:
        for more, value in read(stats):
            if value is not None:
                yield joined(owner, more), value


def reference() -> str:
    """The table of a container's metrics in Markdown, for the documentation."""
    rows = [f"| `{family.name}` | {family.kind} | {family.help} |" for family in CONTAINER]
    return "\n".join(["| metric | type | meaning |", "|---|---|---|", *rows]) + "\n"
