"""Requests built and responses understood, for both clients.

Owns the meaning of every argument, as pure functions. It does no I/O: a request is a pair of its kind and its message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from warden.client.result import Result
from warden.errors import BadInput, EngineFault, UnknownHandle, WardenError
from warden.model import resources
from warden.model.info import Info
from warden.model.interfaces import Bridge, BridgeReport
from warden.model.job import Chunk, JobSpec
from warden.model.life import RestartPolicy, VolumesFrom
from warden.model.limits import Bandwidth, DiskLimits, Limits, OomPolicy
from warden.model.logs import LogPlace
from warden.model.names import Names, names_of
from warden.model.net import NetRule, PortMap, Protocol
from warden.model.resources import LimitReport
from warden.model.settings import DEFAULT_SOCKET
from warden.model.size import parse_duration, parse_size
from warden.model.spec import ContainerSpec, InterfaceLike, Mount, network_fields
from warden.model.stats import MAX_INTERVAL_S, MIN_INTERVAL_S, Stats
from warden.model.topology import Topology
from warden.model.volumes import Volume
from warden.protocol import codec, convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_disk import response_to_limits
from warden.protocol.convert_info import response_to_info
from warden.protocol.convert_life import fill_create, message_to_volume
from warden.protocol.convert_logs import message_to_place, place_to_message
from warden.protocol.convert_network import AUTO, message_to_report
from warden.protocol.convert_stats import message_to_stats

FRAME_LIMIT = 2**31 - 1  # what protobuf itself can decode: a reply is as long as the job's output

Request = tuple[int, Any]
MountLike = Mount | tuple[str, str] | tuple[str, str, str]
Command = str | bytes | Sequence[str]
Path = str | bytes | os.PathLike[str]


class LimitOptions(TypedDict, total=False):
    """Keyword arguments for limits: sizes in bytes or "64M", "max" for none. *cpus*: a number of processors, such as
    1.5. *cpu_burst*: microseconds. *pids*: processes and threads. *io_max*, *hugetlb*: one or several of "/dev/sda
    rbps=1M" and "2MB 64M". *devices*: "all", "none", or rules such as "c 1:3 rwm". *bandwidth*: "1M", "1M 64K" or
    "100mbit", each way, or *bandwidth_in*, *bandwidth_out*. *disk*, *inodes*: of its own files. *limits*: any resource
    by cgroup v2's or v1's name (docs/limits.md).
    *oom_policy*: "kill_job", "kill_container" or "stop". *best_effort*: leave out what this machine cannot do."""

    memory: str | int | None
    memory_high: str | int | None
    memory_low: str | int | None
    swap: str | int | None
    swappiness: int | None
    oom_policy: str
    cpus: float | str | None
    cpu_weight: int | None
    cpu_shares: int | None
    cpu_burst: int | None
    cpu_idle: bool | None
    cpuset_cpus: str | None
    cpuset_mems: str | None
    pids: int | str | None
    io_weight: int | None
    io_max: str | Sequence[str] | None
    devices: str | Sequence[str] | None
    hugetlb: str | Sequence[str] | None
    bandwidth: str | int | None
    bandwidth_in: str | int | None
    bandwidth_out: str | int | None
    disk: str | int | None
    inodes: int | str | None
    limits: Mapping[str, str | int] | Sequence[tuple[str, str]] | None
    best_effort: bool


class CreateOptions(LimitOptions, total=False):
    """Keyword arguments of create, beside its limits. *mounts*: (source, target[, "ro"|"rw"]), read-only if nothing
    is said, where a source that is no absolute path is the name of a volume, "" a volume of its own (read-write if
    nothing is said); or warden.Mount. *network*: "warden", "none", "host", "container:HANDLE", "bridge[:NAME]",
    "macvlan:PARENT[:MODE]", "ipvlan:PARENT[:MODE]", "vlan:PARENT:ID" or "phys:LINK", the last five with ",key=value"
    of name, ip, gateway, mac, mtu, alias. *interfaces*: more of them, as such texts or Interface. *grace_time*:
    seconds or "5m" without a connection until it is destroyed. *dns*, *dns_search*, *dns_options*: for its resolv.conf;
    *add_hosts*: for its hosts, as "NAME:ADDRESS" or by name (docs/names.md). *image*, *grace_time*, *user_namespace*
    None: as the daemon is configured. *publish*: ports of the host that lead to it, such as "8080:80/udp". *net_allow*,
    *net_deny*: where it may go, instead of what holds for all. *net_connections*: that each of its
    addresses may have begun at once. *volumes_from*: "HANDLE[:ro]". *read_only*: only
    mounts and /dev/shm can be written. *shm_size*: bytes of /dev/shm. *main*: the command or JobSpec that `start`
    begins; *restart*: "no", "on-failure[:N]", "always" or "unless-stopped"; *auto_remove*: destroy it at its end.
    *stop_signal*, *stop_timeout*: instead of TERM and the daemon's time."""

    image: str | None
    rootfs: str | None
    mounts: Iterable[MountLike]
    hostname: str | None
    network: str
    interfaces: Iterable[InterfaceLike]
    dns: str | Iterable[str]
    dns_search: str | Iterable[str]
    dns_options: str | Iterable[str]
    add_hosts: Mapping[str, str] | Iterable[str]
    grace_time: float | str | None
    user_namespace: bool | None
    volumes_from: Iterable[str]
    read_only: bool
    shm_size: str | int | None
    labels: Mapping[str, str]
    main: Command | JobSpec | None
    restart: str
    auto_remove: bool
    stop_signal: int | None
    stop_timeout: float | str | None
    publish: Iterable[PortMap | str | int] | PortMap | str | int
    net_allow: Sequence[str] | None
    net_deny: Sequence[str] | None
    net_connections: int | None


