"""What a start of a container of LXC's has to do, whichever tool asks for it: for lxc-start (life.py), lxc-execute
(executing.py) and lxc-checkpoint -r (restoring.py). Blocking."""

from __future__ import annotations

import os
import time

from warden.errors import BadInput, ConfigError, NotSupported, WrongState
from warden.kernel.proc import parse_capabilities
from warden.light import TYPE_CHECKING, logger, signal
from warden.lxc import place, scheduling
from warden.lxc.home import Home
from warden.lxc.hooks import Scene
from warden.lxc.missing import Missing, Need
from warden.lxc.place import Site
from warden.lxc.settings import LxcConfig
from warden.lxc.translate import Translation
from warden.model.interfaces import Link, LinkKind
from warden.model.spec import ContainerSpec
from warden.model.system import System
from warden.plan.mountoptions import mount_options
from warden.records import dataclass, replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from warden.kernel import sockets

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


def permitted() -> int:
    """This process's own capabilities."""
    with open("/proc/self/status", "rb") as status:
        return parse_capabilities(status.read()).permitted
