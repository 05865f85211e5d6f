"""Mounts, volumes, labels, the main job and what happens at its end: messages to the model and back. Pure."""

from __future__ import annotations

from typing import Any

from warden.errors import BadInput
from warden.model.life import RestartPolicy, VolumesFrom
from warden.model.mounts import Mount, MountKind
from warden.model.spec import ContainerSpec
from warden.model.volumes import Volume
from warden.protocol import convert
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import CreateDefaults, fill_job_request, raw, request_to_job, text


def mount_to_message(mount: Mount) -> pb.Mount:
    return pb.Mount(
        target=raw(mount.target),
        kind=raw(mount.kind.value),
        source=raw(mount.source),
        read_only=mount.read_only,
        no_copy=mount.no_copy,
        options=map(raw, mount.options),
    )


def message_to_mount(message: pb.Mount) -> Mount:
    """Raises BadInput."""
    kind = text(message.kind) or "bind"
    if kind not in MountKind._value2member_map_:
        raise BadInput(f"mount kind: {kind!r} is unknown", hint="bind, volume or tmpfs")
    return Mount(
        source=text(message.source),
        target=text(message.target),
        read_only=message.read_only,
        kind=MountKind(kind),
        no_copy=message.no_copy,
        options=tuple(map(text, message.options)),
    )


def fill_life(message: Any, spec: ContainerSpec) -> None:
    """Puts into a CreateRequest or InfoResponse what both tell of a container's life."""
    message.labels.extend(pb.Setting(name=raw(name), value=raw(value)) for name, value in spec.labels)
    message.restart = raw(str(spec.restart))
    for name in ("read_only", "auto_remove"):
        if getattr(spec, name):
            setattr(message, name, True)
    for name in ("shm_size", "stop_signal"):
        if getattr(spec, name) is not None:
            setattr(message, name, getattr(spec, name))
    if spec.stop_timeout is not None:
        message.stop_timeout_ms = round(spec.stop_timeout * 1000)


def fill_create(request: pb.CreateRequest, spec: ContainerSpec) -> None:
    """What `fill_life` does, and what is asked only once."""
    fill_life(request, spec)
    if not request.bind_mounts:
        request.mounts.extend(map(mount_to_message, spec.mounts))
    request.volumes_from.extend(
        pb.VolumesFrom(handle=raw(item.handle), read_only=item.read_only) for item in spec.volumes_from
    )
    if spec.main is not None:
        fill_job_request(request.main, "", spec.main)


def life_of(message: Any) -> dict[str, Any]:
    """The fields of a ContainerSpec in a CreateRequest or InfoResponse. Raises BadInput."""
    found: dict[str, Any] = {
        "read_only": message.read_only,
        "auto_remove": message.auto_remove,
        "labels": tuple((text(item.name), text(item.value)) for item in message.labels),
        "restart": RestartPolicy.parse(text(message.restart) or "no"),
    }
    for name in ("shm_size", "stop_signal"):
        if message.HasField(name):
            found[name] = getattr(message, name)
    if message.HasField("stop_timeout_ms"):
        found["stop_timeout"] = message.stop_timeout_ms / 1000
    return found


def create_fields(request: pb.CreateRequest) -> dict[str, Any]:
    """The same, with what only a CreateRequest has."""
    found = life_of(request)
    found["volumes_from"] = tuple(
        VolumesFrom(text(item.handle), item.read_only if item.HasField("read_only") else None)
        for item in request.volumes_from
    )
    if request.HasField("main"):
        found["main"] = request_to_job(request.main)
    return found


def create_to_spec(request: pb.CreateRequest, defaults: CreateDefaults) -> ContainerSpec:
    """The whole of what a CreateRequest asks. Raises BadInput."""
    return convert.create_to_spec(request, defaults, map(message_to_mount, request.mounts), **create_fields(request))


def volume_to_message(volume: Volume) -> pb.Volume:
    return pb.Volume(
        name=raw(volume.name),
        path=raw(volume.path),
        created_us=round(volume.created * 1e6),
        anonymous=volume.anonymous,
        used_by=map(raw, volume.used_by),
    )


def message_to_volume(message: pb.Volume) -> Volume:
    users = tuple(map(text, message.used_by))
    return Volume(text(message.name), text(message.path), message.created_us / 1e6, message.anonymous, users)
