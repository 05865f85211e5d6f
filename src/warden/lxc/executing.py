"""A container of LXC's in this process: made from its translation, one program in it, and gone at its end.

Owns the order in which things are acquired, which undo turns round: command socket, directory, hooks before the start,
cgroups, PID 1, the program. Blocking. Nothing is left behind; what a kill -9 leaves the next start sweeps up.
"""

from __future__ import annotations

import os

from warden.engine.ids import IdSource
from warden.errors import BadInput, JobFailed, NotSupported
from warden.light import TYPE_CHECKING, late, signal
from warden.lxc import hooks, place, running, scheduling
from warden.lxc.connecting import connected, record_outside
from warden.lxc.limiting import confine, limited, manager_of
from warden.lxc.namespaces import have_nodes
from warden.lxc.place import Running
from warden.lxc.running import FORWARDED, JOB, Start, permitted
from warden.lxc.settling import settled, without_selinux
from warden.plan.container import Placement
from warden.plan.steps import Op, Plan
from warden.plan.system import plan_of, program_plan
from warden.process.launch import Binary, Launched, StepFailed, launch, listen_at
from warden.records import dataclass, replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from warden.cgroup.driver import Manager
    from warden.cgroup.groups import ContainerGroup
    from warden.engine import refusals
    from warden.lxc.hooks import Scene
    from warden.model.system import Init
    from warden.process import direct, packets
else:
    refusals, direct, packets = map(late, ("warden.engine.refusals", "warden.process.direct", "warden.process.packets"))


def execute(start: Start, program: Init, on_running: Callable[[], None] = lambda: None) -> int:
    """Runs *program* beside a PID 1 of ours, on the caller's standard streams; its exit code, or 128 and the number of
    the signal that ended it. Raises WardenError when the container or the program cannot be started."""
    running.check(start.translation.missing, start.system)
    if start.system.cgroups:  # its first process is in a group of all of them, and would show that
        raise NotSupported("lxc.mount.auto: cgroup by force is not carried out here", hint="lxc-start does it")
    filtered = running.program_filter(start.scene.config)
    with Undo() as undo:
        container_id = IdSource().next()
        claim, making = running.take(start)
        undo.add("claim", claim.close)
        try:
            place.sweep(start.site)
            directory, lock = place.make_directory(start.site, container_id)
            undo.add("lock", os.close, lock)
            undo.add("directory", place.remove_directory, directory)
            start = replace(start, scene=replace(start.scene, mount=f"{directory}/mnt/root"))
            undo.add("post-stop", start.scene.run_on_host, "post-stop")
            start.scene.run_on_host("pre-start")
            start = running.stored(start, f"{directory}/mnt/storage", undo)
            label = running.profile(start, undo)
            running.shared(start, directory, undo)
            with place.starting(start.site):
                manager = manager_of(start.site, start.spec)
                group = limited(manager, start.site, start.spec, container_id, undo, start.translation.missing)
                inside = _Inside(start, container_id, directory, group, filtered, label)
                launched = _launch(inside, manager, undo)
        finally:
            os.close(making)
        return _run(inside, launched, program, on_running)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What it is made of. *seccomp*, *profile*: of the program, and of hooks inside."""

    start: Start
    container_id: str
    directory: str
    group: ContainerGroup
    seccomp: bytes
    profile: tuple[str, str] | None


def _launch(inside: _Inside, manager: Manager, undo: Undo) -> Launched:
    """PID 1, with nothing of the container's own but its hooks run yet."""
    start, group = inside.start, inside.group
    rootfs = start.spec.rootfs or "/"
    spec = replace(start.spec, system=settled(start.system, rootfs, group.directories()))
    net = connected(inside.container_id, spec, start.translation)
    record_outside(inside.directory, net.outside, undo)
    hold = running.lend(start, inside.container_id, net.links, undo)
    if not os.path.isdir(rootfs):
        raise BadInput(f"lxc.rootfs.path: {start.spec.rootfs}: there is no such directory")
    joins = _joins(inside, undo)
    where = Placement(
        directory=inside.directory,
        lower=rootfs,
        hostname=spec.hostname or "localhost",
        id_base=None,
        joins=tuple(manager.supervisor_joins()),
        into=manager.supervisor_into(),
        host_network=net.host,
        container_network=net.inside,
        programs=start.scene.programs(),
        permitted=permitted(),
        seccomp=inside.seccomp,
        nodes=have_nodes(),
        profile=inside.profile,
        awaited=True,
        hook_joins=len(joins),
    )
    running.raise_limits(start.scene.config)

    def cloned(pid: int) -> None:
        manager.count_new_devices()
        if hold is not None:
            hold(pid)
        running.write_proc(pid, start.scene.config)

    def made(pid: int, _launcher: int) -> None:
        net.answer()
        confine(group, start.spec, start.translation.missing)
        if start.scene.config.sched_core:
            scheduling.separate(pid)

    launched = _begun(inside, plan_of(spec, where), joins, undo, cloned, made)
    undo.add("PID 1", _stop, start.scene, launched)
    name, path, root = start.scene.name, start.lxcpath, start.scene.config.rootfs_path
    groups = group.directories()
    here = Running(inside.container_id, name, path, launched.pid, os.getpid(), groups=groups, rootfs=root)
    place.remember(start.site, here)
    return launched


