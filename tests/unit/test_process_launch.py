"""Starting wshd, with a program in its place that says what a test tells it to: the plan is its script."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.errors import EngineFault, KernelRefused
from warden.process import launch as launching
from warden.process.launch import Binary, Launched, StepFailed, launch, listen_at

CLONED, FAILED, READY = 1, 2, 3
PROGRAM = f"""#!{sys.executable} -IS
import array, os, socket, struct, sys, time
control, plan, listener = map(int, sys.argv[1:])
line, out = socket.socket(fileno=control), -1

def say(kind, step=0, error=0, pid=0, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    line.sendmsg([struct.pack("<IIii", kind, step, error, pid)], rights)

def last_words():
    time.sleep(30)
    if out >= 0:
        os.write(out, b"late")

def child():
    '''A process that lives until it is killed; the launcher's control socket is not its own.'''
    pid = os.fork()
    if not pid:
        line.close()
        last_words()
        os._exit(0)
    say({CLONED}, pid=pid, fds=[os.pidfd_open(pid)])

exec(os.pread(plan, 1 << 20, 0))
"""


@pytest.fixture
def binary(tmp_path: Path) -> Iterator[Binary]:
    path = tmp_path / "wshd"
    path.write_text(PROGRAM)
    made = Binary(str(path))
    yield made
    made.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with listen_at(str(tmp_path)) as made:
        yield made


class Witness:
    """A pipe with a name: the launcher and its child hold the write end, and write to it if they are let live."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self.fd, True)
        self.script = f"out = os.open({str(path)!r}, os.O_WRONLY)\n"

    def words(self) -> bytes:
        """All that was written until nobody held the other end."""
        return b"".join(iter(lambda: os.read(self.fd, 99), b""))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness(tmp_path / "alive")
    yield made
    os.close(made.fd)


@pytest.fixture(autouse=True)
def no_descriptor_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def end(launched: Launched) -> None:
    signal.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
    os.close(launched.pidfd)


def gone(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_container_that_is_ready(binary: Binary, listener: socket.socket) -> None:
    launched = launch(binary, f"child(); say({READY})".encode(), listener)
    assert not gone(launched.pidfd)
    assert f"Pid:\t{launched.pid}\n" in Path(f"/proc/self/fdinfo/{launched.pidfd}").read_text()
    end(launched)


def test_the_pidfd_is_close_on_exec(binary: Binary, listener: socket.socket) -> None:
    launched = launch(binary, f"child(); say({READY})".encode(), listener)
    assert not os.get_inheritable(launched.pidfd)
    end(launched)


def test_the_program_gets_its_three_descriptors_null_for_the_others_and_no_environment(
    binary: Binary, listener: socket.socket
) -> None:
    script = """
import stat
kind = lambda fd: stat.S_IFMT(os.fstat(fd).st_mode)
assert kind(control) == kind(listener) == stat.S_IFSOCK
assert os.readlink(f"/proc/self/fd/{plan}").startswith("/memfd:plan")
assert [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)] == ["/dev/null"] * 3
assert not set(os.environ) - {"LC_CTYPE"}  # which Python sets itself
child()
"""
    end(launch(binary, f"{script}\nsay({READY})".encode(), listener))


def test_a_step_that_was_refused(binary: Binary, listener: socket.socket) -> None:
    with pytest.raises(StepFailed) as caught:
        launch(binary, f"say({FAILED}, 7, {errno.EINVAL})".encode(), listener)
    assert (caught.value.step, caught.value.errno) == (7, errno.EINVAL)
    assert str(caught.value) == "step 7: Invalid argument"


def test_a_container_whose_step_was_refused_is_killed(
    binary: Binary, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    end = launching._end

    def keep_and_end(pidfd: int) -> None:
        copies.append(os.dup(pidfd))
        end(pidfd)

    monkeypatch.setattr(launching, "_end", keep_and_end)
    script = f"child(); say({FAILED}, 7, {errno.EPERM}); os.waitpid(-1, 0)"
    with pytest.raises(StepFailed):
        launch(binary, script.encode(), listener)
    (copy,) = copies
    assert gone(copy)  # its launcher has waited for it
    os.close(copy)


@pytest.mark.parametrize("script", ["", "os._exit(1)", "raise SystemExit(125)"])
def test_a_program_that_ends_without_a_word(binary: Binary, listener: socket.socket, script: str) -> None:
    with pytest.raises(EngineFault, match="ended before its container was ready"):
        launch(binary, script.encode(), listener)


def test_a_plan_that_hangs_is_given_up_and_everything_is_killed(
    binary: Binary, listener: socket.socket, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "TIMEOUT_S", 1.0)
    script = witness.script + "child(); last_words()"
    with pytest.raises(EngineFault, match=r"^wshd: not ready after 1 s \(a mount source may hang\)$"):
        launch(binary, script.encode(), listener)
    assert witness.words() == b""


def test_a_program_that_cannot_run(tmp_path: Path, listener: socket.socket) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"\0\1\2\3 no program")
    made = Binary(str(path))
    with pytest.raises(KernelRefused, match=r"^posix_spawn wshd: "):
        launch(made, b"", listener)
    made.close()


def test_the_program_is_sealed_and_close_on_exec(binary: Binary) -> None:
    assert not os.get_inheritable(binary.fd)
    assert Path(binary.path).read_text() == PROGRAM
    for change in (lambda: os.pwrite(binary.fd, b"x", 0), lambda: os.ftruncate(binary.fd, 0)):
        with pytest.raises(PermissionError):
            change()
    with pytest.raises(PermissionError):
        os.pwrite(binary.fd, b"x", len(PROGRAM))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match=r"cannot read .*No such file.*make -C native"):
        Binary(str(tmp_path / "absent"))


def test_the_socket_is_for_its_owner_alone(listener: socket.socket, tmp_path: Path) -> None:
    mode = (tmp_path / launching.SOCKET_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_a_place_that_is_taken_is_refused(listener: socket.socket, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        listen_at(str(tmp_path))
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(FileNotFoundError):
        listen_at(str(tmp_path / "absent"))
