"""Taking up what an earlier engine left: containers that live, jobs that run or ended; the rest is removed.

A directory without a snapshot was never finished or is half destroyed: it goes. A container whose PID 1 does not answer
goes too (spec/warden.md §8). A record that a newer version has written stops the start: a downgrade must not cost anybody's
containers. Jobs: PID 1's list is the truth about processes, the depot's about what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from warden.depot.depot import ContainerDirectory, JobRecord
from warden.depot.snapshot import Snapshot
from warden.engine import jobfiles
from warden.engine.container import Container
from warden.engine.job import Job
from warden.engine.pidfd import pid_of
from warden.engine.site import Site
from warden.errors import EngineFault, NotBuilt, WardenError
from warden.model.info import State
from warden.model.job import Verdict
from warden.network import shaping
from warden.network.bridges import remove_link
from warden.network.interfaces import ifb_names
from warden.process import channel
from warden.process.channel import Record, connect_socket
from warden.process.launch import receive
from warden.records import dataclass

log = logging.getLogger("warden.recovery")

ANSWER_S = 5.0
LOOKERS = 32


@dataclass(frozen=True, slots=True)
class Found:
    """A container that lives: its snapshot, where it is, and a pidfd of its PID 1."""

    snapshot: Snapshot
    directory: ContainerDirectory
    pidfd: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """A directory of the depot, as it was found."""

    directory: ContainerDirectory
    snapshot: Snapshot | None
    pidfd: int | None

    @property
    def id(self) -> str:
        """The container's; its directory may have been renamed."""
        return self.directory.name if self.snapshot is None else self.snapshot.container_id


def survey(site: Site) -> list[Found]:
    """Blocking: looks at every directory of the depot; removes what cannot be taken up, and cgroups nobody has."""
    site.depot.empty_trash()
    # Side by side: one that is half made may have a launcher which lives and does not answer (ANSWER_S).
    with ThreadPoolExecutor(LOOKERS, thread_name_prefix="warden-survey") as lookers:
        seen = list(lookers.map(_look, site.depot.directories()))
    found: dict[str, Found] = {}
    for item in sorted(seen, key=lambda item: item.directory.name != item.id):
        if item.snapshot is not None and item.pidfd is not None and item.id not in found:
            found[item.id] = Found(item.snapshot, item.directory, item.pidfd)
        elif item.pidfd is not None and item.id in found:
            os.close(item.pidfd)  # the same container by another name
    taken = {item.directory.path for item in found.values()}
    for item in seen:
        if item.directory.path not in taken:
            _turn_down(site, item, found.get(item.id))
            if item.id not in found:
                _remove_links(item.id)
    for container_id in site.cgroups.leftovers():
        if container_id not in found:
            _remove_groups(site, container_id)
    site.disks.sweep({item.snapshot.layer for item in found.values()})
    return list(found.values())


def _turn_down(site: Site, item: _Seen, original: Found | None) -> None:
    """What is no living container goes; but what only has the id of one may be somebody's copy, and is left alone."""
    path = item.directory.path
    if original is not None:
        where = original.directory.path
        log.error("container directory %s: container %s lives in %s; this one is not touched", path, item.id, where)
        return
    reason = "half made" if item.snapshot is None else "PID 1 is gone"
    log.warning("container directory %s: %s; it is removed", path, reason)
    remove(site, item.directory, item.pidfd, item.snapshot)


def _look(directory: ContainerDirectory) -> _Seen:
    snapshot = None
    try:
        snapshot = directory.read_snapshot()
    except NotBuilt as error:
        raise NotBuilt(f"container directory {directory.path}: {error.message}", hint=error.hint) from error
    except WardenError as error:
        log.error("container directory %s: %s", directory.path, error)
    return _Seen(directory, snapshot, init_of(directory))


def init_of(directory: ContainerDirectory) -> int | None:
    """A pidfd of the PID 1 that serves *directory*, asked over its socket; None when nobody answers."""
    try:
        with connect_socket(directory / "run") as sock:
            sock.setblocking(True)
            sock.settimeout(ANSWER_S)
            sock.send(channel.REQUEST.pack(channel.REQUEST_MAGIC, channel.PING, 0, 0, 0, 0, 0))
            return _pidfd_in_reply(sock)
    except OSError:
        return None


def _pidfd_in_reply(sock: socket.socket) -> int | None:
    while True:
        packet, descriptors = receive(sock, 65536, 4)
        if not packet:
            return None
        if channel.REPLY.unpack_from(packet)[1] == channel.PING:  # anything else is an event of a job
            return descriptors[0] if descriptors else None


