"""Starts wshd with an encoded plan and waits until PID 1 serves (docs/plan-format.md, "Running a plan").

Blocking; meant for a worker thread. Raises StepFailed by number; who made the plan knows what that step was.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct

import warden
from warden.errors import EngineFault, KernelRefused
from warden.kernel import sockets
from warden.light import TYPE_CHECKING, signal, suppress
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable

_MESSAGE = struct.Struct("<IIii")
CLONED, FAILED, READY, RAN, MADE = 1, 2, 3, 4, 5
_SAID_MAX = 4096
#: Longer than any honest plan takes; a plan that hangs (a dead network file system) must not hold a thread for ever.
TIMEOUT_S = 60.0
LONGEST_S = 86400.0
EXIT_S = 5.0
SOCKET_NAME = "wshd.sock"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class StepFailed(Exception):
    """Step number *step* of the plan was refused with *errno*."""

    def __init__(self, step: int, errno: int) -> None:
        super().__init__(f"step {step}: {os.strerror(errno)}")
        self.step, self.errno = step, errno


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that step number *step* ran: *error* when it could not become itself or took too long (ETIMEDOUT), its
    *status* as wait(2) gives it, and the last of what it wrote."""

    step: int
    error: int
    status: int
    said: bytes


@dataclass(frozen=True, slots=True)
class Launched:
    """A container's PID 1 as the host sees it; the pidfd is the caller's to close. *monitor*: of a plan with such a
    step, the launcher, which lives on."""

    pid: int
    pidfd: int
    monitor: int = 0


class Binary:
    """wshd in a sealed memory file: nothing in a container can write to what the host will run (CVE-2019-5736)."""

    def __init__(self, path: str | None = None) -> None:
        source = path or os.path.join(os.path.dirname(warden.__file__), "_native/wshd")
        self.fd = os.memfd_create("wshd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(source, "rb") as program:
                os.write(self.fd, program.read())
        except OSError as error:
            os.close(self.fd)
            raise EngineFault(
                f"wshd: cannot read {source}: {error.strerror}", hint="build it: make -C native"
            ) from error
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self) -> None:
        os.close(self.fd)


def listen_at(directory: str) -> sockets.socket:
    """A listening packet socket named wshd.sock in *directory*, for host root alone."""
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    try:
        # Through the descriptor: a depot's path may be longer than the 107 bytes of sun_path.
        listener.bind(f"/proc/self/fd/{directory_fd}/{SOCKET_NAME}")
        os.chmod(os.path.join(directory, SOCKET_NAME), 0o600)
        listener.listen(16)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory_fd)
    return listener


def launch(
    binary: Binary,
    plan: bytes,
    listener: sockets.socket,
    *,
    descriptors: tuple[int, ...] = (),
    on_ran: Callable[[Ran], None] | None = None,
    on_cloned: Callable[[int], None] | None = None,
    patience_s: float = 0.0,
    title: str = "wshd",
    on_made: Callable[[int, int], None] = lambda _pid, _launcher: None,
    monitored: bool = False,
) -> Launched:
    """Runs *plan* to its `serve` step. Raises StepFailed, EngineFault when wshd says nothing, or KernelRefused.

    *descriptors*: those that steps name by index. *on_ran* is told of each program beside the plan, which together may
    take *patience_s*; what it raises ends the launch. *on_cloned* is told the child's number while it waits.
    *on_made*: called at a step `await`, which goes on when it has returned, with the child's number and the launcher's.
    *monitored*: a plan with a `monitor` step, which is run to the end of its `exec`. The launcher, called *title*, then
    lives on; it is the caller's child.
    """
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    with ours, theirs:
        plan_fd = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(plan_fd, plan)
            os.lseek(plan_fd, 0, os.SEEK_SET)
            launcher = spawn(binary, [theirs.fileno(), plan_fd, listener.fileno(), *descriptors], title)
        finally:
            os.close(plan_fd)
        theirs.close()
        ours.settimeout(min(TIMEOUT_S + patience_s, LONGEST_S))
        lives_on = False
        try:
            launched = _await_ready(ours, on_ran, on_cloned, lambda pid: on_made(pid, launcher), monitored)
            lives_on = monitored
            return replace(launched, monitor=launcher) if lives_on else launched
        except EngineFault:
            os.kill(launcher, signal.SIGKILL)  # not waited for yet, so the number is still its own
            raise
        finally:
            # Closing first: a launcher that still waits for somebody to read ends by itself.
            ours.close()
            if not lives_on:
                os.waitpid(launcher, 0)


