"""wshd runs plans: what it refuses before the first step, how it reports a failed one, how it enters and ends."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from wshd_driver import (
    CLONED,
    FAILED,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    READY,
    Launch,
    Message,
    keep_owner,
    launch,
    memfd,
    plan,
    program,
    step,
)
from wshd_fixtures import binary, no_leftovers  # noqa: F401

from warden.plan.steps import KEEP, PLAN_MAGIC, Op, Step

pytestmark = pytest.mark.usefixtures("no_leftovers")
MS_REC_PRIVATE = 0x4000 | 0x40000


def shell(script: str) -> tuple[Step, ...]:
    words = ("sh", "-c", script)
    return (step(Op.ENV, "PATH=/usr/bin:/bin"), *(step(Op.ARG, word) for word in words), step(Op.EXEC, "sh"))


class Start(Protocol):
    """launch() on the binary under test."""

    def __call__(self, content: bytes, *, fds: tuple[int, ...] = ()) -> Launch: ...


@pytest.fixture
def start(binary: Path) -> Iterator[Start]:  # noqa: F811
    """Everything it started is gone after the test."""
    running: list[Launch] = []

    def begin(content: bytes, *, fds: tuple[int, ...] = ()) -> Launch:
        running.append(launch(binary, content, fds=fds))
        return running[-1]

    yield begin
    for one in running:
        one.close()


def refused(found: Launch) -> Message:
    messages = found.finish()
    assert [message.kind for message in messages] == [FAILED]
    return messages[0]


def raw(count: int, *steps: bytes) -> bytes:
    return PLAN_MAGIC + struct.pack("<I", count) + b"".join(steps)


ARG_A = step(Op.ARG, "a").encode()
MALFORMED = {
    "empty": (b"", 0),
    "magic": (b"WARDPLN2" + bytes(4), 0),
    "only-magic": (PLAN_MAGIC, 0),
    "trailing-bytes": (raw(1, ARG_A, b"x"), 0),
    "fewer-steps-than-said": (raw(2, ARG_A), 1),
    "too-many-steps": (raw(65536, ARG_A * 65536), 0),
    "operation-0": (raw(1, struct.pack("<HH", 0, 0)), 0),
    "operation-unknown": (raw(2, ARG_A, struct.pack("<HH", len(Op) + 1, 0)), 1),
    "arity": (raw(1, struct.pack("<HH", Op.ARG, 0)), 0),
    "arity-over-64": (raw(1, struct.pack("<HH", Op.ARG, 65)), 0),
    "length-absurd": (raw(1, struct.pack("<HHI", Op.ARG, 1, 0xFFFFFFFF) + b"a\0"), 0),
    "length-one-too-far": (raw(1, struct.pack("<HHI", Op.ARG, 1, 2) + b"a\0"), 0),
    "no-nul": (raw(1, struct.pack("<HHI", Op.ARG, 1, 1) + b"ab"), 0),
    "nul-in-text": (plan(step(Op.ARG, "a\0b")), 0),
    "number-of-4-bytes": (plan(step(Op.UMASK, b"abcd")), 0),
    "exec-not-last": (plan(step(Op.EXEC, "/bin/true"), step(Op.NO_NEW_PRIVS)), 0),
    "clone-without-release": (plan(step(Op.CLONE, 0)), 0),
    "release-without-clone": (plan(step(Op.RELEASE)), 0),
    "two-clones": (plan(step(Op.CLONE, 0), step(Op.CLONE, 0), step(Op.RELEASE)), 1),
    "map-before-clone": (plan(step(Op.UID_MAP, "0 0 1")), 0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_plan_is_refused_before_its_first_step(start: Start, name: str) -> None:
    content, index = MALFORMED[name]
    message = refused(start(content))
    assert (message.step, message.error) == (index, errno.EINVAL)


def test_nothing_of_a_malformed_plan_is_done(start: Start, tmp_path: Path) -> None:
    start(plan(keep_owner(str(tmp_path / "made"), 0o755), step(Op.UMASK, b"bad"))).finish()
    assert not (tmp_path / "made").exists()


FAILING = {
    "chdir": (step(Op.CHDIR, "/nothing-here"), errno.ENOENT),
    "exec": (step(Op.EXEC, "/nothing-here"), errno.ENOENT),
    "exec-directory": (step(Op.EXEC, "/usr"), errno.EACCES),
    "use_fd": (step(Op.USE_FD, 0, 5), errno.EBADF),
    "pivot_root-without-root": (step(Op.PIVOT_ROOT), errno.EINVAL),
    "clone-newns": (step(Op.CLONE, NEWNS), errno.EINVAL),
    "groups": (step(Op.GROUPS, b"abc"), errno.EINVAL),
    "seccomp": (step(Op.SECCOMP, b"abc"), errno.EINVAL),
    "mount": (step(Op.MOUNT, "none", "/nothing-here", "tmpfs", 0, ""), errno.ENOENT),
    "netlink-truncated": (step(Op.NETLINK, b"abc"), errno.EINVAL),
    "netlink-kernel": (step(Op.NETLINK, struct.pack("<IHHIIBxHiII", 32, 16, 5, 1, 0, 0, 0, 2**30, 1, 1)), errno.ENODEV),
    "write": (step(Op.WRITE, "/nothing-here", "x"), errno.ENOENT),
    "signal-setns": (step(Op.SETNS_PID, 2**31 - 1, NEWNS), errno.ESRCH),
    "serve-without-socket": (step(Op.SERVE), errno.EBADF),
}


@pytest.mark.parametrize("name", FAILING)
def test_failed_step_is_reported_by_index_and_errno(start: Start, name: str) -> None:
    failing, error = FAILING[name]
    tail = [step(Op.RELEASE)] if failing.op == Op.CLONE else []
    found = start(plan(step(Op.NAME, "w-test"), step(Op.UMASK, 0o22), failing, *tail))
    message = found.finish()[-1]
    assert (message.kind, message.step, message.error) == (FAILED, 2, error)
    assert found.process.wait() == 125


def test_failure_on_the_childs_behalf_kills_the_child(start: Start) -> None:
    found = start(
        plan(step(Op.CLONE, NEWPID), step(Op.WRITE, "/nothing-here", ""), step(Op.RELEASE), step(Op.CHDIR, "/"))
    )
    assert [(m.kind, m.step, m.error) for m in found.finish()] == [(CLONED, 0, 0), (FAILED, 1, errno.ENOENT)]
    assert not Path(f"/proc/{found.pid}").exists()


def test_failure_in_the_child_has_the_index_of_the_whole_plan(start: Start) -> None:
    found = start(plan(step(Op.CLONE, NEWUSER), step(Op.UID_MAP, "0 0 1"), step(Op.RELEASE), step(Op.SETUID, 5)))
    assert [(m.kind, m.step, m.error) for m in found.finish()] == [(CLONED, 0, 0), (FAILED, 3, errno.EINVAL)]


def test_killed_launcher_takes_its_waiting_child_along(start: Start) -> None:
    # the launcher blocks in opening a FIFO that nobody reads; only then is it killed
    path = f"/tmp/w-fifo-{os.getpid()}"
    os.mkfifo(path)
    try:
        found = start(plan(step(Op.CLONE, 0), step(Op.WRITE, path, ""), step(Op.RELEASE)))
        cloned = found.message()
        assert cloned and cloned.kind == CLONED
        found.process.kill()
        assert found.message() is None
    finally:
        os.unlink(path)


def test_exec_gives_output_and_code(start: Start) -> None:
    found = start(program("sh", "-c", "echo out; exit 7"))
    assert [m.kind for m in found.finish()] == [READY]
    assert found.output() == b"out\n"
    assert found.process.returncode == 7


def test_failed_exec_follows_ready(start: Start) -> None:
    found = start(plan(step(Op.ENV, "PATH=/usr/bin"), step(Op.ARG, "x"), step(Op.EXEC, "no-such-program")))
    assert [(m.kind, m.error) for m in found.finish()] == [(READY, 0), (FAILED, errno.ENOENT)]


@pytest.mark.parametrize(("script", "code"), [("exit 9", 9), ("kill -TERM $$", 128 + signal.SIGTERM)])
def test_launcher_ends_as_the_cloned_program(start: Start, script: str, code: int) -> None:
    found = start(plan(step(Op.CLONE, 0), step(Op.RELEASE), *shell(script)))
    assert [m.kind for m in found.finish()] == [CLONED, READY]
    found.output()
    assert found.process.returncode == code


def test_environment_is_exactly_what_the_plan_says(start: Start) -> None:
    found = start(program("env", env=("PATH=/usr/bin:/bin", "A=1", "B=")))
    assert sorted(found.output().split()) == [b"A=1", b"B=", b"PATH=/usr/bin:/bin"]


def test_only_placed_descriptors_reach_the_program(start: Start, tmp_path: Path) -> None:
    note = memfd(b"note")
    before = (step(Op.USE_FD, 0, 7), step(Op.USE_FD, 0, 99))
    found = start(program("sh", "-c", "ls /proc/$$/fd; cat <&7", before=before), fds=(note,))
    os.lseek(note, 0, os.SEEK_SET)
    words = found.output().split()
    os.close(note)
    assert words == [b"0", b"1", b"2", b"7", b"99", b"note"]


def test_signals_are_as_at_boot(start: Start) -> None:
    found = start(program("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"))
    assert found.output().split()[1::2] == [b"0" * 16, b"0" * 16]


def test_enters_another_pid_namespace(start: Start) -> None:
    box = start(
        plan(
            step(Op.CLONE, NEWPID | NEWUTS),
            step(Op.RELEASE),
            step(Op.HOSTNAME, "w-box"),
            *shell("echo up; exec sleep 60"),
        )
    )
    assert [message.kind for message in box.finish()] == [CLONED, READY]
    assert box.process.stdout and box.process.stdout.readline() == b"up\n"
    enter = (step(Op.SETNS_PID, box.pid, NEWPID | NEWUTS), step(Op.CLONE, 0), step(Op.RELEASE))
    found = start(plan(*enter, *shell("hostname; test $$ -lt 100; exit 42")))
    assert found.output() == b"w-box\n"
    assert found.process.returncode == 42


def test_runs_from_a_sealed_copy(start: Start, binary: Path) -> None:  # noqa: F811
    copy = os.memfd_create("wshd", os.MFD_ALLOW_SEALING)
    os.write(copy, binary.read_bytes())
    os.fchmod(copy, 0o500)
    fcntl.fcntl(
        copy, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    )
    found = launch(Path(f"/proc/{os.getpid()}/fd/{copy}"), program("echo", "sealed"))
    try:
        assert found.output() == b"sealed\n"
    finally:
        found.close()
        os.close(copy)


def test_directories_nodes_and_links_get_exact_modes_and_owners(start: Start, tmp_path: Path) -> None:
    steps = (
        step(Op.UMASK, 0o77),
        step(Op.ROOT, str(tmp_path), 0),
        step(Op.MKDIR, "/a/b", 0o1777, 7, 8),
        step(Op.MKNOD, "/c/file", stat.S_IFREG | 0o666, 0, 9, KEEP),
        step(Op.MKNOD, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3), KEEP, KEEP),
        step(Op.SYMLINK, "/etc", "/link"),
        step(Op.MKDIR, "/link/inside", 0o755, KEEP, KEEP),
    )
    (tmp_path / "etc").mkdir()
    found = start(plan(*steps, *steps[2:]))  # twice: what exists is left
    assert [m.kind for m in found.finish()] == [READY]
    made = (tmp_path / "a/b").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (0o1777, 7, 8)
    file = (tmp_path / "c/file").stat()
    assert (file.st_mode, file.st_uid, file.st_size) == (stat.S_IFREG | 0o666, 9, 0)
    assert (tmp_path / "null").stat().st_rdev == os.makedev(1, 3)
    assert (tmp_path / "etc/inside").is_dir(), "the link was followed below the root"
    assert not Path("/etc/inside").exists()


def test_links_do_not_lead_a_mount_out_of_the_root(start: Start, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    for place in (outside, root):
        place.mkdir()
    (root / "escape").symlink_to("../" * 20 + str(outside))
    steps = (
        step(Op.UNSHARE, NEWNS),
        step(Op.PROPAGATION, MS_REC_PRIVATE),
        step(Op.ROOT, str(root), 0),
        step(Op.MOUNT, "tmpfs", "/escape", "tmpfs", 0, ""),
    )
    message = refused(start(plan(*steps)))
    assert (message.step, message.error) == (3, errno.ENOENT)


def test_masks_and_read_only_places(start: Start, tmp_path: Path) -> None:
    for name in ("dev", "hidden", "frozen"):
        (tmp_path / name).mkdir()
    (tmp_path / "hidden/secret").write_text("s")
    (tmp_path / "file").write_text("s")
    steps = (
        step(Op.UNSHARE, NEWNS),
        step(Op.PROPAGATION, MS_REC_PRIVATE),
        step(Op.ROOT, str(tmp_path), 0),
        step(Op.MKNOD, "/dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3), KEEP, KEEP),
        step(Op.MASK, "/hidden"),
        step(Op.MASK, "/file"),
        step(Op.MASK, "/absent"),
        step(Op.READONLY, "/frozen"),
        step(Op.READONLY, "/absent"),
    )
    looks = "ls hidden | wc -l; wc -c < file; touch frozen/x 2>/dev/null || echo frozen; touch hidden/x || echo hidden"
    script = f"cd {tmp_path}; {looks}"
    found = start(plan(*steps, *shell(script)))
    assert found.output().split() == [b"0", b"0", b"frozen", b"hidden"]


def test_a_mask_wants_the_real_null_device(start: Start, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("dev/null", "file"):
        (tmp_path / name).write_text("planted")
    message = refused(start(plan(step(Op.ROOT, str(tmp_path), 0), step(Op.MASK, "/file"))))
    assert (message.step, message.error) == (1, errno.ENODEV)


def capabilities(bounding: int, effective: int, inheritable: int) -> Step:
    return step(Op.CAPABILITIES, bounding, effective, effective, inheritable, inheritable)


SETPCAP, SETUID, SETGID, NET_BIND = 1 << 8, 1 << 7, 1 << 6, 1 << 10
KEEP_CAPS = step(Op.SECUREBITS, 1 << 4)


def test_a_user_with_a_capability(start: Start) -> None:
    before = (
        step(Op.GROUPS, struct.pack("<3I", 5, 6, 7)),
        capabilities(NET_BIND, NET_BIND | SETPCAP | SETUID | SETGID, 0),  # the bounding set takes CAP_SETPCAP
        KEEP_CAPS,
        step(Op.SETGID, 4),
        step(Op.SETUID, 3),
        capabilities(NET_BIND, NET_BIND, NET_BIND),  # setuid emptied the effective set, and kept the permitted one
        step(Op.NO_NEW_PRIVS),
    )
    found = start(program("sh", "-c", "id -u; id -g; id -G; grep ^Cap /proc/self/status", before=before))
    lines = found.output().decode().splitlines()
    assert lines[:3] == ["3", "4", "4 5 6 7"]
    assert [line.split()[1] for line in lines[3:]] == [f"{NET_BIND:016x}"] * 5


def test_bounding_set_cannot_shrink_after_setuid(start: Start) -> None:
    before = (KEEP_CAPS, step(Op.SETUID, 3), capabilities(NET_BIND, NET_BIND, 0))
    message = start(program("true", before=before)).finish()[-1]
    assert (message.kind, message.step, message.error) == (FAILED, 2, errno.EPERM)


def test_root_with_few_capabilities(start: Start) -> None:
    bits = 1 << 10 | 1 << 7
    before = (step(Op.CAPABILITIES, bits, bits, bits, bits, bits), step(Op.NO_NEW_PRIVS), step(Op.RLIMIT, 7, 100, 200))
    script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ulimit -Sn; ulimit -Hn"
    words = start(program("sh", "-c", script, before=before)).output().split()
    assert words[1:12:2] == [f"{bits:016x}".encode()] * 5 + [b"1"]
    assert words[12:] == [b"100", b"200"]


def test_seccomp_filter_is_loaded_last(start: Start) -> None:
    # BPF: kill on close_range(2) (436), allow the rest: what exec needs of it was done before
    program_bytes = b"".join(
        struct.pack("<HBBI", *line)
        for line in ((0x20, 0, 0, 0), (0x15, 0, 1, 436), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000))
    )
    found = start(program("grep", "^Seccomp:", "/proc/self/status", before=(step(Op.SECCOMP, program_bytes),)))
    assert found.output().split() == [b"Seccomp:", b"2"]


def test_wrong_command_line_is_refused(binary: Path) -> None:  # noqa: F811
    for argv in ((), ("x", "y"), ("3",), ("999", "998"), ("-1", "3")):
        done = subprocess.run([str(binary), *argv], capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(b"usage: wshd")


def cgroup2() -> Path:
    """Where the v2 hierarchy is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    pytest.fail("no cgroup2 is mounted")


@pytest.fixture
def group() -> Iterator[Path]:
    place = cgroup2() / f"w-test-{os.getpid()}"
    place.mkdir()
    yield place
    place.rmdir()


def test_child_is_born_in_its_cgroup(start: Start, group: Path) -> None:
    head = (step(Op.INTO_CGROUP, str(group)), step(Op.CLONE, 0), step(Op.RELEASE))
    found = start(plan(*head, *shell("grep ^0: /proc/self/cgroup")))
    assert found.output() == f"0::/{group.name}\n".encode()


def test_joining_a_cgroup_by_path_and_by_descriptor(start: Start, group: Path) -> None:
    procs = os.open(group / "cgroup.procs", os.O_WRONLY)
    by_path, by_descriptor = step(Op.JOIN_CGROUP, str(group / "cgroup.procs")), step(Op.JOIN_CGROUP_FD, 0)
    for joining in (by_path, by_descriptor):
        found = start(program("grep", "^0:", "/proc/self/cgroup", before=(joining,)), fds=(procs,))
        assert found.output() == f"0::/{group.name}\n".encode()
    os.close(procs)
