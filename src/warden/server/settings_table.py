"""Every setting of the daemon, once: validation, printing and the reference page are made from this table.

Owns names, kinds, defaults and their explanations. Defaults are this project's, not the original's (which lives
in /tmp). Keys that only a later version uses are accepted and say so.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from warden.errors import BadInput
from warden.model.job import DEFAULT_RLIMITS, RLIMIT_INFINITY
from warden.model.settings import (
    DEFAULT_DEPOT,
    DEFAULT_HOOK_TIMEOUT_S,
    DEFAULT_IMAGES,
    DEFAULT_SOCKET,
    DISK_BACKENDS,
    HOOK_POINTS,
    EngineSettings,
    Hook,
)
from warden.protocol.framing import DEFAULT_FRAME_LIMIT
from warden.records import dataclass
from warden.server.listen import parse_address

LEVELS = ("off", "fatal", "error", "warn", "info", "debug", "debug1", "debug2", "all")
_ENGINE = EngineSettings()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's scalars and lists are YAML's too


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: *check* returns the value to use or raises BadInput, *show* writes it as YAML."""

    name: str
    check: Callable[[Any], Any]
    show: Callable[[Any], str] = _json


def _refuse(expected: str, value: Any) -> BadInput:
    return BadInput(f"expected {expected}, got {value!r}")


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _refuse("a text", value)
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise _refuse("an absolute path", value)
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("true or false", value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise _refuse("a number of at least 0", value)
    return float(value)


def _integer(low: int, high: int) -> Kind:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(f"a whole number from {low} to {high}", value)
        return value

    return Kind(f"integer {low}..{high}", check)


def _network(value: Any) -> str:
    try:
        return str(ipaddress.IPv4Network(_string(value), strict=False))
    except ValueError:
        raise _refuse("an IPv4 network such as 10.254.0.0/16", value) from None


def _network6(value: Any) -> str:
    try:
        network = ipaddress.IPv6Network(_string(value), strict=False)
    except ValueError:
        raise _refuse("an IPv6 network such as fd00::/48", value) from None
    if network.prefixlen > 64:
        raise _refuse("a prefix of /64 at most", value)
    return str(network)


def _address(value: Any) -> str:
    try:
        return str(ipaddress.IPv4Address(_string(value)))
    except ValueError:
        raise _refuse("an IPv4 address", value) from None


def _table(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        raise _refuse("a name of letters, digits, _ and -", value)
    return value


def _list_of(item: Callable[[Any], Any], name: str) -> Kind:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _refuse("a list", value)
        return tuple(map(item, value))

    return Kind(f"list of {name}", check, lambda value: _json(list(value)))


def _optional(kind: Kind) -> Kind:
    return Kind(f"{kind.name} or null", lambda value: None if value is None else kind.check(value),
                lambda value: "null" if value is None else kind.show(value))  # fmt: skip


def _choice(*choices: str) -> Kind:
    def check(value: Any) -> str:
        if value is False and "off" in choices:  # YAML 1.1 reads a bare `off` as false
            return "off"
        if value not in choices:
            raise _refuse("one of " + ", ".join(choices), value)
        return str(value)

    return Kind(" | ".join(choices), check)


def _mode(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o7777:
        raise _refuse("permissions such as 0660", value)
    return value


def _rlimits(value: Any) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise _refuse("limits by name", value)
    for name, limit in value.items():
        if name not in DEFAULT_RLIMITS:
            raise BadInput(f"{name!r} is not a limit; one of " + ", ".join(DEFAULT_RLIMITS))
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= RLIMIT_INFINITY:
            raise _refuse(f"a number of at least 0 for {name}", limit)
    return value


def _listen(value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse("ADDRESS:PORT such as 127.0.0.1:9323, or an absolute path", value)
    parse_address(value)
    return value


def _uid(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32 - 1:
        raise _refuse("a user id", value)
    return value


_HOOK_KEYS = ("path", "args", "timeout", "on_failure")


def _hooks(*, may_refuse: bool) -> Kind:
    def check(value: Any) -> tuple[Hook, ...]:
        if not isinstance(value, list):
            raise _refuse("a list of hooks", value)
        return tuple(_hook(item, may_refuse=may_refuse) for item in value)

    return Kind("list of hooks", check, lambda value: _json([_hook_to_data(hook) for hook in value]))


def _hook(value: Any, *, may_refuse: bool) -> Hook:
    if not isinstance(value, dict) or "path" not in value:
        raise _refuse("a hook with a path", value)
    if unknown := set(value) - set(_HOOK_KEYS):
        raise BadInput(f"{min(map(str, unknown))!r} is not a key of a hook; one of " + ", ".join(_HOOK_KEYS))
    if not isinstance(args := value.get("args", []), list):
        raise _refuse("a list of args", args)
    timeout = _number(value.get("timeout", DEFAULT_HOOK_TIMEOUT_S))
    if not timeout:
        raise _refuse("a timeout of more than 0 seconds", timeout)
    on_failure = _choice("ignore", "fail").check(value.get("on_failure", "ignore"))
    if on_failure == "fail" and not may_refuse:
        raise BadInput("on_failure: fail: here nothing can be refused any more")
    return Hook(_path(value["path"]), tuple(map(_string, args)), timeout, on_failure == "fail")


def _hook_to_data(hook: Hook) -> dict[str, Any]:
    on_failure = "fail" if hook.must_succeed else "ignore"
    return {"path": hook.path, "args": list(hook.args), "timeout": hook.timeout_s, "on_failure": on_failure}


_HOOK_HELP = {
    "parent_before_clone": "run while a container is made, before its first process; on_failure: fail ends the create",
    "parent_after_clone": "the same, when its files and link are ready and its first process waits",
    "child_before_pivot": "the same, in its namespaces with the host's files in sight, as its root",
    "child_after_pivot": "the same, a program of the container's own, with a job's rights",
    "after_create": "run before a create is answered; on_failure: fail undoes it",
    "before_stop": "run before a stop request is carried out; on_failure: fail refuses it",
    "after_destroy": "run before a destroy is answered",
    "on_out_of_memory": "run when the kernel killed for want of memory",
    "on_job_end": "run when a job has ended",
}

STRING, PATH, BOOL, NUMBER = Kind("text", _string), Kind("path", _path), Kind("boolean", _bool), Kind("number", _number)
NETWORK, ADDRESS = Kind("IPv4 network", _network), Kind("IPv4 address", _address)
NETWORK6 = Kind("IPv6 network", _network6)
MODE = Kind("permissions", _mode, lambda value: f"0{value:o}")
PORT, UID, COUNT = _integer(1, 65535), Kind("uid", _uid), _integer(1, 2**31)
RLIMITS = Kind("limits by name", _rlimits, lambda value: _json(dict(value)))


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. *name* is its full name with its section; *engine*: the field of EngineSettings that it fills."""

    name: str
    kind: Kind
    default: Any
    help: str
    engine: str = ""

    @property
    def group(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def key(self) -> str:
        return self.name.rpartition(".")[2]


_LATER = "accepted; not used by this version"
_OPTIONAL_PATH = _optional(PATH)

# fmt: off
SETTINGS: tuple[Setting, ...] = (
    Setting("server.unix_domain_path", PATH, DEFAULT_SOCKET, "the socket that clients connect to"),
    Setting("server.unix_domain_permissions", MODE, 0o660, "permissions of the socket"),
    Setting("server.allowed_uids", _optional(_list_of(_uid, "uids")), None,
            "users that may connect, root always may; null: whom the socket's permissions let"),
    Setting("server.frame_limit", _integer(1024, 2**31 - 1), DEFAULT_FRAME_LIMIT, "bytes of the longest request"),
    Setting("server.pidfile", _OPTIONAL_PATH, None, "written once the daemon listens"),
    Setting("server.log_format", _choice("text", "json"), "text", "lines for people or one JSON object each"),
    Setting("server.container_klass", STRING, "Warden::Container::Linux", "accepted; there is one kind of container"),
    Setting("server.container_rootfs_path", _OPTIONAL_PATH, None,
            "root file system of containers that name neither image nor rootfs; null: default_image"),
    Setting("server.container_depot_path", PATH, DEFAULT_DEPOT, "one directory per container", "depot"),
    Setting("server.images_path", PATH, DEFAULT_IMAGES, "the image store", "images"),
    Setting("server.volumes_path", _OPTIONAL_PATH, None, "the directory of volumes; null: beside the depot", "volumes"),
    Setting("server.volume_fill_limit", _integer(0, 2**62), _ENGINE.volume_fill_limit,
            "bytes that a new volume gets at most from its image; 0: any number", "volume_fill_limit"),
    Setting("server.default_image", STRING, _ENGINE.default_image, "image of containers that name none",
            "default_image"),
    Setting("server.cgroup_parent", STRING, _ENGINE.cgroup_parent, "cgroup below which containers live",
            "cgroup_parent"),
    Setting("server.user_namespace", BOOL, _ENGINE.user_namespace, "containers get a user namespace of their own",
            "user_namespace"),
    Setting("server.wshd_path", _OPTIONAL_PATH, None, "the container's PID 1; null: the one in the package", "wshd"),
    Setting("server.container_grace_time", _optional(NUMBER), None,
            "seconds without a connection until a container is destroyed; null: never", "grace_time"),
    Setting("server.stop_timeout", NUMBER, _ENGINE.stop_timeout, "seconds from a stop's TERM to its KILL", "stop_timeout"),
    Setting("server.container_rlimits", RLIMITS, {}, "limits of every job, as in getrlimit(2)", "rlimits"),
    Setting("server.job_output_limit", _integer(0, 2**62), _ENGINE.job_output_limit,
            "bytes of output after which a job is killed", "job_output_limit"),
    Setting("server.allow_nested_warden", BOOL, False, _LATER),
    Setting("server.syslog_socket", _OPTIONAL_PATH, None,
            "where the lines of jobs with a log_tag go; null: /dev/log", "syslog_socket"),
    Setting("server.quota.disk_quota_enabled", BOOL, True,
            "disks can be limited; false: limit_disk answers nothing, and disk.backend is not used",
            "disk_quota_enabled"),
    Setting("health_check_server.port", _optional(PORT), None,
            "port on 127.0.0.1 that answers anything with HTTP 200; null: none (the original's default was 2345)"),
    Setting("metrics.listen", _optional(Kind("address:port or path", _listen)), None,
            "where GET /metrics answers Prometheus, such as 127.0.0.1:9323 or /run/warden/metrics.sock; null: nowhere"),
    Setting("logging.level", _choice(*LEVELS), "info", "what is logged"),
    Setting("logging.file", _OPTIONAL_PATH, None, "log file; null: standard error"),
    Setting("logging.syslog", _optional(STRING), None, _LATER),
    Setting("network.pool_network", NETWORK, _ENGINE.pool_network, "containers get a /30 each from it"),
    Setting("network.pool_start_address", _optional(ADDRESS), None, "first address, instead of pool_network"),
    Setting("network.pool_size", _optional(_integer(1, 2**28)), None, "number of containers, with pool_start_address"),
    Setting("network.release_delay", NUMBER, _ENGINE.release_delay, "seconds before a network is used again",
            "release_delay"),
    Setting("network.bridge_pool", NETWORK, _ENGINE.bridge_pool,
            "bridges (--network bridge:NAME) get a network each from it", "bridge_pool"),
    Setting("network.bridge_prefix", _integer(8, 30), _ENGINE.bridge_prefix, "length of those networks' prefix",
            "bridge_prefix"),
    Setting("network.bridge_pool6", NETWORK6, _ENGINE.bridge_pool6, "bridges with --ipv6 auto get a /64 each from it",
            "bridge_pool6"),
    Setting("network.mtu", _integer(68, 65535), _ENGINE.mtu, "MTU of the containers' interfaces", "mtu"),
    Setting("network.dns_servers", _list_of(_string, "addresses"), (), "name servers; empty: the host's",
            "dns_servers"),
    Setting("network.allow_networks", _list_of(_network, "networks"), (),
            "what containers may reach, beside what net_out allows", "allow_networks"),
    Setting("network.deny_networks", _list_of(_network, "networks"), _ENGINE.deny_networks,
            "what they may not reach unless it is allowed; empty: everything but other containers is open",
            "deny_networks"),
    Setting("network.allow_host_access", BOOL, _ENGINE.allow_host_access,
            "containers may connect to the host itself", "allow_host_access"),
    Setting("network.max_connections", _integer(0, 2**31), _ENGINE.max_connections,
            "connections that each address of a container may have begun at once; 0: as many as it likes",
            "max_connections"),
    Setting("network.nft_table", Kind("name", _table), _ENGINE.nft_table,
            "the nftables table (family inet) of this daemon, one for each daemon", "nft_table"),
    Setting("network.forwarding", BOOL, _ENGINE.forwarding,
            "switch on forwarding for the interface of the default route at start", "forwarding"),
    Setting("port.pool_start_port", _optional(PORT), None,
            "first port that net_in chooses; null: the one after ip_local_port_range", "pool_start_port"),
    Setting("port.pool_size", _optional(COUNT), None, "number of those ports, at least 1000; null: up to 65000",
            "pool_port_count"),
    Setting("disk.backend", _choice(*DISK_BACKENDS), _ENGINE.disk_backend,
            "how disks are limited. project: quotas of the depot's own XFS or ext4; btrfs: of its own btrfs, bytes "
            "only; pool, btrfs-pool: an XFS or btrfs in a file, mounted; loop: an ext4 in a file for each container; "
            "tmpfs: in memory; user: quotas of vcap and root, each by itself; auto: the first that works of project, "
            "btrfs (with quotas on), pool, loop and none", "disk_backend"),
    Setting("disk.pool_size", _optional(_integer(300 << 20, 2**50)), None,
            "bytes of a new pool; null: four fifths of what is free, 1 TiB at most", "disk_pool_size"),
    Setting("disk.loop_size", _optional(_integer(64 << 20, 2**44)), None,
            "bytes of a container's file system with loop, sparse; null: four fifths of what is free, 16 GiB at most",
            "disk_loop_size"),
    Setting("disk.project_start", _integer(1, 2**32 - 2**25), _ENGINE.disk_project_start,
            "first project number that containers get; change it where others use project quotas too",
            "disk_project_start"),
    Setting("user.pool_start_uid", UID, _ENGINE.pool_start_uid, "first uid of the users inside containers",
            "pool_start_uid"),
    Setting("user.pool_size", COUNT, _ENGINE.pool_uid_count, "number of those uids", "pool_uid_count"),
    Setting("user.id_range_start", UID, _ENGINE.id_range_start, "first host id for user namespaces", "id_range_start"),
    Setting("user.id_range_count", _integer(1, 65535), _ENGINE.id_range_count,
            "number of containers that get 65536 host ids each", "id_range_count"),
    *(Setting(f"hooks.{point}", _hooks(may_refuse=may_refuse), (), _HOOK_HELP[point])
      for point, may_refuse in HOOK_POINTS.items()),
)
# fmt: on
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
GROUPS = frozenset(setting.group for setting in SETTINGS)


def reference() -> str:
    """The table of all settings in Markdown, for the documentation."""
    rows = [
        f"| `{setting.name}` | {setting.kind.name.replace('|', '/')} | `{setting.kind.show(setting.default)}` "
        f"| {setting.help} |"
        for setting in SETTINGS
    ]
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"