def spawn(
    binary: Binary, descriptors: list[int], title: str = "wshd", given: tuple[int, int, int] | None = None
) -> int:
    """wshd with CONTROL, PLAN and so on. Its number: it is the caller's child. *given*: its standard streams."""
    base = max(*descriptors, *(given or ())) + 1
    targets = [base + n for n in range(len(descriptors))]
    streams: list[tuple[int, ...] | tuple[int, int, str, int, int]]
    streams = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    if given is not None:  # by way of numbers that are none of theirs
        above = base + len(descriptors)
        streams = [(os.POSIX_SPAWN_DUP2, fd, above + n) for n, fd in enumerate(given)]
        streams += [(os.POSIX_SPAWN_DUP2, above + n, n) for n in range(3)]
    moves = [(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in zip(descriptors, targets, strict=True)]
    argv = [title, *map(str, targets)]
    try:
        return os.posix_spawn(binary.path, argv, {}, file_actions=[*streams, *moves], setsigmask=())
    except OSError as error:
        raise KernelRefused("posix_spawn", "wshd", error.errno or 0) from error


def _await_ready(
    control: sockets.socket,
    on_ran: Callable[[Ran], None] | None,
    on_cloned: Callable[[int], None] | None,
    on_made: Callable[[int], None],
    monitored: bool,
) -> Launched:
    pid, pidfd, released = 0, -1, False
    try:
        while True:
            data, descriptors = receive(control, _MESSAGE.size + _SAID_MAX, 1)
            if released and not data:  # every copy is closed: by exec, and by the monitor once it knew
                return Launched(pid, pidfd)
            if len(data) < _MESSAGE.size:
                hint = "see the kernel log for a killed process"
                raise EngineFault("wshd: ended before its container was ready", hint=hint)
            kind, step, errno, number = _MESSAGE.unpack_from(data)
            if kind == CLONED:
                pid, pidfd = number, descriptors[0]
                if on_cloned is not None:
                    on_cloned(pid)
            elif kind == MADE:
                on_made(pid)
                control.send(b"\0")
            elif kind == READY and monitored:
                released = True
            elif kind == READY:
                return Launched(pid, pidfd)
            elif kind == RAN and on_ran is not None:
                on_ran(Ran(step, errno, number, data[_MESSAGE.size :]))
            elif kind == FAILED:
                raise StepFailed(step, errno)
    except BaseException as error:
        if pidfd >= 0:
            _end(pidfd)
        if isinstance(error, TimeoutError):
            waited = control.gettimeout()
            raise EngineFault(f"wshd: not ready after {waited:g} s", hint="a mount source may hang") from error
        raise


def receive(sock: sockets.socket, size: int, count: int) -> tuple[bytes, list[int]]:
    """One packet and its descriptors, close-on-exec. socket.recv_fds drops its flags (seen in Python 3.11)."""
    data, ancillary, _, _ = sock.recvmsg(size, sockets.CMSG_LEN(count * 4), sockets.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for _, _, rights in ancillary:
        descriptors += struct.unpack(f"{len(rights) // 4}i", rights)
    return data, descriptors


def _end(pidfd: int) -> None:
    """Kills it and waits, with a bound, until it has left its cgroups."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(int(EXIT_S * 1000))
    os.close(pidfd)
