"""Protocol messages to the model and back, for both ends of the wire.

Owns every rule of translation, each a pure function. Text is bytes on the wire and str inside, UTF-8 with
surrogateescape, so that any bytes survive. It sends nothing and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from warden.errors import BadInput, EngineFault, WardenError, from_code
from warden.model import resources
from warden.model.interfaces import Interface, Link, LinkKind
from warden.model.job import Chunk, JobResult, JobSpec, Usage, Verdict, WaitCondition
from warden.model.limits import Limits, OomPolicy
from warden.model.mounts import MountKind
from warden.model.names import Names, parse_host
from warden.model.net import NetRule, Protocol, check_connections
from warden.model.resources import LimitReport
from warden.model.spec import ContainerSpec, Mount, NetworkMode
from warden.protocol import convert_net
from warden.protocol import warden_pb2 as pb
from warden.protocol.text import raw as raw
from warden.protocol.text import text as text
from warden.records import dataclass

#: What the original answers for a memory limit that is none: the largest multiple of a page in 63 bits.
UNLIMITED_MEMORY = 2**63 - 4096


@dataclass(frozen=True, slots=True)
class CreateDefaults:
    """What a server puts where a CreateRequest says nothing. *grace_time* in seconds, None never."""

    image: str = "host"
    rootfs: str | None = None
    grace_time: float | None = None
    user_namespace: bool = True


def create_to_spec(
    request: pb.CreateRequest, defaults: CreateDefaults, mounts: Iterable[Mount] = (), **more: Any
) -> ContainerSpec:
    """Raises BadInput. *mounts*, *more*: what the original did not know (convert_life.py). Without an image and a rootfs,
    the defaults' rootfs wins over their image."""
    chosen = request.HasField("image") or request.HasField("rootfs")
    return ContainerSpec(
        handle=_optional_text(request, "handle"),
        image=_optional_text(request, "image") or defaults.image,
        rootfs=_optional_text(request, "rootfs") if chosen else defaults.rootfs,
        hostname=_optional_text(request, "hostname"),
        mounts=(*map(_mount, request.bind_mounts), *mounts),
        limits=_limits(request),
        network=_enum(NetworkMode, request, "network_mode", NetworkMode.WARDEN),
        network_address=_optional_text(request, "network"),
        grace_time=float(request.grace_time) if request.HasField("grace_time") else defaults.grace_time,
        user_namespace=request.user_namespace if request.HasField("user_namespace") else defaults.user_namespace,
        best_effort=request.best_effort,
        interfaces=tuple(_interface(item) for item in request.interfaces),
        network_of=_optional_text(request, "network_of"),
        publish=tuple(map(convert_net.message_to_port, request.publish)),
        net_policy=convert_net.message_to_policy(request.net_policy) if request.HasField("net_policy") else None,
        net_connections=_connections(request),
        names=_names(request),
        **more,
    )


def _connections(request: pb.CreateRequest) -> int | None:
    count = request.net_connections if request.HasField("net_connections") else None
    check_connections(count, "net_connections")
    return count


def _names(request: pb.CreateRequest) -> Names:
    servers, search, options, hosts = (
        tuple(map(text, given)) for given in (request.dns, request.dns_search, request.dns_options, request.add_hosts)
    )
    return Names(servers, search, options, tuple(map(parse_host, hosts)))


def _add_names(request: pb.CreateRequest, names: Names) -> None:
    request.dns.extend(map(raw, names.servers))
    request.dns_search.extend(map(raw, names.search))
    request.dns_options.extend(map(raw, names.options))
    request.add_hosts.extend(raw(f"{name}:{address}") for name, address in names.hosts)


def _interface(item: pb.NetInterface) -> Interface:
    return Interface(**interface_fields(item))


def interface_fields(item: pb.NetInterface) -> dict[str, Any]:
    """What Interface and Link have in common; raises BadInput for an unknown kind."""
    return {
        "kind": _enum(LinkKind, item, "kind", LinkKind.BRIDGE),
        "parent": text(item.parent),
        "name": _optional_text(item, "name"),
        "mode": _optional_text(item, "mode"),
        "vlan_id": _optional(item, "vlan_id"),
        "addresses": tuple(map(text, item.addresses)),
        "gateways": tuple(map(text, item.gateways)),
        "mac": _optional_text(item, "mac"),
        "mtu": _optional(item, "mtu"),
        "aliases": tuple(map(text, item.aliases)),
    }


def interface_to_message(item: Interface | Link) -> pb.NetInterface:
    message = pb.NetInterface(kind=raw(item.kind.value), parent=raw(item.parent))
    _set_texts(message, name=item.name, mode=item.mode, mac=item.mac)
    for field in ("vlan_id", "mtu"):
        if (value := getattr(item, field)) is not None:
            setattr(message, field, value)
    for field in ("addresses", "gateways", "aliases"):
        getattr(message, field).extend(map(raw, getattr(item, field)))
    return message


