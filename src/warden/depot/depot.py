"""The depot: a directory per container, its snapshot and its jobs' records, and the lock that one engine holds.

Owns paths and files below the depot; knows nothing of processes or cgroups. Writing is atomic by rename; removing
moves a directory out of sight first, so that a half-removed container is never taken for a whole one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from warden.depot.snapshot import Snapshot
from warden.errors import EngineFault, KernelRefused
from warden.kernel.paths import remove_tree
from warden.records import dataclass

TRASH = ".trash"
LOCK = ".lock"
#: mnt holds overlay's mount points, jobs the output of jobs, run the socket of PID 1. What a container writes lies
#: where rootfs/disk.py says, usually beside them.
SUBDIRECTORIES = ("mnt", "mnt/lower", "mnt/root", "jobs", "run")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is on disk of a job: what was asked (*spec*), when it ended its *result*, and the *cause* that its engine was
    about to end it for, "" for none."""

    id: int
    spec: Mapping[str, Any]
    result: Mapping[str, Any] | None
    cause: str = ""


class ContainerDirectory:
    """One container's directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def __truediv__(self, name: str) -> str:
        return f"{self.path}/{name}"

    def claim(self) -> None:
        """Creates it; raises FileExistsError when it is somebody's already."""
        os.mkdir(self.path, 0o711)

    def fill(self) -> None:
        """Creates what lies in it."""
        for name in SUBDIRECTORIES:
            os.mkdir(self / name, 0o755 if name != "run" else 0o700)

    def write_snapshot(self, snapshot: Snapshot, jobs: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Replaces snapshot.json as a whole; raises KernelRefused, and the old one stays."""
        try:
            replace_file(self / "snapshot.json", snapshot.to_json(jobs))
        except OSError as error:
            raise KernelRefused("write", self / "snapshot.json", error.errno or 0) from error

    def read_snapshot(self) -> Snapshot | None:
        """None when there is none: the container was never finished, or is being destroyed."""
        try:
            with open(self / "snapshot.json", encoding="utf-8", errors="surrogateescape") as file:
                return Snapshot.from_json(file.read())
        except FileNotFoundError:
            return None

    def write_past(self, past: Mapping[str, Any]) -> None:
        """Replaces the record of what removed jobs used, which v1 forgets; raises OSError."""
        replace_file(self / "past.json", json.dumps(past))

    def read_past(self) -> dict[str, Any]:
        """{} when there is none."""
        return _read_json(self / "past.json") or {}

    def drop_snapshot(self) -> None:
        """From here on a crash means that the container is destroyed at the next start."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self / "snapshot.json")

    def job_path(self, job_id: int) -> str:
        return f"{self.path}/jobs/{job_id}"

    def add_job(self, job_id: int, spec: Mapping[str, Any]) -> str:
        """Makes the job's directory and records what was asked, before it is started."""
        path = self.job_path(job_id)
        os.mkdir(path, 0o700)
        _write_file(f"{path}/job.json", json.dumps(spec))
        return path

    def end_job(self, job_id: int, result: Mapping[str, Any]) -> None:
        """Records how it ended. Not by rename: PID 1 still knows a job whose record was cut short by a crash."""
        _write_file(f"{self.job_path(job_id)}/result.json", json.dumps(result))

    def blame_job(self, job_id: int, cause: str) -> None:
        """Records why it is about to be ended: nobody else can tell if the engine dies now. Raises OSError."""
        _write_file(f"{self.job_path(job_id)}/cause", cause)

    def drop_job(self, job_id: int) -> None:
        """Forgets it and its output; absent is fine."""
        path = self.job_path(job_id)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(path):
                os.unlink(f"{path}/{name}")
            os.rmdir(path)

    def jobs(self) -> list[JobRecord]:
        """Every job on disk, unreadable ones left out."""
        found = []
        for job_id in self.job_ids():
            path = self.job_path(job_id)
            spec, result = _read_json(f"{path}/job.json"), _read_json(f"{path}/result.json")
            if spec is not None:
                found.append(JobRecord(job_id, spec, result, "" if result else _read_text(f"{path}/cause")))
        return found

    def job_ids(self) -> list[int]:
        """Every number that is taken, in order; also those of which nothing more was written before a crash."""
        return sorted(int(name) for name in os.listdir(self / "jobs") if name.isdecimal())


class Depot:
    """The directory of all containers; `lock` it before changing anything."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock_fd = -1

    def lock(self) -> None:
        """Creates the depot and takes its lock; raises EngineFault when another engine holds it."""
        try:
            os.makedirs(f"{self.path}/{TRASH}", mode=0o700, exist_ok=True)
            os.chmod(self.path, 0o711)
            self._lock_fd = os.open(f"{self.path}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "the depot must be a directory of root"
            raise KernelRefused("open", self.path, error.errno or 0, hint=hint) from error
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.unlock()
            hint = "stop the other wardend, or give this one a depot of its own"
            raise EngineFault(f"depot {self.path}: another engine holds it", hint=hint) from error

    def unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def directory(self, container_id: str) -> ContainerDirectory:
        return ContainerDirectory(f"{self.path}/{container_id}")

    def directories(self) -> list[ContainerDirectory]:
        """Everything that looks like a container."""
        with os.scandir(self.path) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False))
        return [self.directory(name) for name in names]

    def discard(self, directory: ContainerDirectory) -> None:
        """Takes a container's directory away: out of sight at once, then for good. Absent is fine."""
        hidden = self.hide(directory)
        if hidden is not None:
            remove_tree(hidden)

    def hide(self, directory: ContainerDirectory) -> str | None:
        """Takes it out of sight; the path that `remove` finishes, None when it was not there."""
        hidden = f"{self.path}/{TRASH}/{directory.name}"
        try:
            os.rename(directory.path, hidden)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise KernelRefused("rename", directory.path, error.errno or 0) from error
            remove_tree(hidden)
            os.rename(directory.path, hidden)
        return hidden

    def empty_trash(self) -> None:
        """Removes what an earlier engine had no time to."""
        for name in os.listdir(f"{self.path}/{TRASH}"):
            remove_tree(f"{self.path}/{TRASH}/{name}")


def replace_file(path: str, text: str) -> None:
    """The whole text or the old one, whatever happens; raises OSError, and then nothing is left."""
    try:
        _write_file(f"{path}.new", text)
        os.rename(f"{path}.new", path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.new")
        raise


def _write_file(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = text.encode("utf-8", "surrogateescape")
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
