"""JobSpec, and what becomes of a job: verdict, usage, result."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, MappingProxyType
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

RLIMIT_INFINITY = 2**64 - 1

#: Warden's defaults, soft and hard alike (spec/warden.md §4). Units as in getrlimit(2).
DEFAULT_RLIMITS: Mapping[str, int] = MappingProxyType(
    {
        "as": RLIMIT_INFINITY,
        "core": 0,
        "cpu": RLIMIT_INFINITY,
        "data": RLIMIT_INFINITY,
        "fsize": RLIMIT_INFINITY,
        "locks": RLIMIT_INFINITY,
        "memlock": 65536,
        "msgqueue": 819200,
        "nice": 0,
        "nofile": 1024,
        "nproc": 1024,
        "rss": RLIMIT_INFINITY,
        "rtprio": 0,
        "sigpending": 1024,
        "stack": 8388608,
    }
)


class Verdict(Enum):
    """Why a job ended. Exactly one of these for every job."""

    EXITED = "exited"  # by itself, whatever its exit status
    SIGNALED = "signaled"  # by a signal that was not the engine's: its own fault, or somebody's kill(2)
    OUT_OF_MEMORY = "out_of_memory"  # the kernel killed one of its processes for memory, the first or any other
    WALL_TIMEOUT = "wall_timeout"  # it lived longer than its limit, also if it ended by itself before it was killed
    CPU_TIMEOUT = "cpu_timeout"  # all its processes together used more than its limit; the same holds
    OUTPUT_LIMIT = "output_limit"  # it wrote more than its limit and was killed for it
    # It failed (exit status not 0, or a signal) and at its end there was no room: its container's disk limit of bytes
    # or files was reached, or the file system of its files, or its /dev/shm, had none left; less than 64 KiB is none.
    # Said of no job that exits with 0, nor of one that removed again what did not fit: its status is all that is known.
    DISK_FULL = "disk_full"
    # The container was stopped or destroyed under it, or its caller killed it. One that takes a stop's TERM as a request
    # and ends by itself has exited.
    STOPPED = "stopped"
    ENGINE_ERROR = "engine_error"  # nothing of the job's: its PID 1 or the engine failed


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A command or a script to run in a container. Exactly one of *argv* and *script* is given.

    *script* is given to the container's bash on standard input, as Warden does. Text that is not UTF-8 travels in
    str by surrogateescape. *env* is added to HOME, USER, PATH and LANG. *user*: a name or a number in the container's
    passwd; None: vcap, or root when *privileged*. *stdin*: the bytes the job reads, then end of file; None with
    *interactive*: a pipe that the caller writes to; None without: empty.
    *wall_limit_s*: seconds after which the job's whole tree is killed. *cpu_limit_s*: seconds of processor time, user
    and system, that the whole tree may use (rlimits' cpu is each process's own). *output_limit*: bytes of stdout and
    stderr together; None: the engine's. *rlimits*: names of DEFAULT_RLIMITS, soft and hard alike.
    """

    argv: tuple[str, ...] = ()
    script: bytes | None = None
    privileged: bool = False
    user: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    stdin: bytes | None = None
    interactive: bool = False
    tty: bool = False
    rows: int = 24
    columns: int = 80
    rlimits: Mapping[str, int] = field(default_factory=dict)
    wall_limit_s: float | None = None
    output_limit: int | None = None
    discard_output: bool = False
    log_tag: str | None = None
    cpu_limit_s: float | None = None

    def __post_init__(self) -> None:
        if bool(self.argv) == (self.script is not None):
            raise BadInput("job: give either a command or a script", hint="one of argv and script")
        if any("\0" in word for word in self.argv):
            raise BadInput("job: a word of the command contains a NUL byte")
        for name, value in self.env:
            if not name or "=" in name or "\0" in name + value:
                raise BadInput(f"env: {name!r} is not a name for an environment variable")
        if self.cwd is not None and (not self.cwd.startswith("/") or "\0" in self.cwd):
            raise BadInput(f"cwd: {self.cwd!r} is not an absolute path")
        for name, limit in self.rlimits.items():
            if name not in DEFAULT_RLIMITS or not 0 <= limit <= RLIMIT_INFINITY:
                raise BadInput(f"rlimits: {name}={limit} is not a limit", hint="one of " + ", ".join(DEFAULT_RLIMITS))
        if self.wall_limit_s is not None and not self.wall_limit_s > 0:  # also refuses "not a number"
            raise BadInput(f"timeout: {self.wall_limit_s} is not a positive number of seconds")
        if self.cpu_limit_s is not None and not self.cpu_limit_s > 0:
            raise BadInput(f"cpu timeout: {self.cpu_limit_s} is not a positive number of seconds")
        if self.output_limit is not None and self.output_limit < 0:
            raise BadInput(f"output limit: {self.output_limit} is not a number of bytes")
        if not (0 <= self.rows <= 65535 and 0 <= self.columns <= 65535):
            raise BadInput(f"terminal: {self.rows} rows and {self.columns} columns are not a size", hint="0 to 65535")
        if self.stdin is not None and self.interactive:
            raise BadInput("job: give either the bytes of stdin or an interactive one")

    def check_script(self) -> None:
        """Raises BadInput for a script that could not be read, as something else is wanted of standard input."""
        if self.script is not None and (self.stdin is not None or self.interactive or self.tty):
            hint = "give a command, such as bash -c '…'"
            raise BadInput("job: a script comes on standard input, which is then not free for more", hint=hint)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job used. Seconds and bytes. Peak memory None: the kernel keeps no such figure here. *io_…*: bytes and
    operations of block devices, None where the kernel does not count them; what is read from or left in the page cache
    costs none, and v1 does not know whose is what is written back later."""

    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    io_read_ops: int | None = None
    io_write_ops: int | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended. *exit_status*: its exit code, 255 when a signal ended it (Warden's rule, spec §4);
    *signal*: that signal's number, else 0. *truncated*: output was cut at the limit. *detail*: one sentence more."""

    exit_status: int
    verdict: Verdict
    signal: int = 0
    truncated: bool = False
    usage: Usage = field(default_factory=Usage)
    detail: str = ""


class WaitCondition(Enum):
    """What is waited for; the values cross the wire."""

    NOT_RUNNING = "not-running"  # the job has ended, now or before
    NEXT_EXIT = "next-exit"  # the next end of a job
    REMOVED = "removed"  # the container is destroyed


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a job's output. *stream* is "stdout" or "stderr"; *time*, of its first byte, is seconds since the epoch;
    *offset* is where it lies in its stream. *job* is told where the output of several is read."""

    stream: str
    data: bytes
    time: float = 0.0
    offset: int = 0
    job: int = 0
