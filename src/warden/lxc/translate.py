"""LxcConfig → ContainerSpec: what one of LXC's containers is in the engine's own terms. Pure; needs no root.

What a ContainerSpec cannot say comes beside it, typed (missing.py): terminals, hooks, filters are for who starts it.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, late
from warden.lxc.fstab import FstabEntry
from warden.lxc.idle import idle
from warden.lxc.missing import Missing, Need
from warden.lxc.naming import BadKey, located, naming
from warden.lxc.settings import DEFAULT_INIT, LxcConfig
from warden.lxc.translate_limits import translate_limits
from warden.lxc.translate_mounts import Mounts, automatic, filesystem
from warden.lxc.translate_net import translate_networks
from warden.lxc.values import ARCH_32, split, split_kind
from warden.model.names import is_host_name
from warden.model.spec import ContainerSpec, NetworkMode
from warden.model.system import NAMESPACES, FileSystem, Init, System
from warden.plan.capabilities import NAMES
from warden.plan.mountoptions import mount_options
from warden.records import dataclass, field

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from warden.lxc.networks import End
else:
    re = late("re")

PER_LINUX32 = 8  # sys/personality.h
_NO_LSM = ("", "unconfined", "unchanged")


@dataclass(frozen=True, slots=True)
class Translation:
    """*spec*, and what it cannot say; *warnings*: what was read and comes to nothing; *ends*: more of each interface;
    *loopback*: whether lo is taken up."""

    spec: ContainerSpec
    missing: tuple[Missing, ...] = ()
    warnings: tuple[str, ...] = ()
    ends: tuple[End, ...] = ()
    loopback: bool = True


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is not in the configuration. *fstab*: what the file of lxc.mount.fstab has; *environ*: where variables without
    a value are taken from; *unified*: the host has cgroup v2; *argv*: a program instead of the configured init;
    *execute*: as lxc-execute has it, a PID 1 of ours and the program beside it."""

    fstab: tuple[FstabEntry, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    unified: bool = False
    argv: tuple[str, ...] = ()
    execute: bool = False


def translate(config: LxcConfig, name: str, around: Circumstances = Circumstances()) -> Translation:  # noqa: B008  frozen
    """Raises ConfigError naming file, line and key."""
    with located(config):
        networks = translate_networks(config.net, name)
        limits = translate_limits(config.cgroup, config.cgroup2, unified=around.unified)
        mounts = _mounts(config, around.fstab)
        auto = automatic(config.mount_auto)
        spaces = _namespaces(config, networks.mode)
        root, storage = _rootfs(config)
        filesystems = tuple(item for item in mounts if isinstance(item, FileSystem))
        system = _system(config, around, spaces, auto, filesystems)
        with naming("lxc.net"):
            spec = ContainerSpec(
                handle=name,
                rootfs=root,
                hostname=config.uts_name or (name if is_host_name(name) else None),
                limits=limits.limits,
                network=spaces.network,
                network_of=spaces.network_of,
                interfaces=networks.interfaces if spaces.network is NetworkMode.NONE else (),
                user_namespace=bool(config.idmap),
                system=system,
            )
    missing = (*storage, *networks.missing, *limits.missing, *spaces.missing, *_rest(config))
    skipped = tuple(item for item in mounts if isinstance(item, str))
    unset = tuple(f"lxc.environment: {name}: is not set here: left out" for name in _unset(config, around.environ))
    unset = (*unset, *_idle_root_options(root_options=config.rootfs_options, mounted=bool(storage)), *idle(config))
    warnings = (*config.warnings, *networks.warnings, *limits.warnings, *skipped, *unset)
    ends = networks.ends if spaces.network is NetworkMode.NONE else ()
    return Translation(spec, missing, warnings, ends, networks.loopback)


def _system(
    config: LxcConfig, around: Circumstances, spaces: _Spaces, auto: Mounts, filesystems: tuple[FileSystem, ...]
) -> System:
    with naming("lxc.namespace"):
        system = System(
            init=None if around.execute else _init(config, around),
            root_options=_root_options(config),
            id_map=config.idmap,
            capabilities=_capabilities(config),
            dev=config.autodev and bool(config.rootfs_path),
            dev_bytes=config.autodev_tmpfs_size,
            terminals=config.pty_max + config.tty_max + 1 if config.pty_max else 0,
            proc=auto.proc or ("rw" if around.execute else ""),
            sys=auto.sys,
            cgroups=auto.cgroups,
            tunnel=auto.tunnel,
            filesystems=filesystems,
            sysctls=config.sysctl,
            entered=spaces.entered,
            kept=spaces.kept,
            clocks=(config.time_offset_boot, config.time_offset_monotonic),
            personality=PER_LINUX32 if config.arch in ARCH_32 else 0,
            keyring=config.keyring_session,
            context=config.selinux_context,
            key_context=config.selinux_context_keyring,
        )
    with naming("lxc.idmap"):
        system.outside(0)
        system.outside(0, "g")
    return system


def _rootfs(config: LxcConfig) -> tuple[str, tuple[Missing, ...]]:
    """The directory that is the root, the host's own without one; and what has to be mounted before it is one."""
    if not config.rootfs_path:
        return "/", ()
    kind, place = split_kind(config.rootfs_path)
    if kind in ("dir", "btrfs") and place.startswith("/"):
        return place.rstrip("/") or "/", ()
    if kind == "dir":
        raise BadKey("lxc.rootfs.path", f"{place!r} is not an absolute path", hint="or KIND:PLACE, such as overlay:")
    what = Missing(Need.STORAGE, "lxc.rootfs.path", config.rootfs_path, f"{kind} has to be mounted")
    return config.rootfs_mount or "/", (what,)


def _root_options(config: LxcConfig) -> tuple[str, ...]:
    """`idmap=container` is `idmap`; another user namespace's map cannot be had."""
    found = []
    for word in config.rootfs_options:
        if word.startswith("idmap=") and word != "idmap=container":
            raise BadKey("lxc.rootfs.options", f"{word}: is not supported", hint="idmap=container")
        found.append("idmap" if word.startswith("idmap=") else word)
    if "idmap" in found and not config.idmap:
        raise BadKey("lxc.rootfs.options", "idmap=container: there is no lxc.idmap", hint="give one")
    return tuple(found)


def _idle_root_options(root_options: tuple[str, ...], *, mounted: bool) -> Iterator[str]:
    data = mount_options(word for word in root_options if not word.startswith("idmap=")).data
    if data and not mounted:
        yield f"lxc.rootfs.options: {data}: is for a file system, and the root is a directory of one: ignored"


def _mounts(config: LxcConfig, fstab: tuple[FstabEntry, ...]) -> list[FileSystem | str]:
    """LXC mounts what the file has before its own lines."""
    rootfs = split_kind(config.rootfs_path)[1] if config.rootfs_path else ""
    prefixes = tuple(path for path in (rootfs.partition(":")[0], config.rootfs_mount) if path.startswith("/"))
    lines = [("lxc.mount.fstab", entry) for entry in fstab]
    lines += [("lxc.mount.entry", entry) for entry in config.mount_entry]
    return [filesystem(entry, rootfs, prefixes, key) for key, entry in lines]


def _capabilities(config: LxcConfig) -> tuple[str, ...] | None:
    if config.cap_keep is not None:
        # "none" takes back what was kept before it
        words = config.cap_keep
        last = max((n for n, word in enumerate(words) if word == "none"), default=-1)
        return tuple(name for name in NAMES if name in words[last + 1 :])
    dropped = {word for word in config.cap_drop if word != "none"}
    return tuple(name for name in NAMES if name not in dropped) if dropped else None


def _init(config: LxcConfig, around: Circumstances) -> Init:
    try:
        words = around.argv or tuple(split(config.init_cmd)) or (DEFAULT_INIT,)
    except ValueError as error:
        raise BadKey("lxc.init.cmd", f"{config.init_cmd!r}: {error}") from error
    return program_of(config, words, around.environ)


def program_of(config: LxcConfig, argv: tuple[str, ...], environ: Mapping[str, str]) -> Init:
    """*argv* as the configuration's first process: its user, environment, directory, limits."""
    return Init(
        argv=argv,
        env=tuple(environment(config, environ).items()),
        cwd=config.init_cwd or "/",
        uid=config.init_uid,
        gid=config.init_gid,
        groups=config.init_groups,
        rlimits=config.prlimit,
        no_new_privs=config.no_new_privs,
    )


def environment(config: LxcConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """What the first process finds; a variable without a value that *environ* lacks is left out."""
    found = {"container": "lxc"}
    for text in (*config.environment, *config.environment_runtime):
        name, equals, value = text.partition("=")
        if equals or name in environ:
            found[name] = value if equals else environ[name]
    return found


def _unset(config: LxcConfig, environ: Mapping[str, str]) -> Iterator[str]:
    for text in (*config.environment, *config.environment_runtime):
        if "=" not in text and text not in environ:
            yield text


@dataclass(frozen=True, slots=True)
class _Spaces:
    """*kept*: shared with the host; *entered*: of others, by path; *missing*: of others, by name."""

    kept: tuple[str, ...]
    entered: tuple[tuple[str, str], ...]
    network: NetworkMode
    network_of: str | None
    missing: tuple[Missing, ...]


def _namespaces(config: LxcConfig, network: NetworkMode) -> _Spaces:
    kept, owner = config.namespace_keep, None
    if config.namespace_clone:
        kept = tuple(name for name in NAMESPACES if name not in (*config.namespace_clone, "mnt", "user", "time"))
    entered: list[tuple[str, str]] = []
    missing: list[Missing] = []
    for name, whose in config.namespace_share:
        if whose.isdecimal() and len(whose) <= 10:
            entered.append((name, f"/proc/{whose}/ns/{name}"))
        elif whose.startswith("/"):
            entered.append((name, whose))
        elif name == "net":
            network, owner = NetworkMode.CONTAINER, whose
        else:
            missing.append(Missing(Need.NAMESPACE, f"lxc.namespace.share.{name}", whose, "of that container"))
    if "net" in kept:
        network = NetworkMode.HOST
    return _Spaces(kept, tuple(entered), network, owner, tuple(missing))


def _rest(config: LxcConfig) -> Iterator[Missing]:
    """What is neither network nor limit nor mount."""
    if config.tty_max:
        yield Missing(Need.CONSOLE, "lxc.tty.max", str(config.tty_max), "terminals on /dev/ttyN")
    if config.tty_dir:
        yield Missing(Need.CONSOLE, "lxc.tty.dir", config.tty_dir, "directory of the terminals")
    for key in ("console.path", "console.logfile"):
        if value := getattr(config, key.replace(".", "_")):
            yield Missing(Need.CONSOLE, f"lxc.{key}", value, "where the console leads")
    for which, value in config.hook:
        yield Missing(Need.HOOK, f"lxc.hook.{which}", value, f"a program of the time {which}")
    if config.seccomp_profile:
        yield Missing(Need.SECCOMP, "lxc.seccomp.profile", config.seccomp_profile, "a system call filter")
    if config.apparmor_profile not in _NO_LSM:
        yield Missing(Need.LSM, "lxc.apparmor.profile", config.apparmor_profile, "confined by AppArmor")
    if config.apparmor_raw and config.apparmor_profile in _NO_LSM:
        yield Missing(
            Need.LSM, "lxc.apparmor.raw", config.apparmor_raw[0], "it is part of lxc.apparmor.profile = generated"
        )
    if config.selinux_context:
        yield Missing(Need.LSM, "lxc.selinux.context", config.selinux_context, "confined by SELinux")
    if config.selinux_context_keyring:
        key = "lxc.selinux.context.keyring"
        yield Missing(Need.LSM, key, config.selinux_context_keyring, "its keyring confined by SELinux")
    for name, value in config.proc:
        yield Missing(Need.PROC_FILE, f"lxc.proc.{name}", value, "written to /proc of the first process")
    if config.sched_core:
        yield Missing(Need.SCHEDULING, "lxc.sched.core", "1", "a core scheduling domain of its own")
