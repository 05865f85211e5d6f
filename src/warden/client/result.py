"""What a finished job is to a caller.

Plain data; it knows nothing of the wire.
"""

from __future__ import annotations

from warden.errors import WardenError
from warden.model.info import Info
from warden.model.job import JobResult, Usage, Verdict
from warden.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended, and its output if it was not streamed. *exit_status* is 255 when a signal ended it, *signal*
    that signal's number, else 0. *truncated*: output was cut at the limit. *info*: the container just after, if asked
    for. *detail*: one sentence more, where there is one."""

    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""
    verdict: Verdict = Verdict.EXITED
    signal: int = 0
    truncated: bool = False
    usage: Usage = field(default_factory=Usage)
    detail: str = ""
    info: Info | None = None

    @classmethod
    def of(cls, job: JobResult, stdout: bytes, stderr: bytes, info: Info | None) -> Result:
        """The result with its output."""
        return cls(job.exit_status, stdout, stderr, job.verdict, job.signal, job.truncated, job.usage, job.detail, info)

    @property
    def ok(self) -> bool:
        """It ended by itself with exit status 0."""
        return self.verdict is Verdict.EXITED and self.exit_status == 0

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> Result:
        """Itself; raises CommandFailed unless ok."""
        if not self.ok:
            raise CommandFailed(self)
        return self


class CommandFailed(WardenError):
    """A job that was to be checked did not end well; *result* has everything."""

    def __init__(self, result: Result) -> None:
        how = f"exit status {result.exit_status}" if result.verdict is Verdict.EXITED else result.verdict.value
        lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
        super().__init__(f"job: {how}" + (f": {lines[-1]}" if lines else ""), hint=result.detail)
        self.result = result
