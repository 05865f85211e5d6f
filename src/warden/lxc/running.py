"""A container of LXC's in this process: made from its translation, one program in it, and gone at its end.

Owns the order in which things are acquired, which undo turns round: command socket, directory, hooks before the start,
cgroups, PID 1, the program. Blocking. Nothing is left behind; what a kill -9 leaves the next start sweeps up.
"""

from __future__ import annotations

import os
import time

from warden.cgroup.driver import Manager
from warden.cgroup.groups import ContainerGroup
from warden.engine.ids import IdSource
from warden.errors import BadInput, ConfigError, JobFailed, NotSupported, WrongState
from warden.kernel.proc import parse_capabilities
from warden.light import TYPE_CHECKING, late, logger, signal
from warden.lxc import hooks, place, scheduling
from warden.lxc.connecting import connected, record_outside
from warden.lxc.home import Home
from warden.lxc.hooks import Scene
from warden.lxc.limiting import confine, limited, manager_of
from warden.lxc.missing import Missing, Need
from warden.lxc.namespaces import have_nodes
from warden.lxc.place import Running, Site
from warden.lxc.settings import LxcConfig
from warden.lxc.settling import settled, without_selinux
from warden.lxc.translate import Translation
from warden.model.interfaces import Link, LinkKind
from warden.model.spec import ContainerSpec
from warden.model.system import Init, System
from warden.plan.container import Placement
from warden.plan.mountoptions import mount_options
from warden.plan.steps import Op, Plan
from warden.plan.system import plan_of, program_plan
from warden.process.launch import Binary, Launched, StepFailed, launch, listen_at
from warden.records import dataclass, replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import FrameType

    from warden.engine import refusals
    from warden.kernel import sockets
    from warden.process import direct, packets
else:
    refusals, direct, packets = map(late, ("warden.engine.refusals", "warden.process.direct", "warden.process.packets"))

log = logger("warden.lxc")
JOB = 1
_PATIENCE_S, _PAUSE_S = 10.0, 0.01
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
#: What a container with one program and the caller's own streams has no use for, and what is done elsewhere.
_OF_NO_USE = (
    *(Need.CGROUP, Need.CONSOLE, Need.HOOK, Need.LSM, Need.PROC_FILE),
    *(Need.SCHEDULING, Need.SECCOMP, Need.STORAGE),
)
_LSM_SHOWN = {
    "lxc.apparmor.profile": "/sys/module/apparmor",
    "lxc.apparmor.raw": "/sys/module/apparmor",
    "lxc.selinux.context": "/sys/fs/selinux",
    "lxc.selinux.context.keyring": "/sys/fs/selinux",
}


@dataclass(frozen=True, slots=True)
class Start:
    """*scene*: what hooks are told, *mount* filled in here; *lxcpath*: where the container is defined."""

    site: Site
    scene: Scene
    lxcpath: str
    translation: Translation

    @property
    def spec(self) -> ContainerSpec:
        return self.translation.spec

    @property
    def system(self) -> System:
        if self.spec.system is None:
            raise BadInput("start: this is no system")
        return self.spec.system


def execute(start: Start, program: Init, on_running: Callable[[], None] = lambda: None) -> int:
    """Runs *program* beside a PID 1 of ours, on the caller's standard streams; its exit code, or 128 and the number of
    the signal that ended it. Raises WardenError when the container or the program cannot be started."""
    check(start.translation.missing, start.system)
    if start.system.cgroups:  # its first process is in a group of all of them, and would show that
        raise NotSupported("lxc.mount.auto: cgroup by force is not carried out here", hint="lxc-start does it")
    filtered = program_filter(start.scene.config)
    with Undo() as undo:
        container_id = IdSource().next()
        claim, making = take(start)
        undo.add("claim", claim.close)
        try:
            place.sweep(start.site)
            directory, lock = place.make_directory(start.site, container_id)
            undo.add("lock", os.close, lock)
            undo.add("directory", place.remove_directory, directory)
            start = replace(start, scene=replace(start.scene, mount=f"{directory}/mnt/root"))
            undo.add("post-stop", start.scene.run_on_host, "post-stop")
            start.scene.run_on_host("pre-start")
            start = stored(start, f"{directory}/mnt/storage", undo)
            label = profile(start, undo)
            shared(start, directory, undo)
            with place.starting(start.site):
                manager = manager_of(start.site, start.spec)
                group = limited(manager, start.site, start.spec, container_id, undo, start.translation.missing)
                launched = _launch(start, container_id, directory, manager, group, undo, filtered, label)
        finally:
            os.close(making)
        return _run(start, program, _Inside(container_id, directory, group, launched, filtered, label), on_running)