class NetworkOptions(TypedDict, total=False):
    """Keyword arguments of create_network. *subnet*: IPv4, None: the daemon chooses; *ipv6*: a network, "auto" or None for
    no IPv6; *internal*: nothing leads out of it; *mtu*: of its links."""

    subnet: str | None
    ipv6: str | None
    internal: bool
    mtu: int | None


class JobOptions(TypedDict, total=False):
    """Keyword arguments of run and spawn. *timeout*: seconds or "300ms", then the whole job is killed. *cpu_timeout*: the
    same of processor time, user and system, that all its processes used together. *stdin*: what the job reads, text as
    UTF-8. *output_limit*: bytes or "1M". *rlimits*: by getrlimit(2)'s names, such as nofile."""

    env: Mapping[str, str] | None
    cwd: str | None
    user: str | None
    privileged: bool
    stdin: bytes | str | None
    timeout: float | str | None
    cpu_timeout: float | str | None
    output_limit: int | str | None
    rlimits: Mapping[str, int] | None
    discard_output: bool
    log_tag: str | None


class SpawnOptions(JobOptions, total=False):
    """And of spawn: *interactive* keeps stdin open for attach, *tty* gives the job a terminal of *rows* × *columns*."""

    interactive: bool
    tty: bool
    rows: int
    columns: int


class NetOutOptions(TypedDict, total=False):
    """Keyword arguments of net_out. *port_range*: "8000:8080", wins over *port*. *protocol*: "tcp", "udp", "icmp" or
    "all". *icmp_type*, *icmp_code*: any unless given. *log*: the kernel logs each new connection."""

    port: int | None
    port_range: str | None
    protocol: str
    icmp_type: int | None
    icmp_code: int | None
    log: bool


class DiskFields(TypedDict, total=False):
    """Keyword arguments of limit_disk, the protocol's fields. *byte…*: bytes or "64M"; *block…*: 1024 bytes each;
    *inode…*: files and directories. …, …_limit and …_hard are the same limit, …_soft may be passed for a week. 0 is
    unlimited. Blocks win over bytes."""

    byte_limit: str | int | None
    byte: str | int | None
    byte_soft: str | int | None
    byte_hard: str | int | None
    block_limit: int | None
    block: int | None
    block_soft: int | None
    block_hard: int | None
    inode_limit: int | None
    inode: int | None
    inode_soft: int | None
    inode_hard: int | None


def socket_path(given: str | None) -> str:
    """*given*, else $WARDEN_SOCKET, else the usual one."""
    return given or os.environ.get("WARDEN_SOCKET") or DEFAULT_SOCKET


