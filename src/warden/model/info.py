"""What can be known of a container: state, statistics, jobs."""

from __future__ import annotations

from warden.light import TYPE_CHECKING, Enum
from warden.model.interfaces import Link
from warden.model.spec import ContainerSpec
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Life of a container; the values cross the wire (spec/warden.md §3)."""

    BORN = "born"
    ACTIVE = "active"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class CpuStat:
    """Processor time. *usage_ns* in nanoseconds; *user* and *system* in USER_HZ ticks (1/100 s), as cpuacct.stat."""

    usage_ns: int = 0
    user: int = 0
    system: int = 0


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory now, at most, and allowed, in bytes; *oom_kills* counts processes the kernel killed for it.

    *stat*: the 28 fields of the protocol's MemoryStat by name (spec/warden.md §2), as far as the kernel has them.
    """

    current: int = 0
    peak: int | None = None
    limit: int | None = None
    oom_kills: int = 0
    stat: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BandwidthStat:
    """Limits in force, rates in bytes a second, bursts in bytes; None unlimited. *in* is towards the container."""

    in_rate: int | None = None
    in_burst: int | None = None
    out_rate: int | None = None
    out_burst: int | None = None


@dataclass(frozen=True, slots=True)
class DiskStat:
    """What a container's own files use: in bytes, and in number."""

    bytes_used: int = 0
    inodes_used: int = 0


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One job as `ps` and `info` show it. *command* is a short text for people. *tty*, *interactive*: it was given a
    terminal, a standard input that stays open."""

    id: int
    command: str
    running: bool
    started: float
    exit_status: int | None = None
    verdict: str = ""
    tty: bool = False
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class Info:
    """A container at one moment. *pid*: its PID 1 seen from the host, 0 when it is gone. *disk* None: not measured.
    *paused*: its processes stand still; its state is active all the same. *links*: what its interfaces became. *main_job*:
    the last job of the one that the container is made for, *restarts*: how often its restart policy has begun it again
    since somebody started it."""

    handle: str
    id: str
    state: State
    spec: ContainerSpec
    created: float
    path: str
    events: tuple[str, ...] = ()
    host_ip: str = ""
    container_ip: str = ""
    pid: int = 0
    memory: MemoryUse = field(default_factory=MemoryUse)
    cpu: CpuStat = field(default_factory=CpuStat)
    bandwidth: BandwidthStat = field(default_factory=BandwidthStat)
    disk: DiskStat | None = None
    jobs: tuple[JobInfo, ...] = ()
    paused: bool = False
    links: tuple[Link, ...] = ()
    restarts: int = 0
    main_job: int | None = None