def remove(site: Site, directory: ContainerDirectory, pidfd: int | None, snapshot: Snapshot | None = None) -> None:
    """Blocking: ends what runs in it and takes everything of it away; errors are logged, the rest goes on. Without its
    *snapshot* the directory's name is its id."""
    container_id = directory.name if snapshot is None else snapshot.container_id
    with contextlib.suppress(OSError):
        directory.drop_snapshot()
    if pidfd is not None:
        site.lending.hold(container_id, pid_of(pidfd))
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _remove_groups(site, container_id)  # before the wait: PID 1 waits for its processes, also for frozen ones
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(int(ANSWER_S * 1000))
        os.close(pidfd)
    _remove_groups(site, container_id)
    steps: list[Callable[[], object]] = [
        partial(shaping.remove_ifbs, ifb_names(container_id)),
        partial(site.firewall.drop, container_id),
        partial(site.lending.fetch, container_id),
        partial(site.depot.discard, directory),
    ]
    steps.extend(site.disks.discard(site.depot.directory(container_id).path))
    for step in steps:
        try:
            step()
        except (WardenError, OSError) as error:
            log.error("container directory %s: %s", directory.path, error)


def _remove_links(container_id: str) -> None:
    """The host's ends of a container whose network others keep alive: nobody filters them any more."""
    for _, name in socket.if_nameindex():
        if name.startswith(f"w-{container_id}-"):
            try:
                remove_link(name)
            except WardenError as error:
                log.error("%s", error)


def _remove_groups(site: Site, container_id: str) -> None:
    group = site.cgroups.container(container_id)
    for step in (group.kill, group.remove):
        try:
            step()
        except WardenError as error:
            log.error("cgroups of %s: %s", container_id, error)


def resume(site: Site, found: Found, on_gone: Callable[[Container], None]) -> Container:
    """The container as it was; `recall_jobs` follows."""
    group = site.cgroups.container(found.snapshot.container_id)
    return Container(site, found.snapshot, found.directory, group, found.pidfd, on_gone)


async def recall_jobs(container: Container) -> None:
    """Running jobs are taken up, ended ones kept with their output and status until somebody collects them."""
    records = {record.job: record for record in await container.init.records()}
    taken = container.directory.job_ids()
    container.site.last_job = max(container.site.last_job, *taken, 0)
    kept = {item.id: item for item in container.directory.jobs()}
    for job_id in set(taken) - kept.keys():  # a crash came before its record was whole: it was never started
        container.directory.drop_job(job_id)
    for item in kept.values():
        await _recall(container, item, records.get(item.id))
    for job_id in records.keys() - kept.keys():
        await _release(container, job_id)
    attached = {job_id for job_id in kept.keys() & records.keys() if records[job_id].state != channel.STATE_FAILED}
    for job_id in set(container.group.existing_jobs()) - attached:
        with contextlib.suppress(WardenError):
            await container.site.blocking(_drop_group, container, job_id)


async def _recall(container: Container, item: JobRecord, record: Record | None) -> None:
    if record is None and item.result is None:
        container.directory.drop_job(item.id)  # asked for, never started
        return
    about = jobfiles.about_from_data(item.spec)
    job = Job(container, item.id, container.directory.job_path(item.id), about, container.group.job(item.id))
    if record is not None and record.state == channel.STATE_FAILED:
        await _release(container, item.id)
        container.directory.drop_job(item.id)
        return
    container.table.add(job)
    _blame(container, job, item)
    if item.result is not None:
        job.recall(jobfiles.result_from_data(item.result))
    if record is not None:
        await _attach(container, job)
        if item.cause:
            job.finish_kill()


def _blame(container: Container, job: Job, item: JobRecord) -> None:
    """What the earlier engine was about to do to it, or had done."""
    with contextlib.suppress(ValueError):  # "", or cut short by a crash
        job.blame(Verdict(item.cause), lasting=False)
    if container.state is State.STOPPED:
        job.ask()


async def _attach(container: Container, job: Job) -> None:
    reply = await container.connection().request(channel.ATTACH, job.id)
    if reply.error:
        raise EngineFault(f"job {job.id}: attach: {os.strerror(reply.error)}")
    record = reply.records[0]
    job.take_descriptors(reply.descriptors)
    if job.result is not None:
        job.release_if_read()
        return
    job.arm(record)
    if record.state == channel.STATE_ENDED:
        job.end(record)


async def _release(container: Container, job_id: int) -> None:
    reply = await container.connection().request(channel.RELEASE, job_id)
    if reply.error == errno.EBUSY:
        await container.site.blocking(container.group.job(job_id).kill)
        await asyncio.sleep(0.01)
        await container.connection().request(channel.RELEASE, job_id)


def _drop_group(container: Container, job_id: int) -> None:
    group = container.group.job(job_id)
    if not group.populated():
        group.remove()
