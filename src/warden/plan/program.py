"""A program beside a container's plan → the step that runs it, and where in the plan it stands. Pure.

The step holds a plan of its own for the program's process, which ends in `exec`; what that says is all the rights that
it has. An operator's hooks are such programs.
"""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING, Enum, signal
from warden.plan.steps import RUN_MUST_SUCCEED, Op, Plan, Step
from warden.plan.words import simple
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warden.plan.job import JobPlace


class Point(Enum):
    """Where a program runs."""

    PARENT_BEFORE_CLONE = "parent_before_clone"
    PARENT_AFTER_CLONE = "parent_after_clone"
    CHILD_BEFORE_PIVOT = "child_before_pivot"
    CHILD_AFTER_PIVOT = "child_after_pivot"


@dataclass(frozen=True, slots=True)
class Program:
    """*steps* make its process what it is. It reads *given*; where *tell_pid* names a variable of its environment, that
    and the place between the two parts of *given* have the number of the container's first process. *name*: for people."""

    name: str
    steps: Plan
    given: tuple[bytes, bytes] = (b"", b"")
    tell_pid: str = ""
    timeout_s: float = 10.0
    must_succeed: bool = False


if TYPE_CHECKING:
    Programs = Mapping[Point, tuple[Program, ...]]
else:
    Programs = dict


def run_step(program: Program) -> Step:
    milliseconds = max(1, round(program.timeout_s * 1000))
    flags = RUN_MUST_SUCCEED if program.must_succeed else 0
    args = (program.steps.encode(), *program.given, program.tell_pid.encode(), milliseconds, flags)
    fails = "its failure ends the create" if program.must_succeed else "its failure is logged"
    return Step(Op.RUN, args, program.name, f"{program.timeout_s:g} s at most; {fails}")


def run_steps(programs: Programs, point: Point) -> Iterator[Step]:
    return map(run_step, programs.get(point, ()))


def host_program(argv: tuple[str, ...], env: Mapping[str, str]) -> Plan:
    """The process stays what its parent is, and ends with it."""
    return Plan(
        (
            simple(Op.SETSID, "setsid()", "what it starts is killed with it"),
            Step(Op.CHDIR, (b"/",), "chdir(/)"),
            *(Step(Op.ENV, (os.fsencode(f"{name}={value}"),), f"setenv({name})") for name, value in env.items()),
            *(Step(Op.ARG, (os.fsencode(word),), f"argument {word!r}") for word in argv),
            Step(Op.PDEATHSIG, (int(signal.SIGKILL),), "prctl(PR_SET_PDEATHSIG, SIGKILL)"),
            Step(Op.EXEC, (os.fsencode(argv[0]),), f"execve({argv[0]})"),
        )
    )


def guest_program(argv: tuple[str, ...], env: Mapping[str, str], place: JobPlace) -> Plan:
    """A file of the image is run as a job is: nothing else keeps it from what its root could do to the host."""
    from warden.model.job import JobSpec  # an engine's; LXC's hooks need no jobs
    from warden.plan.job import job_plan

    return job_plan(JobSpec(argv=argv, env=tuple(env.items()), cwd="/"), place)