def _limits(request: pb.CreateRequest) -> Limits:
    base = Limits(
        memory_bytes=_optional(request, "memory_limit"),
        oom_policy=_enum(OomPolicy, request, "oom_policy", OomPolicy.STOP),
    )
    return resources.apply(base, settings_from(request.limits))


def settings_from(items: Iterable[pb.Setting]) -> list[tuple[str, str]]:
    """Limits by name, as resources.apply takes them."""
    return [(text(item.name), text(item.value)) for item in items]


def settings_to(settings: Iterable[tuple[str, str]]) -> list[pb.Setting]:
    return [pb.Setting(name=raw(name), value=raw(value)) for name, value in settings]


def report_to_response(report: LimitReport) -> pb.LimitResponse:
    return pb.LimitResponse(
        in_force=settings_to(report.in_force.items()),
        asked=settings_to(report.asked.items()),
        raw=settings_to(report.raw),
        warnings=map(raw, report.warnings),
    )


def response_to_report(response: pb.LimitResponse) -> LimitReport:
    return LimitReport(
        in_force=dict(settings_from(response.in_force)),
        asked=dict(settings_from(response.asked)),
        raw=tuple(settings_from(response.raw)),
        warnings=tuple(map(text, response.warnings)),
    )


def _mount(mount: pb.CreateRequest.BindMount) -> Mount:
    return Mount(text(mount.src_path), text(mount.dst_path), read_only=mount.mode == pb.CreateRequest.BindMount.RO)


def spec_to_create(spec: ContainerSpec, *, image: str | None, user_namespace: bool | None) -> pb.CreateRequest:
    """The request for *spec*; *image* and *user_namespace* None leave the choice to the server. Mounts that the original
    did not know, and what convert_life.py has, are not in it."""
    request = pb.CreateRequest()
    for mount in spec.mounts if all(mount.kind is MountKind.BIND for mount in spec.mounts) else ():
        mode = pb.CreateRequest.BindMount.RO if mount.read_only else pb.CreateRequest.BindMount.RW
        request.bind_mounts.add(src_path=raw(mount.source), dst_path=raw(mount.target), mode=mode)
    if spec.grace_time is not None:
        request.grace_time = math.ceil(spec.grace_time)  # 0 would mean at once
    _set_texts(request, handle=spec.handle, network=spec.network_address, rootfs=spec.rootfs, image=image)
    _set_texts(request, hostname=spec.hostname, network_mode=spec.network.value, network_of=spec.network_of)
    request.interfaces.extend(map(interface_to_message, spec.interfaces))
    _add_names(request, spec.names)
    request.oom_policy = raw(spec.limits.oom_policy.value)
    if spec.limits.memory_bytes is not None:
        request.memory_limit = spec.limits.memory_bytes
    if user_namespace is not None:
        request.user_namespace = user_namespace
    return request


def request_to_job(request: pb.SpawnRequest | pb.RunRequest) -> JobSpec:
    """Raises BadInput. An empty script next to a command is no script; alone it is an empty script for bash."""
    wall_ms, cpu_ms = _optional(request, "wall_limit_ms"), _optional(request, "cpu_limit_ms")
    return JobSpec(
        argv=tuple(map(text, request.argv)),
        script=None if request.argv and not request.script else request.script,
        privileged=request.privileged,
        user=_optional_text(request, "user"),
        env=tuple(_variable(item) for item in request.env),
        cwd=_optional_text(request, "cwd"),
        stdin=_optional(request, "stdin"),
        interactive=request.interactive,
        tty=request.tty,
        rows=request.rows or 24,
        columns=request.columns or 80,
        rlimits={field.name: value for field, value in request.rlimits.ListFields()},
        wall_limit_s=None if wall_ms is None else wall_ms / 1000,
        cpu_limit_s=None if cpu_ms is None else cpu_ms / 1000,
        output_limit=_optional(request, "output_limit"),
        discard_output=request.discard_output,
        log_tag=_optional_text(request, "log_tag"),
    )


def _variable(item: bytes) -> tuple[str, str]:
    name, equals, value = text(item).partition("=")
    if not equals:
        raise BadInput(f"env: {name!r} has no value", hint="NAME=VALUE")
    return name, value


def fill_job_request(request: Any, handle: str, job: JobSpec) -> None:
    """Puts *job* into a SpawnRequest or RunRequest."""
    request.handle, request.script = raw(handle), job.script or b""
    request.argv.extend(map(raw, job.argv))
    request.env.extend(raw(f"{name}={value}") for name, value in job.env)
    for name, value in job.rlimits.items():
        setattr(request.rlimits, name, value)
    for name in ("privileged", "interactive", "tty", "discard_output"):
        if getattr(job, name):
            setattr(request, name, True)
    if job.tty:
        request.rows, request.columns = job.rows, job.columns
    if job.stdin is not None:
        request.stdin = job.stdin
    if job.wall_limit_s is not None:
        request.wall_limit_ms = max(1, round(job.wall_limit_s * 1000))
    if job.cpu_limit_s is not None:
        request.cpu_limit_ms = max(1, round(job.cpu_limit_s * 1000))
    if job.output_limit is not None:
        request.output_limit = job.output_limit
    _set_texts(request, user=job.user, cwd=job.cwd, log_tag=job.log_tag)


