"""Every resource that can be limited, by name: what people write, and what is said back. One table, pure.

Names are cgroup v2's files (kernel's cgroup-v2.rst); what v2 has no file for has v1's name (swappiness, real time,
devices, net_cls) or one of ours (disk, bandwidth, OOM policy). v1's names of the others are ALIASES: other words for the
same, in v1's units. Command line, protocol, clients and documentation are made from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, late, pattern
from warden.model.limits import (
    DEFAULT_PERIOD_US,
    MAX_BYTES,
    MAX_COUNT,
    Bandwidth,
    CpuQuota,
    DeviceRule,
    DiskLimits,
    IoLimit,
    Limits,
    OomPolicy,
    RdmaLimit,
    check,
    check_name,
)
from warden.model.size import parse_rate, parse_size
from warden.records import dataclass, field, replace

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import Any
else:
    re = late("re")

UNLIMITED = "max"


@dataclass(frozen=True, slots=True)
class LimitReport:
    """A container's limits by name: *in_force* as the kernel has them, *asked* what was set and is not the default.
    *raw*: the kernel's files by path. *warnings*: what could not be set, when that was allowed."""

    in_force: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


_V1_UNLIMITED = ("-1", "9223372036854771712")
_RULE = pattern(r"([abc])(?:\s+(\*|\d+):(\*|\d+)(?:\s+([rwm]+))?)?")

Change = Callable[[Limits, str], Limits]
Show = Callable[[Limits], str]


@dataclass(frozen=True, slots=True)
class Resource:
    """One row. *change*: the limits with a value as people write it, or BadInput; *show*: the value that is asked,
    written so that *change* takes it. *note*: what it means; *values*: what can be written."""

    name: str
    change: Change
    show: Show
    values: str
    note: str


def _optional(name: str, text: str, parse: Callable[[str, str], int]) -> int | None:
    return None if text.strip() == UNLIMITED else parse(name, text)


def _size(name: str, text: str) -> int:
    return parse_size(text.strip(), field=name)


def _count(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,20}", text.strip()):
        raise BadInput(f"{name}: {text!r} is not a whole number")
    return int(text)


def _number(field: str, name: str, values: str, note: str, parse: Callable[[str, str], int] = _count) -> Resource:
    """A resource that is one number, *field* of Limits."""

    def change(limits: Limits, text: str) -> Limits:
        return _set(limits, field, _optional(name, text, parse))

    return Resource(name, change, lambda limits: _shown(getattr(limits, field)), values, note)


def _bytes(field: str, name: str, note: str) -> Resource:
    return _number(field, name, "bytes, 64M, max", note, _size)


def _shown(value: int | str | None) -> str:
    return UNLIMITED if value is None else str(value)


def _set(limits: Limits, field: str, value: object) -> Limits:
    return replace(limits, **{field: value})  # type: ignore[arg-type]


def _switch(field: str, name: str, note: str) -> Resource:
    def change(limits: Limits, text: str) -> Limits:
        if text.strip() not in ("0", "1"):
            raise BadInput(f"{name}: {text!r} is not 0 or 1")
        return _set(limits, field, text.strip() == "1")

    return Resource(name, change, lambda limits: str(int(getattr(limits, field))), "0, 1", note)


def _list(field: str, name: str, note: str) -> Resource:
    def change(limits: Limits, text: str) -> Limits:
        wanted = text.strip()
        return _set(limits, field, None if wanted in ("", UNLIMITED) else wanted)

    return Resource(name, change, lambda limits: _shown(getattr(limits, field)), "0-2,7, max", note)


# ---- processor


def _parse_weight(name: str, text: str) -> int | None:
    return None if text.strip() in (UNLIMITED, "default") else _count(name, text)


def _weight(limits: Limits, text: str) -> Limits:
    return replace(limits, cpu_weight=_parse_weight("cpu.weight", text), cpu_shares=None)


def _show_weight(limits: Limits) -> str:
    if limits.cpu_shares is not None:
        return f"{limits.cpu_shares} shares"
    return "default" if limits.cpu_weight is None else str(limits.cpu_weight)


def _shares(limits: Limits, text: str) -> Limits:
    shares = check("cpu.shares", _count("cpu.shares", text), 0, MAX_COUNT)
    return replace(limits, cpu_shares=shares, cpu_weight=None)


