"""Why a job ended: from what PID 1, its cgroup and the engine know, exactly one Verdict. Pure."""

from __future__ import annotations

import os
import signal

from warden.model.job import JobResult, Usage, Verdict
from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an ended job. *status*: as wait(2) gives it, None when PID 1 was gone before it could tell.

    *cause*: what the engine itself did to it, None when nothing. *asked*: its container was being stopped, so that it was
    asked to end. *overrun*: the limit of time that it had passed when it
    ended. *no_room*: what was full then, "" when nothing was or it was not asked.
    """

    status: int | None
    usage: Usage
    oom_kills: int = 0
    cause: Verdict | None = None
    truncated: bool = False
    detail: str = ""
    asked: bool = False
    overrun: Verdict | None = None
    no_room: str = ""


#: A job that failed for memory or disk may have ended by itself: then its status says more than 255.
_KEEP_STATUS = frozenset({Verdict.EXITED, Verdict.OUT_OF_MEMORY, Verdict.DISK_FULL})


def judge(evidence: Evidence) -> JobResult:
    """The result. The kernel's word comes first, then what the engine did, then what it used, then the status."""
    status, number = _status(evidence.status)
    verdict = _verdict(evidence, status, number)
    detail = evidence.detail or _detail(evidence, verdict, number)
    if verdict not in _KEEP_STATUS:
        status = 255
    return JobResult(status, verdict, number, evidence.truncated, evidence.usage, detail)


def _verdict(evidence: Evidence, status: int, number: int) -> Verdict:
    if evidence.oom_kills:
        return Verdict.OUT_OF_MEMORY
    if evidence.cause is not None:
        return evidence.cause
    if evidence.status is None:
        return Verdict.ENGINE_ERROR
    if evidence.overrun is not None:
        return evidence.overrun
    if evidence.asked and number:
        return Verdict.STOPPED
    if evidence.no_room and status:
        return Verdict.DISK_FULL
    return Verdict.SIGNALED if number else Verdict.EXITED


def _detail(evidence: Evidence, verdict: Verdict, number: int) -> str:
    if verdict is Verdict.DISK_FULL:
        return evidence.no_room
    return f"killed by {_signal_name(number)}" if verdict is Verdict.SIGNALED else ""


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
