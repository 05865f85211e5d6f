"""Starting a job in a container: whom it runs as, its cgroup, its plan, and the wait until it has become itself."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from warden.cgroup.groups import JobGroup
from warden.engine import jobfiles
from warden.engine.job import Job
from warden.engine.refusals import refusal
from warden.errors import JobFailed, KernelRefused, WardenError
from warden.model.info import State
from warden.model.job import JobSpec
from warden.model.limits import OomPolicy
from warden.plan.job import JobPlace, Person, job_plan
from warden.plan.steps import Op, Plan
from warden.process import channel
from warden.process.channel import Record
from warden.records import dataclass
from warden.rootfs import etc
from warden.undo import Undo

if TYPE_CHECKING:
    from warden.engine.container import Container

VCAP, ROOT = "vcap", "root"
PASSWD = "/etc/passwd"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a worker thread made ready: who, where, and descriptors for the cgroups."""

    person: Person
    directory: str
    joins: tuple[int, ...]
    extras: int


async def spawn(container: Container, spec: JobSpec, *, restarts: int | None = None) -> Job:
    """See Container.spawn. *restarts*: it is its container's main job, started after so many."""
    site = container.site
    job_id = site.next_job()
    about = jobfiles.About.of(spec, site.settings.job_output_limit, restarts=restarts)
    group = container.group.job(job_id)
    prepared = await site.blocking(_prepare, container, spec, job_id, about, group)
    place = JobPlace(
        prepared.person, container.snapshot.shell, len(prepared.joins), site.settings.rlimits, site.lang, site.seccomp
    )
    job = Job(container, job_id, prepared.directory, about, group)
    try:
        await _start(container, job, spec, job_plan(spec, place), prepared.joins)
        container.require(State.ACTIVE)  # a stop that came in between did not see it
        if container.group.extras_made() != prepared.extras:  # a limit came in between
            await site.blocking(container.group.gather)
    except BaseException:
        await container.table.abandon(job)
        raise
    finally:
        for fd in prepared.joins:
            os.close(fd)
    return job


def _prepare(container: Container, spec: JobSpec, job_id: int, about: jobfiles.About, group: JobGroup) -> _Prepared:
    """Blocking: reads the container's passwd, makes the job's directory and cgroup."""
    lent = any(f"{PASSWD}/".startswith(f"{mount.place}/") for mount in container.snapshot.spec.mounts)
    person = _person(container.pid, spec.user or (ROOT if spec.privileged else VCAP), lent=lent)
    with Undo() as undo:
        undo.add("job directory", container.directory.drop_job, job_id)
        try:
            directory = container.directory.add_job(job_id, jobfiles.about_to_data(about))
        except OSError as error:
            raise KernelRefused("write", container.directory.job_path(job_id), error.errno or 0) from error
        _make_group(container, group)
        undo.add("job cgroup", group.remove)
        if container.snapshot.spec.limits.oom_policy is OomPolicy.KILL_JOB:
            group.set_kill_together()
        extras = container.group.extras_made()
        joins = tuple(group.open_join())
        undo.release()
    return _Prepared(person, directory, joins, extras)


def _make_group(container: Container, group: JobGroup) -> None:
    """The kernel's part of a group is memory of the one above (CONFIG_MEMCG_KMEM)."""
    try:
        group.create()
    except KernelRefused as error:
        if error.errno != errno.ENOMEM or container.snapshot.spec.limits.memory_bytes is None:
            raise
        hint = f"the memory limit of {container.handle} leaves no room for another job: warden limit --memory raises it"
        raise KernelRefused(error.operation, error.target, error.errno, hint=hint) from error


def _person(pid: int, name: str, *, lent: bool) -> Person:
    """From the passwd of the container as it is now; *lent*: its maker mounted something there. Raises JobFailed."""
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise JobFailed(f"user {name!r}: the container's root cannot be opened: {error.strerror}") from error
    try:
        passwd = _text(root, PASSWD, follow_mounts=lent)
    finally:
        os.close(root)
    user = etc.find_user(passwd, b"", name)  # jobs have no supplementary groups (spec/warden.md §4)
    return Person(user.name, user.uid, user.gid, user.home)


def _text(root: int, path: str, *, follow_mounts: bool) -> bytes:
    try:
        return etc.read_in_container(root, path, follow_mounts=follow_mounts)
    except OSError:
        return b""  # then the user is not found, and that is what is reported


async def _start(container: Container, job: Job, spec: JobSpec, plan: Plan, joins: tuple[int, ...]) -> None:
    started = container.table.expect_start(job)
    with _stdin(spec) as given:
        flags = _flags(spec, given)
        reply = await container.connection().request(
            channel.SPAWN, job.id, flags=flags, a=spec.rows, b=spec.columns, body=plan.encode(), fds=(*given, *joins)
        )
    if reply.error:
        raise KernelRefused(f"job {job.id}: start", "", reply.error)
    job.take_descriptors(reply.descriptors)
    record = await started
    if record.state == channel.STATE_FAILED:
        raise _failure(container, plan, spec, record)


def _flags(spec: JobSpec, given: tuple[int, ...]) -> int:
    if spec.tty:
        return channel.WANT_TTY
    stdin = channel.STDIN_GIVEN if given else channel.WANT_STDIN if spec.interactive else 0
    return channel.WANT_STDOUT | channel.WANT_STDERR | stdin


@contextlib.contextmanager
def _stdin(spec: JobSpec) -> Iterator[tuple[int, ...]]:
    """A memory file with what the job reads, if that is known already: nothing has to be pumped."""
    content = spec.script if spec.script is not None else spec.stdin
    if content is None or spec.tty:
        yield ()
        return
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        yield (fd,)
    finally:
        os.close(fd)


def _failure(container: Container, plan: Plan, spec: JobSpec, record: Record) -> WardenError:
    """A job that did not become itself: what people get wrong in their own words, the rest as the step it was."""
    step = plan.steps[record.step] if 0 <= record.step < len(plan.steps) else None
    reason = os.strerror(record.error)
    if step is not None and step.op is Op.EXEC:
        program = spec.argv[0] if spec.argv else container.snapshot.shell
        return JobFailed(f"exec {program}: {reason}", hint="is it in the image, executable, and on PATH?")
    if step is not None and step.op is Op.CHDIR:
        return JobFailed(f"{step.text}: {reason}", hint="it must exist in the container and be open to the job's user")
    return refusal(plan, record.step, record.error, doing=f"job {record.job}")


def remove_traces(container: Container, job_id: int, group: JobGroup) -> None:
    """Blocking: what `_prepare` made, and whatever runs in it."""
    container.directory.drop_job(job_id)
    with contextlib.suppress(WardenError):
        group.kill()
        group.remove()