def create(handle: str | None, options: CreateOptions) -> Request:
    memory, grace_time = options.get("memory"), options.get("grace_time")
    policy, network = options.get("oom_policy", "kill_job"), options.get("network", "warden")
    base = Limits(
        memory_bytes=None if memory in (None, "max") else parse_size(memory, field="memory"),
        oom_policy=_choice(OomPolicy, "oom_policy", policy),
    )
    settings = [item for item in resources.settings_of(options) if item[0] not in ("memory.max", "oom.policy")]
    spec = ContainerSpec(
        handle=handle,
        rootfs=options.get("rootfs"),
        hostname=options.get("hostname"),
        mounts=tuple(map(_mount, options.get("mounts", ()))),
        limits=base,
        **network_fields(network, options.get("interfaces", ())),
        names=_names(options),
        grace_time=None if grace_time is None else parse_duration(grace_time, field="grace_time"),
        **_life(options),
    )
    resources.apply(base, settings)  # a mistake is found here, with the caller
    request = convert.spec_to_create(spec, image=options.get("image"), user_namespace=options.get("user_namespace"))
    request.limits.extend(convert.settings_to(settings))
    fill_create(request, spec)
    if options.get("best_effort"):
        request.best_effort = True
    if not options.keys().isdisjoint(("publish", "net_allow", "net_deny", "net_connections")):
        from warden.client import netmessages

        netmessages.fill_create(
            request,
            options.get("publish", ()),
            options.get("net_allow"),
            options.get("net_deny"),
            options.get("net_connections"),
        )
    return codec.KINDS["Create"], request


def _names(options: CreateOptions) -> Names:
    return names_of(
        options.get("dns", ()),
        options.get("dns_search", ()),
        options.get("dns_options", ()),
        options.get("add_hosts", ()),
    )


def _life(options: CreateOptions) -> dict[str, Any]:
    """The fields of a ContainerSpec that say how it lives."""
    main, shm_size, timeout = options.get("main"), options.get("shm_size"), options.get("stop_timeout")
    return {
        "volumes_from": tuple(map(VolumesFrom.parse, options.get("volumes_from", ()))),
        "read_only": options.get("read_only", False),
        "shm_size": None if shm_size is None else parse_size(shm_size, field="shm_size"),
        "labels": tuple(options.get("labels", {}).items()),
        "main": main if main is None or isinstance(main, JobSpec) else job_spec(main, {}),
        "restart": RestartPolicy.parse(options.get("restart", "no")),
        "auto_remove": options.get("auto_remove", False),
        "stop_signal": options.get("stop_signal"),
        "stop_timeout": None if timeout is None else parse_duration(timeout, field="stop_timeout"),
    }


def volume(message: pb.Volume) -> Volume:
    return message_to_volume(message)


def create_network(name: str, options: NetworkOptions) -> Request:
    bridge = Bridge(name, options.get("subnet"), mtu=options.get("mtu"))  # a mistake is found here, with the caller
    subnet6 = options.get("ipv6")
    if subnet6 not in (None, AUTO):
        Bridge(name, subnet6=subnet6)
    internal = options.get("internal") or None
    return request(
        "NetworkCreate", name=name, subnet4=bridge.subnet4, subnet6=subnet6, internal=internal, mtu=bridge.mtu
    )


def network(message: pb.NetworkCreateResponse | pb.NetworkInspectResponse) -> BridgeReport:
    return message_to_report(message.network)


def topology(message: pb.TopologyResponse) -> Topology:
    from warden.protocol.convert_topology import response_to_topology

    return response_to_topology(message)


def networks(message: pb.NetworkListResponse) -> list[BridgeReport]:
    return [message_to_report(item) for item in message.networks]


def limit(handle: str, options: LimitOptions, *, raw: bool) -> Request:
    settings = convert.settings_to(resources.settings_of(options))
    return request("Limit", handle=handle, settings=settings, best_effort=options.get("best_effort"), raw=raw or None)


def limit_report(message: pb.LimitResponse) -> LimitReport:
    return convert.response_to_report(message)


def created(message: pb.CreateResponse) -> tuple[str, tuple[str, ...]]:
    """The handle, and what could not be limited."""
    return convert.text(message.handle), tuple(map(convert.text, message.warnings))


def _mount(value: MountLike) -> Mount:
    if isinstance(value, Mount):
        return value
    source, target, mode = value if len(value) == 3 else (*value, "ro")
    if mode not in ("ro", "rw"):
        raise BadInput(f"mount {source}: {mode!r} is not a mode", hint="ro or rw")
    if not source.startswith("/"):
        return Mount.volume(source, target, read_only=len(value) == 3 and mode == "ro")
    return Mount(source, target, read_only=mode == "ro")


