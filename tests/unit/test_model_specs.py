"""ContainerSpec and JobSpec refuse what cannot be right, before anything is changed."""

from __future__ import annotations

import math
import resource
from typing import Any

import pytest

from warden import records
from warden.errors import BadInput
from warden.model.job import DEFAULT_RLIMITS, RLIMIT_INFINITY, JobResult, JobSpec, Verdict
from warden.model.limits import Limits, OomPolicy
from warden.model.spec import ContainerSpec, Mount, NetworkMode


def test_a_container_by_default() -> None:
    spec = ContainerSpec()
    assert (spec.handle, spec.image, spec.network, spec.user_namespace) == (None, "host", NetworkMode.WARDEN, True)
    assert spec.limits == Limits(memory_bytes=None, oom_policy=OomPolicy.KILL_JOB)


@pytest.mark.parametrize("handle", ["a", "with space", "a/b", "..", "größe", "\udcff", "x" * 1024])
def test_any_text_is_a_handle(handle: str) -> None:
    assert ContainerSpec(handle=handle).handle == handle


@pytest.mark.parametrize(
    "wrong",
    [
        {"handle": ""}, {"handle": "a\0b"}, {"handle": "x" * 1025},
        {"hostname": ""}, {"hostname": "a b"}, {"hostname": "a\n"}, {"hostname": "x" * 65}, {"hostname": "größe"},
        {"rootfs": ""}, {"rootfs": "relative"}, {"rootfs": "/a\0b"},
        {"grace_time": math.nan}, {"grace_time": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_refuses_a_container_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"^{next(iter(wrong))}: "):
        ContainerSpec(**wrong)


def test_grace_time_zero_is_legal() -> None:
    assert ContainerSpec(grace_time=0).grace_time == 0


@pytest.mark.parametrize(
    ("source", "target", "who"),
    [
        ("relative", "/x", "source"), ("", "/x", "source"), ("/a\0b", "/x", "source"),
        ("/x", "relative", "target"), ("/x", "", "target"), ("/x", "/a\0b", "target"),
        ("/x", "/../etc", "target"), ("/x", "/a/..", "target"),
    ],
)  # fmt: skip
def test_refuses_a_mount_that_cannot_be(source: str, target: str, who: str) -> None:
    with pytest.raises(BadInput, match=f"^mount {who}: "):
        Mount(source, target)


def test_dots_in_names_are_no_way_up() -> None:
    assert Mount("/x/../y", "/a/..b/c..").read_only


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(records.FrozenInstanceError):
        ContainerSpec().image = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"argv": ()}, {"argv": ("a",), "script": b"b"}, {"argv": ("a", "b\0c")},
        {"env": (("", "x"),)}, {"env": (("A=B", "x"),)}, {"env": (("A\0", "x"),)}, {"env": (("A", "x\0"),)},
        {"cwd": "relative"}, {"cwd": ""}, {"cwd": "/a\0b"},
        {"rlimits": {"nosuch": 1}}, {"rlimits": {"nofile": -1}}, {"rlimits": {"nofile": 2**64}},
        {"wall_limit_s": 0}, {"wall_limit_s": -1.0}, {"wall_limit_s": math.nan},
        {"cpu_limit_s": 0}, {"cpu_limit_s": -1.0}, {"cpu_limit_s": math.nan},
        {"stdin": b"x", "interactive": True},
        {"output_limit": -1}, {"rows": -1}, {"columns": 65536},
    ],
    ids=str,
)  # fmt: skip
def test_refuses_a_job_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        JobSpec(**{"argv": ("true",), **wrong})


@pytest.mark.parametrize(
    "right",
    [
        {"script": b""}, {"script": b"exit 3", "privileged": True}, {"argv": ("",)},
        {"argv": ("a",), "env": (("A", "=x="), ("\udcff", "\udcfe"))},
        {"argv": ("a",), "rlimits": {"nofile": RLIMIT_INFINITY, "core": 0}},
        {"argv": ("a",), "wall_limit_s": math.inf, "output_limit": 0},
        {"argv": ("a",), "rows": 0, "columns": 65535},
    ],
    ids=str,
)  # fmt: skip
def test_takes_a_job_that_can_be(right: dict[str, Any]) -> None:
    spec = JobSpec(**right)
    assert all(getattr(spec, name) == value for name, value in right.items())


def test_warden_s_default_rlimits_are_the_fifteen_of_the_protocol_and_read_only() -> None:
    assert len(DEFAULT_RLIMITS) == 15
    assert DEFAULT_RLIMITS["nofile"] == DEFAULT_RLIMITS["nproc"] == 1024
    assert DEFAULT_RLIMITS["as"] == 2**64 - 1 == resource.RLIM_INFINITY % 2**64
    with pytest.raises(TypeError):
        DEFAULT_RLIMITS["core"] = 1  # type: ignore[index]


def test_results_start_from_nothing() -> None:
    result = JobResult(0, Verdict.EXITED)
    assert (result.signal, result.truncated, result.detail, result.usage.peak_memory_bytes) == (0, False, "", None)
