"""A container from what criu wrote: its place, cgroups and root as at a start, its processes by criu(8).

The one who restores it is its monitor, a process of Python: its first process is a child of that one (criu's
--restore-sibling), which waits for its end and then becomes the program of every end (ended.py). It has no console.
"""

from __future__ import annotations

import fcntl
import os
import socket

from warden.engine.ids import IdSource
from warden.errors import BadInput, EngineFault, NotSupported, WardenError
from warden.kernel import mounts
from warden.light import TYPE_CHECKING, signal
from warden.lxc import life, place, running, states
from warden.lxc.cgroups import directories
from warden.lxc.checkpointing import Criu, check, held_files, program, restore_options, run_criu
from warden.lxc.connecting import connected
from warden.lxc.limiting import confine, limited, manager_of
from warden.lxc.options import Given
from warden.lxc.place import Running
from warden.lxc.running import JOB, Start
from warden.lxc.scripts import remember_links
from warden.lxc.storage.base import private_mounts
from warden.model.interfaces import Link
from warden.records import dataclass, replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Restore:
    """*given*: as lxc-start would have had it, for a reboot."""

    criu: Criu
    start: Start
    given: Given


def restore(order: Restore, *, foreground: bool) -> Running | None:
    """The restored container, once it runs; None where this process was its monitor until it had stopped. Raises
    WardenError, and then nothing is left."""
    if not os.path.isdir(order.criu.directory):
        raise BadInput(f"{order.criu.directory}: there is no such directory", hint="-D names what a checkpoint wrote")
    check(order.start.scene.config)
    path = program()
    if "idmap" in order.start.system.root_options:
        raise NotSupported("restore: a root with shifted owners cannot be restored")
    claim, lock = running.take(order.start)
    os.close(lock)
    place.sweep(order.start.site)
    if foreground:
        _Restoring(order, path, claim).run(lambda _found: None)
        return None
    return _in_background(order, path, claim)


def _in_background(order: Restore, path: str, claim: socket.socket) -> Running:
    """The monitor is nobody's child, and says whether it worked."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        claim.close()
        os.wait()
        with open(reader, "rb") as file:
            said = file.read().decode(errors="replace")
        if not said.startswith("\0"):
            raise BadInput(said or "restore: its monitor was killed")
        return place.recalled(said[1:])
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)

    def tell(text: str) -> None:
        os.write(writer, text.encode(errors="replace"))
        os.close(writer)

    try:
        _Restoring(order, path, claim).run(lambda directory: tell("\0" + directory))
    except (WardenError, OSError) as error:
        tell(str(error))
    finally:
        os._exit(1)


class _Restoring:
    def __init__(self, order: Restore, path: str, claim: socket.socket) -> None:
        self._order, self._path, self._claim = order, path, claim
        self._start = order.start

    def run(self, told: Callable[[str], None]) -> None:
        """Does not return when it worked: this process becomes the program of the end."""
        with Undo() as undo:
            directory, lock = self._directory(undo)
            found = self._restored(directory, undo)
            undo.release()
        journal = states.open_journal(directory)
        states.write(journal, "RUNNING")
        told(directory)
        _, status = os.waitpid(found.pid, 0)
        states.write(journal, f"EXITED {status}")
        states.write(journal, "STOPPING")
        self._end(directory, lock)

    def _directory(self, undo: Undo) -> tuple[str, int]:
        site, scene = self._start.site, self._start.scene
        self._id = IdSource().next()
        directory, lock = place.make_directory(site, self._id)
        undo.add("lock", os.close, lock)
        undo.add("directory", place.remove_directory, directory)
        journal = states.open_journal(directory)
        undo.add("journal", os.close, journal)
        undo.add("state", states.write, journal, "STOPPED")
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._start = replace(self._start, scene=replace(scene, mount=f"{directory}/mnt/root"))
        self._remember(0, {}, ())
        states.write(journal, "STARTING")
        return directory, lock

    def _restored(self, directory: str, undo: Undo) -> Running:
        undo.add("post-stop", self._start.scene.run_on_host, "post-stop")
        self._start.scene.run_on_host("pre-start")
        private_mounts()
        undo.add("mounts", life.go_home, self._home)
        start = running.stored(self._start, f"{directory}/mnt/storage", undo)
        root = f"{directory}/mnt/root"
        mounts.mount(start.spec.rootfs or "/", root, "", mounts.MS_BIND | mounts.MS_REC)
        with place.starting(start.site):
            manager = manager_of(start.site, start.spec)
            group = limited(manager, start.site, start.spec, self._id, undo, start.translation.missing)
            manager.count_new_devices()
            job = group.job(JOB)
            job.create()
            joins = list(job.join_paths())
            links = connected(self._id, replace(start.spec, system=start.system), start.translation).links
            remember_links(directory, links)
            pid = self._by_criu(root, links, joins, directory)
        undo.add("first process", os.kill, pid, signal.SIGKILL)
        confine(group, start.spec, start.translation.missing)
        start.scene.run_on_host("start-host", {"LXC_PID": str(pid)})
        groups = group.directories()
        return self._remember(pid, groups, directories(groups.values(), joins))

    def _by_criu(self, root: str, links: tuple[Link, ...], joins: list[str], directory: str) -> int:
        """A child of ours joins the cgroups and becomes criu, whose tasks are born there."""
        order, null = self._order.criu, os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        streams = [f"fd[{null}]:{name}" for name in held_files(order.directory)]
        words = restore_options(order, (root, f"{directory}/pid"), links, streams)
        try:
            run_criu(self._path, words, order.directory, "restore.log", (null,), lambda: _join(joins))
        finally:
            os.close(null)
        with open(f"{directory}/pid", encoding="ascii") as file:
            pid = int(file.read())
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError as error:
            raise EngineFault("criu restored it as no child of ours", hint="it must know --restore-sibling") from error
        return pid

    def _remember(self, pid: int, groups: dict[str, str], made: tuple[str, ...]) -> Running:
        config, given, scene = self._start.scene.config, self._order.given, self._start.scene
        asked = {"name": given.name, "values": given.values, "rest": given.rest}
        tasks = [life.OWN_PIDS]
        tasks += [life.HOOKS] if config.hooks("stop") or config.hooks("post-stop") else []
        tasks += [life.EPHEMERAL] if config.ephemeral else []
        tasks += [life.SCRIPTS] if any(net.script_down for net in config.net) else []
        signals = (config.signal_halt or 0, config.signal_reboot or 0, config.signal_stop or 0)
        found = Running(
            self._id, scene.name, self._start.lxcpath, pid, os.getpid(), asked, tuple(tasks), groups, signals, made
        )
        place.remember(self._start.site, found)
        return found

    def _end(self, directory: str, lock: int) -> None:
        life.go_home(self._home)
        taken = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (self._claim.fileno(), lock)]
        for ours, number in zip(taken, (life.CLAIM_FD, life.LOCK_FD), strict=True):
            os.dup2(ours, number)
            os.close(ours)
        argv = life.ending_argv(directory)
        os.execve(argv[0], argv, dict(self._start.scene.host))


def _join(groups: list[str]) -> None:
    """In the child that becomes criu: what that restores is born there."""
    for path in groups:
        with open(path, "w", encoding="ascii") as file:
            file.write("0")