def _choice(cls: Any, field: str, value: str) -> Any:
    try:
        return cls(value)
    except ValueError:
        raise BadInput(f"{field}: {value!r} is unknown", hint="one of " + ", ".join(cls._value2member_map_)) from None


def job_spec(command: Command, options: SpawnOptions) -> JobSpec:
    """A str or bytes is a script for the container's bash, a sequence is a command and its arguments."""
    script = command.encode("utf-8", "surrogateescape") if isinstance(command, str) else command
    stdin, timeout, output_limit = options.get("stdin"), options.get("timeout"), options.get("output_limit")
    cpu_timeout = options.get("cpu_timeout")
    return JobSpec(
        argv=() if isinstance(script, bytes) else tuple(script),
        script=script if isinstance(script, bytes) else None,
        privileged=options.get("privileged", False),
        user=options.get("user"),
        env=tuple((options.get("env") or {}).items()),
        cwd=options.get("cwd"),
        stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        interactive=options.get("interactive", False),
        tty=options.get("tty", False),
        rows=options.get("rows", 24),
        columns=options.get("columns", 80),
        rlimits=options.get("rlimits") or {},
        wall_limit_s=None if timeout is None else parse_duration(timeout, field="timeout"),
        cpu_limit_s=None if cpu_timeout is None else parse_duration(cpu_timeout, field="cpu_timeout"),
        output_limit=None if output_limit is None else parse_size(output_limit, field="output_limit"),
        discard_output=options.get("discard_output", False),
        log_tag=options.get("log_tag"),
    )


def spawn(handle: str, job: JobSpec) -> Request:
    request = pb.SpawnRequest()
    convert.fill_job_request(request, handle, job)
    return codec.KINDS["Spawn"], request


def run(handle: str, job: JobSpec) -> Request:
    """Without the container's statistics, which cost the server more than a short job."""
    request = pb.RunRequest(want_info=False)
    convert.fill_job_request(request, handle, job)
    return codec.KINDS["Run"], request


def request(name: str, /, **fields: Any) -> Request:
    """A request by its name in the .proto file; texts are turned into bytes, None leaves a field out."""
    kind = codec.KINDS[name]
    given = {key: convert.raw(value) if isinstance(value, str) else value for key, value in fields.items()}
    return kind, codec.REQUESTS[kind](**{key: value for key, value in given.items() if value is not None})


def of_message(message: Any) -> Request:
    """The request that a message of the protocol is; raises BadInput for one that is not a request."""
    kind = codec.KINDS.get(type(message).__name__.removesuffix("Request"))
    if kind is None:
        raise BadInput(f"{type(message).__name__}: not a request of the protocol")
    return kind, message


def limit_memory(handle: str, limit: str | int | None) -> Request:
    return request(
        "LimitMemory", handle=handle, limit_in_bytes=None if limit is None else parse_size(limit, field="memory")
    )


def copy_in(handle: str, src: Path, dst: Path) -> Request:
    return request("CopyIn", handle=handle, src_path=_host_path(src), dst_path=os.fsdecode(dst))


def copy_out(handle: str, src: Path, dst: Path, owner: str | None) -> Request:
    return request("CopyOut", handle=handle, src_path=os.fsdecode(src), dst_path=_host_path(dst), owner=owner)


def _host_path(path: Path) -> str:
    """Absolute, because the daemon's working directory is another; slashes at the end mean something and stay."""
    name = os.fsdecode(path)
    return os.path.join(os.getcwd(), name) if name else name


def net_out(handle: str, network: str | None, options: NetOutOptions) -> Request:
    port, protocol = options.get("port"), options.get("protocol", "tcp")
    rule = NetRule(
        network=network,
        ports=options.get("port_range") or (None if port is None else str(port)),
        protocol=_choice(Protocol, "protocol", protocol.lower()),
        icmp_type=options.get("icmp_type"),
        icmp_code=options.get("icmp_code"),
        log=options.get("log", False),
    )
    return codec.KINDS["NetOut"], convert.rule_to_request(handle, rule)


def limit_cpu(handle: str, shares: int | None) -> Request:
    if shares is not None and not 0 <= shares < 2**64:
        raise BadInput(f"shares: {shares} is out of range", hint="2 to 262144, the kernel takes the nearest")
    return request("LimitCpu", handle=handle, limit_in_shares=shares)


