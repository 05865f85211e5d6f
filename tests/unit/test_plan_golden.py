"""Plans compared as text, and their bytes read by a decoder that shares nothing with the encoder.

WARDEN_WRITE_PLANS=1 writes tests/unit/plans/*.txt anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan_samples import INSIDE, JOB_PLACE, SAMPLES

from warden.plan.steps import KEEP, Op, Plan, Step

GOLDEN = Path(__file__).parent / "plans"
WRITE = os.environ.get("WARDEN_WRITE_PLANS") == "1"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_plan_reads_as_it_did(name: str) -> None:
    text = SAMPLES[name]().describe() + "\n"
    file = GOLDEN / f"{name}.txt"
    if WRITE:
        file.write_text(text)
    assert file.read_text() == text


def test_every_golden_file_has_a_plan() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(SAMPLES)


def decode(data: bytes) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """(operation, arguments) of each step, by docs/plan-format.md alone."""
    place = 0

    def take(count: int) -> bytes:
        nonlocal place
        place += count
        assert place <= len(data), "the plan ends too early"
        return data[place - count : place]

    assert take(8) == b"WARDPLN1"
    for _ in range(int.from_bytes(take(4), "little")):
        operation, count = int.from_bytes(take(2), "little"), int.from_bytes(take(2), "little")
        arguments = []
        for _ in range(count):
            arguments.append(take(int.from_bytes(take(4), "little")))
            assert take(1) == b"\0"
        yield operation, tuple(arguments)
    assert place == len(data), "bytes behind the last step"


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_bytes_are_the_steps(name: str) -> None:
    plan = SAMPLES[name]()
    expected = [
        (step.op.value, tuple(arg if isinstance(arg, bytes) else u64(arg) for arg in step.args)) for step in plan.steps
    ]
    assert list(decode(plan.encode())) == expected


def test_the_bytes_of_a_container_say_what_was_asked() -> None:
    steps = list(decode(SAMPLES["container-mounts"]().encode()))
    assert (1, (b"/sys/fs/cgroup/memory/warden/wshd/tasks",)) in steps
    assert (3, (u64(0x20000),)) in steps  # unshare(CLONE_NEWNS), by the launcher
    assert (3, (u64(0x2020000),)) in steps  # unshare(CLONE_NEWNS|CLONE_NEWCGROUP), by the child
    assert (6, (u64(0x10000000 | 0x20000000 | 0x08000000 | 0x04000000 | 0x40000000),)) in steps
    assert (7, (b"0 805371904 65536",)) in steps
    assert (11, (INSIDE.messages,)) in steps
    assert (12, (b"/depot/18jn0aqmdbo/mnt/root", u64(0))) in steps
    null = (b"/dev/null", u64(0o020666), u64(os.makedev(1, 3)), u64(0x30010000), u64(0x30010000))
    assert (18, null) in steps
    assert (15, (b"/srv/data", b"/data", u64(1 | 4), u64(4), u64(0))) in steps  # read-only, id-mapped if it can be
    assert (15, (b"/srv/cache", b"/cache", u64(4), u64(2), u64(0))) in steps  # writable, id-mapped
    assert (15, (b"/usr", b"/usr", u64(1 | 4), u64(1), u64(0))) in steps  # the machine's own, not mapped
    assert steps[-1] == (36, ())


def test_a_program_beside_the_plan_has_a_plan_of_its_own() -> None:
    runs = [args for op, args in decode(SAMPLES["container-hooks"]().encode()) if op == 45]
    plain, told, _, _, guest = runs
    assert plain[1:] == (b'{"pid": ', b"}", b"", u64(10000), u64(0))
    assert told[1:] == (b'{"pid": ', b"}", b"WARDEN_PID", u64(2500), u64(1))
    steps = list(decode(plain[0]))
    assert steps[0] == (37, ())  # its own session, whose group is killed with it
    assert [args[0] for op, args in steps if op in (33, 34)] == [b"PATH=/bin", b"/opt/check", b"-v"]
    assert steps[-2:] == [(44, (u64(9),)), (35, (b"/opt/check",))]
    rights = {op for op, _ in decode(guest[0])}
    assert {24, 25, 27, 28, 38} <= rights  # rlimits, capabilities, seccomp, groups, a cgroup below the limits


def test_the_bytes_of_a_job_say_what_was_asked() -> None:
    steps = list(decode(SAMPLES["job-argv-root"]().encode()))
    assert (24, (u64(resource.RLIMIT_NOFILE), u64(64), u64(64))) in steps
    assert (24, (u64(resource.RLIMIT_AS), u64(2**64 - 1), u64(2**64 - 1))) in steps
    assert [args[0] for op, args in steps if op == 34] == [b"make", b"-C", b"/src dir", b"all"]
    assert (27, (JOB_PLACE.seccomp,)) in steps
    assert steps[-1] == (35, (b"make",))


def check_order_of_a_container(plan: Plan) -> None:
    """docs/plan-format.md, "Order"."""
    ops = [step.op for step in plan.steps]
    clone, release = ops.index(Op.CLONE), ops.index(Op.RELEASE)
    assert ops.count(Op.CLONE) == ops.count(Op.RELEASE) == 1
    assert clone < release < ops.index(Op.PIVOT_ROOT)
    assert all(clone < place < release for place, op in enumerate(ops) if op in (Op.UID_MAP, Op.GID_MAP))
    assert not {Op.ENV, Op.ARG, Op.USE_FD} & set(ops)
    assert ops.index(Op.SERVE) == len(ops) - 1
    assert not plan.steps[clone].args[0] & 0x20000  # type: ignore[operator]


def check_order_of_a_job(plan: Plan) -> None:
    ops = [step.op for step in plan.steps]
    assert not {Op.CLONE, Op.RELEASE, Op.SERVE} & set(ops)
    assert ops.index(Op.EXEC) == len(ops) - 1


@pytest.mark.parametrize("name", SAMPLES)
def test_the_order_is_one_that_wshd_takes(name: str) -> None:
    check = check_order_of_a_container if name.startswith("container") else check_order_of_a_job
    check(SAMPLES[name]())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_step_is_described_on_a_line_of_its_own(name: str) -> None:
    plan = SAMPLES[name]()
    lines = plan.describe().split("\n")
    assert len(lines) == len(plan.steps)
    for number, (line, step) in enumerate(zip(lines, plan.steps, strict=True)):
        assert line.startswith(f"{number:3}  {step.text}")
        assert step.text.strip() and step.text.isprintable()
        assert line.endswith(f"  # {step.why}" if step.why else step.text)


def test_a_rootless_container_maps_what_it_writes() -> None:
    """Without a user namespace nothing is id-mapped, and owners are the host's."""
    for step in SAMPLES["container-mounts-no-user-namespace"]().steps:
        assert step.op is not Op.BIND or not int(step.args[3]) & 6
        assert step.op is not Op.MKNOD or step.args[3] == 0
        assert step.op not in (Op.UID_MAP, Op.GID_MAP, Op.SETUID, Op.SETGID)


def test_a_file_is_lent_to_a_file() -> None:
    steps = {step.args[0]: step for step in SAMPLES["container-mounts"]().steps if step.op is Op.MKNOD}
    assert stat.S_ISREG(int(steps[b"/etc/host name"].args[1]))
    assert stat.S_ISCHR(int(steps[b"/dev/null"].args[1]))


def test_keep_is_the_id_that_chown_leaves_alone() -> None:
    assert KEEP == 2**64 - 1
    assert Step(Op.MKDIR, (b"/x", 0o755, KEEP, KEEP), "mkdir /x").encode().count(b"\xff" * 8) == 2
