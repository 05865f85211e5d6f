"""One job: from its descriptors to its result. Moves output into the log, watches deadlines, judges the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import struct
import termios
import time
from collections.abc import AsyncIterator
from typing import Protocol

from warden.cgroup.groups import JobGroup, JobUse
from warden.depot.depot import ContainerDirectory
from warden.engine import jobfiles
from warden.engine.deadlines import Deadlines, elapsed_since, overrun
from warden.engine.logtag import TagStream
from warden.engine.site import Site
from warden.engine.sweeping import Sweep
from warden.engine.verdict import Evidence, judge
from warden.errors import BadInput, KernelRefused, UnknownJob, WardenError
from warden.model.info import JobInfo
from warden.model.job import Chunk, JobResult, Usage, Verdict
from warden.model.logs import LogPlace
from warden.process import channel
from warden.process.channel import Channel, Record
from warden.process.joblog import JobLog
from warden.records import replace

log = logging.getLogger("warden.job")

STDOUT, STDERR = 0, 1
SAVE_AGAIN_S = 2.0  # after a disk was full


class Owner(Protocol):
    """The container, as its jobs see it."""

    @property
    def site(self) -> Site: ...

    def connection(self) -> Channel: ...

    @property
    def directory(self) -> ContainerDirectory: ...

    def lack_of_room(self) -> str:
        """Blocking: what of its disk is full, "" when nothing is."""
        ...

    def disown(self, job: Job) -> None: ...

    def job_ended(self, job: Job, result: JobResult) -> None: ...


class Job:
    """A job, running or ended. Its output is kept until `forget`. Made by the container, which also hands it the
    records of PID 1."""

    def __init__(self, owner: Owner, job_id: int, directory: str, about: jobfiles.About, group: JobGroup) -> None:
        self.id = job_id
        self.about = about
        self.group = group
        self.started_at = time.time()
        self.inner_pid = 0  # of its first process, as the container numbers it
        self._owner = owner
        self._log = JobLog(directory, limit=about.output_limit, discard=about.discard_output)
        self._tag = self._open_tag(directory)
        self._readers: dict[int, int] = {}  # descriptor → stream
        self._stdin = -1
        self._writing = asyncio.Lock()  # one writer at a time: the loop can wait for a descriptor only once
        self._terminal = -1
        self._cause: Verdict | None = None
        self._asked = False  # to end, by a stop of its container
        self._deadlines = Deadlines(about.wall_limit_s, about.cpu_limit_s, group.cpu_s, self._expire)
        self._ending = False  # its status is known, why it failed is being looked into
        self._result: JobResult | None = None
        self._ended = asyncio.Event()
        self._settled = False  # nobody will write in its directory any more
        self._unsaved = False  # its result could not be written
        self._again: asyncio.TimerHandle | None = None  # when that is tried again
        self._sweep = Sweep(owner.site, group, job_id)
        self._forgotten = False
        self._loop = asyncio.get_running_loop()

    def _open_tag(self, directory: str) -> TagStream | None:
        if self.about.log_tag is None:
            return None
        site = self._owner.site
        return TagStream(self.about.log_tag, directory, self._log, site.syslog, site.in_background)

    # ---- what callers ask

    @property
    def result(self) -> JobResult | None:
        return self._result

    async def wait(self) -> JobResult:
        await self._ended.wait()
        assert self._result is not None
        return self._result

    @property
    def log(self) -> JobLog:
        """Its output."""
        return self._log

    def follow(self, *, follow: bool = True, place: LogPlace | None = None) -> AsyncIterator[Chunk]:
        return self._log.follow(follow=follow, place=place)

    def place(self, tail: int) -> LogPlace:
        """Where its last *tail* lines begin."""
        return replace(self._log.place(tail), job=self.id)

    async def output(self) -> tuple[bytes, bytes]:
        return self._log.read_all()

    async def forget(self) -> None:
        if self._result is None:
            raise BadInput(f"job {self.id}: still runs")
        if not self._forgotten:
            self._forgotten = True
            self._log.pin()
            self._owner.disown(self)
            if self._settled:  # else the janitor does it
                self._owner.site.in_background(asyncio.ensure_future(self._drop_files()))

    async def _drop_files(self) -> None:
        await self.flush()
        await self._owner.site.blocking(self._owner.directory.drop_job, self.id)

    async def write_stdin(self, data: bytes) -> None:
        """Waits while the job does not read; raises BadInput when it has no stdin to write to."""
        async with self._writing:
            await self._write_stdin(data)

    async def _write_stdin(self, data: bytes) -> None:
        target = self._terminal if self._terminal >= 0 else self._stdin
        if target < 0:
            raise BadInput(f"job {self.id}: its stdin is closed or was not asked for", hint="spawn it as interactive")
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(target, view) :]
            except BlockingIOError:
                await self._writable(target)
            except BrokenPipeError:
                return

    async def _writable(self, fd: int) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(fd, ready.set)
        ended = asyncio.ensure_future(self._ended.wait())
        waiting = asyncio.ensure_future(ready.wait())
        try:
            await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
            if self._result is not None:
                raise UnknownJob(f"job {self.id}: ended")
        finally:
            self._loop.remove_writer(fd)
            waiting.cancel()
            ended.cancel()

    async def close_stdin(self) -> None:
        if self._terminal >= 0:
            await self.write_stdin(b"\x04")  # ^D, what a terminal calls the end of input
            return
        async with self._writing:  # what was written before comes before the end
            if self._stdin >= 0:
                os.close(self._stdin)
                self._stdin = -1
                await self._owner.connection().request(channel.CLOSE_STDIN, self.id)

    async def resize(self, rows: int, columns: int) -> None:
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))

    async def signal(self, number: int, *, tree: bool = True) -> None:
        """Sends a signal to every process of the job, or to its first alone; an ended job takes none. KILL is its
        caller's way to stop it: that is the verdict then. Others it may survive."""
        if not 0 < number < 65:
            raise BadInput(f"signal: {number} is not a signal", hint="1 to 64")
        if self._result is not None:
            return
        if number == signal.SIGKILL:
            self.blame(Verdict.STOPPED)
        if not tree:
            await self._owner.connection().request(channel.SIGNAL, self.id, a=number)
        elif number == signal.SIGKILL:
            await self._owner.site.blocking(self.group.kill)
        else:
            await self._owner.site.blocking(self.group.signal, number)

    def blame(self, cause: Verdict, *, lasting: bool = True) -> None:
        """*cause* becomes the verdict of a job that has not ended, unless another was first. *lasting*: on disk as well,
        before anything is done, because PID 1 does not know why it was killed."""
        if self._result is not None or self._ending or self._cause is not None:
            return
        self._cause = cause
        try:
            if lasting:
                self._owner.directory.blame_job(self.id, cause.value)
        except OSError as error:
            log.error("job %d: a restart would forget why it is killed: %s", self.id, error)

    def ask(self) -> None:
        """Its container is being stopped: if a signal ends it, that was the stop's; what it says itself holds."""
        self._asked = True

    def finish_kill(self) -> None:
        """Of a job found running: the earlier engine recorded why it was to be killed, and may not have lived to do it."""
        if self._result is None and self._cause is not None:
            self._expire(self._cause)

    async def kill(self, cause: Verdict) -> None:
        """Kills the whole tree; *cause* becomes the verdict. Does nothing to an ended job."""
        if self._result is not None or self._ending:
            return
        self.blame(cause)
        try:
            await self._owner.site.blocking(self.group.kill)
        except WardenError as error:
            log.error("job %d: kill failed: %s", self.id, error)

    def info(self) -> JobInfo:
        result = self._result
        return JobInfo(
            id=self.id,
            command=self.about.command,
            running=result is None,
            started=self.started_at,
            exit_status=None if result is None else result.exit_status,
            verdict="" if result is None else result.verdict.value,
            tty=self.about.tty,
            interactive=self.about.interactive,
        )

    # ---- what the container tells

    def take_descriptors(self, descriptors: dict[int, int]) -> None:
        """Owns them from here on; starts to move output."""
        self._stdin = descriptors.get(channel.WANT_STDIN, -1)
        self._terminal = descriptors.get(channel.WANT_TTY, -1)
        for flag, stream in ((channel.WANT_STDOUT, STDOUT), (channel.WANT_STDERR, STDERR), (channel.WANT_TTY, STDOUT)):
            if flag in descriptors:
                self._readers[descriptors[flag]] = stream
        for fd in descriptors.values():
            os.set_blocking(fd, False)
        for fd, stream in self._readers.items():
            self._loop.add_reader(fd, self._move, fd, stream)

    def arm(self, record: Record) -> None:
        """It runs. Starts its limits of time, which count from its start also for a job found running."""
        elapsed = elapsed_since(record.started_ns)
        self.inner_pid = record.pid
        self.started_at = time.time() - elapsed
        self._deadlines.start(elapsed)

    def _expire(self, cause: Verdict) -> None:
        self._owner.site.in_background(asyncio.ensure_future(self.kill(cause)))

    def _move(self, fd: int, stream: int) -> None:
        was_cut = self._log.truncated
        moved = self._read_terminal(fd) if fd == self._terminal else self._log.move(stream, fd)
        if self._tag is not None:
            self._tag.kick()
        if self._log.truncated and not was_cut and not self._log.disk_full:
            self.blame(Verdict.OUTPUT_LIMIT)  # before what is too much is taken from the pipe
            self._owner.site.in_background(asyncio.ensure_future(self.kill(Verdict.OUTPUT_LIMIT)))
        if moved == 0:
            self._end_of(fd)

    def _read_terminal(self, fd: int) -> int | None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:  # the last process let go of the terminal
                return 0
            raise
        self._log.append(STDOUT, data)
        return len(data)

    def _end_of(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._readers[fd]
        if fd == self._terminal:
            self._terminal = -1
        os.close(fd)
        if self._result is not None and not self._readers:
            self._release()

    def end(self, record: Record) -> None:
        """PID 1 reaped its first process. What that wrote is in the pipes and is taken; later output of processes
        it left behind is read and dropped, so that they are not blocked."""
        if self._ending:
            return
        usage, oom_kills = self._usage(record)
        evidence = self._evidence(record.status, usage, oom_kills)
        result = judge(evidence)
        if result.exit_status and result.verdict in (Verdict.EXITED, Verdict.SIGNALED):
            self._ending = True
            self._owner.site.in_background(asyncio.ensure_future(self._end_failed(evidence)))
        else:
            self._conclude(result)

    async def _end_failed(self, evidence: Evidence) -> None:
        """It failed: was there no room? Asking may take a system call that waits."""
        no_room = ""
        try:
            no_room = await self._owner.site.blocking(self._owner.lack_of_room)
        except (WardenError, OSError) as error:
            log.warning("job %d: whether its disk is full: %s", self.id, error)
        self._conclude(judge(replace(evidence, no_room=no_room)))

    def lose(self, cause: Verdict, detail: str = "") -> None:
        """Its PID 1 is gone, and with it every process."""
        if self._result is None and not self._ending:
            self._cause = self._cause or cause
            use = self._cgroup_usage()
            usage = _usage_of(use, use.cpu_user_s, use.cpu_system_s, time.time() - self.started_at)
            self._conclude(judge(self._evidence(None, usage, use.oom_kills, detail)))

    def _evidence(self, status: int | None, usage: Usage, oom_kills: int, detail: str = "") -> Evidence:
        """What is known at its end; takes what it wrote."""
        self._deadlines.cancel()
        self._drain()
        if self._log.disk_full:
            detail = detail or "its output was cut: the disk of the depot is full"
        cpu_s = usage.cpu_user_s + usage.cpu_system_s
        over = overrun(usage.wall_s, cpu_s, self.about.wall_limit_s, self.about.cpu_limit_s)
        cut = self._log.truncated or self._cause is Verdict.OUTPUT_LIMIT  # cut by an earlier engine
        return Evidence(status, usage, oom_kills, self._cause, cut, detail, self._asked, over)

    def _conclude(self, result: JobResult) -> None:
        self._ending = False
        self._result = result
        self._finish_log()
        self._ended.set()
        self._owner.job_ended(self, self._result)
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        if self._readers:
            self._settled = True  # until they end PID 1 keeps the status, and the files may go
        else:
            self._release()

    def _finish_log(self) -> None:
        self._log.finish()
        if self._tag is not None:
            self._tag.kick()

    def _drain(self) -> None:
        for fd, stream in list(self._readers.items()):
            left = 1 << 20  # the most a pipe holds by default settings: what the first process wrote lies within
            while left > 0:
                was_cut = self._log.truncated
                moved = self._read_terminal(fd) if fd == self._terminal else self._log.move(stream, fd, left)
                if self._log.truncated and not was_cut and not self._log.disk_full:
                    self.blame(Verdict.OUTPUT_LIMIT)
                if moved is None:
                    break
                if moved == 0:
                    self._end_of(fd)
                    break
                left -= moved

    def _usage(self, record: Record) -> tuple[Usage, int]:
        use = self._cgroup_usage()
        wall = (record.ended_ns - record.started_ns) / 1e9
        user = use.cpu_user_s or record.user_us / 1e6
        system = use.cpu_system_s or record.system_us / 1e6
        return _usage_of(use, user, system, wall), use.oom_kills

    def _cgroup_usage(self) -> JobUse:
        try:
            return self.group.usage()
        except KernelRefused as error:
            log.warning("job %d: no usage: %s", self.id, error)
            return JobUse(0.0, 0.0)

    def _release(self) -> None:
        """Nothing is left to read: its cgroup may go, and PID 1 may forget it once the result is on disk. What the
        engine itself did to it PID 1 does not know, so that is put on disk at once."""
        self._owner.site.janitor.add_job(self, at_once=self._cause is not None)

    async def flush(self) -> None:
        """Lines for syslog are read from its files."""
        if self._tag is not None:
            await self._tag.flush()

    @property
    def wanted(self) -> bool:
        """Whether somebody may still collect it."""
        return not self._forgotten

    async def settled(self, wanted: bool) -> None:
        """Its record is on disk, or, not *wanted*, its files are gone: PID 1 may forget it. Else PID 1 keeps it, for a
        later attempt or the next engine."""
        if self._unsaved:
            self._again = self._loop.call_later(SAVE_AGAIN_S, self._release)
            return
        self._settled = True
        self._sweep.later()
        if wanted and self._forgotten:
            await self._drop_files()
        with contextlib.suppress(WardenError):  # a container that is gone has nothing to be told
            await self._owner.connection().request(channel.RELEASE, self.id)

    def settle(self, wanted: bool) -> None:
        """Blocking: puts the result on disk, or, not *wanted* any more, takes the job's files away."""
        assert self._result is not None
        try:
            if wanted:
                self._owner.directory.end_job(self.id, jobfiles.result_to_data(self._result))
            else:
                self._owner.directory.drop_job(self.id)
        except FileNotFoundError:
            pass  # its container was destroyed meanwhile
        except OSError as error:
            if not self._unsaved:
                log.error("job %d: its result is not on disk yet: %s", self.id, error.strerror)
            self._unsaved = True
            return
        self._unsaved = False
        self._sweep.now()

    def recall(self, result: JobResult) -> None:
        """An earlier engine judged it already."""
        self._result = result
        self._log.truncated = result.truncated
        self._finish_log()
        self._ended.set()
        self._settled = True

    def release_if_read(self) -> None:
        """An ended job whose pipes nobody holds any more need not be kept by PID 1."""
        if not self._readers:
            self._release()

    def close(self) -> None:
        """Lets go of everything; the job goes on, and PID 1 keeps its ends of the pipes."""
        self._deadlines.cancel()
        self._sweep.close()
        if self._again is not None:
            self._again.cancel()
        for fd in self._readers:
            self._loop.remove_reader(fd)
            os.close(fd)
        self._readers.clear()
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        self._log.pin()
        self._log.close()
        if self._tag is not None:
            self._tag.close()


def _usage_of(use: JobUse, user_s: float, system_s: float, wall_s: float) -> Usage:
    usage = Usage(user_s, system_s, wall_s, use.peak_memory_bytes)
    if use.io is None:
        return usage
    io = use.io
    return replace(
        usage,
        io_read_bytes=io.read_bytes,
        io_write_bytes=io.write_bytes,
        io_read_ops=io.read_ops,
        io_write_ops=io.write_ops,
    )
