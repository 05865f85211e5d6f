"""One process as /proc shows it: read by descriptor, so that another that takes its number later is never mixed in.

What the kernel refuses, or has not for this process, becomes a Problem and not an error.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from warden.errors import BadInput, NotPermitted
from warden.explain.note import Text
from warden.kernel import proc
from warden.records import dataclass, field

T = TypeVar("T")

#: As /proc/PID/ns names them.
NAMESPACE_KINDS = ("mnt", "pid", "pid_for_children", "user", "net", "ipc", "uts", "cgroup", "time", "time_for_children")

_GONE = Text("it has none: a thread of the kernel, or a process that has ended", "没有：它是内核线程，或进程已结束")
REASONS = {
    errno.ENOENT: _GONE,
    errno.ESRCH: Text("it ended while it was being read", "读取过程中它已结束"),
    errno.EINVAL: _GONE,
    errno.EACCES: Text("the kernel refuses to show it to us", "内核拒绝让我们查看"),
    errno.EPERM: Text("the kernel refuses to show it to us", "内核拒绝让我们查看"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be shown, and why."""

    what: str
    reason: Text


def reason_of(error: OSError) -> Text:
    """A sentence for the errno, the C library's where we have none."""
    words = error.strerror or str(error)
    return REASONS.get(error.errno or 0, Text(words, words))


class ProcessDir:
    """The directory /proc/PID, held open: reads fail with ESRCH once the process is gone, whoever has its number then.

    Raises BadInput when there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.problems: list[Problem] = []
        try:
            self._fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise no_process(pid) from error

    def __enter__(self) -> ProcessDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read(self, name: str) -> bytes:
        """The whole file; raises OSError."""
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def link(self, name: str) -> str:
        """Where a symbolic link leads; raises OSError."""
        return os.readlink(name, dir_fd=self._fd)

    def attempt(self, what: str, look: Callable[[], T], otherwise: T) -> T:
        """*look()*; when the kernel refuses, *otherwise* and a Problem."""
        try:
            return look()
        except OSError as error:
            self.problems.append(Problem(what, reason_of(error)))
            return otherwise


def no_process(pid: int) -> BadInput:
    return BadInput(f"explain: there is no process {pid}", hint="it may have ended; ps -e lists those that run")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A process at one moment. *nspid*: its ids in each pid namespace, the outermost first. *command*: its words."""

    pid: int
    name: str
    state: str
    parent: int
    threads: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    nspid: tuple[int, ...]
    kernel_thread: bool
    command: tuple[str, ...]
    root: str | None
    capabilities: proc.CapabilitySets
    no_new_privs: int
    seccomp: int
    seccomp_filters: int
    uid_map: tuple[proc.IdRange, ...]
    gid_map: tuple[proc.IdRange, ...]
    limits: tuple[proc.ResourceLimit, ...]
    namespaces: dict[str, int] = field(default_factory=dict)
    cgroups: tuple[proc.CgroupMembership, ...] = ()
    mounts: tuple[proc.MountRecord, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_process(pid: int) -> ProcessFacts:
    """Everything in /proc/PID that `explain` shows. Raises BadInput without such a process, NotPermitted when it is
    another's and we are not root."""
    with ProcessDir(pid) as directory:
        return facts_in(directory)


def facts_in(directory: ProcessDir) -> ProcessFacts:
    """The same of a directory that is open."""
    try:
        text = directory.read("status")
    except OSError as error:
        raise no_process(directory.pid) from error
    status = proc.parse_status(text)
    _check_rights(directory)
    parts = _parts(directory)
    return ProcessFacts(
        pid=directory.pid,
        name=status.get("Name", "?"),
        state=status.get("State", "?")[:1],
        parent=_number(status, "PPid"),
        threads=_number(status, "Threads"),
        uids=_numbers(status, "Uid"),
        gids=_numbers(status, "Gid"),
        nspid=_numbers(status, "NSpid"),
        kernel_thread=_is_kernel_thread(status),
        capabilities=proc.parse_capabilities(text),
        no_new_privs=_number(status, "NoNewPrivs"),
        seccomp=_number(status, "Seccomp"),
        seccomp_filters=_number(status, "Seccomp_filters"),
        problems=tuple(directory.problems),
        **parts,  # type: ignore[arg-type]
    )


def _parts(directory: ProcessDir) -> dict[str, object]:
    """What stands in files of its own."""

    def parsed(name: str, parse: Callable[[bytes], list[T]]) -> tuple[T, ...]:
        return directory.attempt(name, lambda: tuple(parse(directory.read(name))), ())

    return {
        "command": _command(directory.attempt("cmdline", lambda: directory.read("cmdline"), b"")),
        "root": directory.attempt("root", lambda: directory.link("root"), None),
        "uid_map": parsed("uid_map", proc.parse_id_map),
        "gid_map": parsed("gid_map", proc.parse_id_map),
        "limits": parsed("limits", proc.parse_limits),
        "namespaces": _namespaces(directory),
        "cgroups": parsed("cgroup", proc.parse_cgroup),
        "mounts": parsed("mountinfo", proc.parse_mountinfo),
    }


def _check_rights(directory: ProcessDir) -> None:
    """Root is shown what the kernel lets it see; anybody else is told what to do."""
    try:
        directory.link("ns/user")
    except PermissionError as error:
        if os.geteuid() != 0:
            sentence = f"explain: process {directory.pid} belongs to another user"
            raise NotPermitted(sentence, hint="run it as root") from error
    except OSError:
        pass  # it has none, which is shown later


def _namespaces(directory: ProcessDir) -> dict[str, int]:
    found = {}
    for kind in NAMESPACE_KINDS:
        link = directory.attempt(f"ns/{kind}", lambda kind=kind: directory.link(f"ns/{kind}"), "")  # type: ignore[misc]
        number = link.partition("[")[2].rstrip("]")
        if number.isdigit():
            found[kind] = int(number)
    return found


def _command(text: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(text).rstrip("\0").split("\0")) if text.strip(b"\0") else ()


def _number(status: dict[str, str], name: str) -> int:
    return next(iter(_numbers(status, name)), 0)


def _numbers(status: dict[str, str], name: str) -> tuple[int, ...]:
    return tuple(int(word) for word in status.get(name, "").split() if word.isdigit())


def _is_kernel_thread(status: dict[str, str]) -> bool:
    """The kernel says it since 6.8; before, all of its threads are children of number 2."""
    if "Kthread" in status:
        return status["Kthread"] == "1"
    return "2" in (status.get("Pid"), status.get("PPid")) and "VmSize" not in status
