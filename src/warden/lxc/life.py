"""A container of LXC's from STARTING to RUNNING: made as its translation says, with an init and a monitor of its own.

Owns the order in which things are acquired. Whoever starts it needs not stay: its monitor (wshd's launcher) waits for
the end of its first process and becomes the program that undoes all this (ended.py). Nothing is left of a start that
fails; what a kill -9 leaves the next start sweeps up.
"""

from __future__ import annotations

import errno
import os
import sys

import warden
from warden.engine.ids import IdSource
from warden.errors import BadInput, JobFailed, KernelRefused, WardenError
from warden.kernel import sockets
from warden.light import TYPE_CHECKING, suppress
from warden.lxc import hooks, place, running, scheduling, states, terminals
from warden.lxc.cgroups import directories
from warden.lxc.connecting import Connected, connected, record_outside
from warden.lxc.limiting import confine, limited, manager_of
from warden.lxc.missing import Need
from warden.lxc.namespaces import have_nodes
from warden.lxc.options import Given
from warden.lxc.place import Running
from warden.lxc.running import JOB, Start
from warden.lxc.scripts import remember_links, run_scripts
from warden.lxc.settling import settled
from warden.model.interfaces import Link
from warden.model.system import Init
from warden.plan.container import Monitor, Placement
from warden.plan.program import host_program
from warden.plan.steps import Op, Plan, Step
from warden.plan.system import plan_of
from warden.process.launch import Binary, Launched, StepFailed, launch, listen_at
from warden.records import dataclass, replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warden.cgroup.groups import ContainerGroup

DONE = (
    *(Need.CGROUP, Need.CONSOLE, Need.HOOK, Need.LSM, Need.PROC_FILE),
    *(Need.SCHEDULING, Need.SCRIPT, Need.SECCOMP, Need.STORAGE),
)
#: Numbers under which the program at the end finds what marks the container as taken.
CLAIM_FD, LOCK_FD = 3, 4
#: In its directory: somebody in the foreground has its console again after a reboot.
TAKEN = "taken"
#: Tasks of the end.
HOOKS, LENT, SCRIPTS, EPHEMERAL, OWN_PIDS = "hooks", "lent", "scripts", "ephemeral", "own_pids"
FILTERED = "filtered"  # for who is attached
PROFILE = "profile"  # of AppArmor, made for it
SCHEDULED = "scheduled"  # for who is attached


@dataclass(frozen=True, slots=True)
class Order:
    """*given*: the command line, kept for the end and for reboots. *on_made* is called with its directory when all is
    there and its init is about to run: until then its console can be taken without missing a word."""

    start: Start
    given: Given
    on_made: Callable[[str], None] = lambda _directory: None


def start(order: Order) -> Running:
    """Raises WardenError, and then nothing is left. Raises WrongState when it runs already."""
    claim, lock = running.take(order.start)
    try:
        with claim:
            place.sweep(order.start.site)
            return bring_up(order, claim)
    finally:
        os.close(lock)


def bring_up(order: Order, claim: sockets.socket) -> Running:
    """As `start`, for who has claimed it. The claim and all else is the monitor's from then on."""
    running.check(order.start.translation.missing, order.start.system, DONE)
    filtered = running.program_filter(order.start.scene.config)
    with Undo() as passing, Undo() as undo:
        making = _Making(order, claim, filtered, undo, passing)
        try:
            found = making.run()
        except BaseException:
            making.tell("ABORTING")
            making.tell("STOPPING")
            raise
        undo.release()
        return found


