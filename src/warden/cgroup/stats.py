"""What a container's group has used, read from cgroup v1, v2 or both: pure parsers, and one thin reader.

Owns the files' names and formats. Reading is made for a thousand groups in a row: each file is opened, read once and
closed (some 6 µs; keeping them open would cost the kernel 5 KiB a file), and nothing that was not asked for is read.
"""

from __future__ import annotations

import errno
import os

from warden.cgroup import files, tables
from warden.cgroup.groups import ContainerGroup
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, logger
from warden.model.stats import CpuStats, DeviceStats, MemoryStats, PidStats, Pressure, Stall
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logger("warden.cgroup")

RESOURCES = ("cpu", "memory", "io")
_READ = 8192
_V1_OPERATIONS = {"Read": 0, "Write": 1}
_V2_FIELDS = {"rbytes": "read_bytes", "wbytes": "written_bytes", "rios": "reads", "wios": "writes"}


@dataclass(frozen=True, slots=True)
class GroupStats:
    """The part of Stats that cgroups know."""

    memory: MemoryStats
    cpu: CpuStats
    pids: PidStats
    io: tuple[DeviceStats, ...]
    pressure: dict[str, Pressure]
    processes: int | None


# ---- parsers


def parse_counts(text: str) -> dict[str, int]:
    """A flat keyed file: "NAME NUMBER" lines. Ten times as fast as a look at each line, which is the way for others."""
    words = text.split()
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    except ValueError:
        return tables.parse_flat(text)


def parse_memory_stat_v1(text: str) -> dict[str, int]:
    """Of the whole tree: processes live in the jobs' groups, so that the plain numbers are 0 and only total_ ones mean
    something. The limits of the hierarchy have names of their own and stay."""
    counts = parse_counts(text)
    found = {name.removeprefix("total_"): value for name, value in counts.items() if name.startswith("total_")}
    return found | {name: value for name, value in counts.items() if name.startswith("hierarchical_")}


def parse_io_v2(text: str) -> tuple[DeviceStats, ...]:
    """io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"; a device without numbers is left out."""
    found = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        pairs = (word.partition("=")[::2] for word in rest.split())
        given = {_V2_FIELDS[name]: int(value) for name, value in pairs if name in _V2_FIELDS and value.isdecimal()}
        if given and (number := _device(device)) is not None:
            found.append(replace(DeviceStats(*number), **given))  # type: ignore[arg-type]
    return tuple(found)


def parse_io_v1(sizes: str, counts: str) -> tuple[DeviceStats, ...]:
    """blkio.throttle.io_service_bytes and io_serviced: "8:0 Read 4096", and the same for Write, Sync, Total …; what
    stands there several times is added up."""
    moved, done = _by_device(sizes), _by_device(counts)
    found = []
    for device in sorted(moved.keys() | done.keys()):
        size, count = moved.get(device, (None, None)), done.get(device, (None, None))
        found.append(DeviceStats(*device, None, size[0], size[1], count[0], count[1]))
    return tuple(found)