def _cpu_max(limits: Limits, text: str) -> Limits:
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise BadInput(f"cpu.max: {text!r} is not a quota", hint="QUOTA PERIOD in microseconds, or max")
    period = _count("cpu.max: period", words[1]) if len(words) == 2 else _period(limits)
    return _quota(limits, _optional("cpu.max: quota", words[0], _count), period)


def _quota(limits: Limits, quota_us: int | None, period_us: int) -> Limits:
    """What could be saved up goes with the quota."""
    burst = None if quota_us is None or limits.cpu_burst_us is None else min(limits.cpu_burst_us, quota_us)
    quota = None if quota_us is None and period_us == DEFAULT_PERIOD_US else CpuQuota(quota_us, period_us)
    return replace(limits, cpu_quota=quota, cpu_burst_us=burst)


def _period(limits: Limits) -> int:
    return limits.cpu_quota.period_us if limits.cpu_quota else DEFAULT_PERIOD_US


def _show_cpu_max(limits: Limits) -> str:
    quota = limits.cpu_quota or CpuQuota(None)
    return f"{_shown(quota.quota_us)} {quota.period_us}"


def _cpus(limits: Limits, text: str) -> Limits:
    if text.strip() == UNLIMITED:
        return _cpu_max(limits, text)
    if not re.fullmatch(r"\s*\d{1,6}(\.\d{1,6})?\s*", text) or float(text) <= 0:
        raise BadInput(f"cpus: {text!r} is not a number of processors", hint="such as 1.5, or max")
    return _quota(limits, round(float(text) * _period(limits)), _period(limits))


def _rt(part: int) -> Change:
    name = ("cpu.rt_runtime_us", "cpu.rt_period_us")[part]

    def change(limits: Limits, text: str) -> Limits:
        runtime, period = limits.cpu_rt_us or (0, 1_000_000)
        value = 0 if text.strip() == UNLIMITED else _count(name, text)
        both = (value, period) if part == 0 else (runtime, value)
        return replace(limits, cpu_rt_us=None if both == (0, 1_000_000) else both)

    return change


def _show_rt(part: int) -> Show:
    return lambda limits: str((limits.cpu_rt_us or (0, 1_000_000))[part])


# ---- input and output, devices


def _io_weight(limits: Limits, text: str) -> Limits:
    return replace(limits, io_weight=_parse_weight("io.weight", text))


def _show_io_weight(limits: Limits) -> str:
    return "default" if limits.io_weight is None else str(limits.io_weight)


_IO_KEYS = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}


def _io_max(limits: Limits, text: str) -> Limits:
    """One device's, merged into what is set for it, as the kernel does."""
    device, *words = text.split() or [""]
    if not words:
        raise BadInput(f"io.max: {text!r}: nothing is limited", hint="such as 8:0 rbps=1M wiops=100")
    now = next((item for item in limits.io_max if item.device == device), IoLimit(device))
    given: dict[str, Any] = dict(_io_word(word) for word in words)
    changed = replace(now, **given)
    rest = tuple(item for item in limits.io_max if item.device != device)
    return replace(limits, io_max=rest if changed.nothing else (*rest, changed))


def _io_word(word: str) -> tuple[str, int | None]:
    key, equals, value = word.partition("=")
    if not equals or key not in _IO_KEYS:
        raise BadInput(f"io.max: {word!r} is unknown", hint="one of " + ", ".join(f"{name}=" for name in _IO_KEYS))
    name = f"io.max: {key}"
    return _IO_KEYS[key], _optional(name, value, _size if key.endswith("bps") else _count)


def format_io(item: IoLimit) -> str:
    """As io.max has it, without what is unlimited."""
    words = (f"{key}={getattr(item, name)}" for key, name in _IO_KEYS.items() if getattr(item, name) is not None)
    return " ".join((item.device, *words))


def parse_rules(text: str) -> tuple[DeviceRule, ...]:
    """Rules separated by commas: "c 1:3 rwm, b 8:* r"; raises BadInput."""
    return tuple(_rule(part.strip()) for part in re.split(r"[,;\n]", text) if part.strip())


def _rule(text: str) -> DeviceRule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise BadInput(f"devices.allow: {text!r} is not a rule", hint="c MAJOR:MINOR rwm, such as c 1:3 rw or b 8:* r")
    major, minor = (None if word in (None, "*") else int(word) for word in (match[2], match[3]))
    return DeviceRule(match[1], major, minor, match[4] or "rwm")


