"""Verdicts, refusals and job records: what the engine makes of what it knows. Pure."""

from __future__ import annotations

import errno
import json
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_samples import SAMPLES

from warden.engine.deadlines import next_look, overrun
from warden.engine.diskroom import reached
from warden.engine.jobfiles import (
    About,
    about_from_data,
    about_to_data,
    command_text,
    result_from_data,
    result_to_data,
)
from warden.engine.refusals import refusal
from warden.engine.verdict import Evidence, judge
from warden.errors import KernelRefused
from warden.model.info import DiskStat
from warden.model.job import JobResult, JobSpec, Usage, Verdict
from warden.model.limits import DiskLimits
from warden.plan.steps import Op

USAGE = Usage(1.5, 0.5, 3.0, 4096)


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_a_job_that_exits(code: int) -> None:
    assert judge(Evidence(exited(code), USAGE)) == JobResult(code, Verdict.EXITED, usage=USAGE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("core", [0, 128])
def test_a_job_that_a_signal_ended(number: signal.Signals, core: int) -> None:
    found = judge(Evidence(number | core, USAGE))
    assert (found.exit_status, found.verdict, found.signal) == (255, Verdict.SIGNALED, number)
    assert found.detail == f"killed by {number.name}"


def test_a_signal_without_a_name() -> None:
    assert judge(Evidence(40, USAGE)).detail == "killed by signal 40"


def test_memory_comes_before_everything() -> None:
    found = judge(Evidence(signal.SIGKILL, USAGE, oom_kills=1, cause=Verdict.WALL_TIMEOUT))
    assert (found.verdict, found.exit_status, found.signal) == (Verdict.OUT_OF_MEMORY, 255, signal.SIGKILL)


def test_a_shell_that_outlived_the_kernel_s_victim_keeps_its_status() -> None:
    found = judge(Evidence(exited(137), USAGE, oom_kills=1))
    assert (found.verdict, found.exit_status) == (Verdict.OUT_OF_MEMORY, 137)


@pytest.mark.parametrize("cause", [Verdict.WALL_TIMEOUT, Verdict.OUTPUT_LIMIT, Verdict.STOPPED, Verdict.CPU_TIMEOUT])
@pytest.mark.parametrize("status", [signal.SIGKILL.value, exited(0), None])
def test_what_the_engine_did_comes_before_the_status(cause: Verdict, status: int | None) -> None:
    found = judge(Evidence(status, USAGE, cause=cause, truncated=True))
    assert (found.verdict, found.exit_status, found.truncated, found.detail) == (cause, 255, True, "")


def test_a_job_that_was_asked_to_end() -> None:
    itself = judge(Evidence(exited(37), USAGE, asked=True))
    assert (itself.verdict, itself.exit_status) == (Verdict.EXITED, 37)
    found = judge(Evidence(signal.SIGTERM, USAGE, asked=True, no_room="it is full"))
    assert (found.verdict, found.exit_status, found.signal) == (Verdict.STOPPED, 255, signal.SIGTERM)


@pytest.mark.parametrize(
    ("wall", "cpu", "verdict"),
    [(3.0, None, Verdict.WALL_TIMEOUT), (3.1, 2.1, None), (None, 2.0, Verdict.CPU_TIMEOUT), (1, 1, Verdict.CPU_TIMEOUT)],
)
def test_time_that_was_passed_with_nobody_there(wall: float | None, cpu: float | None, verdict: Verdict | None) -> None:
    found = overrun(USAGE.wall_s, USAGE.cpu_user_s + USAGE.cpu_system_s, wall, cpu)
    assert found is verdict
    assert judge(Evidence(exited(0), USAGE, overrun=found)).verdict is (verdict or Verdict.EXITED)
    assert judge(Evidence(None, USAGE, overrun=found)).verdict is Verdict.ENGINE_ERROR
    assert judge(Evidence(9, USAGE, cause=Verdict.STOPPED, overrun=found)).verdict is Verdict.STOPPED


@pytest.mark.parametrize(
    ("left", "cpus", "idle", "pause"),
    [(10.0, 1, False, 10.0), (10.0, 4, True, 2.5), (0.03, 4, False, 0.01), (0.0, 4, True, 0.02), (1.0, 0, False, 1.0)],
)
def test_the_next_look_at_processor_time(left: float, cpus: int, idle: bool, pause: float) -> None:
    assert next_look(left, cpus, idle=idle) == pause


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(exited(0), Verdict.EXITED), (exited(1), Verdict.DISK_FULL), (signal.SIGBUS.value, Verdict.DISK_FULL)],
)
def test_a_full_disk_is_blamed_for_a_failure_only(status: int, verdict: Verdict) -> None:
    found = judge(Evidence(status, USAGE, no_room="it is full"))
    assert (found.verdict, found.detail) == (verdict, "it is full" if verdict is Verdict.DISK_FULL else "")
    assert judge(Evidence(status, USAGE, cause=Verdict.OUTPUT_LIMIT, no_room="it is full")).verdict is Verdict.OUTPUT_LIMIT


