"""Limits: what a container may use of every resource, in today's terms (cgroup v2's). Plain data, checked here.

None means unlimited or the kernel's default, throughout. How a value is written by people is resources.py's.
"""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, late, pattern
from warden.records import asdict, dataclass, replace

if TYPE_CHECKING:
    import re
else:
    re = late("re")

MAX_BYTES = 2**63 - 1
MAX_COUNT = 2**63 - 1
#: sched-bwc.rst: a quota is at least 1 ms, a period 1 ms to 1 s.
MIN_QUOTA_US, MIN_PERIOD_US, MAX_PERIOD_US = 1000, 1000, 1_000_000
DEFAULT_PERIOD_US = 100_000
MIN_WEIGHT, MAX_WEIGHT, DEFAULT_WEIGHT = 1, 10000, 100
#: CONFIG_NR_CPUS ends at 8192; what is longer than this cannot be meant.
MAX_CPU, _LONGEST_LIST = 8191, 1024
_CPU_LIST = pattern(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")
_HUGE_PAGE = pattern(r"[1-9]\d{0,4}(KB|MB|GB)")
_NAME = pattern(r"[A-Za-z0-9_.:-]{1,64}")


class OomPolicy(Enum):
    """What happens when a container hits its memory limit."""

    KILL_JOB = "kill_job"  # the whole job that the kernel's victim belonged to is killed, the container goes on
    KILL_CONTAINER = "kill_container"  # every job is killed at once, and the container is stopped
    STOP = "stop"  # Warden's rule: the container is stopped, politely, and its events say "out of memory"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A token bucket, for one direction: *rate* in bytes a second, *burst* in bytes that may pass at once after a pause."""

    rate: int
    burst: int

    def __post_init__(self) -> None:
        # The kernel's own widths: TCA_TBF_RATE64 and TCA_TBF_BURST of linux/pkt_sched.h.
        for name, value, limit in (("rate", self.rate, 2**63), ("burst", self.burst, 2**32)):
            if not 0 < value < limit:
                raise BadInput(f"bandwidth: {name}: {value} is out of range", hint=f"1 to {limit - 1}")


@dataclass(frozen=True, slots=True)
class Shaping:
    """Both directions of a link: *into* the container and *out* of it; None is not limited."""

    into: Bandwidth | None = None
    out: Bandwidth | None = None

    def __bool__(self) -> bool:
        return self != Shaping()


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Limits of a container's own files: blocks of 1 KiB, and inodes; 0 is unlimited (setquota(8)). Above a soft limit
    one may be for the file system's time of grace, seven days unless configured."""

    block_soft: int = 0
    block_hard: int = 0
    inode_soft: int = 0
    inode_hard: int = 0

    def __post_init__(self) -> None:
        # The kernel counts space in bytes of a signed 64-bit number.
        for name in ("block_soft", "block_hard", "inode_soft", "inode_hard"):
            limit = 2**53 if name.startswith("block") else 2**63
            if not 0 <= getattr(self, name) < limit:
                raise BadInput(f"limit_disk: {name}: {getattr(self, name)} is out of range", hint=f"0 to {limit - 1}")


@dataclass(frozen=True, slots=True)
class DiskChange:
    """What is to be changed of DiskLimits; None stays as it is."""

    block_soft: int | None = None
    block_hard: int | None = None
    inode_soft: int | None = None
    inode_hard: int | None = None

    def applied_to(self, before: DiskLimits) -> DiskLimits:
        """Raises BadInput for a value out of range."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(before, **given)


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """Processor time allowed in each period, microseconds; more than the period is more than one processor. *quota_us*
    None: no limit, but the period is kept for when there is one, as the kernel does."""

    quota_us: int | None
    period_us: int = DEFAULT_PERIOD_US

    def __post_init__(self) -> None:
        check("cpu.max: period", self.period_us, MIN_PERIOD_US, MAX_PERIOD_US, "microseconds")
        if self.quota_us is not None:
            check("cpu.max: quota", self.quota_us, MIN_QUOTA_US, 2**44 - 1, "microseconds")


@dataclass(frozen=True, slots=True)
class IoLimit:
    """Bytes and operations a second on one block device, for reading and writing. *device*: "MAJOR:MINOR", a device
    file, or any path: then the device that its file system lies on."""

    device: str
    read_bps: int | None = None
    write_bps: int | None = None
    read_iops: int | None = None
    write_iops: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{1,4}:\d{1,7}", self.device) and not self.device.startswith("/"):
            hint = "MAJOR:MINOR such as 8:0, a device such as /dev/sda, or a directory on it"
            raise BadInput(f"io.max: {self.device!r} is not a device", hint=hint)
        for name in ("read_bps", "write_bps", "read_iops", "write_iops"):
            value = getattr(self, name)
            if value is not None:
                # v1 keeps operations in 32 bits (block/blk-throttle.c), v2 as well.
                check(f"io.max: {name}", value, 1, 2**32 - 1 if name.endswith("iops") else MAX_BYTES)

    @property
    def nothing(self) -> bool:
        """Whether it limits nothing."""
        return (self.read_bps, self.write_bps, self.read_iops, self.write_iops) == (None,) * 4


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Devices that may be used. *kind*: "c", "b", or "a" for both; *major*, *minor* None: any; *access*: of "rwm"."""

    kind: str
    major: int | None
    minor: int | None
    access: str = "rwm"

    def __post_init__(self) -> None:
        valid = self.kind in ("a", "b", "c") and self.access and not set(self.access) - set("rwm")
        if not valid or len(set(self.access)) != len(self.access):
            raise BadInput(f"devices.allow: {self} is not a rule", hint="such as c 1:3 rwm, or b 8:* r")
        for name, value, limit in (("major", self.major, 2**12 - 1), ("minor", self.minor, 2**20 - 1)):
            if value is not None:
                check(f"devices.allow: {name}", value, 0, limit)

    def __str__(self) -> str:
        major, minor = ("*" if number is None else str(number) for number in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


@dataclass(frozen=True, slots=True)
class RdmaLimit:
    """Handles and objects of one RDMA device that may be open."""

    device: str
    handles: int | None = None
    objects: int | None = None

    def __post_init__(self) -> None:
        check_name("rdma.max: device", self.device)
        for name in ("handles", "objects"):
            value = getattr(self, name)
            if value is not None:
                check(f"rdma.max: {name}", value, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a container.

    Memory: *memory_bytes* and above it nothing (with *swap_bytes* None for memory and swap together); *memory_high*:
    where reclaim begins (v1: the soft limit); *memory_low*: what is protected from reclaim (v2); *swappiness* (v1);
    *oom_kill_disable*: wait instead of kill (v1). Processor: *cpu_shares* as v1 counts, 1024 is usual, or *cpu_weight*
    as v2 counts, 100 is usual, one of both; *cpu_idle*: only when nobody else wants to run; *cpu_rt_us*: runtime and
    period for real-time tasks (v1). *devices* None: no rule but what a user namespace allows. *net_class*: of packets,
    for tc (v1); *net_priorities*: by interface (v1). *bandwidth_in*, *bandwidth_out*: into
    the container and out of it. *disk* None: was never limited.
    Pairs are a name and a number: page size and bytes, resource and amount.
    """

    memory_bytes: int | None = None
    oom_policy: OomPolicy = OomPolicy.KILL_JOB
    cpu_shares: int | None = None
    bandwidth_in: Bandwidth | None = None
    bandwidth_out: Bandwidth | None = None
    disk: DiskLimits | None = None
    memory_high: int | None = None
    memory_low: int | None = None
    swap_bytes: int | None = None
    swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_weight: int | None = None
    cpu_quota: CpuQuota | None = None
    cpu_burst_us: int | None = None
    cpu_idle: bool = False
    cpu_rt_us: tuple[int, int] | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_max: int | None = None
    io_weight: int | None = None
    io_max: tuple[IoLimit, ...] = ()
    devices: tuple[DeviceRule, ...] | None = None
    hugetlb: tuple[tuple[str, int], ...] = ()
    rdma: tuple[RdmaLimit, ...] = ()
    misc: tuple[tuple[str, int], ...] = ()
    net_class: int | None = None
    net_priorities: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for field, (name, low, high) in _RANGES.items():
            value = getattr(self, field)
            if value is not None:
                check(name, value, low, high)
        if self.cpu_shares is not None and self.cpu_weight is not None:
            raise BadInput("cpu.weight: cpu.shares is given as well", hint="they are the same thing: give one")
        self._check_burst()
        self._check_sets()

    @property
    def shaping(self) -> Shaping:
        return Shaping(self.bandwidth_in, self.bandwidth_out)

    def _check_burst(self) -> None:
        if self.cpu_burst_us is None:
            return
        if self.cpu_quota is None or self.cpu_quota.quota_us is None:
            raise BadInput("cpu.max.burst: there is no quota to exceed", hint="set cpu.max as well")
        check("cpu.max.burst", self.cpu_burst_us, 0, self.cpu_quota.quota_us, "microseconds, up to the quota")

    def _check_sets(self) -> None:
        for name, text in (("cpuset.cpus", self.cpuset_cpus), ("cpuset.mems", self.cpuset_mems)):
            if text is not None:
                parse_list(text, field=name)
        if self.cpu_rt_us is not None:
            runtime, period = self.cpu_rt_us
            check("cpu.rt_period_us", period, 1, 2**31 - 1)
            check("cpu.rt_runtime_us", runtime, 0, period)
        for size, _ in self.hugetlb:
            if not _HUGE_PAGE.fullmatch(size):
                raise BadInput(f"hugetlb.{size}.max: {size!r} is not a page size", hint="such as 2MB or 1GB")
        for name, amount in (*self.hugetlb, *self.misc, *self.net_priorities):
            check_name("limit", name)
            check(name, amount, 0, MAX_COUNT)


#: Field → its resource's name, and what the kernel takes.
_RANGES = {
    "memory_bytes": ("memory.max", 0, MAX_BYTES),
    "memory_high": ("memory.high", 0, MAX_BYTES),
    "memory_low": ("memory.low", 0, MAX_BYTES),
    "swap_bytes": ("memory.swap.max", 0, MAX_BYTES),
    "swappiness": ("memory.swappiness", 0, 200),
    "cpu_shares": ("cpu.shares", 0, 2**64 - 1),  # the kernel clamps it
    "cpu_weight": ("cpu.weight", MIN_WEIGHT, MAX_WEIGHT),
    "io_weight": ("io.weight", MIN_WEIGHT, MAX_WEIGHT),
    "pids_max": ("pids.max", 0, 2**22),  # PID_MAX_LIMIT, linux/threads.h
    "net_class": ("net_cls.classid", 0, 2**32 - 1),
}


def check(field: str, value: int, low: int, high: int, unit: str = "") -> int:
    """*value* itself; raises BadInput naming *field* and the range."""
    if not low <= value <= high:
        raise BadInput(f"{field}: {value} is out of range", hint=f"{low} to {high}" + (f" {unit}" if unit else ""))
    return value


def check_name(field: str, name: str) -> str:
    """*name* itself; raises BadInput when it could not be one of the kernel's."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"{field}: {name!r} is not a name", hint="letters, digits and _ . : -")
    return name


def parse_list(text: str, *, field: str = "cpus") -> frozenset[int]:
    """The numbers of "0-2,7" (cpuset(7), "List format"); raises BadInput naming *field*."""
    if len(text) > _LONGEST_LIST or not _CPU_LIST.fullmatch(text):
        raise BadInput(f"{field}: {text[:40]!r} is not a list of numbers", hint="such as 0-2,7")
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        if high and int(high) < int(low):
            raise BadInput(f"{field}: {part!r}: the last is below the first")
        check(field, int(high or low), 0, MAX_CPU)
        found |= set(range(int(low), int(high or low) + 1))
    return frozenset(found)


def format_list(numbers: frozenset[int]) -> str:
    """The shortest "0-2,7" of *numbers*."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
