"""The step `run`: a program beside the plan is told what it should know, ends in time, and leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wshd_driver import CLONED, FAILED, NEWNS, NEWPID, READY, Launch, Message, launch, plan, step
from wshd_fixtures import MAPPED, binary, launcher_steps, make_tree, no_leftovers  # noqa: F401

from warden.plan.steps import RUN_MUST_SUCCEED, Op, Plan, Step

pytestmark = pytest.mark.usefixtures("no_leftovers")
RAN = 4
PRIVATE = 0x4000 | 0x40000


def sh(script: str, *before: Step) -> Plan:
    words = ("sh", "-c", script)
    env = step(Op.ENV, "PATH=/usr/bin:/bin")
    return Plan((*before, step(Op.SETSID), env, *(step(Op.ARG, word) for word in words), step(Op.EXEC, "/bin/sh")))


def run(
    program: Plan, given: tuple[bytes, bytes] = (b"", b""), *, name: str = "", ms: int = 30000, flags: int = 0
) -> Step:
    return step(Op.RUN, program.encode(), *given, name, ms, flags)


@pytest.fixture
def ran(binary: Path) -> Iterator[Ran]:  # noqa: F811
    one = Ran(binary)
    yield one
    one.close()


class Ran:
    """Runs plans to their end and reads what was told of the programs."""

    def __init__(self, program: Path) -> None:
        self.binary = program
        self.launched: list[Launch] = []

    def all(self, *steps: Step, fds: tuple[int, ...] = ()) -> list[tuple[Message, bytes]]:
        self.launched.append(launch(self.binary, plan(*steps), fds=fds))
        control = self.launched[-1].control
        control.settimeout(30)
        found = []
        while data := control.recv(16 + 4096):
            fields = [int.from_bytes(data[at : at + 4], "little", signed=True) for at in (0, 4, 8, 12)]
            found.append((Message(*fields), data[16:]))
        return found

    def one(self, *steps: Step, fds: tuple[int, ...] = ()) -> tuple[Message, bytes]:
        """The only program's, of a plan that goes on after it."""
        found = [item for item in self.all(*steps, fds=fds) if item[0].kind != CLONED]
        assert [message.kind for message, _ in found] == [RAN, READY]
        return found[0]

    def close(self) -> None:
        for launched in self.launched:
            launched.close()


def test_what_a_program_is_given_and_what_is_told_of_it(ran: Ran) -> None:
    script = "cat; echo more >&2; env; ls -l /proc/self/fd; exit 3"
    message, said = ran.one(run(sh(script), (b"one", b"two\n")), step(Op.UMASK, 0o22))
    assert (message.step, message.error, os.waitstatus_to_exitcode(message.pid)) == (0, 0, 3)
    lines = said.decode().splitlines()
    assert lines[:2] == ["onetwo", "more"]
    assert {line.partition("=")[0] for line in lines if "=" in line} <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    open_files = [line.split(" -> ")[0].split()[-1] for line in lines if " -> " in line]
    assert open_files == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def test_the_child_is_named_while_it_waits(ran: Ran) -> None:
    found = ran.all(
        step(Op.UNSHARE, NEWNS),
        step(Op.PROPAGATION, PRIVATE),
        step(Op.CLONE, NEWPID),
        run(sh('cat; echo ",$TOLD,$(cat /proc/$TOLD/comm)"'), (b'{"pid": ', b"}"), name="TOLD"),
        step(Op.RELEASE),
    )
    pid = found[0][0].pid
    assert found[1][1] == f'{{"pid": {pid}}},{pid},{ran.binary.name}\n'.encode()
    assert [message.kind for message, _ in found] == [CLONED, RAN, READY]


@pytest.mark.parametrize(("flags", "kinds"), [(0, [RAN, READY]), (RUN_MUST_SUCCEED, [RAN, FAILED])])
def test_a_failure_ends_the_plan_if_it_must_succeed(ran: Ran, flags: int, kinds: list[int]) -> None:
    found = ran.all(run(sh("exit 1"), flags=flags))
    assert [message.kind for message, _ in found] == kinds
    assert found[-1][0].error == (errno.ECANCELED if flags else 0)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (Plan((step(Op.ARG, "x"), step(Op.EXEC, "/no/such/file"))), errno.ENOENT),
        (Plan((step(Op.ARG, "x"), step(Op.EXEC, "/etc"))), errno.EACCES),
        (Plan((step(Op.CHDIR, "/no/such/directory"), step(Op.EXEC, "/bin/true"))), errno.ENOENT),
        (Plan((step(Op.ARG, "a plan that ends in no exec"),)), errno.EINVAL),
        (Plan((run(sh("true")), step(Op.EXEC, "/bin/true"))), errno.EINVAL),  # not within one another
        (Plan(()), errno.EINVAL),
    ],
)
def test_what_cannot_be_run_is_told_by_its_errno(ran: Ran, program: Plan, error: int) -> None:
    assert ran.one(run(program))[0].error == error


def test_bytes_that_are_no_plan(ran: Ran) -> None:
    assert ran.one(step(Op.RUN, b"nonsense", b"", b"", "", 1000, 0))[0].error == errno.EINVAL


def test_a_signal_is_told(ran: Ran) -> None:
    message, _ = ran.one(run(sh("kill -SEGV $$")))
    assert (message.error, os.waitstatus_to_exitcode(message.pid)) == (0, -signal.SIGSEGV)