def take(start: Start) -> tuple[sockets.socket, int]:
    """What marks the container as taken, and the descriptor that keeps its directory until it is known to run (/dev/null's
    where it has none). Raises WrongState: it runs, or somebody copies, destroys, renames it."""
    home = Home(start.lxcpath, start.scene.name)
    claim = _claimed(start.site, home)
    try:
        lock = home.lock() if os.path.isdir(home.path) else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        if not os.path.exists(start.scene.config_file) or not home.is_settled:
            os.close(lock)
            raise WrongState(f"{home.name} was changed meanwhile", hint="try again")
    except BaseException:
        claim.close()
        raise
    return claim, lock


def _claimed(site: Site, home: Home) -> sockets.socket:
    """Raises WrongState: it runs, or, by name, who has taken it to work on it. Who has it for himself starts it, and it
    will be seen to run; or destroys it."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return place.claim(home.lxcpath, home.name)
        except WrongState:
            from warden.lxc.holders import is_answered, refuse_holder  # only who comes second asks

            if _runs(site, home) or is_answered(home.lxcpath, home.name):
                raise
            if not os.path.isdir(home.path):  # somebody starts one that has none, or has just destroyed it
                if time.monotonic() > until:
                    refuse_holder(home.lxcpath, home.name)
                time.sleep(_PAUSE_S)
                continue
        try:
            os.close(home.lock(shared=True))
        except WrongState:
            if time.monotonic() > until:
                raise
        else:
            os.close(home.lock())  # names who reads it; nobody, when somebody only looked whether the name is taken
            if time.monotonic() > until - _PATIENCE_S + 1:
                refuse_holder(home.lxcpath, home.name)
            time.sleep(_PAUSE_S)


def _runs(site: Site, home: Home) -> bool:
    from warden.lxc import states  # only who comes second needs them

    return states.find(site, home.lxcpath, home.name) is not None


def absent(item: Missing) -> bool:
    """Whether it is for a security module that this kernel has not: LXC ignores it then too."""
    return item.need is Need.LSM and not os.path.exists(_LSM_SHOWN[item.key])


def check(missing: Sequence[Missing], system: System, done: Collection[Need] = _OF_NO_USE) -> None:
    """Raises NotSupported for what would be left out silently and is no matter of taste, BadInput for what cannot be;
    *done*: what is not."""
    for item in missing:
        if item.need is Need.SCHEDULING:
            scheduling.check(system)
        if item.need not in done:
            value = f" {item.value}" if item.value else ""
            raise NotSupported(f"{item.key}{value}: is not carried out here", hint=item.what)


def profile(start: Start, undo: Undo) -> tuple[str, str] | None:
    """File and name of the AppArmor profile of its first process, None for none. Raises as `apparmor.confined`."""
    if not os.path.exists("/sys/module/apparmor"):
        return None
    from warden.lxc import apparmor  # many kernels have none

    label = apparmor.confined(start.scene.config, start.scene.name, start.lxcpath, undo)
    return (apparmor.exec_path(), label) if label else None


def program_filter(config: LxcConfig) -> bytes:
    """The system call filter of a configuration, b"" without one. Raises ConfigError, NotSupported."""
    if not config.seccomp_profile:
        return b""
    from warden.lxc import seccomp

    try:
        program, unknown = seccomp.load(config.seccomp_profile)
    except ConfigError as error:
        raise config.in_place("lxc.seccomp.profile", error) from error
    for sentence in unknown:
        log.warning("%s: %s", config.seccomp_profile, sentence)
    return program


def shared(start: Start, directory: str, undo: Undo) -> None:
    """The directory whose mounts come in later."""
    if start.system.tunnel is not None:
        from warden.lxc.tunnel import opened  # few have one

        opened(directory, start.system.tunnel[0], undo)
        undo.add("mount namespace", _go_home, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))


def _go_home(namespace: int) -> None:
    """A start that fails may stand where a root was mounted."""
    from warden.kernel import quickmounts

    quickmounts.enter(namespace)
    os.close(namespace)


def stored(start: Start, target: str, undo: Undo) -> Start:
    """With its root mounted, where that is no directory."""
    if all(item.need is not Need.STORAGE for item in start.translation.missing):
        return start
    from warden.lxc.storage.mounting import mounted  # a container in a directory must not pay for it

    words = (word for word in start.system.root_options if word != "idmap")
    spec = mounted(start.spec, start.scene.config.rootfs_path, target, undo, mount_options(words).data)
    return replace(start, translation=replace(start.translation, spec=spec))


def _launch(
    start: Start,
    container_id: str,
    directory: str,
    manager: Manager,
    group: ContainerGroup,
    undo: Undo,
    filtered: bytes,
    label: tuple[str, str] | None,
) -> Launched:
    spec = replace(start.spec, system=settled(start.system, start.spec.rootfs or "/", group.directories()))
    net = connected(container_id, spec, start.translation)
    record_outside(directory, net.outside, undo)
    hold = lend(start, container_id, net.links, undo)
    if not os.path.isdir(spec.rootfs or "/"):
        raise BadInput(f"lxc.rootfs.path: {spec.rootfs}: there is no such directory")
    own = group.job(JOB)
    own.create()
    joins = own.open_join() if start.scene.config.hooks("start") else []
    for fd in joins:
        undo.add("cgroup", os.close, fd)
    where = Placement(
        directory=directory,
        lower=spec.rootfs or "/",
        hostname=spec.hostname or "localhost",
        id_base=None,
        joins=tuple(manager.supervisor_joins()),
        into=manager.supervisor_into(),
        host_network=net.host,
        container_network=net.inside,
        programs=start.scene.programs(),
        permitted=permitted(),
        seccomp=filtered,
        nodes=have_nodes(),
        profile=label,
        awaited=True,
        hook_joins=len(joins),
    )

    def made(pid: int, _launcher: int) -> None:
        net.answer()
        confine(group, start.spec, start.translation.missing)
        if start.scene.config.sched_core:
            scheduling.separate(pid)

    plan = plan_of(spec, where)
    raise_limits(start.scene.config)

    def cloned(pid: int) -> None:
        manager.count_new_devices()
        if hold is not None:
            hold(pid)
        write_proc(pid, start.scene.config)

    binary = Binary()
    undo.add("wshd", binary.close)
    with listen_at(f"{directory}/run") as listener:
        try:
            launched = launch(
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
            raise refusals.refusal(plan, failed.step, failed.errno, doing=f"start {start.scene.name}") from failed
    undo.add("PID 1", _stop, start.scene, launched)
    groups, root = group.directories(), start.scene.config.rootfs_path
    name, pid = start.scene.name, launched.pid
    place.remember(start.site, Running(container_id, name, start.lxcpath, pid, os.getpid(), groups=groups, rootfs=root))
    return launched


def raise_limits(config: LxcConfig) -> None:
    """As `firstprocess.raise_limits`."""
    if config.prlimit:
        from warden.lxc import firstprocess  # few containers need it

        firstprocess.raise_limits(config)


def write_proc(pid: int, config: LxcConfig) -> None:
    """As `firstprocess.write_proc`."""
    if config.proc:
        from warden.lxc import firstprocess  # few containers need it

        firstprocess.write_proc(pid, config)


def lend(start: Start, container_id: str, made: tuple[Link, ...], undo: Undo) -> Callable[[int], None] | None:
    """Links of the host that it gets come back at its end. What is to be told of its first process; None for nothing."""
    if not any(link.kind is LinkKind.PHYSICAL for link in made):
        return None
    from warden.engine.lending import Lending

    lending = Lending(f"{start.site.state}/{place.LENT}")
    lending.lend(container_id, made)
    undo.add("lent links", lending.fetch, container_id)
    return lambda pid: lending.hold(container_id, pid)


def _stop(scene: Scene, launched: Launched) -> None:
    try:
        scene.run_on_host("stop", hooks.namespaces_of(launched.pid))
    finally:
        place.end(launched.pidfd)


def permitted() -> int:
    """This process's own capabilities."""
    with open("/proc/self/status", "rb") as status:
        return parse_capabilities(status.read()).permitted


@dataclass(frozen=True, slots=True)
class _Inside:
    container_id: str
    directory: str
    group: ContainerGroup
    launched: Launched
    seccomp: bytes
    profile: tuple[str, str] | None


def _run(start: Start, program: Init, inside: _Inside, on_running: Callable[[], None]) -> int:
    with Undo() as undo:
        joins = inside.group.job(JOB).open_join()
        for fd in joins:
            undo.add("cgroup", os.close, fd)
        start.scene.run_on_host("start-host", {"LXC_PID": str(inside.launched.pid)})
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