def limit_bandwidth(handle: str, rate: str | int, burst: str | int) -> Request:
    wanted = Bandwidth(parse_size(rate, field="rate"), parse_size(burst, field="burst"))
    return request("LimitBandwidth", handle=handle, rate=wanted.rate, burst=wanted.burst)


def limit_disk(handle: str, fields: DiskFields) -> Request:
    sizes = {name: parse_size(value, field=name) for name, value in fields.items() if isinstance(value, (str, int))}
    return request("LimitDisk", handle=handle, **sizes)


def stats(handles: Sequence[str], *, brief: bool) -> Request:
    return request("Stats", handles=list(map(convert.raw, handles)), brief=brief or None)


def follow_stats(handles: Sequence[str], interval: float | str, *, brief: bool) -> Request:
    seconds = parse_duration(interval, field="interval")
    if not MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        hint = f"{MIN_INTERVAL_S * 1000:.0f}ms to {MAX_INTERVAL_S / 3600:.0f}h"
        raise BadInput(f"interval: {interval!r} is out of range", hint=hint)
    names = list(map(convert.raw, handles))
    return request("StatsStream", handles=names, interval_ms=round(seconds * 1000), brief=brief or None)


def attach(handle: str, job_id: int, tail: int | None, place: LogPlace | None = None) -> Request:
    where = None if place is None else place_to_message(place)
    return request("Attach", handle=handle, job_id=job_id, tail=tail, place=where)


def document(message: pb.InspectResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.document)
    return found


def attach_input(data: bytes = b"", *, eof: bool = False, size: tuple[int, int] | None = None) -> Request:
    message = pb.AttachInputRequest(data=data)
    if eof:
        message.eof = True
    if size is not None:
        message.rows, message.columns = size
    return codec.KINDS["AttachInput"], message


def response(kind: int, frame: bytes) -> Any:
    """The response to a request of *kind*; raises the error that the server answered, or EngineFault for nonsense."""
    try:
        got, payload = codec.decode_envelope(frame)
        message = codec.decode_response(got, payload)
    except BadInput as error:
        raise EngineFault(f"reply: {error.message}", hint="is that socket wardend's?") from None
    if got == codec.ERROR:
        raise convert.response_to_error(message)
    if got != kind:
        raise EngineFault(f"reply: {codec.NAMES[got]} came instead of {codec.NAMES[kind]}")
    return message


def result(message: Any, handle: str) -> Result:
    """The result in a response of link or run, or in the last one of a stream."""
    info = response_to_info(message.info, handle) if message.HasField("info") else None
    return Result.of(
        convert.response_to_result(message), getattr(message, "stdout", b""), getattr(message, "stderr", b""), info
    )


def chunk_or_result(message: Any, handle: str) -> Chunk | Result | LogPlace:
    """One response of a stream or attach: the last has an exit status, the first may say where it begins."""
    if isinstance(message, pb.AttachResponse) and message.HasField("place"):
        return message_to_place(message.place)
    return result(message, handle) if message.HasField("exit_status") else convert.response_to_chunk(message)


def handles(message: pb.ListResponse) -> list[str]:
    return [convert.text(handle) for handle in message.handles]


def memory_limit(message: pb.LimitMemoryResponse) -> int | None:
    """Bytes, None for unlimited."""
    limit = message.limit_in_bytes
    return None if limit >= convert.UNLIMITED_MEMORY else limit


def cpu_shares(message: pb.LimitCpuResponse) -> int:
    return message.limit_in_shares


def bandwidth(message: pb.LimitBandwidthResponse) -> Bandwidth:
    return Bandwidth(message.rate, message.burst)


def disk_limits(message: pb.LimitDiskResponse) -> DiskLimits | None:
    return response_to_limits(message)


def info(message: pb.InfoResponse, handle: str) -> Info:
    return response_to_info(message, handle)


def measured(message: pb.StatsResponse | pb.StatsStreamResponse) -> list[Stats]:
    return [message_to_stats(item) for item in message.stats]


def measured_one(message: pb.StatsResponse | pb.StatsStreamResponse) -> Stats:
    """Raises UnknownHandle when it vanished between the request and the measurement."""
    if not message.stats:
        raise UnknownHandle()
    return message_to_stats(message.stats[0])


def is_gone(error: WardenError) -> bool:
    """The container vanished between two requests, or the server is one that sends no codes."""
    return error.code == "unknown_handle" or str(error) == "unknown handle"
