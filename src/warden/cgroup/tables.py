"""What limits and statistics are called in cgroup v1 and in v2. Pure: texts and numbers in, texts and numbers out."""

from __future__ import annotations

import math

from warden.errors import BadInput, NotSupported
from warden.light import TYPE_CHECKING, NamedTuple
from warden.model.limits import MAX_BYTES, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warden.model.info import CpuStat

#: What v1 answers for "no limit": the largest multiple of a page in a signed 64-bit number.
V1_UNLIMITED = 9223372036854771712
USER_HZ = 100
#: What the kernel clamps cpu.shares to, and what a new group has (sched(7)); v2's cpu.weight is 1..10000, usually 100.
MIN_SHARES, MAX_SHARES, DEFAULT_SHARES = 2, 262144, 1024
MIN_WEIGHT, MAX_WEIGHT = 1, 10000
_SAME_IN_V2 = ("pgfault", "pgmajfault", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
#: The first thirteen of the protocol's MemoryStat fields; each exists a second time as total_NAME.
STAT_NAMES = ("cache", "rss", "mapped_file", "pgpgin", "pgpgout", "swap", *_SAME_IN_V2)
_V2_STAT = {"file": "cache", "anon": "rss", "file_mapped": "mapped_file"} | {name: name for name in _SAME_IN_V2}


class BlockIo(NamedTuple):
    """What was read from and written to block devices, over all of them; one on top of another counts as both."""

    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0


class Setting(NamedTuple):
    """One write: *value* into *file* of the group in the hierarchy of *controller*."""

    controller: str
    file: str
    value: str


def limits_to_v1(limits: Limits, memsw_now: int | None) -> list[Setting]:
    """Writes that set *limits*, in an order the kernel accepts; *memsw_now* None: swap is not accounted.

    memory.limit_in_bytes must never exceed memory.memsw.limit_in_bytes (kernel's cgroup-v1/memory.rst): raising starts
    with memsw, lowering ends with it.
    """
    wanted, both = limits.memory_bytes, _memsw(limits)
    memory = Setting("memory", "memory.limit_in_bytes", "-1" if wanted is None else str(wanted))
    if memsw_now is None:
        if limits.swap_bytes:
            raise _no_swap()
        return [memory]
    memsw = Setting("memory", "memory.memsw.limit_in_bytes", "-1" if both is None else str(both))
    return [memsw, memory] if both is None or both >= memsw_now else [memory, memsw]


def _memsw(limits: Limits) -> int | None:
    """Memory and swap together, None unlimited."""
    if limits.memory_bytes is None:
        if limits.swap_bytes not in (None, MAX_BYTES):
            raise BadInput("memory.swap.max: cgroup v1 limits memory and swap together", hint="set memory.max as well")
        return None
    both = limits.memory_bytes + (limits.swap_bytes or 0)
    return both if both < MAX_BYTES else None


def limits_to_v2(limits: Limits, *, have_swap: bool) -> list[Setting]:
    """The same for v2. Unless told, swap is 0 under a limit: it holds for memory and swap together, as v1's memsw."""
    wanted = limits.memory_bytes
    memory = Setting("memory", "memory.max", "max" if wanted is None else str(wanted))
    if limits.swap_bytes is None:
        allowed = "max" if wanted is None else "0"
    else:
        allowed = "max" if limits.swap_bytes == MAX_BYTES else str(limits.swap_bytes)
    swap = Setting("memory", "memory.swap.max", allowed)
    if not have_swap and limits.swap_bytes not in (None, MAX_BYTES):
        raise _no_swap()
    return [swap, memory] if have_swap else [memory]


def _no_swap() -> NotSupported:
    return NotSupported("memory.swap.max: this kernel does not account swap", hint="boot it with swapaccount=1")


def shares_to_weight(shares: int) -> int:
    """cpu.shares 2..262144 as cpu.weight 1..10000; what is outside is clamped, as v1's kernel does.

    weight = ceil(10^((l² + 125 l) / 612 - 7 / 34)) with l = log2(shares): the parabola in the logarithms through the
    three pairs that mean the same, 2 and 1, 1024 and 100, 262144 and 10000. A straight line through the two ends, as
    older engines have it, would make 39 of the default 1024, and such a group would lose against untouched ones.
    """
    power = math.log2(min(max(shares, MIN_SHARES), MAX_SHARES))
    # Rounded first: what is a whole number in the formula must not be lifted by an error in the last bit.
    return min(math.ceil(round(10 ** ((power * power + 125 * power) / 612 - 7 / 34), 6)), MAX_WEIGHT)


def weight_to_shares(weight: int) -> int:
    """The inverse, to the nearest share: the positive root of the parabola."""
    power = (math.sqrt(125 * 125 + 4 * 612 * (math.log10(min(max(weight, MIN_WEIGHT), MAX_WEIGHT)) + 7 / 34)) - 125) / 2
    return round(2**power)


def parse_flat(text: str) -> dict[str, int]:
    """A flat keyed file such as memory.stat or cgroup.events: "NAME NUMBER" lines; other lines are left out."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdecimal():
            found[name] = int(value)
    return found


def parse_limit(text: str) -> int | None:
    """A limit as either version writes it; None for "max" and for v1's largest number."""
    text = text.strip()
    return None if text == "max" or int(text) >= V1_UNLIMITED else int(text)


def memory_stat_v1(stat: Mapping[str, int]) -> dict[str, int]:
    """The protocol's fields of a container: its processes live in groups below its own, so both halves are the totals."""
    found = {}
    for name in STAT_NAMES:
        if f"total_{name}" in stat:
            found[name] = found[f"total_{name}"] = stat[f"total_{name}"]
    for name in ("hierarchical_memory_limit", "hierarchical_memsw_limit"):
        if name in stat:
            found[name] = stat[name]
    return found


def memory_stat_v2(
    stat: Mapping[str, int], swap: int | None, limit: int | None, swap_limit: int | None
) -> dict[str, int]:
    """The protocol's fields from v2's memory.stat, memory.swap.current, and the limits in force (None: unlimited).

    v2 counts no pages in and out of a group: pgpgin and pgpgout are left out.
    """
    found = {ours: stat[theirs] for theirs, ours in _V2_STAT.items() if theirs in stat}
    if swap is not None:
        found["swap"] = swap
    found |= {f"total_{name}": value for name, value in found.items()}
    found["hierarchical_memory_limit"] = V1_UNLIMITED if limit is None else limit
    both = V1_UNLIMITED if limit is None or swap_limit is None else limit + swap_limit
    found["hierarchical_memsw_limit"] = both
    return found


def split_cpu(total_ns: int, user: int, system: int) -> tuple[float, float]:
    """Seconds in user and in kernel mode: the exact total shared out as the sampled *user* and *system* are.

    cpuacct.usage is exact, its halves are counted by timer ticks; a job shorter than a tick has none. The kernel's own
    cputime_adjust does the same for v2's cpu.stat, and gives all to user time when there is no sample.
    """
    share = user / (user + system) if user + system else 1.0
    return total_ns * share / 1e9, total_ns * (1 - share) / 1e9


def cpu_stat_v1(usage: str, ticks: Mapping[str, int]) -> CpuStat:
    """From cpuacct.usage (nanoseconds) and cpuacct.stat (USER_HZ)."""
    from warden.model.info import CpuStat  # who only sets limits must not pay for it

    return CpuStat(int(usage), ticks.get("user", 0), ticks.get("system", 0))


def cpu_stat_v2(stat: Mapping[str, int]) -> CpuStat:
    """From cpu.stat (microseconds)."""
    from warden.model.info import CpuStat  # who only sets limits must not pay for it

    tick = 1_000_000 // USER_HZ
    user, system = stat.get("user_usec", 0) // tick, stat.get("system_usec", 0) // tick
    return CpuStat(stat.get("usage_usec", 0) * 1000, user, system)


def block_io_v1(service_bytes: str, serviced: str) -> BlockIo:
    """From blkio.throttle.io_service_bytes and io_serviced: lines "8:0 Read 4096", and a total."""
    read_bytes, write_bytes = _of_devices_v1(service_bytes)
    return BlockIo(read_bytes, write_bytes, *_of_devices_v1(serviced))


def _of_devices_v1(text: str) -> tuple[int, int]:
    found = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in found:
            found[words[1]] += int(words[2])
    return found["Read"], found["Write"]


def block_io_v2(stat: str) -> BlockIo:
    """From io.stat: lines "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0", with more behind."""
    found = {"rbytes": 0, "wbytes": 0, "rios": 0, "wios": 0}
    for word in stat.split():
        name, _, value = word.partition("=")
        if name in found and value.isdecimal():
            found[name] += int(value)
    return BlockIo(*found.values())