@pytest.mark.parametrize(
    "script",
    [
        "echo begun; exec sleep 1000",
        "echo begun; exec >&- 2>&- <&-; exec sleep 1000",
        "echo begun; trap '' TERM INT HUP; while :; do sleep 1000; done",
        "echo begun; kill -STOP $$",
    ],
)
def test_time_over_kills_it_and_its_group(ran: Ran, script: str) -> None:
    message, said = ran.one(run(sh(script), ms=300))
    assert (message.error, message.pid) == (errno.ETIMEDOUT, signal.SIGKILL)
    assert said == b"begun\n"


def test_however_much_it_writes_its_time_ends_and_the_last_is_kept(ran: Ran) -> None:
    message, said = ran.one(run(sh("exec yes"), ms=100))
    assert message.error == errno.ETIMEDOUT
    assert len(said) == 4096 and b"y\ny\n" in said
    message, said = ran.one(run(sh("seq 1 100000; echo the last")))
    assert (message.error, message.pid) == (0, 0)
    assert len(said) == 4096 and said.endswith(b"99999\n100000\nthe last\n")


def test_what_it_leaves_in_its_group_is_killed(ran: Ran) -> None:
    message, said = ran.one(run(sh("sleep 1000 & echo $!")))
    assert message.pid == 0
    gone(int(said))


def test_in_a_pid_namespace_all_that_it_leaves_is_killed(ran: Ran) -> None:
    script = (
        "setsid setsid sh -c 'sleep 1000 & exec sleep 1000' & until ps -eo args | grep -q '[s]leep 1000'; do :; done"
    )
    count = "set -- /proc/[0-9]*; echo $#"  # PID 1, sh
    found = ran.all(
        step(Op.UNSHARE, NEWNS),
        step(Op.PROPAGATION, PRIVATE),
        step(Op.CLONE, NEWPID),
        step(Op.RELEASE),
        step(Op.UNSHARE, NEWNS),
        step(Op.MOUNT, "proc", "/proc", "proc", 0, ""),
        run(sh(script), ms=60000),
        run(sh(count)),
    )
    texts = [said for message, said in found if message.kind == RAN]
    assert texts == [b"", b"2\n"]


def gone(pid: int) -> None:
    end = time.monotonic() + 30
    while (state := state_of(pid)) not in "ZX":  # a zombie waits for its new parent
        assert time.monotonic() < end, f"{pid} goes on: {state}"
        time.sleep(0.01)


def state_of(pid: int) -> str:
    """As ps(1) names it; X when it is gone, also in the middle of the look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def test_nobody_who_listens_is_the_end_of_it(ran: Ran) -> None:
    """The daemon was killed: the program ends with its launcher, for it asked for that."""
    with tempfile.NamedTemporaryFile() as file:
        die = step(Op.PDEATHSIG, int(signal.SIGKILL))
        launched = launch(ran.binary, plan(run(sh(f"echo $$ > {file.name}; exec sleep 1000", die))))
        while not (text := Path(file.name).read_text().strip()):
            time.sleep(0.01)
        launched.close()
        gone(int(text))


def test_it_can_join_a_cgroup_by_a_passed_descriptor(ran: Ran) -> None:
    reader, writer = os.pipe()
    message, _ = ran.one(run(sh("true", step(Op.JOIN_CGROUP_FD, 0))), fds=(writer,))
    os.close(writer)
    assert (message.error, os.read(reader, 10)) == (0, b"0")
    os.close(reader)


@pytest.fixture
def tree() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="w-run-"))
    make_tree(place)
    yield place
    shutil.rmtree(place)


def test_inside_a_container_nothing_of_the_host_is_open(ran: Ran, tree: Path) -> None:
    """CVE-2024-21626: not as a descriptor, not as the working directory; and PID 1 cannot be looked at."""
    script = "pwd; ls -l /proc/self/fd; ls /proc/1/fd /proc/1/map_files; readlink /proc/1/exe /proc/1/root; ls /host"
    rights = step(Op.CAPABILITIES, 0, 0, 0, 0, 0)
    found = ran.all(
        *launcher_steps(tree),
        step(Op.GROUPS, b""),
        step(Op.SETGID, 0),
        step(Op.SETUID, 0),
        step(Op.UNSHARE, NEWNS),
        step(Op.MOUNT, "proc", "/proc", "proc", 0, ""),
        run(sh("cat /proc/self/uid_map; ls -d " + str(tree), step(Op.CHDIR, "/"))),
        step(Op.PIVOT_ROOT),
        run(sh(script, step(Op.CHDIR, "/"), rights)),
    )
    before, after = [said.decode() for message, said in found if message.kind == RAN]
    assert before.split() == ["0", str(MAPPED), "65536", str(tree)]
    assert after.startswith("/\n")
    places = [line.split(" -> ")[1] for line in after.splitlines() if " -> " in line]
    assert [place.partition(":")[0] for place in places[:3]] == ["/memfd", "pipe", "pipe"]
    assert len(places) == 4 and places[3].startswith("/proc/")
    assert after.count("Permission denied") == 2
    assert "wshd" not in after and str(tree) not in after


def test_a_name_is_a_name(ran: Ran) -> None:
    """Whatever the number, it is JSON."""
    message, said = ran.one(run(sh("cat"), (b'{"pid": ', b"}"), name="N"))
    assert message.error == 0
    assert json.loads(said) == {"pid": -1}  # there is no child yet
