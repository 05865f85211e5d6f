"""ContainerSpec and Placement → Plan: how one container is made, step by step. Pure; needs no root and touches nothing.

The order is the design. The launcher builds the file system with the host's rights in a private mount namespace; only
then does the child copy it into a mount namespace of its own user namespace, where the kernel locks what was mounted
before (mount_namespaces(7)).
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, Enum
from warden.model.spec import ContainerSpec, NetworkMode
from warden.plan import flags, words
from warden.plan.capabilities import ALL
from warden.plan.mounting import NOTHING, Tmpfs, read_only_devices, read_only_root, tmpfs_steps
from warden.plan.program import Point, Programs, run_steps
from warden.plan.steps import BIND_IDMAP, BIND_RECURSIVE, BIND_TRY_IDMAP, Op, Plan, Step
from warden.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterator

ID_COUNT = 65536

#: name, major, minor, mode: Warden's /dev (spec/warden.md §7).
DEVICES = (
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("tty", 5, 0, 0o666),
)
DEVICE_LINKS = (
    ("/proc/self/fd", "fd"),
    ("fd/0", "stdin"),
    ("fd/1", "stdout"),
    ("fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)
#: What tells of the host or steers it: CVE-2016-9962's class, and what other engines mask.
MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list")
READONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


class IdMap(Enum):
    """Whether owners are shifted into the container's ids: seen inside as they are on the host."""

    NEEDED = "needed"  # or the container could not write as anybody
    WELCOME = "welcome"  # as it is where the file system cannot
    NONE = "none"  # root inside must not read what only root of the host may


_BIND_FLAGS = {IdMap.NEEDED: BIND_IDMAP, IdMap.WELCOME: BIND_TRY_IDMAP, IdMap.NONE: BIND_RECURSIVE}


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory or file of the host in the container."""

    source: str
    target: str
    read_only: bool
    is_directory: bool = True
    id_map: IdMap = IdMap.NEEDED


@dataclass(frozen=True, slots=True)
class Batch:
    """Netlink messages and their words. *writes*: files of /proc/sys of the same namespace, and what is written to them
    after that."""

    messages: bytes
    text: str
    writes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """Another container's network namespace, and the one that the launcher goes back to: files of /proc."""

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class Monitor:
    """What stays of the launcher of a system. *ending*: the steps by which it becomes the program that cleans up;
    *terminals*: of those passed, the console among them; *console*: whether it is one, and the index of its other side,
    None for none; *home*: file of the mount namespace that it goes back to; *back*: cgroup files it joins again;
    *death*: the signal that the first process gets at its death, 0 for none. *log*, *buffer*: of the console's two logs
    the path that a full one is renamed at, "" to empty it, and the bytes that it is full at, 0 for never."""

    ending: Plan
    terminals: int
    console: int | None
    home: str
    back: tuple[str, ...] = ()
    death: int = 9
    log: tuple[str, int] = ("", 0)
    buffer: tuple[str, int] = ("", 0)


