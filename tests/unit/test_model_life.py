"""Restart policies, their waits, mounts and labels: pure rules."""

from __future__ import annotations

import pytest

from warden.errors import BadInput
from warden.model.job import JobResult, Verdict
from warden.model.life import LONGEST_WAIT_S, RestartPolicy, VolumesFrom, next_wait
from warden.model.mounts import Mount, MountKind, check_volume_name, in_order
from warden.model.spec import ContainerSpec

WELL = JobResult(0, Verdict.EXITED)
FAILED = JobResult(3, Verdict.EXITED)
KILLED = JobResult(255, Verdict.SIGNALED, signal=9)
STARVED = JobResult(255, Verdict.OUT_OF_MEMORY, signal=9)
STOPPED = JobResult(255, Verdict.STOPPED, signal=15)


@pytest.mark.parametrize(
    ("policy", "result", "restarts", "wanted"),
    [
        ("no", FAILED, 0, False),
        ("no", None, 0, False),
        ("on-failure", WELL, 0, False),
        ("on-failure", FAILED, 1000, True),
        ("on-failure", KILLED, 0, True),
        ("on-failure", STARVED, 0, True),
        ("on-failure", None, 0, True),
        ("on-failure:2", FAILED, 1, True),
        ("on-failure:2", FAILED, 2, False),
        ("on-failure:0", FAILED, 99, True),
        ("always", WELL, 99, True),
        ("unless-stopped", WELL, 99, True),
        ("always", STOPPED, 0, False),
        ("unless-stopped", STOPPED, 0, False),
        ("on-failure", STOPPED, 0, False),
        ("always", JobResult(255, Verdict.ENGINE_ERROR), 0, False),
    ],
)
def test_who_is_started_again(policy: str, result: JobResult | None, restarts: int, wanted: bool) -> None:
    assert RestartPolicy.parse(policy).wants(result, restarts) is wanted


@pytest.mark.parametrize("text", ["no", "always", "unless-stopped", "on-failure", "on-failure:7"])
def test_a_policy_reads_as_it_is_written(text: str) -> None:
    assert str(RestartPolicy.parse(text)) == text


@pytest.mark.parametrize("text", ["", "never", "always:1", "on-failure:", "on-failure:-1", "on-failure:1.5", "Always", "no "])
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(BadInput, match="restart: "):
        RestartPolicy.parse(text)


def test_waits_double_up_to_a_minute_and_begin_anew() -> None:
    waits = [0.0]
    for _ in range(13):
        waits.append(next_wait(waits[-1], 0.5))
    assert waits[1:5] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert waits[-1] == LONGEST_WAIT_S == 60
    assert next_wait(60.0, 9.9) == 60.0
    assert next_wait(60.0, 10.0) == 0.1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("box", VolumesFrom("box")),
        ("box:ro", VolumesFrom("box", True)),
        ("box:rw", VolumesFrom("box", None)),
        ("a:b", VolumesFrom("a:b")),
        ("a:b:ro", VolumesFrom("a:b", True)),
    ],
)
def test_volumes_of_others(text: str, wanted: VolumesFrom) -> None:
    assert VolumesFrom.parse(text) == wanted


@pytest.mark.parametrize("name", ["ab", "a-b_c.d", "A1", "x" * 128])
def test_names_of_volumes(name: str) -> None:
    assert check_volume_name(name) == name


@pytest.mark.parametrize("name", ["", "a", ".hidden", "-x", "a/b", "..", "a b", "größe", "a\n", "x" * 129, "a\0"])
def test_what_is_no_name_of_a_volume(name: str) -> None:
    with pytest.raises(BadInput, match="volume: "):
        check_volume_name(name)


@pytest.mark.parametrize(
    "options",
    [("size=1m",), ("size=50%",), ("mode=0700", "uid=0", "gid=65535"), ("exec", "suid", "dev"), ("nr_inodes=100k",)],
)
def test_options_of_tmpfs(options: tuple[str, ...]) -> None:
    assert Mount.tmpfs("/x", *options).options == options


@pytest.mark.parametrize(
    "option",
    [
        *("", "size", "size=", "size=0", "size=0%", "size=101%", "size=1m,uid=0", "size=1m\0", "mode=888"),
        *("uid=65536", "uid=", "gid=x", "mpol=bind", "huge=always", "EXEC", "exec=1"),
        *("nr_inodes=50%", "nr_inodes=0", "nr_inodes=99999999999999999"),
    ],
)
def test_what_is_no_option_of_tmpfs(option: str) -> None:
    with pytest.raises(BadInput, match="tmpfs: "):
        Mount.tmpfs("/x", option)


def test_a_target_has_the_length_of_a_path() -> None:
    assert Mount.volume("data", "/a" * 2047).target
    with pytest.raises(BadInput, match="longer than 4095"):
        Mount.volume("data", "/a" * 2048)


@pytest.mark.parametrize("target", ["/", "//", "/.", "/proc", "/proc/", "/proc/self/x", "/dev", "/./dev/pts", "/dev/mqueue"])
def test_places_that_are_the_containers_own(target: str) -> None:
    for make in (Mount.tmpfs, lambda target: Mount.volume("data", target)):
        with pytest.raises(BadInput, match="the container's own"):
            make(target)


def test_mounts_that_contradict_themselves() -> None:
    with pytest.raises(BadInput, match="no source"):
        Mount("data", "/x", kind=MountKind.TMPFS)
    with pytest.raises(BadInput, match="takes no options"):
        Mount("data", "/x", kind=MountKind.VOLUME, options=("size=1",))
    with pytest.raises(BadInput, match="mount source"):
        Mount("data", "/x")


def test_what_lies_inside_comes_after() -> None:
    inner, outer, other = Mount("/h", "/a/b/c"), Mount.volume("data", "/a"), Mount.tmpfs("/z")
    assert in_order((inner, outer, other)) == (outer, other, inner)
    first, second = Mount("/h", "/a/b"), Mount("/i", "/a")
    assert in_order((first, second, first)) == (first, second, first), "as Warden did"
    with pytest.raises(BadInput, match=r"/a//b/\. is given twice"):
        ContainerSpec(mounts=(Mount.tmpfs("/a/b"), Mount("/h", "/a//b/.")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shm_size": 0},
        {"shm_size": -1},
        {"stop_signal": 0},
        {"stop_signal": 65},
        {"stop_timeout": -1.0},
        {"stop_timeout": float("nan")},
        {"restart": RestartPolicy.parse("always"), "auto_remove": True},
    ],
    ids=str,
)
def test_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=f"^{next(iter(wrong))}: "):
        ContainerSpec(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", [("", "x"), ("a=b", "x"), ("a", "\0"), ("a", "x" * 5000)])
def test_labels_that_cannot_be(label: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match="label: "):
        ContainerSpec(labels=(label,))
