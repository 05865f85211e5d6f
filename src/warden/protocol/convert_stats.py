"""Stats to ContainerStats and back, as pure functions; what is absent stays absent.

Fields have the same names on both sides. The library leaves out a field that is given None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warden.model.info import DiskStat, State
from warden.model.stats import (
    CpuStats,
    DeviceStats,
    InterfaceStats,
    MemoryStats,
    PidStats,
    Pressure,
    ShapingDrops,
    Stall,
    Stats,
)
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import raw, text
from warden.records import asdict

_Message = pb.ContainerStats


def stats_to_message(stats: Stats) -> pb.ContainerStats:
    shaping, disk = stats.shaping, stats.disk
    return _Message(
        handle=raw(stats.handle),
        id=raw(stats.id),
        state=raw(stats.state.value),
        time=stats.time,
        uptime_s=stats.uptime_s,
        memory=_memory(stats.memory),
        cpu=_cpu(stats.cpu),
        pids=_Message.Pids(current=stats.pids.current, peak=stats.pids.peak, limit=stats.pids.limit),
        io=map(_device, stats.io),
        network=map(_interface, stats.network),
        shaping=None if shaping is None else _Message.Shaping(**asdict(shaping)),
        disk=None if disk is None else _Message.Disk(bytes_used=disk.bytes_used, inodes_used=disk.inodes_used),
        pressure=(_pressure(name, found) for name, found in stats.pressure.items()),
        processes=stats.processes,
        jobs=stats.jobs,
    )


def _memory(memory: MemoryStats) -> pb.ContainerStats.Memory:
    return _Message.Memory(
        current=memory.current,
        peak=memory.peak,
        limit=memory.limit,
        swap=memory.swap,
        swap_limit=memory.swap_limit,
        stat_names=map(raw, memory.stat),
        stat_values=memory.stat.values(),
        event_names=map(raw, memory.events),
        event_values=memory.events.values(),
    )


def _cpu(cpu: CpuStats) -> pb.ContainerStats.Cpu:
    return _Message.Cpu(
        usage_s=cpu.usage_s,
        user_s=cpu.user_s,
        system_s=cpu.system_s,
        periods=cpu.periods,
        throttled_periods=cpu.throttled_periods,
        throttled_s=cpu.throttled_s,
    )


def _device(device: DeviceStats) -> pb.ContainerStats.Device:
    return _Message.Device(
        major=device.major,
        minor=device.minor,
        name=None if device.name is None else raw(device.name),
        read_bytes=device.read_bytes,
        written_bytes=device.written_bytes,
        reads=device.reads,
        writes=device.writes,
    )


def _interface(link: InterfaceStats) -> pb.ContainerStats.Interface:
    return _Message.Interface(
        name=raw(link.name),
        rx_bytes=link.rx_bytes,
        rx_packets=link.rx_packets,
        rx_errors=link.rx_errors,
        rx_drops=link.rx_drops,
        tx_bytes=link.tx_bytes,
        tx_packets=link.tx_packets,
        tx_errors=link.tx_errors,
        tx_drops=link.tx_drops,
    )


def _pressure(resource: str, pressure: Pressure) -> pb.ContainerStats.Pressure:
    return _Message.Pressure(resource=raw(resource), some=_stall(pressure.some), full=_stall(pressure.full))


def _stall(stall: Stall | None) -> pb.ContainerStats.Stall | None:
    if stall is None:
        return None
    return _Message.Stall(avg10=stall.avg10, avg60=stall.avg60, avg300=stall.avg300, total_s=stall.total_s)


def message_to_stats(message: pb.ContainerStats) -> Stats:
    memory = _given(message.memory, "current", "peak", "limit", "swap", "swap_limit")
    return Stats(
        handle=text(message.handle),
        id=text(message.id),
        state=State(text(message.state)),
        time=message.time,
        uptime_s=message.uptime_s,
        memory=MemoryStats(
            **memory,
            stat=_pairs(message.memory.stat_names, message.memory.stat_values),
            events=_pairs(message.memory.event_names, message.memory.event_values),
        ),
        cpu=CpuStats(**_all(message.cpu)),
        pids=PidStats(**_all(message.pids)),
        io=tuple(DeviceStats(**_all(device)) for device in message.io),
        network=tuple(InterfaceStats(**_all(link)) for link in message.network),
        shaping=ShapingDrops(**_all(message.shaping)) if message.HasField("shaping") else None,
        disk=DiskStat(**_all(message.disk)) if message.HasField("disk") else None,
        pressure={text(found.resource): _read_pressure(found) for found in message.pressure},
        processes=message.processes if message.HasField("processes") else None,
        jobs=message.jobs,
    )


def _read_pressure(message: pb.ContainerStats.Pressure) -> Pressure:
    halves = (Stall(**_all(half)) if message.HasField(name) else None
              for name, half in (("some", message.some), ("full", message.full)))  # fmt: skip
    return Pressure(*halves)


def _pairs(names: Iterable[bytes], values: Iterable[int]) -> Mapping[str, int]:
    return dict(zip(map(text, names), values, strict=False))


def _given(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _all(message: Any) -> dict[str, Any]:
    """Every field that is there, by name; texts as str. The dataclass has the same names."""
    fields = message.ListFields()
    return {field.name: text(value) if isinstance(value, bytes) else value for field, value in fields}