class _Making:
    """One start. *undo*: what a failure undoes; *passing*: descriptors that are the monitor's after it."""

    def __init__(self, order: Order, claim: sockets.socket, filtered: bytes, undo: Undo, passing: Undo) -> None:
        self._order, self._claim, self._filtered = order, claim, filtered
        self._undo, self._passing = undo, passing
        self._start, self._id = order.start, IdSource().next()
        self._directory, self._lock = place.make_directory(self._start.site, self._id)
        passing.add("lock", os.close, self._lock)
        undo.add("directory", place.remove_directory, self._directory)
        self._journal = states.open_journal(self._directory)
        passing.add("journal", os.close, self._journal)
        undo.add("state", self.tell, "STOPPED")
        self._start = replace(self._start, scene=replace(self._start.scene, mount=f"{self._directory}/mnt/root"))
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        passing.add("mount namespace", os.close, self._home)
        self._away = False  # in a mount namespace where its root is mounted
        self._links: tuple[Link, ...] = ()
        self._net = Connected()
        self._groups: dict[str, str] = {}
        self._made_groups: tuple[str, ...] = ()

    def tell(self, state: str) -> None:
        states.write(self._journal, state)

    def run(self) -> Running:
        self._found = self._remember(0, 0)
        self.tell("STARTING")
        self._undo.add("post-stop", self._start.scene.run_on_host, "post-stop")
        self._start.scene.run_on_host("pre-start")
        running.shared(self._start, self._directory, self._undo)
        before = self._start.spec
        self._start = running.stored(self._start, f"{self._directory}/mnt/storage", self._undo)
        self._away = self._start.spec is not before
        config = self._start.scene.config
        if terminals.needed(config):
            terminals.mounted(self._directory, self._undo, private=not self._away)
            self._away = True
        consoles = terminals.make(config, self._start.system, self._passing, self._directory)
        if consoles.path:
            self._start = replace(self._start, scene=replace(self._start.scene, console=consoles.path))
        with place.starting(self._start.site):
            launched = self._launch(consoles)
        os.close(launched.pidfd)
        return self._found

    def _remember(self, pid: int, monitor: int) -> Running:
        scene, given = self._start.scene, self._order.given
        asked = {"name": given.name, "values": given.values, "rest": given.rest}
        config = scene.config
        signals = (config.signal_halt or 0, config.signal_reboot or 0, config.signal_stop or 0)
        path, tasks = self._start.lxcpath, tuple(self._tasks())
        found = Running(
            self._id, scene.name, path, pid, monitor, asked, tasks, self._groups, signals, self._made_groups,
            config.rootfs_path,
        )  # fmt: skip
        place.remember(self._start.site, found)
        return found

    def _tasks(self) -> list[str]:
        config, system = self._start.scene.config, self._start.system
        wanted = {
            HOOKS: bool(config.hooks("stop") or config.hooks("post-stop")),
            LENT: any(link.kind.value == "physical" for link in self._links),
            SCRIPTS: any(net.script_down for net in config.net),
            EPHEMERAL: config.ephemeral,
            PROFILE: config.apparmor_profile == "generated" and os.path.exists("/sys/module/apparmor"),
            FILTERED: bool(config.seccomp_profile),
            SCHEDULED: config.sched_core,
            OWN_PIDS: "pid" not in (*system.kept, *(name for name, _ in system.entered)),
        }
        return [name for name, holds in wanted.items() if holds]

    def _launch(self, consoles: terminals.Terminals) -> Launched:
        start, rootfs = self._start, self._start.spec.rootfs or "/"
        manager = manager_of(start.site, start.spec)
        group = limited(manager, start.site, start.spec, self._id, self._undo, start.translation.missing)
        self._groups = group.directories()
        job = group.job(JOB)
        job.create()
        joins = job.join_paths()
        if start.system.cgroups:
            from warden.lxc.nested import below_limits  # few see their cgroups

            joins = below_limits(joins)
        self._made_groups = directories(self._groups.values(), joins)
        for path in self._made_groups:  # v1's block I/O is counted in a group of its own
            if os.path.basename(path) == f"io-{self._id}":
                self._groups.setdefault("blkio", path)
        spec = replace(start.spec, system=settled(start.system, rootfs, self._groups))
        net = connected(self._id, spec, start.translation)
        self._net, self._links = net, net.links
        record_outside(self._directory, net.outside, self._undo)
        hold = running.lend(start, self._id, self._links, self._undo)
        if not os.path.isdir(rootfs):
            raise BadInput(f"lxc.rootfs.path: {rootfs}: there is no such directory")
        passed = (self._journal, consoles.log, consoles.buffer, *consoles.masters, self._claim.fileno(), self._lock)
        where = Placement(
            directory=self._directory,
            lower=rootfs,
            hostname=spec.hostname or "localhost",
            id_base=None,
            binds=consoles.binds,
            joins=tuple(joins),
            into=job.place_in_v2(),
            host_network=net.host,
            container_network=net.inside,
            programs=start.scene.programs(),
            permitted=running.permitted(),
            seccomp=self._filtered,
            nodes=have_nodes(),
            profile=running.profile(start, self._undo),
            monitor=self._monitor(consoles, passed, manager.way_back(joins)),
            awaited=True,
        )
        if consoles.console is not None:
            passed = (*passed, consoles.console)

        def cloned(pid: int) -> None:
            """While the child mounts what it needs."""
            manager.count_new_devices()
            self._remember(pid, 0)
            if hold is not None:
                hold(pid)

        running.raise_limits(start.scene.config)
        return self._run(plan_of(spec, where), passed, cloned, group)

    def _monitor(self, consoles: terminals.Terminals, passed: tuple[int, ...], back: list[str]) -> Monitor:
        claim, lock = len(passed) - 2, len(passed) - 1
        death = self._start.scene.config.monitor_signal_pdeath
        return Monitor(
            ending=ending(self._directory, self._start.scene.host, claim, lock),
            terminals=len(consoles.masters),
            console=None if consoles.console is None else len(passed),
            home=f"/proc/{os.getpid()}/fd/{self._home}",
            back=tuple(back),
            death=9 if death is None else death,
            log=consoles.bounds[0],
            buffer=consoles.bounds[1],
        )

    def _run(
        self, plan: Plan, passed: tuple[int, ...], cloned: Callable[[int], None], group: ContainerGroup
    ) -> Launched:
        scene = self._start.scene
        binary = Binary()
        try:
            with listen_at(f"{self._directory}/run") as listener:
                return launch(
                    binary,
                    plan.encode(),
                    listener,
                    descriptors=passed,
                    on_ran=lambda ran: hooks.judge(plan, ran),
                    on_cloned=cloned,
                    patience_s=hooks.PATIENCE_S,
                    title=f"[lxc monitor] {self._start.lxcpath} {scene.name}",
                    on_made=lambda pid, launcher: self._made(pid, launcher, group),
                    monitored=True,
                )
        except StepFailed as failed:
            raise _failure(plan, failed, self._start) from failed
        finally:
            binary.close()

    def _made(self, pid: int, monitor: int, group: ContainerGroup) -> None:
        """All is there. What is the container's own, `start` hooks and program, runs, and may end, when it is let go."""
        start = self._start
        if self._away:  # what the container has is in its own by now
            go_home(self._home)
        self._net.answer()
        confine(group, start.spec, start.translation.missing)
        if start.scene.config.sched_core:
            scheduling.separate(pid)
        running.write_proc(pid, start.scene.config)
        told = {"LXC_PID": str(pid)}
        if start.scene.config.net:
            hosts = [link.host_name for link in self._links]
            remember_links(self._directory, self._links)
            run_scripts(start.scene, "up", hosts, told)
        start.scene.run_on_host("start-host", told)
        tasks = self._tasks()
        if HOOKS in tasks or LENT in tasks:
            _keep_namespaces(self._directory, pid, self._undo)
        self._found = self._remember(pid, monitor)
        self._order.on_made(self._directory)