def _by_device(text: str) -> dict[tuple[int, int], list[int | None]]:
    found: dict[tuple[int, int], list[int | None]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in _V1_OPERATIONS and (device := _device(words[0])) is not None:
            sums, place = found.setdefault(device, [None, None]), _V1_OPERATIONS[words[1]]
            sums[place] = (sums[place] or 0) + int(words[2])
    return found


def _device(text: str) -> tuple[int, int] | None:
    major, colon, minor = text.partition(":")
    return (int(major), int(minor)) if colon and major.isdecimal() and minor.isdecimal() else None


def parse_pressure(text: str) -> Pressure:
    """A .pressure file: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and "full …" (kernel's accounting/psi.rst)."""
    lines = {}
    for line in text.splitlines():
        kind, *words = line.split()
        values = dict(word.split("=", 1) for word in words)
        if kind in ("some", "full"):
            averages = [float(values[name]) for name in ("avg10", "avg60", "avg300")]
            lines[kind] = Stall(averages[0], averages[1], averages[2], int(values["total"]) / 1e6)
    return Pressure(lines.get("some"), lines.get("full"))


def swap_limit_v1(both: int | None, memory: int | None) -> int | None:
    """v1 limits memory and swap together: swap alone may be what is above the limit of memory."""
    return None if both is None else both if memory is None else max(both - memory, 0)


# ---- reading


def _text(path: str) -> str | None:
    """The whole file; None when the kernel has none of that name."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise files.refused("read", path, error) from error
    try:
        data = os.read(fd, _READ)
        while len(data) >= _READ and (more := os.read(fd, len(data))):  # one record is given whole, as far as it fits
            data += more
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # pressure files of a kernel started with psi=0
            return None
        raise files.refused("read", path, error) from error
    finally:
        os.close(fd)
    return data.decode()


def _number(path: str) -> int | None:
    text = _text(path)
    return None if text is None else int(text)


def _limit(path: str) -> int | None:
    text = _text(path)
    return None if text is None else tables.parse_limit(text)


def _must(path: str) -> int:
    """A file that every group with its controller has: without it the group is gone. Raises KernelRefused."""
    found = _number(path)
    if found is None:
        raise KernelRefused("read", path, errno.ENOENT)
    return found


def read_group(group: ContainerGroup, *, brief: bool = False) -> GroupStats:
    """All that is known of *group*; *brief*: usage and limits, without memory.stat, swap, events, user and system time,
    throttling, operations of devices, pressure. Blocking, from any thread. Raises KernelRefused when it is gone."""
    return GroupStats(
        memory=_memory(group, brief),
        cpu=_cpu(group, brief),
        pids=_pids(group, brief),
        io=_io(group, brief),
        pressure={} if brief else _pressure(group),
        processes=None if brief else _processes(group),
    )


def _memory(group: ContainerGroup, brief: bool) -> MemoryStats:
    place = group.where("memory")
    if place is None:
        return MemoryStats()
    directory, is_v2 = place
    if is_v2:
        stats = MemoryStats(_must(f"{directory}/memory.current"), limit=_limit(f"{directory}/memory.max"))
        return stats if brief else _more_memory_v2(directory, stats)
    used = _must(f"{directory}/memory.usage_in_bytes")
    stats = MemoryStats(used, limit=_limit(f"{directory}/memory.limit_in_bytes"))
    return stats if brief else _more_memory_v1(group, directory, stats)


def _more_memory_v2(directory: str, stats: MemoryStats) -> MemoryStats:
    return replace(
        stats,
        peak=_number(f"{directory}/memory.peak"),  # since 5.19
        swap=_number(f"{directory}/memory.swap.current"),
        swap_limit=_limit(f"{directory}/memory.swap.max"),
        stat=parse_counts(_text(f"{directory}/memory.stat") or ""),
        events=parse_counts(_text(f"{directory}/memory.events") or ""),
    )


def _more_memory_v1(group: ContainerGroup, directory: str, stats: MemoryStats) -> MemoryStats:
    stat = parse_memory_stat_v1(_text(f"{directory}/memory.stat") or "")
    both = stat.get("hierarchical_memsw_limit")  # not there where swap is not accounted
    failures = _number(f"{directory}/memory.failcnt")
    return replace(
        stats,
        peak=_number(f"{directory}/memory.max_usage_in_bytes"),
        swap=stat.get("swap"),
        swap_limit=swap_limit_v1(None if both is None else tables.parse_limit(str(both)), stats.limit),
        stat=stat,
        events=({} if failures is None else {"failcnt": failures}) | {"oom_kill": group.oom_kills()},
    )


def _cpu(group: ContainerGroup, brief: bool) -> CpuStats:
    account = group.where("cpuacct")
    if account is None:
        return CpuStats() if brief else _throttling_v1(group, CpuStats())
    directory, is_v2 = account
    if is_v2:
        return _cpu_v2(parse_counts(_text(f"{directory}/cpu.stat") or ""))
    total = _must(f"{directory}/cpuacct.usage")
    if brief:
        return CpuStats(total / 1e9)
    user, system = (_number(f"{directory}/cpuacct.usage_{half}") for half in ("user", "sys"))  # since 4.7
    halves = (None, None) if user is None or system is None else tables.split_cpu(total, user, system)
    return _throttling_v1(group, CpuStats(total / 1e9, *halves))


def _cpu_v2(stat: dict[str, int]) -> CpuStats:
    """cpu.stat counts time in every group, periods only where the cpu controller is on."""
    return CpuStats(
        usage_s=_seconds(stat.get("usage_usec"), 1e6),
        user_s=_seconds(stat.get("user_usec"), 1e6),
        system_s=_seconds(stat.get("system_usec"), 1e6),
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled_s=_seconds(stat.get("throttled_usec"), 1e6),
    )


def _throttling_v1(group: ContainerGroup, stats: CpuStats) -> CpuStats:
    place = group.where("cpu")
    if place is None:
        return stats
    stat = parse_counts(_text(f"{place[0]}/cpu.stat") or "")
    return replace(
        stats,
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled_s=_seconds(stat.get("throttled_time"), 1e9),
    )


def _seconds(count: int | None, unit: float) -> float | None:
    return None if count is None else count / unit


def _pids(group: ContainerGroup, brief: bool) -> PidStats:
    place = group.where("pids")
    if place is None:
        return PidStats()
    directory = place[0]
    peak = None if brief else _number(f"{directory}/pids.peak")  # since 6.1
    return PidStats(_must(f"{directory}/pids.current"), peak, _limit(f"{directory}/pids.max"))


def _io(group: ContainerGroup, brief: bool) -> tuple[DeviceStats, ...]:
    place = group.where("io")
    if place is not None:
        return parse_io_v2(_text(f"{place[0]}/io.stat") or "")
    sums = group.io_sums()
    return () if sums is None else parse_io_v1(sums[0], "" if brief else sums[1])


def _pressure(group: ContainerGroup) -> dict[str, Pressure]:
    """v2 only, since 4.20; absent where it was not built in or is off (cgroup.pressure, since 6.1)."""
    place = group.where("freezer")
    if place is None or not place[1]:
        return {}
    texts = {name: _text(f"{place[0]}/{name}.pressure") for name in RESOURCES}
    return {name: parse_pressure(text) for name, text in texts.items() if text}


def _processes(group: ContainerGroup) -> int | None:
    """From one file where all jobs share the container's group, as in v1's pids; else from those of every job."""
    if (shared := group.shared_procs()) is not None:
        return len(files.read(shared).split())
    return len(group.pids())


def name_devices(devices: Iterable[DeviceStats], names: dict[tuple[int, int], str | None]) -> tuple[DeviceStats, ...]:
    """With their names from sysfs; *names* keeps those looked up so far."""
    found = []
    for device in devices:
        number = device.major, device.minor
        if number not in names:
            names[number] = _device_name(*number)
        found.append(replace(device, name=names[number]))
    return tuple(found)


def _device_name(major: int, minor: int) -> str | None:
    try:
        return os.path.basename(os.readlink(f"/sys/dev/block/{major}:{minor}"))
    except OSError:
        return None
