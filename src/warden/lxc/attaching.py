"""A program beside the others of a running container: into its namespaces and cgroups, with its rights, and no others.

Owns how a process is made one of the container's: a plan that wshd's launcher carries out (docs/plan-format.md), which
enters by the first process's pidfd, forks so that the pid namespace counts, and ends with the program's code.
"""

from __future__ import annotations

import os
import stat
import struct

from warden.errors import JobFailed, KernelRefused, WrongState
from warden.kernel import sockets
from warden.kernel.paths import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2
from warden.kernel.proc import parse_capabilities, parse_cgroup, parse_mountinfo
from warden.light import TYPE_CHECKING, contextmanager, signal, suppress
from warden.lxc.place import Running
from warden.plan import flags, words
from warden.plan.capabilities import ALL
from warden.plan.steps import Op, Plan, Step
from warden.process.launch import FAILED, Binary, StepFailed, spawn
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MESSAGE = struct.Struct("<IIii")
NAMESPACES = {
    "mnt": flags.CLONE_NEWNS,
    "pid": flags.CLONE_NEWPID,
    "uts": flags.CLONE_NEWUTS,
    "ipc": flags.CLONE_NEWIPC,
    "user": flags.CLONE_NEWUSER,
    "net": flags.CLONE_NEWNET,
    "cgroup": flags.CLONE_NEWCGROUP,
}
_MOST = 1 << 20
SELINUX = "/sys/fs/selinux"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Attachment:
    """*argv* (): the shell of the user. *namespaces*: those entered, None all that are not ours. *privileged*: what of the
    container's confinement is left out: "cgroup", "caps", "lsm". *remount*: /proc and /sys of what was entered.
    *personality*: of personality(2), None that of the first process; *context*: of SELinux, "" the same."""

    running: Running
    argv: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    namespaces: tuple[str, ...] | None = None
    privileged: frozenset[str] = frozenset()
    remount: bool = False
    uid: int = 0
    gid: int = 0
    seccomp: bytes = b""
    personality: int | None = None
    context: str = ""


def attach(order: Attachment, streams: tuple[int, int, int], on_running: Callable[[int], None]) -> int:
    """Exit code of the program, 128 and the number of the signal that ended it. *on_running* is told the launcher's
    number. Raises JobFailed when it could not be become, WardenError else."""
    if "scheduled" in order.running.tasks:
        from warden.lxc.scheduling import join  # few are

        join(order.running.pid)
    pidfd = _open(order.running)
    joins: list[int] = []
    try:
        joins = _joins(order)
        plan = _plan(order, len(joins))
    finally:
        os.close(pidfd)
    binary = Binary()
    plan_fd = os.memfd_create("plan", os.MFD_CLOEXEC)
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    with ours:
        try:
            os.write(plan_fd, plan.encode())
            launcher = spawn(binary, [theirs.fileno(), plan_fd, plan_fd, *joins], "wshd", given=streams)
        finally:
            for fd in joins:
                os.close(fd)
            theirs.close()
            os.close(plan_fd)
            binary.close()
        on_running(launcher)
        failed = _heard(ours)
    _, status = os.waitpid(launcher, 0)
    if failed is not None:
        raise _refusal(plan, failed, order)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _open(running: Running) -> int:
    try:
        return os.pidfd_open(running.pid)
    except ProcessLookupError as error:
        raise WrongState(f"{running.name} is not running") from error


def _heard(ours: sockets.socket) -> StepFailed | None:
    """What the launcher and its child say, until exec has closed the last copy of their end."""
    while True:
        data = ours.recv(_MESSAGE.size)
        if len(data) < _MESSAGE.size:
            return None
        kind, step, number, _ = _MESSAGE.unpack(data)
        if kind == FAILED:
            return StepFailed(step, number)


def _refusal(plan: Plan, failed: StepFailed, order: Attachment) -> Exception:
    from warden.engine.refusals import refusal

    if 0 <= failed.step < len(plan.steps) and plan.steps[failed.step].op is Op.EXEC:
        word = os.fsdecode(plan.steps[failed.step].args[0])  # type: ignore[arg-type]
        error = JobFailed(f"exec {word}: {os.strerror(failed.errno)}")
        error.errno = failed.errno  # type: ignore[attr-defined]
        return error
    return refusal(plan, failed.step, failed.errno, doing=f"attach to {order.running.name}")