#: So that who shares a namespace without rights over it can listen on any port, and ping (ip-sysctl.rst).
FOR_SHARERS = (
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one container goes: everything the machine decided, beside what its user asked.

    *directory*: the container's own (mnt/lower, mnt/root lie in it); *layer*: where upper and work lie, None in the
    same. *lower*: the image. *id_base*: the
    first host id of its user namespace, None without one. *joins*, *into*: cgroup files for PID 1 (v1), directory (v2).
    *programs*: what an operator wants to be run on the way. *shared*: for the network mode container. *permitted*: the
    engine's own capabilities, all that a container without a user namespace can have. *seccomp*: the filter of an init
    of its own. *monitor*: for such an init, who watches it. *nodes*: device nodes can be made, which takes the host's root.
    *profile*: file and name of the AppArmor profile that such an init changes to at exec, while the host's /proc is there.
    *awaited*: who starts it does something before anything of its own may run. *hook_joins*: by so many passed descriptors
    programs inside go into its cgroups, where the first process is not in them.
    """

    directory: str
    lower: str
    hostname: str
    id_base: int | None
    binds: tuple[Bind | Tmpfs, ...] = ()
    joins: tuple[str, ...] = ()
    into: str | None = None
    host_network: Batch | None = None
    container_network: Batch | None = None
    layer: str | None = None
    programs: Programs = field(default_factory=dict)
    shared: Shared | None = None
    permitted: int = ALL
    seccomp: bytes = b""
    monitor: Monitor | None = None
    nodes: bool = True
    profile: tuple[str, str] | None = None
    awaited: bool = False
    hook_joins: int = 0


def container_plan(spec: ContainerSpec, place: Placement) -> Plan:
    """The whole plan, ending in `serve`."""
    return Plan(
        (
            *_launch(spec, place),
            *_root_file_system(place),
            *_devices(spec, place),
            *_binds(place),
            *((read_only_root(),) if spec.read_only else ()),
            *run_steps(place.programs, Point.PARENT_AFTER_CLONE),
            words.simple(Op.RELEASE, "release the child", "from here on it acts for itself, without the host's rights"),
            *_inside(spec, place),
            words.simple(Op.SERVE, "serve", "PID 1: reaps, starts jobs, keeps what the daemon must not lose"),
        )
    )


def _namespaces(spec: ContainerSpec, place: Placement) -> int:
    wanted = flags.CLONE_NEWPID | flags.CLONE_NEWIPC | flags.CLONE_NEWUTS
    if spec.network not in (NetworkMode.HOST, NetworkMode.CONTAINER):
        wanted |= flags.CLONE_NEWNET
    if place.id_base is not None:
        wanted |= flags.CLONE_NEWUSER
    return wanted


def _launch(spec: ContainerSpec, place: Placement) -> Iterator[Step]:
    for path in place.joins:
        yield words.join_cgroup(path, "PID 1 stands outside its container's limits")
    if place.into is not None:
        yield words.into_cgroup(place.into, "PID 1 stands outside its container's limits")
    yield words.unshare(flags.CLONE_NEWNS, "mounts made from here on are not the host's")
    yield words.propagation(flags.MS_REC | flags.MS_PRIVATE, "rprivate", "nothing propagates either way")
    yield from run_steps(place.programs, Point.PARENT_BEFORE_CLONE)
    if place.shared is not None:
        yield words.setns(
            place.shared.theirs, flags.CLONE_NEWNET, "the network that it shares; the child has no right to"
        )
        for path, text in FOR_SHARERS:
            yield words.write(path, text, "who shares it has no rights over it")
    yield words.clone(_namespaces(spec, place), "the child, which waits")
    if place.shared is not None:
        yield words.setns(place.shared.ours, flags.CLONE_NEWNET, "the launcher goes back")
    if place.id_base is not None:
        text = f"0 {place.id_base} {ID_COUNT}"
        yield words.id_map(Op.UID_MAP, text, "root inside is nobody outside")
        yield words.id_map(Op.GID_MAP, text, "")
    if place.host_network is not None:
        yield words.netlink(place.host_network.messages, place.host_network.text, "the host's end of the link")


def overlay_option(path: str) -> str:
    """A path inside overlay's option string, where ':' and ',' separate (overlayfs.rst)."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _root_file_system(place: Placement) -> Iterator[Step]:
    lower = place.lower
    if place.id_base is not None:
        lower = f"{place.directory}/mnt/lower"
        why = "the image, its owners shifted into the container's ids; nothing is chowned"
        yield words.bind(place.lower, lower, flags.MOUNT_ATTR_RDONLY, BIND_IDMAP, why)
    options = ",".join(
        f"{name}={overlay_option(path)}"
        for name, path in (
            ("lowerdir", lower),
            ("upperdir", f"{place.layer or place.directory}/upper"),
            ("workdir", f"{place.layer or place.directory}/work"),
        )
    )
    target = f"{place.directory}/mnt/root"
    why = "image below, the container's own layer above"
    yield words.mount(place.lower, target, "overlay", flags.MS_NODEV, options, why)  # whose it is: rootfs/inuse.py
    yield words.root(target, "targets are resolved below it with openat2(RESOLVE_IN_ROOT)")


def _devices(spec: ContainerSpec, place: Placement) -> Iterator[Step]:
    owner = place.id_base or 0
    ids = f"uid={owner},gid={owner}"
    yield words.mkdir("/dev", 0o755, owner)
    yield words.mount("tmpfs", "/dev", "tmpfs", flags.MS_NOSUID | flags.MS_NOEXEC, f"mode=0755,size=64k,{ids}")
    for name, major, minor, mode in DEVICES:
        yield words.device(f"/dev/{name}", major, minor, mode, owner)
    for text, name in DEVICE_LINKS:
        yield words.symlink(text, f"/dev/{name}")
    for name in ("pts", "shm", "mqueue"):
        yield words.mkdir(f"/dev/{name}", 0o755, owner)
    shared = flags.MS_NOSUID | flags.MS_NODEV
    size = "" if spec.shm_size is None else f"size={spec.shm_size},"
    yield words.mount("shm", "/dev/shm", "tmpfs", shared, f"mode=1777,{size}{ids}", "charged to the job that fills it")
    yield words.mkdir("/proc", 0o555, owner)
    if spec.read_only:
        yield read_only_devices()


def _binds(place: Placement) -> Iterator[Step]:
    owner = place.id_base or 0
    for item in place.binds:
        if isinstance(item, Tmpfs):
            yield from tmpfs_steps(item, owner)
            continue
        yield words.mkdir(item.target, 0o755, owner) if item.is_directory else words.empty_file(item.target, owner)
        attributes = flags.MOUNT_ATTR_NODEV | (flags.MOUNT_ATTR_RDONLY if item.read_only else 0)
        # A recursive clone can be id-mapped only as a whole: one odd file system below would refuse it.
        how = BIND_RECURSIVE if place.id_base is None else _BIND_FLAGS[item.id_map]
        yield words.bind(item.source, item.target, attributes, how, "what the host lends")


def _inside(spec: ContainerSpec, place: Placement) -> Iterator[Step]:
    if place.id_base is not None:
        yield from words.owner_ids(0, 0, "root of its user namespace")
    own = flags.CLONE_NEWNS | flags.CLONE_NEWCGROUP
    yield words.unshare(own, "what was mounted so far is locked for the container")
    yield words.mount("proc", "/proc", "proc", NOTHING, "", "before pivot_root: the host's must still be in sight")
    terminals = flags.MS_NOSUID | flags.MS_NOEXEC
    yield words.mount("devpts", "/dev/pts", "devpts", terminals, "newinstance,ptmxmode=0666,mode=0620")
    yield words.mount("mqueue", "/dev/mqueue", "mqueue", NOTHING)
    for name in MASKED:
        yield words.mask(f"/proc/{name}", "tells of the host")
    if place.id_base is None:
        for name in READONLY:
            yield words.readonly(f"/proc/{name}", "steers the host")
    yield words.hostname(place.hostname)
    if place.container_network is not None and spec.network not in (NetworkMode.HOST, NetworkMode.CONTAINER):
        yield words.netlink(place.container_network.messages, place.container_network.text, "its own end of the link")
    yield from run_steps(place.programs, Point.CHILD_BEFORE_PIVOT)
    yield words.simple(Op.PIVOT_ROOT, "pivot_root(., .); umount2(., MNT_DETACH)", "the host's files are gone")
    yield from run_steps(place.programs, Point.CHILD_AFTER_PIVOT)
    yield Step(Op.UMASK, (0o022,), "umask(022)")
    yield Step(Op.NAME, (b"wshd",), "prctl(PR_SET_NAME, wshd)")
