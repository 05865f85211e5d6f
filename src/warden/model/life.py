"""How a container's main job lives: when it is started again, how long that is waited for, where it stands. Pure."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, late
from warden.model.job import JobResult, Verdict
from warden.records import dataclass

if TYPE_CHECKING:
    import re
else:
    re = late("re")

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 60.0
STEADY_S = 10.0  # who ran that long begins with the shortest wait again


class RestartMode(Enum):
    """What the end of a main job leads to; the values are docker's."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """*retries*: of on-failure, the most restarts; 0 any number."""

    mode: RestartMode = RestartMode.NO
    retries: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """no, on-failure[:N], always or unless-stopped; raises BadInput."""
        match = re.fullmatch(r"(no|always|unless-stopped|on-failure)(?::([0-9]{1,9}))?", text)
        if match is None or (match[2] is not None and match[1] != "on-failure"):
            raise BadInput(f"restart: {text!r} is unknown", hint="no, on-failure[:N], always or unless-stopped")
        return cls(RestartMode(match[1]), int(match[2] or 0))

    def __str__(self) -> str:
        return self.mode.value + (f":{self.retries}" if self.retries else "")

    def wants(self, result: JobResult | None, restarts: int) -> bool:
        """Whether a main job that ended so is started again after so many *restarts*; *result* None: it could not start.
        One that was stopped or killed by its owner is not."""
        if self.mode is RestartMode.NO:
            return False
        if result is not None and result.verdict in (Verdict.STOPPED, Verdict.ENGINE_ERROR):
            return False
        if self.mode is not RestartMode.ON_FAILURE:
            return True
        failed = result is None or result.verdict is not Verdict.EXITED or result.exit_status != 0
        return failed and (not self.retries or restarts < self.retries)


class Phase(Enum):
    """Where a container's main job stands; the values are in snapshots."""

    NEW = "new"  # never started
    DUE = "due"  # it runs, or is to be started again
    OVER = "over"  # it ended for good, or until somebody starts it


def next_wait(before: float, ran_s: float) -> float:
    """Seconds until the next start, from the wait *before* (0 none) and how long it ran since."""
    if before == 0 or ran_s >= STEADY_S:
        return FIRST_WAIT_S
    return min(before * 2, LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class VolumesFrom:
    """The bind mounts and volumes of another container; *read_only* None: each as it is there."""

    handle: str
    read_only: bool | None = None

    @classmethod
    def parse(cls, text: str) -> VolumesFrom:
        """HANDLE[:ro|rw]."""
        handle, colon, mode = text.rpartition(":")
        if colon and mode in ("ro", "rw"):
            return cls(handle, True if mode == "ro" else None)
        return cls(text)

    def __post_init__(self) -> None:
        if not self.handle:
            raise BadInput("volumes_from: a handle is missing", hint="HANDLE[:ro]")


def check_label(name: str, value: str) -> None:
    """Raises BadInput for what cannot be a label."""
    if not name or "\0" in name + value or "=" in name:
        raise BadInput(f"label: {name!r} is not a name", hint="NAME=VALUE")
    if len(name) + len(value) > 4096:
        raise BadInput(f"label: {name[:40]!r} is too long", hint="4096 characters at most")
