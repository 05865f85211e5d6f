"""What an engine needs to know of its site. The server reads it from a configuration file, a library user builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_SOCKET = "/run/warden/warden.sock"
DEFAULT_DEPOT = "/var/lib/warden/containers"
DEFAULT_IMAGES = "/var/lib/warden/images"


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
    mtu: int = 1500
    dns_servers: tuple[str, ...] = ()
    pool_start_uid: int = 10000
    pool_uid_count: int = 8192
    id_range_start: int = 0x3000_0000
    id_range_count: int = 8192
    grace_time: float | None = None
    rlimits: Mapping[str, int] = field(default_factory=dict)
    job_output_limit: int = 10 * 1024 * 1024
    user_namespace: bool = True
    disk_backend: str = "auto"  # auto, project, pool, none
    disk_pool_size: int | None = None  # bytes; None: four fifths of what is free
    disk_project_start: int = 0x5744_0000  # the first project number that is ours on its file system
    disk_quota_enabled: bool = True
    wshd: str | None = None  # None: the one in the package