def _joins(order: Attachment) -> list[int]:
    """For the program alone, by descriptor: who waits for it stays outside, where the container cannot move or count it."""
    found: list[int] = []
    try:
        for path in _cgroups(order.running.pid) if "cgroup" not in order.privileged else ():
            if os.geteuid() == 0 or os.access(path, os.W_OK):  # an ordinary user's has no group that is not his
                found.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        for fd in found:
            os.close(fd)
        raise KernelRefused("open", path, error.errno or 0) from error
    return found


def _plan(order: Attachment, joins: int) -> Plan:
    pid = order.running.pid
    status = _status(pid)
    entered = order.namespaces if order.namespaces is not None else tuple(_others(pid))
    steps: list[Step] = []
    if "lsm" not in order.privileged and os.path.exists("/sys/module/apparmor"):
        from warden.lxc import apparmor  # many kernels have none

        if label := apparmor.label_of(pid):
            steps.append(words.profile(apparmor.exec_path(), label))
    if "lsm" not in order.privileged and os.path.exists(SELINUX):
        with open(f"/proc/{pid}/attr/current", encoding="utf-8", errors="surrogateescape") as file:
            context = order.context or file.read().strip("\0\n")
        steps.append(words.context("/proc/self/attr/exec", context, "SELinux's of its next exec"))
    mask = sum(NAMESPACES[name] for name in entered)
    if mask:
        steps.append(Step(Op.SETNS_PID, (pid, mask), f"setns(pidfd of {pid}, {', '.join(entered)})"))
    steps.append(words.clone(0, "so that the pid namespace is its own"))
    steps.append(words.simple(Op.RELEASE, "release the child"))
    steps += [Step(Op.JOIN_CGROUP_FD, (n,), f"echo 0 > descriptor {n}", "the container's limits") for n in range(joins)]
    steps += _remounts(entered) if order.remount and "mnt" not in entered else ()  # the container's own are right
    steps += _rights(order, status, entered)
    steps += _program(order, entered)
    return Plan(tuple(steps))


def _status(pid: int) -> bytes:
    with open(f"/proc/{pid}/status", "rb") as file:
        return file.read()


def _others(pid: int) -> Iterator[str]:
    for name in NAMESPACES:
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
                yield name


def _cgroups(pid: int) -> list[str]:
    """A file of each group that the first process is in and we are not. Those of v1 take one task without a global lock;
    v2's takes cgroup_threadgroup_rwsem for writing, which waits for RCU: 9 ms where nothing else does."""
    mounts: dict[str, str] = {}
    with open("/proc/self/mountinfo", "rb") as file:
        for record in parse_mountinfo(file.read()):
            if record.fstype == "cgroup2":
                mounts[""] = record.target
            elif record.fstype == "cgroup":
                mounts |= dict.fromkeys(record.super_options, record.target)
    found = []
    with open("/proc/self/cgroup", "rb") as own, open(f"/proc/{pid}/cgroup", "rb") as file:
        ours = parse_cgroup(own.read())
        for group in parse_cgroup(file.read()):
            if group in ours:
                continue
            name = group.controllers[0] if group.controllers else ""
            if name in mounts:
                found.append(f"{mounts[name]}{group.path}/{'tasks' if name else 'cgroup.procs'}".replace("//", "/"))
    return found


def _remounts(entered: tuple[str, ...]) -> Iterator[Step]:
    """What they show are the namespaces of who mounts them; not to be seen by the container (unshared)."""
    yield words.unshare(flags.CLONE_NEWNS, "what is mounted now is its own")
    yield words.propagation(flags.MS_REC | flags.MS_PRIVATE, "rprivate", "nothing propagates either way")
    nothing = flags.MS_NOSUID | flags.MS_NODEV | flags.MS_NOEXEC
    yield words.mount("proc", "/proc", "proc", nothing)
    if "net" in entered:
        yield words.mount("sysfs", "/sys", "sysfs", nothing)