@pytest.mark.parametrize(
    ("used", "wanted", "word"),
    [
        (DiskStat(1 << 20, 5), DiskLimits(block_hard=1024), "1024 KiB"),
        (DiskStat((1 << 20) - 65535, 5), DiskLimits(block_hard=1024), "1024 KiB"),
        (DiskStat((1 << 20) - 65536, 5), DiskLimits(block_hard=1024), ""),
        (DiskStat(0, 5), DiskLimits(block_hard=4), ""),
        (DiskStat(0, 9), DiskLimits(inode_hard=9), "9 files"),
        (DiskStat(0, 8), DiskLimits(inode_hard=9), ""),
        (DiskStat(1 << 40, 1 << 40), DiskLimits(block_soft=1, inode_soft=1), ""),
    ],
)
def test_which_disk_limit_is_reached(used: DiskStat, wanted: DiskLimits, word: str) -> None:
    found = reached(used, wanted)
    assert (word in found) if word else found == ""


def test_a_job_nobody_can_tell_of() -> None:
    found = judge(Evidence(None, USAGE, detail="PID 1 was killed"))
    assert (found.verdict, found.exit_status, found.signal) == (Verdict.ENGINE_ERROR, 255, 0)
    assert found.detail == "PID 1 was killed"


@given(
    st.none() | st.integers(0, 255).map(exited) | st.integers(1, 64),
    st.integers(0, 2),
    st.none() | st.sampled_from(list(Verdict)),
)
def test_every_evidence_has_one_verdict_and_a_status_of_a_byte(status: int | None, oom: int, cause: Verdict | None) -> None:
    found = judge(Evidence(status, USAGE, oom, cause))
    assert 0 <= found.exit_status <= 255
    own = (Verdict.EXITED, Verdict.OUT_OF_MEMORY, Verdict.DISK_FULL)
    assert found.exit_status == 255 or found.verdict in own
    assert (found.signal > 0) is (status is not None and os.WIFSIGNALED(status))


# ---- refusals


def place(op: Op) -> int:
    return next(number for number, step in enumerate(SAMPLES["container"]().steps) if step.op is op)


@pytest.mark.parametrize(
    ("op", "error", "hint"),
    [
        (Op.BIND, errno.EINVAL, "cannot be id-mapped"), (Op.CLONE, errno.EPERM, "warden doctor"),
        (Op.NETLINK, errno.EEXIST, "ip link"), (Op.MOUNT, errno.ENOMEM, "out of memory"),
        (Op.CLONE, errno.ENOSPC, "max_*_namespaces"), (Op.MKDIR, errno.ENOSPC, "full"),
    ],
)  # fmt: skip
def test_a_refusal_names_step_object_errno_and_remedy(op: Op, error: int, hint: str) -> None:
    plan, number = SAMPLES["container"](), place(op)
    found = refusal(plan, number, error, doing="create")
    assert isinstance(found, KernelRefused)
    expected = f"create: step {number}: {plan.steps[number].text}: {os.strerror(error)} [{errno.errorcode[error]}]"
    assert found.message == expected
    assert hint in found.hint
    assert found.errno == error


def test_without_a_known_remedy_there_is_no_hint() -> None:
    assert refusal(SAMPLES["container"](), place(Op.PIVOT_ROOT), errno.EBUSY, doing="create").hint == ""


@pytest.mark.parametrize("step", [-1, 10**6])
def test_a_step_that_is_not_in_the_plan(step: int) -> None:
    found = refusal(SAMPLES["container"](), step, errno.EINVAL, doing="job 7")
    assert str(found).startswith("job 7: plan: Invalid argument [EINVAL] (wshd and the package")


# ---- what is kept of a job

TEXT = st.binary(max_size=120).map(os.fsdecode)
RESULTS = st.builds(
    JobResult,
    st.integers(0, 255),
    st.sampled_from(list(Verdict)),
    st.integers(0, 64),
    st.booleans(),
    st.builds(Usage, st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.none() | st.integers(0, 2**63), st.none() | st.integers(0)),
    TEXT,
)
ABOUTS = st.builds(
    About, TEXT, st.booleans(), st.none() | TEXT, st.booleans(), st.booleans(), st.none() | st.floats(0.1, 1e9), st.integers(0),
    st.none() | st.floats(0.1, 1e9),
)


@given(RESULTS)
def test_a_result_survives_the_disk(result: JobResult) -> None:
    assert result_from_data(json.loads(json.dumps(result_to_data(result)))) == result


@given(ABOUTS)
def test_what_was_asked_survives_the_disk(about: About) -> None:
    assert about_from_data(json.loads(json.dumps(about_to_data(about)))) == about


def test_the_engine_s_output_limit_is_the_default() -> None:
    assert About.of(JobSpec(argv=("a",)), 100).output_limit == 100
    assert About.of(JobSpec(argv=("a",), output_limit=0), 100).output_limit == 0


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (JobSpec(argv=("make", "all")), "make all"),
        (JobSpec(script=b"\n  echo one\necho two"), "echo one"),
        (JobSpec(script=b""), ""),
        (JobSpec(script=b"\xff"), "\N{REPLACEMENT CHARACTER}"),
        (JobSpec(argv=("\udcff",)), "?"),
        (JobSpec(argv=("x" * 100,)), "x" * 80),
    ],
)
def test_a_command_in_short(spec: JobSpec, text: str) -> None:
    assert command_text(spec) == text


@given(st.binary(max_size=200))
def test_a_command_in_short_can_be_shown_anywhere(script: bytes) -> None:
    text = command_text(JobSpec(script=script))
    assert len(text) <= 80
    text.encode()
