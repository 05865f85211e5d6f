"""What is on disk of one container: its snapshot, written as a whole each time, and in it a table of its jobs.

The table is the original's, for its operators to read; what a restart needs of jobs is in their own directories. So it
may be a moment behind: the janitor brings it up to date, a thread writes it, and a job waits for neither.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from warden.cgroup.groups import JobGroup
from warden.depot.depot import ContainerDirectory
from warden.depot.snapshot import Snapshot
from warden.engine.job import Job
from warden.errors import WardenError
from warden.kernel.proc import inner_pid
from warden.records import dataclass

log = logging.getLogger("warden.record")

LOOKED_AT = 64  # processes of a job, oldest first, among which its first one is looked for


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the table shows it. *inner_pid*: its first process in the container; *exit_status* None: it runs."""

    job_id: int
    inner_pid: int
    group: JobGroup
    discard_output: bool
    log_tag: str | None
    exit_status: int | None


def rows_of(jobs: Iterable[Job]) -> tuple[Row, ...]:
    return tuple(
        Row(
            job.id,
            job.inner_pid,
            job.group,
            job.about.discard_output,
            job.about.log_tag,
            None if job.result is None else job.result.exit_status,
        )
        for job in jobs
    )


class ContainerRecord:
    """One container's. `write` and `save` are the loop's, `write_jobs` is a thread's."""

    def __init__(self, directory: ContainerDirectory, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._directory = directory
        self._lock = threading.Lock()  # for as long as one file is written
        self._jobs: Mapping[str, Any] = {}
        self._pids: dict[int, int | None] = {}
        self._past: Mapping[str, Any] = directory.read_past()
        self._dropped = False
        self.behind = False  # what is on disk is not what it is
        self._past_behind = False

    def write(self, snapshot: Snapshot) -> None:
        """From now on *snapshot* is what it is; raises KernelRefused, and then the old one holds."""
        with self._lock:
            if not self._dropped:
                self._directory.write_snapshot(snapshot, self._jobs)
            self.snapshot, self.behind = snapshot, False

    def save(self, snapshot: Snapshot) -> None:
        """The same, and it holds even when it cannot be written; `write_jobs` tries again."""
        try:
            self.write(snapshot)
        except WardenError as error:  # a full disk must not keep a container from being stopped
            self.snapshot, self.behind = snapshot, not self._dropped
            log.error("container %s: a restart would forget this change: %s", snapshot.handle, error)

    def drop(self) -> None:
        """From here on a crash means that the container is destroyed at the next start."""
        with self._lock:
            self._dropped, self.behind = True, False
            self._directory.drop_snapshot()

    def write_jobs(self, rows: tuple[Row, ...]) -> None:
        """Blocking: brings the table up to date if it is not."""
        self._pids = {row.job_id: self._host_pid(row) for row in rows}
        jobs = {str(row.job_id): self._entry(row) for row in rows}
        with self._lock:
            if (jobs == self._jobs and not self.behind) or self._dropped:
                return
            self._jobs = jobs
            try:
                self._directory.write_snapshot(self.snapshot, jobs)
                self.behind = False
            except WardenError as error:
                if not self.behind:
                    log.warning("container %s: the table of its jobs is behind: %s", self.snapshot.handle, error)
                self.behind = True

    def table_writer(self, rows: tuple[Row, ...], past: Callable[[], Mapping[str, Any]]) -> Callable[[], None]:
        """Puts both on disk when it is called: blocking."""

        def write() -> None:
            self.write_jobs(rows)
            self.write_past(past())

        return write

    @property
    def past(self) -> Mapping[str, Any]:
        """What removed jobs used, as it is on disk."""
        return self._past

    def write_past(self, past: Mapping[str, Any]) -> None:
        """Blocking: brings that up to date if it is not."""
        with self._lock:
            if past == self._past or self._dropped:
                return
            try:
                self._directory.write_past(past)
                self._past = past
            except OSError as error:
                if not self._past_behind:
                    log.warning("container %s: what past jobs used: %s", self.snapshot.handle, error)
                self.behind = True
            self._past_behind = self._past is not past

    def _entry(self, row: Row) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "iomux_spawn_pid": self._pids[row.job_id],
            "discard_output": row.discard_output,
            "log_tag": row.log_tag,
        }
        return entry if row.exit_status is None else entry | {"status": [row.exit_status, "", ""]}

    def _host_pid(self, row: Row) -> int | None:
        """Looked for once, while the job runs."""
        if row.job_id in self._pids:
            return self._pids[row.job_id]
        if row.exit_status is None:
            with contextlib.suppress(WardenError):
                for pid in sorted(row.group.pids())[:LOOKED_AT]:
                    if inner_pid(pid) == row.inner_pid:
                        return pid
        return None
