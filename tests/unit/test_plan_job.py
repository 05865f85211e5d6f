"""A job's plan: what it finds in its environment, its limits, and in which order rights are given up."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from plan_samples import JOB_PLACE, ROOT

from warden.model.job import DEFAULT_RLIMITS, JobSpec
from warden.plan import capabilities
from warden.plan.capabilities import ALL, NAMES, NUMBERS, capability_names, capability_set
from warden.plan.job import JobPlace, environment, job_plan
from warden.plan.steps import Op, Plan


def operations(plan: Plan) -> list[Op]:
    return [step.op for step in plan.steps]


def limits(plan: Plan) -> dict[object, tuple[object, ...]]:
    return {step.args[0]: step.args[1:] for step in plan.steps if step.op is Op.RLIMIT}


SCRIPT = JobSpec(script=b"true")


def test_the_environment_is_warden_s_four() -> None:
    assert environment(SCRIPT, JOB_PLACE) == {
        "HOME": "/home/vcap", "USER": "vcap", "PATH": "/bin:/usr/bin", "LANG": "C.UTF-8",
    }  # fmt: skip


def test_root_has_the_directories_of_root_in_its_path() -> None:
    assert environment(SCRIPT, replace(JOB_PLACE, person=ROOT))["PATH"] == "/sbin:/bin:/usr/sbin:/usr/bin"


def test_a_terminal_has_a_type_and_the_caller_s_word_is_the_last() -> None:
    spec = JobSpec(argv=("a",), tty=True, env=(("HOME", "/tmp"), ("X", "1"), ("X", "2")))
    found = environment(spec, JOB_PLACE)
    assert (found["TERM"], found["HOME"], found["X"]) == ("xterm", "/tmp", "2")
    assert environment(JobSpec(argv=("a",), tty=True, env=(("TERM", "dumb"),)), JOB_PLACE)["TERM"] == "dumb"


def test_bytes_that_are_no_text_reach_the_job() -> None:
    word = os.fsdecode(b"\xff\xfe")
    plan = job_plan(JobSpec(argv=(word, word), env=(("X", word),)), JOB_PLACE)
    assert [s.args for s in plan.steps if s.op is Op.ARG] == [(b"\xff\xfe",)] * 2
    assert (b"X=\xff\xfe",) in [s.args for s in plan.steps if s.op is Op.ENV]


def test_every_limit_is_set_the_job_s_over_the_site_s_over_warden_s() -> None:
    found = limits(job_plan(JobSpec(argv=("a",), rlimits={"core": 5}), replace(JOB_PLACE, rlimits={"core": 4, "nproc": 3})))
    assert len(found) == len(DEFAULT_RLIMITS)
    assert found[4] == (5, 5)  # RLIMIT_CORE
    assert found[6] == (3, 3)  # RLIMIT_NPROC
    assert found[7] == (1024, 1024)  # RLIMIT_NOFILE


def test_limits_have_the_kernel_s_numbers() -> None:
    """asm-generic/resource.h"""
    kernel = "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio".split()
    plan = job_plan(JobSpec(argv=("a",), rlimits={name: 1000 + n for n, name in enumerate(kernel)}), JOB_PLACE)
    assert limits(plan) == {n: (1000 + n, 1000 + n) for n in range(len(kernel))}


def test_a_user_gives_up_all_rights_before_the_filter_is_loaded() -> None:
    ops = operations(job_plan(SCRIPT, JOB_PLACE))
    order = [Op.GROUPS, Op.CAPABILITIES, Op.SETGID, Op.SETUID, Op.NO_NEW_PRIVS, Op.SECCOMP, Op.CHDIR, Op.EXEC]
    assert [op for op in ops if op in order] == order


def test_root_loads_the_filter_while_it_may() -> None:
    """Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)); set-user-ID programs go on to work for root."""
    ops = operations(job_plan(SCRIPT, replace(JOB_PLACE, person=ROOT)))
    order = [Op.GROUPS, Op.SECCOMP, Op.CAPABILITIES, Op.SETGID, Op.SETUID, Op.CHDIR, Op.EXEC]
    assert [op for op in ops if op in {*order, Op.NO_NEW_PRIVS}] == order


@pytest.mark.parametrize("person", [JOB_PLACE.person, ROOT], ids=lambda person: person.name)
def test_no_filter_where_there_is_none(person: object) -> None:
    place: JobPlace = replace(JOB_PLACE, seccomp=b"", person=person)  # type: ignore[arg-type]
    assert Op.SECCOMP not in operations(job_plan(SCRIPT, place))


@pytest.mark.parametrize("person", [JOB_PLACE.person, ROOT], ids=lambda person: person.name)
def test_whoever_it_is_keeps_the_short_list_alone(person: object) -> None:
    place: JobPlace = replace(JOB_PLACE, person=person)  # type: ignore[arg-type]
    (step,) = (s for s in job_plan(SCRIPT, place).steps if s.op is Op.CAPABILITIES)
    assert step.args == (capabilities.CONTAINER_ROOT,) * 3 + (0, 0)
    (groups,) = (s for s in job_plan(SCRIPT, place).steps if s.op is Op.GROUPS)
    assert groups.args == (b"",)


def test_a_script_is_read_by_the_shell_from_standard_input() -> None:
    plan = job_plan(SCRIPT, replace(JOB_PLACE, shell="/bin/sh"))
    assert [s.args for s in plan.steps if s.op in (Op.ARG, Op.EXEC)] == [(b"/bin/sh",), (b"/bin/sh",)]


def test_cgroups_are_joined_by_descriptor_before_their_namespace_is_made() -> None:
    plan = job_plan(SCRIPT, replace(JOB_PLACE, cgroup_descriptors=3))
    assert [s.args for s in plan.steps if s.op is Op.JOIN_CGROUP_FD] == [(0,), (1,), (2,)]
    ops = operations(plan)
    assert max(n for n, op in enumerate(ops) if op is Op.JOIN_CGROUP_FD) < ops.index(Op.UNSHARE)


def test_the_working_directory_is_the_person_s_home_unless_told() -> None:
    def directory(spec: JobSpec) -> object:
        return next(s.args[0] for s in job_plan(spec, JOB_PLACE).steps if s.op is Op.CHDIR)

    assert directory(SCRIPT) == b"/home/vcap"
    assert directory(JobSpec(argv=("a",), cwd="/tmp")) == b"/tmp"


def test_capabilities_have_the_kernel_s_numbers() -> None:
    """linux/capability.h, by hand for some of each part of the list."""
    known = {"chown": 0, "kill": 5, "setpcap": 8, "net_admin": 12, "sys_admin": 21, "mknod": 27, "setfcap": 31, "syslog": 34}
    assert {name: NUMBERS[name] for name in known} == known
    assert NUMBERS["checkpoint_restore"] == 40 == len(NAMES) - 1
    assert ALL == 2**41 - 1


def test_sets_and_names_are_inverse() -> None:
    assert capability_set(["kill", "chown"]) == 0b100001
    assert capability_names(capability_set(NAMES)) == NAMES
    assert capability_names(1 << 63 | 1) == ["chown", "63"]
    assert capability_names(0) == []
    with pytest.raises(KeyError):
        capability_set(["no_such"])


def test_what_configures_the_kernel_is_not_on_the_short_list() -> None:
    kept = set(capability_names(capabilities.CONTAINER_ROOT))
    assert not kept & set("sys_admin sys_ptrace sys_module net_admin mknod sys_rawio bpf perfmon syslog sys_time".split())
    assert not kept & {"dac_read_search", "linux_immutable", "mac_admin", "mac_override", "checkpoint_restore"}
