"""A container's main job: the one it was made for, started by hand or by its restart policy.

What it is stands in the container's spec, where it stands (model/life.py: Phase) in the snapshot, which jobs were the
main one in their own records on disk. So an engine that dies anywhere leaves enough for the next one: *due* and no main
job that runs means that one is to be started. A restart by hand is noted with the stop that it begins with.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from warden.engine import spawn, stopping
from warden.engine.job import Job
from warden.errors import BadInput, WardenError, WrongState
from warden.model.info import State
from warden.model.job import JobResult
from warden.model.life import Phase, RestartMode, next_wait
from warden.records import replace

if TYPE_CHECKING:
    from warden.depot.snapshot import Snapshot
    from warden.engine.container import Container
    from warden.model.spec import ContainerSpec

log = logging.getLogger("warden.container")

MAX_KEPT = 256 * 1024
KEPT = 10  # main jobs whose output is kept, the last ones
REMOVE_AFTER_S = 0.5  # for whoever still reads its output
REMOVE_AGAIN_S = 1.0  # where it could not be removed yet


def check(spec: ContainerSpec) -> None:
    """Raises BadInput for a main job that could not read its script, and for what is too long to be written into the
    snapshot at every change."""
    if spec.main is not None:
        spec.main.check_script()
        words = (*spec.main.argv, *(text for pair in spec.main.env for text in pair))
        given = sum(map(len, words)) + len(spec.main.script or b"") + len(spec.main.stdin or b"")
        if given > MAX_KEPT:
            raise BadInput(f"main: {given} bytes are too long", hint=f"{MAX_KEPT} at most; mount a file with them")
    if (given := sum(len(name) + len(value) for name, value in spec.labels)) > MAX_KEPT:
        raise BadInput(f"labels: {given} characters are too many", hint=f"{MAX_KEPT} at most in all")


class MainJob:
    """One container's. Every method runs in the loop."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._turn = asyncio.Lock()  # held while one is started
        self._timer: asyncio.TimerHandle | None = None
        self._wait = 0.0  # the last one
        self._held = 0  # restarts by hand that are between their stop and their start
        self._counted = False  # the restart that is due, by an earlier engine that did not live to do it
        self._paused = False  # it is due, and its container was paused
        self._removing = False
        self._one_restart = asyncio.Lock()
        self._caught_up = False  # what an earlier engine left is known

    @property
    def phase(self) -> Phase:
        return self._container.snapshot.phase

    def job(self) -> Job | None:
        """The last one, running or ended; None before the first, and when it was collected."""
        return max((job for job in self._container.jobs() if job.about.main), key=lambda job: job.id, default=None)

    def _runs(self) -> bool:
        job = self.job()
        return job is not None and job.result is None

    def _save(self, phase: Phase, restarts: int) -> None:
        before = self._container.snapshot
        asked = before.asked if phase is Phase.DUE and self._is_asked() else None
        after = replace(before, phase=phase, restarts=restarts, asked=asked)
        if before.state is not State.DESTROYED and before != after:
            self._container.save(after)

    def _is_asked(self) -> bool:
        """Whether a restart by hand has stopped it and not yet started it."""
        asked, job = self._container.snapshot.asked, self.job()
        return asked is not None and (job is None or job.id <= asked)

    # ---- by hand

    async def start(self) -> None:
        """Starts it unless it runs; a stopped container becomes active. Raises BadInput without a main job, WrongState,
        JobFailed."""
        self._check()
        async with self._turn:
            await self._activate()
            if self._runs():
                return
            with self._container.passing():  # while it is paused nothing is changed
                self._cancel()
                self._wait = 0.0
                await self._first()

    def _check(self) -> None:
        if self._container.snapshot.spec.main is None:
            hint = "containers of `warden run -d` and `warden create … -- CMD` have one"
            raise BadInput(f"container {self._container.handle}: it has no main job", hint=hint)

    async def _activate(self) -> None:
        """A stopped container becomes active, when its stop has ended. Raises WrongState when its PID 1 is gone."""
        container = self._container
        async with container.changing():
            if not container.pid:
                raise WrongState(f"container {container.handle}: its PID 1 is gone", hint="destroy the container")
            if container.state is State.STOPPED:
                container.save(container.snapshot.with_state(State.ACTIVE))

    async def _first(self) -> None:
        self._counted = False
        self._save(Phase.DUE, 0)
        try:
            await self._spawn()
        except WrongState:  # a pause or stop came in between, which may not be its end
            self._save(Phase.OVER, 0)
            raise
        except BaseException:
            self._finish()
            raise

    async def restart(self, *, kill: bool = False) -> None:
        """Stops everything in the container and starts the main job. Raises BadInput without one."""
        self._check()
        with self._restarting():
            async with self._one_restart:  # the stop of another one must not meet this one's start
                await self._container.stop(kill=kill)
                await self.start()

    @contextlib.contextmanager
    def _restarting(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held and (self.phase is Phase.OVER or self._is_stopped()):  # not started, or ended meanwhile
                self._finish()

    def _is_stopped(self) -> bool:
        return self._container.state is State.STOPPED

    def stopped(self) -> Snapshot:
        """The container's record at the beginning of a stop: it is not started again, unless a restart asks for it. In one
        write, so that an engine which dies here leaves either."""
        snapshot = self._container.snapshot.with_state(State.STOPPED)
        if self._held:
            job = self.job()
            return replace(snapshot, phase=Phase.DUE, restarts=0, asked=0 if job is None else job.id)
        return replace(snapshot, phase=Phase.OVER, asked=None) if self.phase is Phase.DUE else snapshot

    def halt(self) -> None:
        """The container was stopped, or its jobs are killed: it is not started again, however the one that runs ends. That
        is ended by others."""
        self._cancel()
        if self.phase is not Phase.NEW and not (self._is_stopped() and self._is_asked()):
            self._save(Phase.OVER, self._container.snapshot.restarts)
            if not self._runs():
                self._finish()

    async def halt_settled(self) -> None:
        """The same, when one that is just being started has started: else a kill would miss it."""
        async with self._turn:
            self.halt()

    async def _spawn(self) -> None:
        spec = self._container.snapshot.spec.main
        assert spec is not None
        with self._container.passing():
            await spawn.spawn(self._container, spec, restarts=self._container.snapshot.restarts)
        old = [job for job in self._container.jobs() if job.about.main and job.result is not None]
        for job in old[: 1 - KEPT]:
            await job.forget()

    # ---- by its policy

    def ended(self, job: Job, result: JobResult) -> None:
        """A job of the container was judged."""
        if not job.about.main or self._runs():
            return
        if self._is_asked():  # its end decides nothing: whoever stopped it starts it again
            if self._caught_up and not self._held:
                self._carry_on()
        elif self.phase is Phase.DUE:
            self._decide(result, job)
        else:
            self._finish()

    def _decide(self, result: JobResult | None, job: Job | None = None) -> None:
        """*result* None: it could not be started. An earlier engine may have counted one that it did not live to do."""
        snapshot = self._container.snapshot
        before = None if job is None else job.about.restarts
        self._counted = before is not None and before < snapshot.restarts
        wanted = self._counted or snapshot.spec.restart.wants(result, snapshot.restarts)
        if snapshot.state is State.ACTIVE and wanted and self._container.pid:
            self._later(0.0 if result is None else result.usage.wall_s)
        else:
            self._finish()

    def _later(self, ran_s: float) -> None:
        self._cancel()
        self._wait = next_wait(self._wait, ran_s)
        self._timer = asyncio.get_running_loop().call_later(self._wait, self._begin)

    def resumed(self) -> None:
        """Its container goes on."""
        if self._paused:
            self._paused = False
            self._begin()

    def _begin(self) -> None:
        self._timer = None
        self._container.site.in_background(asyncio.ensure_future(self._again()))

    async def _again(self) -> None:
        container = self._container
        async with self._turn:
            if self.phase is not Phase.DUE or self._runs():
                return
            if container.state is not State.ACTIVE:
                self._finish()
            elif container.snapshot.paused:
                self._paused = True
            else:
                counted, self._counted = self._counted, False
                self._save(Phase.DUE, container.snapshot.restarts + (not counted))
                try:
                    await self._spawn()
                except (WardenError, OSError) as error:
                    if not container.init.ending:
                        log.error("container %s: its main job does not start again: %s", container.handle, error)
                    if self.phase is Phase.DUE:
                        self._decide(None)

    def _finish(self) -> None:
        self._save(Phase.OVER, self._container.snapshot.restarts)
        if self._container.snapshot.spec.auto_remove and not self._held and not self._removing:
            self._removing = True
            self._container.site.in_background(asyncio.ensure_future(self._remove()))

    async def _remove(self) -> None:
        await asyncio.sleep(REMOVE_AFTER_S)
        self._removing = False
        if self.phase is Phase.DUE:  # somebody started it meanwhile
            return
        try:
            await self._container.destroy()
        except WrongState:  # others share its network
            self._timer = asyncio.get_running_loop().call_later(REMOVE_AGAIN_S, self._finish)
        except (WardenError, OSError) as error:
            log.error("container %s: not removed: %s", self._container.handle, error)

    # ---- over restarts of the engine

    async def end_stop(self) -> None:
        """The container was stopped by an earlier engine, which may not have lived to end that, nor a restart."""
        await stopping.end_jobs(self._container, kill=False)
        self.catch_up()

    def catch_up(self) -> None:
        """What an earlier engine did not live to do. `always` means after a restart of the engine too."""
        snapshot = self._container.snapshot
        self._caught_up = True
        if snapshot.spec.main is None or self._runs():
            return
        if self._is_asked():
            self._carry_on()
            return
        if self.phase is Phase.DUE:
            job = self.job()
            if job is None and snapshot.spec.restart.mode is RestartMode.NO:
                self._finish()
            else:
                self._decide(None if job is None else job.result, job)
        elif self.phase is Phase.OVER and snapshot.spec.auto_remove:
            self._finish()
        if self.phase is Phase.OVER and snapshot.spec.restart.mode is RestartMode.ALWAYS:
            self._carry_on()

    def _carry_on(self) -> None:
        self._container.site.in_background(asyncio.ensure_future(self._start_again()))

    async def _start_again(self) -> None:
        """As by hand, but what keeps it from starting now, such as a full disk, is its policy's."""
        try:
            async with self._turn:
                await self._activate()
                if not self._runs():
                    self._cancel()
                    self._wait, self._counted = 0.0, True
                    self._save(Phase.DUE, 0)
                    self._begin()
        except WardenError as error:
            log.error("container %s: its main job does not start again: %s", self._container.handle, error)
            self._finish()

    def _cancel(self) -> None:
        self._paused = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    close = _cancel
