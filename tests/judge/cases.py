"""The judge's table: how each program of hostile.c is held, and the one verdict that it must get."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from warden.model.job import Verdict

MIB = 1 << 20
#: A limit that a program must not reach: only there so that a mistake ends.
ENOUGH = 60
KILL, SEGV = signal.SIGKILL, signal.SIGSEGV


@dataclass(frozen=True)
class Case:
    """*limits*: options of `run`. *memory*: of the container. *output*: bytes that must have been kept; None is any.
    *disk*: runs where there is little room."""

    program: str
    verdict: Verdict
    limits: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    signal: int = 0
    memory: str | None = "64M"
    output: int | None = None
    truncated: bool = False
    detail: str = ""
    disk: bool = False
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.program


def ends(program: str, status: int, **more: Any) -> Case:
    return Case(program, Verdict.EXITED, {"timeout": ENOUGH, **more.pop("limits", {})}, status=status, **more)


def dies(program: str, number: int, **more: Any) -> Case:
    return Case(program, Verdict.SIGNALED, {"timeout": ENOUGH, **more.pop("limits", {})}, 255, number, **more)


def wall(program: str, memory: str | None = "64M", **limits: Any) -> Case:
    limits = {"timeout": 0.5, **limits}
    return Case(program, Verdict.WALL_TIMEOUT, limits, 255, KILL, memory, name=f"{program} by the clock")


def cpu(program: str, memory: str | None = "64M", **limits: Any) -> Case:
    limits = {"cpu_timeout": 0.3, "timeout": ENOUGH, **limits}
    return Case(program, Verdict.CPU_TIMEOUT, limits, 255, KILL, memory, name=f"{program} by processor time")


def memory(program: str, **more: Any) -> Case:
    return Case(program, Verdict.OUT_OF_MEMORY, {"timeout": ENOUGH}, **more)


def flood(program: str) -> Case:
    limits = {"output_limit": 100_000, "timeout": ENOUGH}
    return Case(program, Verdict.OUTPUT_LIMIT, limits, 255, KILL, output=100_000, truncated=True)


CASES = (
    ends("exit_0", 0),
    ends("exit_42", 42),
    ends("close_all", 3),
    ends("read_stdin", 0, limits={"stdin": b"x" * 100_000}, output=7),
    dies("raise_abort", signal.SIGABRT, detail="killed by SIGABRT"),
    dies("divide_by_zero", signal.SIGFPE, detail="killed by SIGFPE"),
    dies("null_pointer", SEGV, detail="killed by SIGSEGV"),
    dies("stack_overflow", SEGV),
    dies("kill_own_group", KILL),
    dies("file_too_large", signal.SIGXFSZ, limits={"rlimits": {"fsize": MIB}}),
    dies("burn", KILL, limits={"rlimits": {"cpu": 1}}, name="burn by its rlimit"),
    wall("burn"),
    wall("rest"),
    wall("ignore_signals"),
    wall("stop_itself"),
    wall("fork_bomb", memory=None, rlimits={"nproc": 60}),  # what the kernel itself needs for it is memory, too
    wall("relay"),
    wall("rest", cpu_timeout=0.3),  # both limits
    cpu("burn"),
    cpu("many_threads"),
    cpu("daemon_burns"),
    cpu("relay"),
    cpu("fork_bomb", memory=None, rlimits={"nproc": 60}),
    ends("orphan_holds_pipe", 8, output=6),
    ends("kill_everybody", 7),
    ends("kill_parent", 5),
    ends("trace_init", 6),
    memory("malloc_hog", signal=KILL),
    memory("mmap_hog", signal=KILL),
    memory("tmpfs_hog", signal=KILL),
    memory("grandchild_hog"),
    ends("cache_by_reading", 0, memory="32M"),
    ends("cache_by_writing", 0, memory="32M"),
    flood("flood_stdout"),
    flood("flood_stderr"),
    flood("flood_both"),
    flood("flood_from_children"),
    ends("exact_output", 0, limits={"output_limit": 10_000}, output=10_000),
    ends("sparse_file", 0),
    Case("disk_filler", Verdict.DISK_FULL, {"timeout": ENOUGH}, 1, disk=True),
    Case("inode_filler", Verdict.DISK_FULL, {"timeout": ENOUGH}, 1, disk=True),
    ends("disk_filler_content", 0, disk=True),
    ends("exit_42", 42, disk=True, name="exit_42 with room left"),
)