def request_to_rule(request: pb.NetOutRequest) -> NetRule:
    """Raises BadInput. A port range wins over a port; a protocol of no known number is TCP (spec/warden.md §6)."""
    port = str(request.port) if request.HasField("port") else None
    return NetRule(
        network=text(request.network) or None,
        ports=text(request.port_range) or port,
        protocol=Protocol(pb.NetOutRequest.Protocol.Name(request.protocol).lower()),
        icmp_type=_optional(request, "icmp_type"),
        icmp_code=_optional(request, "icmp_code"),
        log=request.log,
    )


def rule_to_request(handle: str, rule: NetRule) -> pb.NetOutRequest:
    request = pb.NetOutRequest(handle=raw(handle), protocol=rule.protocol.name, log=rule.log)
    if rule.ports is not None and ":" not in rule.ports:
        request.port = int(rule.ports)
    elif rule.ports is not None:
        request.port_range = raw(rule.ports)
    _set_texts(request, network=rule.network)
    for name, value in (("icmp_type", rule.icmp_type), ("icmp_code", rule.icmp_code)):
        if value is not None:
            setattr(request, name, value)
    return request


def fill_result(response: Any, result: JobResult) -> None:
    """Puts *result* into a response that has exit_status and our extensions; 0 and false are encoded all the same."""
    response.exit_status = result.exit_status
    response.verdict = raw(result.verdict.value)
    response.signal = result.signal
    response.truncated = result.truncated
    response.usage.cpu_user_us = round(result.usage.cpu_user_s * 1e6)
    response.usage.cpu_system_us = round(result.usage.cpu_system_s * 1e6)
    response.usage.wall_us = round(result.usage.wall_s * 1e6)
    for name in _WHERE_COUNTED:
        if (value := getattr(result.usage, name)) is not None:
            setattr(response.usage, name, value)
    if result.detail:
        response.detail = raw(result.detail)


def response_to_result(response: Any) -> JobResult:
    """The result in a final response. A server without our extensions says no verdict: 255 then means a signal."""
    fallback = Verdict.SIGNALED if response.exit_status == 255 else Verdict.EXITED
    return JobResult(
        exit_status=response.exit_status,
        verdict=_enum(Verdict, response, "verdict", fallback),
        signal=response.signal,
        truncated=response.truncated,
        usage=_usage(response.usage),
        detail=text(response.detail),
    )


#: What of Usage some kernels do not count, called the same in the model and on the wire.
_WHERE_COUNTED = ("peak_memory_bytes", "io_read_bytes", "io_write_bytes", "io_read_ops", "io_write_ops")


def _usage(usage: pb.Usage) -> Usage:
    return Usage(
        cpu_user_s=usage.cpu_user_us / 1e6,
        cpu_system_s=usage.cpu_system_us / 1e6,
        wall_s=usage.wall_us / 1e6,
        **{name: _optional(usage, name) for name in _WHERE_COUNTED},
    )


def wait_condition(value: bytes) -> WaitCondition:
    """Empty: not-running. Raises BadInput."""
    try:
        return WaitCondition(text(value) or "not-running")
    except ValueError:
        hint = "one of " + ", ".join(condition.value for condition in WaitCondition)
        raise BadInput(f"condition: {text(value)!r} is unknown", hint=hint) from None


def response_to_chunk(response: Any) -> Chunk:
    """A piece of output of a stream or attach; only the latter tells offsets."""
    return Chunk(text(response.name), response.data, offset=getattr(response, "offset", 0))


def error_to_response(error: BaseException) -> pb.ErrorResponse:
    """The text verbatim and the class's code; what is not ours travels as a fault of the engine."""
    code = error.code if isinstance(error, WardenError) else EngineFault.code
    return pb.ErrorResponse(message=raw(str(error) or type(error).__name__), code=raw(code))


def response_to_error(response: pb.ErrorResponse) -> WardenError:
    """The same class again; a plain WardenError from a server that sends no code."""
    return from_code(text(response.code) or WardenError.code, text(response.message))


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _optional_text(message: Any, name: str) -> str | None:
    return text(getattr(message, name)) if message.HasField(name) else None


def _enum(cls: Any, message: Any, name: str, default: Any) -> Any:
    if not message.HasField(name):
        return default
    value = text(getattr(message, name))
    try:
        return cls(value)
    except ValueError:
        choices: Mapping[str, Any] = cls._value2member_map_
        raise BadInput(f"{name}: {value!r} is unknown", hint="one of " + ", ".join(choices)) from None


def _set_texts(message: Any, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None:
            setattr(message, name, raw(value))
