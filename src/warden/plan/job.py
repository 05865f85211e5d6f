"""JobSpec and who runs it → Plan of a job, which ends in `exec`. Pure."""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING
from warden.model.job import DEFAULT_RLIMITS, JobSpec
from warden.plan import capabilities, flags, words
from warden.plan.steps import Op, Plan, Step
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
USER_PATH = "/bin:/usr/bin"

#: asm-generic/resource.h, which x86, arm, riscv, powerpc and s390 share.
RESOURCES = {
    "as": 9,
    "core": 4,
    "cpu": 0,
    "data": 2,
    "fsize": 1,
    "locks": 10,
    "memlock": 8,
    "msgqueue": 12,
    "nice": 13,
    "nofile": 7,
    "nproc": 6,
    "rss": 5,
    "rtprio": 14,
    "rttime": 15,
    "sigpending": 11,
    "stack": 3,
}


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a job runs as, from the container's passwd."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class JobPlace:
    """What the engine decided for a job: its person, shell, cgroups (how many descriptors come with the request,
    to be joined), the site's rlimits and LANG, and the system call filter (b"" for none)."""

    person: Person
    shell: str
    cgroup_descriptors: int
    rlimits: Mapping[str, int]
    lang: str
    seccomp: bytes


def environment(spec: JobSpec, place: JobPlace) -> dict[str, str]:
    """Exactly what the job finds in its environment: Warden's four, TERM on a terminal, and the caller's on top."""
    person = place.person
    env = {
        "HOME": person.home,
        "USER": person.name,
        "PATH": ROOT_PATH if person.uid == 0 else USER_PATH,
        "LANG": place.lang,
    }
    if spec.tty:
        env["TERM"] = "xterm"
    return env | dict(spec.env)


def job_plan(spec: JobSpec, place: JobPlace) -> Plan:
    """The steps that a fresh child of PID 1 takes to become the job."""
    return Plan((*_position(place), *_limits(spec, place), *_rights(place), *_program(spec, place)))


def _position(place: JobPlace) -> Iterator[Step]:
    yield words.simple(Op.SETSID, "setsid()", "a session of its own: signals reach all of it")
    for index in range(place.cgroup_descriptors):
        text = f"echo 0 > descriptor {index}"
        yield Step(Op.JOIN_CGROUP_FD, (index,), text, "the job's own cgroup: exact usage, verdict and kill")
    yield words.unshare(flags.CLONE_NEWCGROUP, "the job sees its cgroup as the root")


def _limits(spec: JobSpec, place: JobPlace) -> Iterator[Step]:
    chosen = {**DEFAULT_RLIMITS, **place.rlimits, **spec.rlimits}
    for name, value in chosen.items():
        yield Step(Op.RLIMIT, (RESOURCES[name], value, value), f"setrlimit(RLIMIT_{name.upper()}, {value})")
    yield Step(Op.UMASK, (0o022,), "umask(022)")


def _rights(place: JobPlace) -> Iterator[Step]:
    person, allowed = place.person, capabilities.CONTAINER_ROOT
    groups = Step(Op.GROUPS, (b"",), "setgroups()", "no supplementary groups")
    keep = Step(
        Op.CAPABILITIES,
        (allowed, allowed, allowed, 0, 0),
        "capset(" + ",".join(capabilities.capability_names(allowed)) + ")",
        "all others are gone, also from the bounding set",
    )
    no_new = words.simple(Op.NO_NEW_PRIVS, "prctl(PR_SET_NO_NEW_PRIVS)", "set-user-ID programs give nothing")
    filtered = Step(Op.SECCOMP, (place.seccomp,), "seccomp(SECCOMP_SET_MODE_FILTER)", "plan/seccomp.py has the list")
    ids = words.owner_ids(person.uid, person.gid, person.name)
    yield groups
    if person.uid == 0:
        if place.seccomp:
            yield filtered  # needs CAP_SYS_ADMIN, which goes with the next step
        yield keep
        yield from ids
        return
    yield keep
    yield from ids
    yield no_new
    if place.seccomp:
        yield filtered


def _program(spec: JobSpec, place: JobPlace) -> Iterator[Step]:
    directory = spec.cwd or place.person.home
    yield Step(Op.CHDIR, (words.raw(directory),), f"chdir({directory})")
    for name, value in environment(spec, place).items():
        yield Step(Op.ENV, (os.fsencode(f"{name}={value}"),), f"setenv({name})")
    argv = spec.argv or (place.shell,)
    for word in argv:
        yield Step(Op.ARG, (os.fsencode(word),), f"argument {word!r}")
    yield Step(Op.EXEC, (os.fsencode(argv[0]),), f"execve({argv[0]})")
