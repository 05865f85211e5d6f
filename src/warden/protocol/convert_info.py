"""Info to InfoResponse and back.

Owns the translation of statistics and of the list of jobs, as pure functions; the rest is in convert.py.
"""

from __future__ import annotations

from warden.model.info import BandwidthStat, CpuStat, DiskStat, Info, JobInfo, MemoryUse, State
from warden.model.limits import Limits
from warden.model.spec import ContainerSpec, NetworkMode
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import raw, text
from warden.protocol.convert_life import fill_life, life_of, message_to_mount, mount_to_message
from warden.protocol.convert_network import link_to_message, message_to_link
from warden.records import asdict

#: What the original says of a container without a bandwidth limit, in each of the four fields.
UNLIMITED_BANDWIDTH = 2**32 - 1
_MEMORY_FIELDS = frozenset(pb.InfoResponse.MemoryStat.DESCRIPTOR.fields_by_name)


def info_to_response(info: Info) -> pb.InfoResponse:
    """Every scalar is encoded, 0 and empty ones too; job_ids are those of jobs that have not ended."""
    response = pb.InfoResponse(
        state=raw(info.state.value),
        events=map(raw, info.events),
        host_ip=raw(info.host_ip),
        container_ip=raw(info.container_ip),
        container_path=raw(info.path),
        job_ids=[job.id for job in info.jobs if job.running],
        cpu_stat=pb.InfoResponse.CpuStat(usage=info.cpu.usage_ns, user=info.cpu.user, system=info.cpu.system),
        memory_stat=pb.InfoResponse.MemoryStat(
            **{name: value for name, value in info.memory.stat.items() if name in _MEMORY_FIELDS}
        ),
        bandwidth_stat=pb.InfoResponse.BandwidthStat(
            **{name: UNLIMITED_BANDWIDTH if value is None else value for name, value in asdict(info.bandwidth).items()}
        ),
    )
    if info.disk is not None:
        response.disk_stat.bytes_used, response.disk_stat.inodes_used = info.disk.bytes_used, info.disk.inodes_used
    _fill_extensions(response, info)
    return response


def _fill_extensions(response: pb.InfoResponse, info: Info) -> None:
    response.id, response.image = raw(info.id), raw(info.spec.image)
    response.created_us, response.pid = round(info.created * 1e6), info.pid
    response.memory_current, response.oom_kills = info.memory.current, info.memory.oom_kills
    if info.memory.peak is not None:
        response.memory_peak = info.memory.peak
    if info.memory.limit is not None:
        response.memory_limit = info.memory.limit
    for job in info.jobs:
        _add_job(response, job)
    if info.spec.hostname is not None:
        response.hostname = raw(info.spec.hostname)
    if info.spec.rootfs is not None:
        response.rootfs = raw(info.spec.rootfs)
    response.network_mode = raw(info.spec.network.value)
    response.paused = info.paused
    response.links.extend(map(link_to_message, info.links))
    if info.spec.network_of is not None:
        response.network_of = raw(info.spec.network_of)
    fill_life(response, info.spec)
    response.mounts.extend(map(mount_to_message, info.spec.mounts))
    response.restarts = info.restarts
    if info.main_job is not None:
        response.main_job = info.main_job


def _add_job(response: pb.InfoResponse, job: JobInfo) -> None:
    item = response.jobs.add(id=job.id, command=raw(job.command), running=job.running)
    item.started_us, item.verdict = round(job.started * 1e6), raw(job.verdict)
    if job.exit_status is not None:
        item.exit_status = job.exit_status
    if job.tty:
        item.tty = True
    if job.interactive:
        item.interactive = True


def response_to_info(response: pb.InfoResponse, handle: str) -> Info:
    """What a client knows of the container *handle*. Of its spec only what the wire tells; the rest is default."""
    limit = response.memory_limit if response.HasField("memory_limit") else None
    return Info(
        handle=handle,
        id=text(response.id),
        state=State(text(response.state)),
        spec=_spec(response, handle, limit),
        created=response.created_us / 1e6,
        path=text(response.container_path),
        events=tuple(map(text, response.events)),
        host_ip=text(response.host_ip),
        container_ip=text(response.container_ip),
        pid=response.pid,
        memory=MemoryUse(
            current=response.memory_current,
            peak=response.memory_peak if response.HasField("memory_peak") else None,
            limit=limit,
            oom_kills=response.oom_kills,
            stat={field.name: value for field, value in response.memory_stat.ListFields()},
        ),
        cpu=CpuStat(response.cpu_stat.usage, response.cpu_stat.user, response.cpu_stat.system),
        bandwidth=_bandwidth(response.bandwidth_stat),
        disk=_disk(response.disk_stat) if response.HasField("disk_stat") else None,
        jobs=tuple(map(_job, response.jobs)),
        paused=response.paused,
        links=tuple(map(message_to_link, response.links)),
        restarts=response.restarts,
        main_job=response.main_job if response.HasField("main_job") else None,
    )


def _bandwidth(stat: pb.InfoResponse.BandwidthStat) -> BandwidthStat:
    found = {field.name: value for field, value in stat.ListFields()}
    return BandwidthStat(**{name: value for name, value in found.items() if value != UNLIMITED_BANDWIDTH})


def _disk(stat: pb.InfoResponse.DiskStat) -> DiskStat:
    return DiskStat(stat.bytes_used, stat.inodes_used)


def _spec(response: pb.InfoResponse, handle: str, limit: int | None) -> ContainerSpec:
    return ContainerSpec(
        handle=handle,
        image=text(response.image) or "host",
        rootfs=text(response.rootfs) or None,
        hostname=text(response.hostname) or None,
        limits=Limits(memory_bytes=limit),
        network=NetworkMode(text(response.network_mode) or "warden"),
        network_of=text(response.network_of) or None,
        mounts=tuple(map(message_to_mount, response.mounts)),
        **life_of(response),
    )


def _job(job: pb.InfoResponse.Job) -> JobInfo:
    return JobInfo(
        id=job.id,
        command=text(job.command),
        running=job.running,
        started=job.started_us / 1e6,
        exit_status=job.exit_status if job.HasField("exit_status") else None,
        verdict=text(job.verdict),
        tty=job.tty,
        interactive=job.interactive,
    )
