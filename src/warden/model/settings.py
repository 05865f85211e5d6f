"""What an engine needs to know of its site. The server reads it from a configuration file, a library user builds it."""

from __future__ import annotations

from warden.light import TYPE_CHECKING, MappingProxyType
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/run/warden/warden.sock"
DEFAULT_DEPOT = "/var/lib/warden/containers"
DEFAULT_IMAGES = "/var/lib/warden/images"
DEFAULT_HOOK_TIMEOUT_S = 10.0


#: Ways to limit disks; auto takes the first of project, btrfs, pool and loop that works.
DISK_BACKENDS = ("auto", "project", "btrfs", "pool", "btrfs-pool", "loop", "tmpfs", "user", "none")

#: Where an operator's program may run, and whether its failure may refuse what is going on. The first four are steps of
#: a container's plan.
HOOK_POINTS: Mapping[str, bool] = MappingProxyType(
    {
        "parent_before_clone": True,
        "parent_after_clone": True,
        "child_before_pivot": True,
        "child_after_pivot": True,
        "after_create": True,
        "before_stop": True,
        "after_destroy": False,
        "on_out_of_memory": False,
        "on_job_end": False,
    }
)


@dataclass(frozen=True, slots=True)
class Hook:
    """A program of the operator's: an absolute *path* on the host (of `child_after_pivot`: in the container), run without
    a shell. *must_succeed*: its failure makes the request fail."""

    path: str
    args: tuple[str, ...] = ()
    timeout_s: float = DEFAULT_HOOK_TIMEOUT_S
    must_succeed: bool = False


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Places, pools and defaults. Bytes and seconds; *id_range_start* and *id_range_count*: host ids for user
    namespaces, 65,536 for each container, from systemd's range for containers by default."""

    depot: str = DEFAULT_DEPOT
    images: str = DEFAULT_IMAGES
    cgroup_parent: str = "warden"
    default_image: str = "host"
    pool_network: str = "10.254.0.0/16"
    release_delay: float = 5.0
    bridge_pool: str = "10.252.0.0/16"  # where bridges get their networks
    bridge_prefix: int = 24
    bridge_pool6: str = "fd77:6172:6465::/48"  # a /64 for each bridge that asks
    mtu: int = 1500
    dns_servers: tuple[str, ...] = ()
    nft_table: str = "warden"
    forwarding: bool = True  # let the host's outer interface forward
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ("0.0.0.0/0",)
    allow_host_access: bool = False
    max_connections: int = 8192  # of each address of a container; 0: as many as it likes
    pool_start_port: int | None = None  # None: behind the kernel's own ports for outgoing connections
    pool_port_count: int | None = None  # None: up to 65000
    pool_start_uid: int = 10000
    pool_uid_count: int = 8192
    id_range_start: int = 0x3000_0000
    id_range_count: int = 8192
    grace_time: float | None = None
    stop_timeout: float = 10.0  # between a stop's TERM and its KILL
    rlimits: Mapping[str, int] = field(default_factory=dict)
    job_output_limit: int = 10 * 1024 * 1024
    user_namespace: bool = True
    hooks: Mapping[str, tuple[Hook, ...]] = field(default_factory=dict)  # by HOOK_POINTS
    syslog_socket: str | None = None  # where jobs' lines with a log_tag go; None: /dev/log
    disk_backend: str = "auto"  # of DISK_BACKENDS
    disk_pool_size: int | None = None  # bytes; None: four fifths of what is free
    disk_loop_size: int | None = None  # bytes; None: four fifths of what is free, 16 GiB at most
    disk_project_start: int = 0x5744_0000  # the first project number that is ours on its file system
    disk_quota_enabled: bool = True
    wshd: str | None = None  # None: the one in the package
    volumes: str | None = None  # the directory of volumes; None: beside the depot
    volume_fill_limit: int = 10 << 30  # bytes that a new one may get from its image; 0: any number
