"""Freezer: a whole container's processes made to stand still, and one job of it killed while the others stay so.

v1 (kernel's cgroup-v1/freezer-subsystem.rst): a frozen task takes a signal, SIGKILL too, only when it is thawed, and it
stays frozen while any group above its own is. v2 (cgroup.freeze, since 5.2) lets frozen tasks die.
"""

from __future__ import annotations

import errno
import time
from _thread import allocate_lock  # threading by itself imports functools and collections

from warden.cgroup import files, kill
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, contextmanager

if TYPE_CHECKING:
    from collections.abc import Iterator

FREEZE_TIMEOUT_S = 5.0


class Freezer:
    """The switch of one container, *directory* its group where tasks are frozen, None where there is no freezer.

    Threads may use it at once: kills go on side by side, what freezes or thaws goes alone, so that no kill waits for
    tasks that somebody froze in the middle of it.
    """

    def __init__(self, directory: str | None, *, is_v2: bool) -> None:
        self._directory = directory
        self._is_v2 = is_v2
        self._counting = allocate_lock()
        self._turn = allocate_lock()  # of who goes alone, or of all kills together
        self._kills = 0

    def freeze(self) -> None:
        """Returns when every process stands still; twice is fine. Raises KernelRefused (EBUSY), with everything thawed
        again, when one does not within five seconds."""
        path = self._path()
        with self._exclusive():
            was = kill.is_switched_on(path)
            kill.switch(path, on=True)
            deadline = time.monotonic() + FREEZE_TIMEOUT_S
            kill.wait_until(lambda: kill.is_frozen(path), deadline)
            if not kill.is_frozen(path):
                if not was:
                    kill.switch(path, on=False)
                hint = "a process waits in the kernel for a device or a mount; try again"
                raise KernelRefused("freeze", path, errno.EBUSY, hint=hint)

    def thaw(self) -> None:
        """The container, and whatever of its jobs a crash in the middle of a kill left frozen. Raises KernelRefused."""
        path = self._path()
        with self._exclusive():
            for group in (path, *self._jobs()):
                if kill.is_switched_on(group):
                    kill.switch(group, on=False)

    def is_on(self) -> bool:
        """Whether it is to stand still; False when the group is gone."""
        return self._directory is not None and kill.is_switched_on(self._directory)

    def kill_all(self) -> None:
        """SIGKILL everything; a container that stood still has its switch as it was, over nothing."""
        path = self._path()
        with self._exclusive():
            was = kill.is_switched_on(path)
            if was and not self._is_v2:
                for job in self._jobs():  # cannot run yet: the container's switch is on
                    kill.switch(job, on=False)
            try:
                kill.kill_group(path, is_v2=self._is_v2)
            finally:
                if was:
                    kill.switch(path, on=True)

    def kill_job(self, path: str) -> None:
        """SIGKILL everything in the job's group *path*, also while the container stands still; the others stay so."""
        with self._sharing():
            if self._is_v2 or not self.is_on():
                kill.kill_group(path, is_v2=self._is_v2)
                return
        with self._exclusive(), self._lifted(path):
            kill.kill_group(path, is_v2=False)

    @contextmanager
    def _lifted(self, path: str) -> Iterator[None]:
        """v1: the container's switch off, each other job's own on: only *path* thaws, with SIGKILL in its way already."""
        if not self.is_on():
            yield
            return
        others = [job for job in self._jobs() if job != path]
        try:
            for job in others:
                kill.switch(job, on=True)
            kill.signal_group(path)
            kill.switch(self._path(), on=False)
            yield
        finally:
            kill.switch(self._path(), on=True)
            for job in others:
                kill.switch(job, on=False)

    def _path(self) -> str:
        if self._directory is None:
            hint = "mount cgroup v2, or the v1 controller freezer"
            raise KernelRefused("freeze", "", errno.EOPNOTSUPP, hint=hint)
        return self._directory

    def _jobs(self) -> list[str]:
        return [f"{self._path()}/{name}" for name in files.subgroups(self._path())]

    @contextmanager
    def _sharing(self) -> Iterator[None]:
        with self._counting:  # whoever comes while the first one waits for its turn waits as well
            if not self._kills:
                self._turn.acquire()
            self._kills += 1
        try:
            yield
        finally:
            with self._counting:
                self._kills -= 1
                if not self._kills:
                    self._turn.release()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._turn:
            yield
