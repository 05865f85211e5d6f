"""What each resource is called in cgroup v1 and in v2, and what must be written to change it. Pure.

A translation gets the limits before and after (before None: whatever the kernel has is overwritten) and the group's
files as they are now, and yields (file, value) in an order that the kernel takes. Nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warden.cgroup import tables
from warden.errors import NotSupported
from warden.light import NamedTuple
from warden.model.limits import DEFAULT_PERIOD_US, CpuQuota, DeviceRule, IoLimit, Limits
from warden.model.resources import format_rdma

#: The text of a file of the group, None when the kernel has no such file.
Now = Callable[[str], str | None]
Write = tuple[str, str]
Translate = Callable[[Limits, Limits, Now], Iterator[Write]]


class Control(NamedTuple):
    """One row: *fields* of Limits that it carries out, in the hierarchy of *controller* (v1's name). None: that version
    cannot. *name*: the resource that an error is about. *reads*: files in which the result can be seen, for --raw."""

    name: str
    controller: str
    fields: tuple[str, ...]
    v1: Translate | None
    v2: Translate | None
    reads: tuple[str, ...]
    reads_v2: tuple[str, ...]


def _max(value: int | None) -> str:
    return "max" if value is None else str(value)


# ---- memory


def _memory_v1(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    memsw = now("memory.memsw.limit_in_bytes")
    for setting in tables.limits_to_v1(after, None if memsw is None else int(memsw)):
        yield setting.file, setting.value


def _memory_v2(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    for setting in tables.limits_to_v2(after, have_swap=now("memory.swap.max") is not None):
        yield setting.file, setting.value


def _high_v1(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "memory.soft_limit_in_bytes", "-1" if after.memory_high is None else str(after.memory_high)


def _high_v2(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "memory.high", _max(after.memory_high)


def _low_v2(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "memory.low", str(after.memory_low or 0)


def _swappiness_v1(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "memory.swappiness", str(60 if after.swappiness is None else after.swappiness)


def _oom_v1(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "memory.oom_control", str(int(after.oom_kill_disable))


# ---- processor


def _share_v1(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    shares = after.cpu_shares
    if after.cpu_weight is not None:
        shares = tables.weight_to_shares(after.cpu_weight)
    yield from _idle(after, now, ("cpu.shares", str(tables.DEFAULT_SHARES if shares is None else shares)))


def _share_v2(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    weight = after.cpu_weight
    if after.cpu_shares is not None:
        weight = tables.shares_to_weight(after.cpu_shares)
    yield from _idle(after, now, ("cpu.weight", str(100 if weight is None else weight)))


def _idle(after: Limits, now: Now, weight: Write) -> Iterator[Write]:
    """An idle group has no weight that could be set (EINVAL, sched_group_set_shares, since 5.15), and starts with the
    usual one when it is no longer idle."""
    idle = (now("cpu.idle") or "").strip()
    if idle == "1":
        yield "cpu.idle", "0"
    yield weight
    if after.cpu_idle:
        yield "cpu.idle", "1"


def _quota_v1(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    quota = after.cpu_quota or CpuQuota(None)
    if (now("cpu.cfs_burst_us") or "0").strip() != "0":
        yield "cpu.cfs_burst_us", "0"  # it may not exceed the quota at any time
    # Without a quota first: a shorter period with the old one could be more than the kernel counts.
    yield "cpu.cfs_quota_us", "-1"
    yield "cpu.cfs_period_us", str(quota.period_us)
    if quota.quota_us is not None:
        yield "cpu.cfs_quota_us", str(quota.quota_us)
    if after.cpu_burst_us is not None:
        yield "cpu.cfs_burst_us", str(after.cpu_burst_us)


def _quota_v2(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    quota = after.cpu_quota or CpuQuota(None)
    if (now("cpu.max.burst") or "0").strip() != "0":
        yield "cpu.max.burst", "0"
    yield "cpu.max", f"{_max(quota.quota_us)} {quota.period_us}"
    if after.cpu_burst_us is not None:
        yield "cpu.max.burst", str(after.cpu_burst_us)


def _rt_v1(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    runtime, period = after.cpu_rt_us or (0, 1_000_000)
    yield "cpu.rt_runtime_us", "0"  # a runtime must fit its period at any time
    yield "cpu.rt_period_us", str(period)
    if runtime:
        yield "cpu.rt_runtime_us", str(runtime)


def _cpuset(effective: str) -> Translate:
    """Without a wish it is what the group above has in force: v1 has no "as above", and v2 takes none (ENOSPC) while a
    process is in the group (validate_change(), kernel/cgroup/cpuset.c)."""

    def writes(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
        for name in ("cpuset.cpus", "cpuset.mems"):
            wanted = getattr(after, name.replace(".", "_"))
            above = (now(f"../{effective.format(name.removeprefix('cpuset.'))}") or "").strip()
            if wanted or (now(name) or "").strip():
                yield name, wanted or above

    return writes


def _pids(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "pids.max", _max(after.pids_max)


# ---- input and output, devices, the rest


def _io_weight_v1(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    """bfq's has the same usual value, 100, and ends at 1000."""
    file = next((name for name in ("blkio.bfq.weight", "blkio.weight") if now(name) is not None), "blkio.bfq.weight")
    yield file, str(min(100 if after.io_weight is None else after.io_weight, 1000))


def _io_weight_v2(_before: Limits, after: Limits, now: Now) -> Iterator[Write]:
    weight = 100 if after.io_weight is None else after.io_weight
    if now("io.weight") is None and now("io.bfq.weight") is not None:
        yield "io.bfq.weight", str(min(weight, 1000))
    else:
        yield "io.weight", f"default {weight}"


_THROTTLE = {
    "read_bps": ("blkio.throttle.read_bps_device", "rbps"),
    "write_bps": ("blkio.throttle.write_bps_device", "wbps"),
    "read_iops": ("blkio.throttle.read_iops_device", "riops"),
    "write_iops": ("blkio.throttle.write_iops_device", "wiops"),
}


def _io_changes(before: Limits, after: Limits) -> Iterator[IoLimit]:
    """What is to be in force for each device that has or had a limit."""
    wanted = {item.device: item for item in after.io_max}
    had = {item.device: item for item in before.io_max}
    for device in {**had, **wanted}:
        if wanted.get(device) != had.get(device):
            yield wanted.get(device, IoLimit(device))


def _io_v1(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    for item in _io_changes(before, after):
        for field, (file, _) in _THROTTLE.items():
            yield file, f"{item.device} {getattr(item, field) or 0}"


def _io_v2(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    for item in _io_changes(before, after):
        words = (f"{key}={_max(getattr(item, field))}" for field, (_, key) in _THROTTLE.items())
        yield "io.max", " ".join((item.device, *words))


def _devices_v1(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    """The kernel keeps "all but" or "none but" with a list of exceptions; either write of "a" clears the list."""
    yield "devices.deny" if after.devices is not None else "devices.allow", "a"
    for rule in after.devices or ():
        yield from (("devices.allow", line) for line in rule_lines(rule))


def rule_lines(rule: DeviceRule) -> tuple[str, ...]:
    """v1 takes "a" for everything only, without numbers: both kinds are two lines."""
    if rule.kind != "a":
        return (str(rule),)
    both = (DeviceRule(kind, rule.major, rule.minor, rule.access) for kind in "bc")
    return tuple(map(str, both))


def _hugetlb(suffix: str, unlimited: str) -> Translate:
    def writes(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
        had, wanted = dict(before.hugetlb), dict(after.hugetlb)
        for size in {**had, **wanted}:
            if had.get(size) != wanted.get(size):
                yield f"hugetlb.{size}.{suffix}", str(wanted.get(size, unlimited))

    return writes


def _rdma(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    wanted = {item.device: item for item in after.rdma}
    for device in {**{item.device: item for item in before.rdma}, **wanted}:
        item = wanted.get(device)
        yield "rdma.max", f"{device} hca_handle=max hca_object=max" if item is None else format_rdma(item)


def _misc(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    wanted = dict(after.misc)
    for name in {**dict(before.misc), **wanted}:
        yield "misc.max", f"{name} {_max(wanted.get(name))}"


def _net_class(_before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    yield "net_cls.classid", str(after.net_class or 0)


def _net_priorities(before: Limits, after: Limits, _now: Now) -> Iterator[Write]:
    wanted = dict(after.net_priorities)
    for name in {**dict(before.net_priorities), **wanted}:
        yield "net_prio.ifpriomap", f"{name} {wanted.get(name, 0)}"


_MEMORY_V1 = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
_CFS = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us")
_THROTTLE_FILES = tuple(file for file, _ in _THROTTLE.values())

CONTROLS: tuple[Control, ...] = (
    Control("memory.max", "memory", ("memory_bytes", "swap_bytes"), _memory_v1, _memory_v2, _MEMORY_V1,
            ("memory.max", "memory.swap.max")),
    Control("memory.high", "memory", ("memory_high",), _high_v1, _high_v2, ("memory.soft_limit_in_bytes",),
            ("memory.high",)),
    Control("memory.low", "memory", ("memory_low",), None, _low_v2, (), ("memory.low",)),
    Control("memory.swappiness", "memory", ("swappiness",), _swappiness_v1, None, ("memory.swappiness",), ()),
    Control("memory.oom_kill_disable", "memory", ("oom_kill_disable",), _oom_v1, None, ("memory.oom_control",), ()),
    Control("cpu.weight", "cpu", ("cpu_shares", "cpu_weight", "cpu_idle"), _share_v1, _share_v2,
            ("cpu.shares", "cpu.idle"), ("cpu.weight", "cpu.idle")),
    Control("cpu.max", "cpu", ("cpu_quota", "cpu_burst_us"), _quota_v1, _quota_v2, _CFS, ("cpu.max", "cpu.max.burst")),
    Control("cpu.rt_runtime_us", "cpu", ("cpu_rt_us",), _rt_v1, None, ("cpu.rt_runtime_us", "cpu.rt_period_us"), ()),
    Control("cpuset.cpus", "cpuset", ("cpuset_cpus", "cpuset_mems"),
            _cpuset("cpuset.effective_{}"), _cpuset("cpuset.{}.effective"),
            ("cpuset.cpus", "cpuset.mems"), ("cpuset.cpus", "cpuset.mems")),
    Control("pids.max", "pids", ("pids_max",), _pids, _pids, ("pids.max",), ("pids.max",)),
    Control("io.weight", "blkio", ("io_weight",), _io_weight_v1, _io_weight_v2, ("blkio.bfq.weight", "blkio.weight"),
            ("io.weight", "io.bfq.weight")),
    Control("io.max", "blkio", ("io_max",), _io_v1, _io_v2, _THROTTLE_FILES, ("io.max",)),
    Control("devices.allow", "devices", ("devices",), _devices_v1, None, ("devices.list",), ()),
    Control("hugetlb.max", "hugetlb", ("hugetlb",), _hugetlb("limit_in_bytes", "-1"), _hugetlb("max", "max"), (), ()),
    Control("rdma.max", "rdma", ("rdma",), _rdma, _rdma, ("rdma.max",), ("rdma.max",)),
    Control("misc.max", "misc", ("misc",), _misc, _misc, ("misc.max",), ("misc.max",)),
    Control("net_cls.classid", "net_cls", ("net_class",), _net_class, None, ("net_cls.classid",), ()),
    Control("net_prio.ifpriomap", "net_prio", ("net_priorities",), _net_priorities, None, ("net_prio.ifpriomap",), ()),
)  # fmt: skip


def differs(control: Control, before: Limits | None, after: Limits) -> bool:
    """Whether *control* has something to write. Against nothing known, only what new groups have can be left out."""
    return any(getattr(before or Limits(), name) != getattr(after, name) for name in control.fields)


def refused(control: Control, *, is_v2: bool) -> NotSupported:
    """For a resource that this version of cgroups cannot limit."""
    here, there = ("v2", "v1") if is_v2 else ("v1", "v2")
    hint = f"only cgroup {there} has it, this machine has the controller {control.controller} on {here}"
    return NotSupported(f"{control.name}: cgroup {here} cannot limit it", hint=hint)


# ---- reading back


def _text(now: Now, file: str) -> str | None:
    text = now(file)
    return None if text is None else text.strip()


def _bytes(text: str | None) -> str | None:
    if text is None:
        return None
    limit = tables.parse_limit(text)
    return "max" if limit is None else str(limit)


def _swap_v1(now: Now) -> str | None:
    both, memory = _bytes(_text(now, "memory.memsw.limit_in_bytes")), _bytes(_text(now, "memory.limit_in_bytes"))
    if both is None or memory is None:
        return None
    return "max" if both == "max" else str(int(both) - int(memory)) if memory != "max" else both


def _cpu_max_v1(now: Now) -> str | None:
    quota, period = _text(now, "cpu.cfs_quota_us"), _text(now, "cpu.cfs_period_us")
    return None if quota is None else f"{'max' if quota == '-1' else quota} {period or DEFAULT_PERIOD_US}"


def _weight_v1(now: Now) -> str | None:
    shares = _text(now, "cpu.shares")
    return None if shares is None else str(tables.shares_to_weight(int(shares)))


def _io_max_v1(now: Now) -> str | None:
    found: dict[str, list[str]] = {}
    seen = False
    for file, key in _THROTTLE.values():
        text = _text(now, file)
        seen = seen or text is not None
        for line in (text or "").splitlines():
            device, _, amount = line.partition(" ")
            found.setdefault(device, []).append(f"{key}={amount.strip()}")
    lines = [" ".join((device, *words)) for device, words in found.items()]
    return (", ".join(lines) or "max") if seen else None


def _lines(now: Now, file: str, empty: str) -> str | None:
    text = _text(now, file)
    return None if text is None else ", ".join(text.splitlines()) or empty


def _devices_list(now: Now) -> str | None:
    text = _lines(now, "devices.list", "none")
    return "all" if text == "a *:* rwm" else text


def _first(now: Now, *files: str) -> str | None:
    text = next((found for file in files if (found := _text(now, file)) is not None), None)
    return None if text is None else text.removeprefix("default ").split("\n")[0]


#: Resource → (v1's controller, reader in v1, reader in v2): the value in force, as resources.py writes it.
READERS: dict[str, tuple[str, Callable[[Now], str | None], Callable[[Now], str | None]]] = {
    "memory.max": ("memory", lambda n: _bytes(_text(n, "memory.limit_in_bytes")),
                   lambda n: _text(n, "memory.max")),
    "memory.high": ("memory", lambda n: _bytes(_text(n, "memory.soft_limit_in_bytes")),
                    lambda n: _text(n, "memory.high")),
    "memory.low": ("memory", lambda _: None, lambda n: _text(n, "memory.low")),
    "memory.swap.max": ("memory", _swap_v1, lambda n: _text(n, "memory.swap.max")),
    "memory.swappiness": ("memory", lambda n: _text(n, "memory.swappiness"), lambda _: None),
    "memory.oom_kill_disable": ("memory", lambda n: str(tables.parse_flat(n("memory.oom_control") or "").get(
        "oom_kill_disable", 0)), lambda _: None),
    "cpu.weight": ("cpu", _weight_v1, lambda n: _text(n, "cpu.weight")),
    "cpu.max": ("cpu", _cpu_max_v1, lambda n: _text(n, "cpu.max")),
    "cpu.max.burst": ("cpu", lambda n: _text(n, "cpu.cfs_burst_us"), lambda n: _text(n, "cpu.max.burst")),
    "cpu.idle": ("cpu", lambda n: _text(n, "cpu.idle"), lambda n: _text(n, "cpu.idle")),
    "cpu.rt_runtime_us": ("cpu", lambda n: _text(n, "cpu.rt_runtime_us"), lambda _: None),
    "cpu.rt_period_us": ("cpu", lambda n: _text(n, "cpu.rt_period_us"), lambda _: None),
    "cpuset.cpus": ("cpuset", lambda n: _text(n, "cpuset.effective_cpus"), lambda n: _text(n, "cpuset.cpus.effective")),
    "cpuset.mems": ("cpuset", lambda n: _text(n, "cpuset.effective_mems"), lambda n: _text(n, "cpuset.mems.effective")),
    "pids.max": ("pids", lambda n: _text(n, "pids.max"), lambda n: _text(n, "pids.max")),
    "io.weight": ("blkio", lambda n: _first(n, "blkio.bfq.weight", "blkio.weight"),
                  lambda n: _first(n, "io.weight", "io.bfq.weight")),
    "io.max": ("blkio", _io_max_v1, lambda n: _lines(n, "io.max", "max")),
    "devices.allow": ("devices", _devices_list, lambda _: None),
    "rdma.max": ("rdma", lambda n: _lines(n, "rdma.max", "max"), lambda n: _lines(n, "rdma.max", "max")),
    "misc.max": ("misc", lambda n: _lines(n, "misc.max", "none"), lambda n: _lines(n, "misc.max", "none")),
    "net_cls.classid": ("net_cls", lambda n: _text(n, "net_cls.classid"), lambda _: None),
    "net_prio.ifpriomap": ("net_prio", lambda n: _lines(n, "net_prio.ifpriomap", "none"), lambda _: None),
}  # fmt: skip
