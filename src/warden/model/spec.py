"""ContainerSpec and its parts: what every door translates its input into."""

from __future__ import annotations

import enum
import re
from dataclasses import asdict, dataclass, field, replace

from warden.errors import BadInput


class OomPolicy(enum.Enum):
    """What happens when a container hits its memory limit."""

    KILL_JOB = "kill_job"  # the whole job that the kernel's victim belonged to is killed, the container goes on
    STOP = "stop"  # Warden's rule: the container is stopped and its events say "out of memory"


class NetworkMode(enum.Enum):
    """How a container is connected."""

    WARDEN = "warden"  # a veth pair and a /30 of its own from the pool
    NONE = "none"  # a network namespace with lo only
    HOST = "host"  # the host's own network namespace


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of the host that the container sees. *target* is absolute, inside the container."""

    source: str
    target: str
    read_only: bool = True

    def __post_init__(self) -> None:
        for name, path in (("source", self.source), ("target", self.target)):
            if not path.startswith("/") or "\0" in path:
                raise BadInput(f"mount {name}: {path!r} is not an absolute path")
        if ".." in self.target.split("/"):
            raise BadInput(f"mount target: {self.target!r} must not contain '..'")


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A token bucket: *rate* in bytes a second, *burst* in bytes, which may pass at once after a pause."""

    rate: int
    burst: int

    def __post_init__(self) -> None:
        # The kernel's own widths: TCA_TBF_RATE64 and TCA_TBF_BURST of linux/pkt_sched.h.
        for name, value, limit in (("rate", self.rate, 2**63), ("burst", self.burst, 2**32)):
            if not 0 < value < limit:
                raise BadInput(f"bandwidth: {name}: {value} is out of range", hint=f"1 to {limit - 1}")


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
class Limits:
    """Resource limits of a container. None means unlimited. *cpu_shares*: v1's cpu.shares, None for the usual 1024.
    *bandwidth*: for each direction. *disk*: None was never limited."""

    memory_bytes: int | None = None
    oom_policy: OomPolicy = OomPolicy.KILL_JOB
    cpu_shares: int | None = None
    bandwidth: Bandwidth | None = None
    disk: DiskLimits | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything a door can ask of a new container. Values are checked here, against the machine by the engine.

    *handle* None: the container's id. *image*: a name in the image store; *rootfs*: a directory used instead.
    *grace_time*: seconds without a connection after which the container is destroyed, None never.
    *network_address*: ask for this /30 of the pool.
    """

    handle: str | None = None
    image: str = "host"
    rootfs: str | None = None
    hostname: str | None = None
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    network: NetworkMode = NetworkMode.WARDEN
    network_address: str | None = None
    grace_time: float | None = None
    user_namespace: bool = True

    def __post_init__(self) -> None:
        if self.handle is not None and (not self.handle or "\0" in self.handle or len(self.handle) > 1024):
            raise BadInput(f"handle: {self.handle!r} is not usable", hint="1 to 1024 characters without NUL")
        if self.hostname is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.hostname):
            hint = "1 to 64 letters, digits, dots and dashes"
            raise BadInput(f"hostname: {self.hostname!r} is not usable", hint=hint)
        if self.rootfs is not None and (not self.rootfs.startswith("/") or "\0" in self.rootfs):
            raise BadInput(f"rootfs: {self.rootfs!r} is not an absolute path")
        if self.grace_time is not None and not self.grace_time >= 0:  # also refuses "not a number"
            raise BadInput(f"grace_time: {self.grace_time} is not a number of seconds")
