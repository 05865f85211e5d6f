"""A JobSpec as JSON and back, for the main job that a container is made for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warden.model.job import JobSpec
from warden.records import fields

_BYTES = ("script", "stdin")  # as latin-1: each byte a character


def job_to_data(spec: JobSpec) -> dict[str, Any]:
    data = {field.name: getattr(spec, field.name) for field in fields(spec)}
    for name in _BYTES:
        if data[name] is not None:
            data[name] = data[name].decode("latin-1")
    data["rlimits"] = dict(spec.rlimits)
    return data


def job_from_data(data: Mapping[str, Any]) -> JobSpec:
    """Raises BadInput, TypeError for what is none."""
    found = dict(data)
    for name in _BYTES:
        if found.get(name) is not None:
            found[name] = found[name].encode("latin-1")
    found["argv"] = tuple(found["argv"])
    found["env"] = tuple((name, value) for name, value in found["env"])
    return JobSpec(**found)