def _devices(limits: Limits, text: str) -> Limits:
    wanted = text.strip()
    if wanted in ("all", UNLIMITED):
        return replace(limits, devices=None)
    if not wanted:
        raise BadInput("devices.allow: nothing is given", hint="all, none, or rules such as c 1:3 rwm")
    return replace(limits, devices=() if wanted == "none" else parse_rules(wanted))


def _show_devices(limits: Limits) -> str:
    if limits.devices is None:
        return "all"
    return ", ".join(map(str, limits.devices)) or "none"


def _pairs(field: str, name: str, parse: Callable[[str, str], int], values: str, note: str) -> Resource:
    """A resource of pairs "NAME AMOUNT", each changed apart."""

    def change(limits: Limits, text: str) -> Limits:
        words = text.split()
        if len(words) != 2:
            raise BadInput(f"{name}: {text!r} is not a name and an amount", hint=values)
        key, amount = check_name(name, words[0]), _optional(name, words[1], parse)
        rest = tuple(pair for pair in getattr(limits, field) if pair[0] != key)
        return _set(limits, field, rest if amount is None else (*rest, (key, amount)))

    return Resource(name, change, lambda limits: _show_pairs(getattr(limits, field)), values, note)


def _show_pairs(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {amount}" for name, amount in pairs) or "none"


def _rdma(limits: Limits, text: str) -> Limits:
    device, *words = text.split() or [""]
    given: dict[str, int | None] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in ("hca_handle", "hca_object"):
            raise BadInput(f"rdma.max: {word!r} is unknown", hint="hca_handle= or hca_object=")
        given[key] = _optional(f"rdma.max: {key}", value, _count)
    item = RdmaLimit(device, given.get("hca_handle"), given.get("hca_object"))
    rest = tuple(other for other in limits.rdma if other.device != device)
    return replace(limits, rdma=rest if item.handles is item.objects is None else (*rest, item))


def format_rdma(item: RdmaLimit) -> str:
    """As rdma.max has it."""
    return f"{item.device} hca_handle={_shown(item.handles)} hca_object={_shown(item.objects)}"


def _net_class(limits: Limits, text: str) -> Limits:
    """0x00100001, the same in decimal, or 10:1 with tc's hexadecimal halves."""
    name, wanted = "net_cls.classid", text.strip()
    match = re.fullmatch(r"([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})", wanted)
    if match is not None:
        number = int(match[1], 16) << 16 | int(match[2], 16)
    elif re.fullmatch(r"0x[0-9a-fA-F]{1,8}|\d{1,10}", wanted):
        number = int(wanted, 16 if wanted.startswith("0x") else 10)
    else:
        raise BadInput(f"{name}: {text!r} is not a class", hint="MAJOR:MINOR in hexadecimal as tc has it, or a number")
    return replace(limits, net_class=number or None)


# ---- memory, disk, network


def _swap(limits: Limits, text: str) -> Limits:
    """Unlike elsewhere "max" is not the usual: a memory limit is one for memory and swap together unless told."""
    if text.strip() == "default":
        return replace(limits, swap_bytes=None)
    wanted = MAX_BYTES if text.strip() == UNLIMITED else _size("memory.swap.max", text)
    return replace(limits, swap_bytes=wanted)


def _show_swap(limits: Limits) -> str:
    if limits.swap_bytes is None:
        return "default"
    return UNLIMITED if limits.swap_bytes == MAX_BYTES else str(limits.swap_bytes)


def _oom_policy(limits: Limits, text: str) -> Limits:
    choices = {policy.value: policy for policy in OomPolicy}
    if text.strip() not in choices:
        raise BadInput(f"oom.policy: {text!r} is unknown", hint="one of " + ", ".join(choices))
    return replace(limits, oom_policy=choices[text.strip()])


def _disk(field: str, name: str, parse: Callable[[str, str], int]) -> Resource:
    unit = 1024 if field == "block_hard" else 1

    def change(limits: Limits, text: str) -> Limits:
        amount = _optional(name, text, parse)
        hard = 0 if amount is None else max(-(-amount // unit), 1)
        return replace(limits, disk=replace(limits.disk or DiskLimits(), **{field: hard}))

    def show(limits: Limits) -> str:
        hard = getattr(limits.disk, field) if limits.disk else 0
        return str(hard * unit) if hard else UNLIMITED

    note = "bytes that its own files take" if unit > 1 else "files and directories of its own"
    return Resource(name, change, show, "bytes, 1G, max" if unit > 1 else "a number, max", note)


def _bucket(name: str, text: str) -> Bandwidth | None:
    words = text.split()
    if words == [UNLIMITED]:
        return None
    if not 1 <= len(words) <= 2:
        raise BadInput(f"{name}: {text!r} is not a rate", hint="RATE [BURST], such as 1M, 100mbit or '1M 64K'; or max")
    rate = parse_rate(words[0], field=f"{name}: rate")
    # A bucket must hold what comes in one timer tick, or the rate is not reached (tc-tbf(8)).
    burst = parse_size(words[1], field=f"{name}: burst") if len(words) == 2 else min(max(rate // 50, 16384), 2**31)
    return Bandwidth(rate, burst)


def _bandwidth(limits: Limits, text: str) -> Limits:
    bucket = _bucket("bandwidth", text)
    return replace(limits, bandwidth_in=bucket, bandwidth_out=bucket)


def _direction(field: str, name: str, note: str) -> Resource:
    def change(limits: Limits, text: str) -> Limits:
        return _set(limits, field, _bucket(name, text))

    return Resource(name, change, lambda limits: show_bucket(getattr(limits, field)), "RATE [BURST], max", note)


def show_bucket(bucket: Bandwidth | None) -> str:
    """As a row of it is written."""
    return UNLIMITED if bucket is None else f"{bucket.rate} {bucket.burst}"


RESOURCES: tuple[Resource, ...] = (
    _bytes("memory_bytes", "memory.max", "memory; what it cannot reclaim above that is an out of memory"),
    _bytes("memory_high", "memory.high", "memory above which the container is slowed and reclaimed (v1: soft limit)"),
    _bytes("memory_low", "memory.low", "memory that is not reclaimed while others have some to give (v2)"),
    Resource(
        "memory.swap.max", _swap, _show_swap, "bytes, 64M, max, default", "swap; by default none under a memory limit"
    ),
    _number("swappiness", "memory.swappiness", "0 to 200", "how readily it is swapped (v1)"),
    Resource(
        "oom.policy",
        _oom_policy,
        lambda limits: limits.oom_policy.value,
        "kill_job, kill_container, stop",
        "what is ended when memory runs out",
    ),
    _switch("oom_kill_disable", "memory.oom_kill_disable", "out of memory waits instead of killing (v1)"),
    Resource("cpu.weight", _weight, _show_weight, "1 to 10000", "its part of busy processors; 100 is usual"),
    Resource(
        "cpu.max", _cpu_max, _show_cpu_max, "QUOTA PERIOD in microseconds, max", "processor time in each period"
    ),
    _number("cpu_burst_us", "cpu.max.burst", "microseconds", "what it may save up and exceed the quota by"),
    _switch("cpu_idle", "cpu.idle", "runs only when nobody else wants to"),
    Resource("cpu.rt_period_us", _rt(1), _show_rt(1), "microseconds", "the real-time period (v1)"),
    Resource(
        "cpu.rt_runtime_us", _rt(0), _show_rt(0), "microseconds", "for real-time tasks, in each real-time period (v1)"
    ),
    _list("cpuset_cpus", "cpuset.cpus", "the processors that it may use"),
    _list("cpuset_mems", "cpuset.mems", "the memory nodes that it may use"),
    _number("pids_max", "pids.max", "a number, max", "processes and threads"),
    Resource("io.weight", _io_weight, _show_io_weight, "1 to 10000", "its part of busy disks; 100 is usual"),
    Resource(
        "io.max",
        _io_max,
        lambda limits: ", ".join(map(format_io, limits.io_max)) or UNLIMITED,
        "DEVICE [rbps=N] [wbps=N] [riops=N] [wiops=N]",
        "bytes and operations a second on a device; max lifts one",
    ),
    Resource("devices.allow", _devices, _show_devices, "all, none, or c 1:3 rwm, …", "the devices that may be used"),
    _pairs("hugetlb", "hugetlb.max", _size, "PAGESIZE BYTES, such as 2MB 64M", "huge pages of one size"),
    Resource(
        "rdma.max",
        _rdma,
        lambda limits: ", ".join(map(format_rdma, limits.rdma)) or UNLIMITED,
        "DEVICE hca_handle=N hca_object=N",
        "handles and objects of an RDMA device",
    ),
    _pairs("misc", "misc.max", _count, "RESOURCE N", "scalar resources of the machine, see misc.capacity (v2)"),
    Resource(
        "net_cls.classid",
        _net_class,
        lambda limits: "0" if limits.net_class is None else f"{limits.net_class:#010x}",
        "MAJOR:MINOR as tc has it",
        "class of its packets (v1)",
    ),
    _pairs("net_priorities", "net_prio.ifpriomap", _count, "INTERFACE N", "priority of its packets (v1)"),
    _direction("bandwidth_in", "bandwidth.in", "bytes a second that come to it over its link"),
    _direction("bandwidth_out", "bandwidth.out", "bytes a second that it sends over its link"),
    _disk("block_hard", "disk.max", _size),
    _disk("inode_hard", "disk.inodes", _count),
)
BY_NAME = {resource.name: resource for resource in RESOURCES}
_PLACE = {resource.name: place for place, resource in enumerate(RESOURCES)}
MOST_SETTINGS = 500


def _v1_size(name: str) -> Change:
    """The same in v1's words: -1 is unlimited."""
    return lambda limits, text: BY_NAME[name].change(limits, UNLIMITED if text.strip() in _V1_UNLIMITED else text)


def _memsw(limits: Limits, text: str) -> Limits:
    """v1 counts memory and swap together."""
    name = "memory.memsw.limit_in_bytes"
    if text.strip() in _V1_UNLIMITED:
        return replace(limits, swap_bytes=MAX_BYTES)
    total = _size(name, text)
    if limits.memory_bytes is None or total < limits.memory_bytes:
        raise BadInput(f"{name}: {total} is less than the memory limit", hint="set memory.limit_in_bytes first")
    return replace(limits, swap_bytes=total - limits.memory_bytes)


def _cfs_quota(limits: Limits, text: str) -> Limits:
    quota = None if text.strip() in _V1_UNLIMITED else _count("cpu.cfs_quota_us", text)
    return _quota(limits, quota, _period(limits))


def _cfs_period(limits: Limits, text: str) -> Limits:
    quota = limits.cpu_quota.quota_us if limits.cpu_quota else None
    return _quota(limits, quota, _count("cpu.cfs_period_us", text))


def _bfq_weight(limits: Limits, text: str) -> Limits:
    return replace(limits, io_weight=check("blkio.weight", _count("blkio.weight", text), 1, 1000))


def _throttle(key: str) -> Change:
    """ "MAJOR:MINOR N", where 0 is unlimited."""

    def change(limits: Limits, text: str) -> Limits:
        device, _, amount = text.strip().partition(" ")
        return _io_max(limits, f"{device} {key}={UNLIMITED if amount.strip() == '0' else amount.strip()}")

    return change


def _devices_deny(limits: Limits, text: str) -> Limits:
    """All, or a rule that was allowed; the kernel keeps a list of exceptions to one or the other."""
    if text.strip() in ("a", "a *:* rwm"):
        return replace(limits, devices=())
    if limits.devices is None:
        raise BadInput(f"devices.deny: {text!r}: all devices are allowed", hint="deny a first, then allow some")
    rule = _rule(text.strip())
    if rule not in limits.devices:
        raise BadInput(f"devices.deny: {rule} was not allowed", hint=f"allowed are {_show_devices(limits)}")
    return replace(limits, devices=tuple(other for other in limits.devices if other != rule))


def _devices_allow(limits: Limits, text: str) -> Limits:
    """v1's file adds; ours is the whole list."""
    if text.strip() in ("a", "a *:* rwm"):
        return replace(limits, devices=None)
    more = parse_rules(text)
    return limits if limits.devices is None else replace(limits, devices=tuple(dict.fromkeys((*limits.devices, *more))))


#: What is limited by one name and shown by several.
_BOTH = {"bandwidth": ("bandwidth.in", "bandwidth.out")}
#: v1's names and two of ours, with v1's units; `devices.allow` of v1 adds to the list, so it is `devices.add` here.
ALIASES: dict[str, tuple[str, Change]] = {
    "memory.limit_in_bytes": ("memory.max", _v1_size("memory.max")),
    "memory.soft_limit_in_bytes": ("memory.high", _v1_size("memory.high")),
    "memory.memsw.limit_in_bytes": ("memory.swap.max", _memsw),
    "memory.oom_control": ("memory.oom_kill_disable", BY_NAME["memory.oom_kill_disable"].change),
    "cpus": ("cpu.max", _cpus),
    "cpu.shares": ("cpu.weight", _shares),
    "cpu.cfs_quota_us": ("cpu.max", _cfs_quota),
    "cpu.cfs_period_us": ("cpu.max", _cfs_period),
    "cpu.cfs_burst_us": ("cpu.max.burst", BY_NAME["cpu.max.burst"].change),
    "blkio.weight": ("io.weight", _bfq_weight),
    "blkio.bfq.weight": ("io.weight", _bfq_weight),
    "io.bfq.weight": ("io.weight", _bfq_weight),
    "blkio.throttle.read_bps_device": ("io.max", _throttle("rbps")),
    "blkio.throttle.write_bps_device": ("io.max", _throttle("wbps")),
    "blkio.throttle.read_iops_device": ("io.max", _throttle("riops")),
    "blkio.throttle.write_iops_device": ("io.max", _throttle("wiops")),
    "devices.add": ("devices.allow", _devices_allow),
    "devices.deny": ("devices.allow", _devices_deny),
    "bandwidth": ("bandwidth.in", _bandwidth),
}
#: Short words for the most wanted: keyword arguments of the clients, and with dashes the flags of the command.
WORDS: dict[str, str] = {
    "memory": "memory.max",
    "memory_high": "memory.high",
    "memory_low": "memory.low",
    "swap": "memory.swap.max",
    "swappiness": "memory.swappiness",
    "oom_policy": "oom.policy",
    "cpus": "cpus",
    "cpu_weight": "cpu.weight",
    "cpu_shares": "cpu.shares",
    "cpu_burst": "cpu.max.burst",
    "cpu_idle": "cpu.idle",
    "cpuset_cpus": "cpuset.cpus",
    "cpuset_mems": "cpuset.mems",
    "pids": "pids.max",
    "io_weight": "io.weight",
    "io_max": "io.max",
    "devices": "devices.allow",
    "hugetlb": "hugetlb.max",
    "bandwidth": "bandwidth",
    "bandwidth_in": "bandwidth.in",
    "bandwidth_out": "bandwidth.out",
    "disk": "disk.max",
    "inodes": "disk.inodes",
}
_HUGETLB = pattern(r"hugetlb\.([0-9]+[KMG]B)\.(max|limit_in_bytes)")


def settings_of(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) for each of WORDS in *given*, in WORDS' order, and then for what is under "limits", by name: a
    mapping or pairs. Lists are several values, of devices one."""
    found = []
    for word, name in WORDS.items():
        value = given.get(word)
        values = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
        if word == "devices" and values:
            values = (", ".join(map(str, values)),)
        found += [(name, _value(item)) for item in values]
    more = given.get("limits") or ()
    return found + [(name, _value(value)) for name, value in (more.items() if isinstance(more, Mapping) else more)]


def _value(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def find(name: str) -> tuple[str, Change]:
    """The row's name and the change that *name* stands for, an alias too; raises BadInput with the nearest names."""
    if name in BY_NAME:
        return name, BY_NAME[name].change
    if name in ALIASES:
        return ALIASES[name]
    if (match := _HUGETLB.fullmatch(name)) is not None:
        size = match[1]
        return "hugetlb.max", lambda limits, text: BY_NAME["hugetlb.max"].change(
            limits, f"{size} {UNLIMITED if text.strip() in _V1_UNLIMITED else text.strip()}"
        )
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(name, [*BY_NAME, *ALIASES], 1)
    hint = f"did you mean {near[0]}?" if near else "warden limit --help lists them"
    raise BadInput(f"limit: {name!r} is not a resource", hint=hint)


def rows_of(name: str) -> tuple[str, ...]:
    """The rows that *name* changes; raises BadInput."""
    return _BOTH.get(name) or (find(name)[0],)


def apply(limits: Limits, settings: Iterable[tuple[str, str]]) -> Limits:
    """*limits* after each of *settings*, (name, value): in the order of RESOURCES, because a burst needs its quota and
    v1's memsw its memory, and what is the same resource's in the order given. Raises BadInput, naming the resource."""
    found = [(*find(name), text) for name, text in settings]
    if len(found) > MOST_SETTINGS:
        raise BadInput(f"limit: {len(found)} settings at once", hint=f"at most {MOST_SETTINGS}")
    for _, change, text in sorted(found, key=lambda item: _PLACE[item[0]]):
        limits = change(limits, text)
    return limits


def shown(limits: Limits) -> dict[str, str]:
    """What is limited, by name, as people write it; what is as usual is left out."""
    usual = Limits()
    texts = ((row.name, row.show(limits), row.show(usual)) for row in RESOURCES)
    return {name: text for name, text, default in texts if text != default}