def _joins(inside: _Inside, undo: Undo) -> list[int]:
    """Files by which hooks inside come into the program's group; none where there are no such hooks."""
    own = inside.group.job(JOB)
    own.create()
    joins = own.open_join() if inside.start.scene.config.hooks("start") else []
    for fd in joins:
        undo.add("cgroup", os.close, fd)
    return joins


def _begun(
    inside: _Inside,
    plan: Plan,
    joins: list[int],
    undo: Undo,
    cloned: Callable[[int], None],
    made: Callable[[int, int], None],
) -> Launched:
    binary = Binary()
    undo.add("wshd", binary.close)
    with listen_at(f"{inside.directory}/run") as listener:
        try:
            return launch(
                binary,
                plan.encode(),
                listener,
                descriptors=tuple(joins),
                on_ran=lambda ran: hooks.judge(plan, ran),
                on_cloned=cloned,
                patience_s=hooks.PATIENCE_S,
                on_made=made,
            )
        except StepFailed as failed:
            doing = f"start {inside.start.scene.name}"
            raise refusals.refusal(plan, failed.step, failed.errno, doing=doing) from failed


def _stop(scene: Scene, launched: Launched) -> None:
    try:
        scene.run_on_host("stop", hooks.namespaces_of(launched.pid))
    finally:
        place.end(launched.pidfd)


def _run(inside: _Inside, launched: Launched, program: Init, on_running: Callable[[], None]) -> int:
    start = inside.start
    with Undo() as undo:
        joins = inside.group.job(JOB).open_join()
        for fd in joins:
            undo.add("cgroup", os.close, fd)
        start.scene.run_on_host("start-host", {"LXC_PID": str(launched.pid)})
        system = without_selinux(start.system)
        plan = program_plan(system, program, len(joins), permitted(), inside.seccomp, inside.profile)
        served = direct.Direct(f"{inside.directory}/run")
        undo.add("connection", served.close)
        with _Forwarding(served) as forwarding:
            record = served.spawn(JOB, plan.encode(), (*joins, 0, 1, 2))
            if record.state == packets.STATE_FAILED:
                raise _failure(plan, record, start.scene.name, program)
            forwarding.begin()
            on_running()
            code = os.waitstatus_to_exitcode(served.wait(JOB).status)
    return code if code >= 0 else 128 - code


def _failure(plan: Plan, record: packets.Record, name: str, program: Init) -> Exception:
    if 0 <= record.step < len(plan.steps) and plan.steps[record.step].op is Op.EXEC:
        hint = "is it in the container, executable, and on PATH?"
        return JobFailed(f"exec {program.argv[0]}: {os.strerror(record.error)}", hint=hint)
    return refusals.refusal(plan, record.step, record.error, doing=f"execute {name}")


class _Forwarding:
    """Signals of this process go to the program for the `with` block. They wait until `begin`: who hears that the program
    runs may send one at once."""

    def __init__(self, served: direct.Direct) -> None:
        self._direct = served
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Forwarding:
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._forward)
        return self

    def begin(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self._direct.signal(JOB, number)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        self.begin()