def _failure(plan: Plan, failed: StepFailed, start: Start) -> WardenError:
    init: Init | None = start.system.init
    if init is not None and 0 <= failed.step < len(plan.steps) and plan.steps[failed.step].op is Op.EXEC:
        hint = "is it in the container, and executable?"
        return JobFailed(f"exec {init.argv[0]}: {os.strerror(failed.errno)}", hint=hint)
    from warden.engine.refusals import refusal  # only a failure pays for it

    return refusal(plan, failed.step, failed.errno, doing=f"start {start.scene.name}")


def ending(directory: str, environ: Mapping[str, str], claim: int, lock: int) -> Plan:
    """The steps by which the monitor becomes the program of the end, in the environment of who started the container."""
    argv = ending_argv(directory)
    steps = (
        Step(Op.USE_FD, (claim, CLAIM_FD), f"dup2(claim, {CLAIM_FD})", "the container is taken until it is gone"),
        Step(Op.USE_FD, (lock, LOCK_FD), f"dup2(lock, {LOCK_FD})"),
    )
    own = [step for step in host_program(argv, environ).steps if step.op not in (Op.PDEATHSIG, Op.SETSID)]
    return Plan((*steps, *own))


def ending_argv(directory: str) -> tuple[str, ...]:
    """The program of the end."""
    # Without `site`, which takes longer than all the rest: nothing but the standard library and this package is needed.
    code = "import sys; sys.path.insert(0, sys.argv[1]); from warden.lxc.ended import main; main(sys.argv[2])"
    package = os.path.dirname(os.path.dirname(warden.__file__))
    return (sys.executable, "-I", "-S", "-c", code, package, directory)


def _keep_namespaces(directory: str, pid: int, undo: Undo) -> None:
    """Files that lead to its namespaces when it is gone, for hooks, and for links that have to be fetched from there."""
    from warden.kernel.mounts import mount

    os.mkdir(f"{directory}/ns", 0o700)
    undo.add("namespaces", release_namespaces, directory)
    for path in hooks.namespaces_of(pid).values():
        target = f"{directory}/ns/{os.path.basename(path)}"
        with open(target, "wb"):
            pass
        try:
            mount(path, target, "", 4096)  # MS_BIND
        except OSError as error:
            if error.errno != errno.EINVAL or not path.endswith("/mnt"):
                raise KernelRefused(f"bind {path} to", target, error.errno or 0) from error
            # A mount namespace can be bound only where its number is above that of the one it is bound in. Since 6.18
            # numbers are dealt to processors in batches (kernel/nstree.c), so that a younger one may have a lower one.
            os.unlink(target)
            running.log.warning("LXC_MNT_NS: the kernel cannot keep this mount namespace: hooks at its end go without")


def go_home(namespace: int) -> None:
    from warden.kernel import quickmounts

    quickmounts.enter(namespace)


def release_namespaces(directory: str) -> None:
    from warden.kernel.mounts import umount2

    with suppress(FileNotFoundError):
        for name in os.listdir(f"{directory}/ns"):
            try:
                umount2(f"{directory}/ns/{name}", 2)  # MNT_DETACH
            except OSError as error:
                if error.errno != errno.EINVAL:  # nothing is mounted there
                    raise
