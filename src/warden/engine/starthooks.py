"""The operator's hooks around the start of a container: programs that are steps of its plan, and what came of them.

wshd runs them, so that they see the half-made container as it is; hooks.py has the form in which all hooks are told
what they need to know, and how their failure is reported.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from warden.cgroup.groups import ContainerGroup
from warden.engine import hooks
from warden.engine.events import ContainerFacts
from warden.errors import WardenError
from warden.model.settings import EngineSettings, Hook
from warden.plan.job import JobPlace, Person
from warden.plan.program import Point, Program, Programs, guest_program, host_program
from warden.plan.steps import RUN_MUST_SUCCEED, Plan, Step
from warden.process.launch import Ran
from warden.records import asdict, replace

log = logging.getLogger("warden.hooks")

ROOT = Person("root", 0, 0, "/")
BUILDERS = 64
NOT_A_JOB = 0  # the number of the cgroup; jobs count from 1


def programs(settings: EngineSettings, facts: ContainerFacts, guest: JobPlace) -> Programs:
    """The programs of each point of the start. *guest*: the rights of those that are the container's own."""
    return {
        point: tuple(_program(point, hook, facts, guest) for hook in settings.hooks[point.value])
        for point in Point
        if settings.hooks.get(point.value)
    }


def _program(point: Point, hook: Hook, facts: ContainerFacts, guest: JobPlace) -> Program:
    if point is Point.CHILD_AFTER_PIVOT:  # the image's program has no business with the host's paths
        facts = replace(facts, path="", image="")
    told = point is Point.PARENT_AFTER_CLONE
    env = hooks.environment({"event": point.value, "container": asdict(facts)})
    del env["WARDEN_PID"]  # is told by wshd where it is known
    argv = (hook.path, *hook.args)
    if point is Point.CHILD_AFTER_PIVOT:
        steps = guest_program(argv, {name: value for name, value in env.items() if name.startswith("WARDEN_")}, guest)
    else:
        steps = host_program(argv, env)
    return Program(
        name=f"hook {point.value} {hook.path}",
        steps=steps,
        given=_given(point, facts, told=told),
        tell_pid="WARDEN_PID" if told else "",
        timeout_s=hook.timeout_s,
        must_succeed=hook.must_succeed,
    )


def _given(point: Point, facts: ContainerFacts, *, told: bool) -> tuple[bytes, bytes]:
    """JSON in two parts, between which wshd writes the pid."""
    rest = {name: value for name, value in asdict(facts).items() if name != "pid"}
    before = f'{{"event": "{point.value}", "container": {{"pid": {"" if told else 0}'
    return before.encode(), f", {json.dumps(rest)[1:]}}}".encode()


@contextlib.contextmanager
def guest_cgroup(settings: EngineSettings, group: ContainerGroup) -> Iterator[tuple[int, ...]]:
    """Descriptors by which the container's own hooks join a cgroup below its limits, which is gone afterwards."""
    if not settings.hooks.get(Point.CHILD_AFTER_PIVOT.value):
        yield ()
        return
    own = group.job(NOT_A_JOB)
    own.create()
    try:
        joins = own.open_join()
        try:
            yield tuple(joins)
        finally:
            for fd in joins:
                os.close(fd)
    finally:  # the container may be there by now, and is not lost for this
        for step in (own.kill, own.remove):
            try:
                step()
            except WardenError as error:
                log.error("cgroup of a hook of the start: %s", error)


def builders(settings: EngineSettings) -> ThreadPoolExecutor | None:
    """Threads for creates that wait for such hooks; None without any."""
    if not any(settings.hooks.get(point.value) for point in Point):
        return None
    return ThreadPoolExecutor(BUILDERS, thread_name_prefix="builder")


def patience(settings: EngineSettings) -> float:
    """Seconds that the hooks of one start may take."""
    return sum(hook.timeout_s for point in Point for hook in settings.hooks.get(point.value, ()))


def judge(plan: Plan, ran: Ran) -> None:
    """Logs what a hook said; raises HookFailed when it failed and that counts."""
    step = plan.steps[ran.step]
    must_succeed = bool(int(step.args[5]) & RUN_MUST_SUCCEED)
    hooks.conclude(step.text, _failure(step, ran), ran.said, must_succeed=must_succeed)


def _failure(step: Step, ran: Ran) -> str:
    if ran.error == errno.ETIMEDOUT:
        return f"killed after {int(step.args[4]) / 1000:g} seconds"
    if ran.error:
        return f"exec: {os.strerror(ran.error)}"
    return hooks.failure_of(os.waitstatus_to_exitcode(ran.status))
