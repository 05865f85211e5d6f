"""What is kept of a job beside its output, as JSON: what was asked (About) and how it ended (JobResult). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warden.errors import NotBuilt
from warden.model.job import JobResult, JobSpec, Usage, Verdict
from warden.records import dataclass, fields


def command_text(spec: JobSpec) -> str:
    """A short text of what runs, for people."""
    first_line = (spec.script or b"").decode(errors="replace").strip().split("\n", 1)[0]
    text = " ".join(spec.argv) or first_line
    return text[:80].encode(errors="replace").decode(errors="replace")


def result_to_data(result: JobResult) -> dict[str, Any]:
    return {**_fields(result), "verdict": result.verdict.value, "usage": _fields(result.usage)}


def _fields(record: JobResult | Usage | About) -> dict[str, Any]:
    """dataclasses.asdict without its deep copies: this runs twice a job."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def result_from_data(data: Mapping[str, Any]) -> JobResult:
    """Raises NotBuilt for what this version does not know, as `about_from_data`."""
    try:
        return JobResult(**{**data, "verdict": Verdict(data["verdict"]), "usage": Usage(**data["usage"])})
    except (TypeError, ValueError, KeyError) as error:
        raise _unknown("result.json", error) from error


def _unknown(name: str, error: Exception) -> NotBuilt:
    return NotBuilt(f"job: {name}: not readable, from a newer warden?: {error}", hint="run that one")


@dataclass(frozen=True, slots=True)
class About:
    """What an engine must know of a job beyond its processes; survives a restart in job.json."""

    command: str
    discard_output: bool
    log_tag: str | None
    tty: bool
    interactive: bool
    wall_limit_s: float | None
    output_limit: int
    cpu_limit_s: float | None = None
    main: bool = False  # the one its container is made for
    restarts: int | None = None  # of a main job: how many it was started after; None: an earlier version started it

    @classmethod
    def of(cls, spec: JobSpec, output_limit: int, *, restarts: int | None = None) -> About:
        """*output_limit*: the engine's, used where *spec* has none. *restarts*: given for a main job."""
        return cls(
            command=command_text(spec),
            discard_output=spec.discard_output,
            log_tag=spec.log_tag,
            tty=spec.tty,
            interactive=spec.interactive,
            wall_limit_s=spec.wall_limit_s,
            output_limit=output_limit if spec.output_limit is None else spec.output_limit,
            cpu_limit_s=spec.cpu_limit_s,
            main=restarts is not None,
            restarts=restarts,
        )


def about_to_data(about: About) -> dict[str, Any]:
    return _fields(about)


def about_from_data(data: Mapping[str, Any]) -> About:
    try:
        return About(**data)
    except TypeError as error:
        raise _unknown("job.json", error) from error
