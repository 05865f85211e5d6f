"""Why a job ended: from what PID 1, its cgroup and the engine know, exactly one Verdict. Pure."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from warden.model.job import JobResult, Usage, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an ended job. *status*: as wait(2) gives it, None when PID 1 was gone before it could tell.

    *cause*: what the engine itself did to it, None when nothing.
    """

    status: int | None
    usage: Usage
    oom_kills: int = 0
    cause: Verdict | None = None
    truncated: bool = False
    detail: str = ""


def judge(evidence: Evidence) -> JobResult:
    """The result. The kernel's word comes first, then what the engine did, then the status."""
    status, number = _status(evidence.status)
    verdict = _verdict(evidence, number)
    detail = evidence.detail or (f"killed by {_signal_name(number)}" if verdict is Verdict.SIGNALED else "")
    if verdict not in (Verdict.EXITED, Verdict.OUT_OF_MEMORY):
        status = 255
    return JobResult(status, verdict, number, evidence.truncated, evidence.usage, detail)


def _verdict(evidence: Evidence, number: int) -> Verdict:
    if evidence.oom_kills:
        return Verdict.OUT_OF_MEMORY
    if evidence.cause is not None:
        return evidence.cause
    if evidence.status is None:
        return Verdict.ENGINE_ERROR
    return Verdict.SIGNALED if number else Verdict.EXITED


def _status(status: int | None) -> tuple[int, int]:
    """(exit status by Warden's rule, signal)."""
    if status is None:
        return 255, 0
    if os.WIFSIGNALED(status):
        return 255, os.WTERMSIG(status)
    return os.waitstatus_to_exitcode(status), 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