def _rights(order: Attachment, status: bytes, entered: tuple[str, ...]) -> Iterator[Step]:
    fields = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
    persona = order.personality if order.personality is not None else _personality(order.running.pid)
    if persona is not None:
        yield Step(Op.PERSONALITY, (persona,), f"personality({persona:#x})", "what uname says")
    yield words.simple(Op.SETSID, "setsid()")
    yield Step(Op.GROUPS, (b"",), "setgroups()")
    if "caps" not in order.privileged:
        bounding = int(fields[b"CapBnd"], 16)
        with open("/proc/self/status", "rb") as file:
            own = parse_capabilities(file.read()).permitted
        own = ALL if "user" in entered else own
        yield Step(Op.CAPABILITIES, (bounding, own, own, 0, 0), "capabilities of its first process", "and no others")
    if order.seccomp:
        yield Step(
            Op.SECCOMP, (order.seccomp,), "seccomp(SECCOMP_SET_MODE_FILTER)", "what its configuration lets it call"
        )
    if (order.uid, order.gid) != (0, 0) or "user" in entered:
        yield from words.owner_ids(order.uid, order.gid, "whom it runs as")
    if fields.get(b"NoNewPrivs", b"0").strip() == b"1" and "lsm" not in order.privileged:
        yield words.simple(Op.NO_NEW_PRIVS, "prctl(PR_SET_NO_NEW_PRIVS)")


def _personality(pid: int) -> int | None:
    with suppress(OSError), open(f"/proc/{pid}/personality", encoding="ascii") as file:
        return int(file.read(), 16)
    return None


def _program(order: Attachment, entered: tuple[str, ...]) -> Iterator[Step]:
    inside = "mnt" in entered
    cwd = os.getcwd() if not inside or _is_directory(order.running.pid, os.getcwd()) else "/"
    yield Step(Op.CHDIR, (words.raw(cwd),), f"chdir({cwd})")
    for name, value in order.environ.items():
        yield Step(Op.ENV, (os.fsencode(f"{name}={value}"),), f"setenv({name})")
    argv = order.argv or (_shell(order.running.pid if inside else os.getpid(), order.uid),)
    for word in argv:
        yield Step(Op.ARG, (os.fsencode(word),), f"argument {word!r}")
    yield Step(Op.EXEC, (os.fsencode(argv[0]),), f"execve({argv[0]})")


@contextmanager
def _inside(pid: int, path: str, how: int = 0, resolve: int = 0) -> Iterator[int]:
    """A descriptor, for nothing but to be asked, of *path* as the container sees it, which no link leads out of. Raises
    OSError."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    fd = -1
    try:
        fd = openat2(path, os.O_PATH | how, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve, root)
        yield fd
    finally:
        os.close(root)
        if fd >= 0:
            os.close(fd)


def _is_directory(pid: int, path: str) -> bool:
    """Step by step and by descriptor; only where a link or `..` is on the way is the kernel asked to follow it."""
    names = [name for name in path.split("/") if name]
    if ".." in names:
        return _leads_to_directory(pid, path)
    try:
        fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        for name in names:
            below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        return True
    except FileNotFoundError:
        return False
    except OSError:
        return _leads_to_directory(pid, path)
    finally:
        os.close(fd)


def _leads_to_directory(pid: int, path: str) -> bool:
    with suppress(OSError), _inside(pid, path, os.O_DIRECTORY):
        return True
    return False


def _shell(pid: int, uid: int) -> str:
    """What the container's passwd says, which it may have written; /bin/sh where it says nothing. It is not opened before
    it is known to be a file, for a device or a fifo acts on that, and in no other mount, whose server may never answer."""
    with suppress(OSError), _inside(pid, "/etc/passwd", resolve=RESOLVE_NO_XDEV) as fd:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                text = file.read(_MOST).decode(errors="replace")
            for line in text.splitlines():
                fields = line.split(":")
                if len(fields) == 7 and fields[2] == str(uid) and fields[6].startswith("/"):
                    return fields[6] if "\0" not in fields[6] else "/bin/sh"
    return "/bin/sh"


def forward(launcher: int, number: int) -> None:
    """A signal of the caller's to the program: the launcher's only child."""
    with suppress(OSError), open(f"/proc/{launcher}/task/{launcher}/children", encoding="ascii") as file:
        for word in file.read().split():
            os.kill(int(word), number)


FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
