"""ContainerSpec with a System → Plan: a root file system as it is, its mounts one by one, and an init of its own. Pure.

The order is container.py's, for the same reason: binds and devices are made with the host's rights and locked before the
child has a mount namespace; what belongs to the child's own namespaces (proc, sysfs, devpts, mqueue, cgroups), and what
lies on them, is mounted by the child. The plan ends in `exec` of the init, or in `serve` where it has none.
"""

from __future__ import annotations

import os

from warden.light import TYPE_CHECKING
from warden.model.spec import ContainerSpec, NetworkMode
from warden.model.system import FileSystem, Init, System
from warden.plan import capabilities, flags, words
from warden.plan.container import DEVICE_LINKS, DEVICES, Placement, container_plan
from warden.plan.job import RESOURCES
from warden.plan.mounting import NOTHING, Tmpfs, tmpfs_steps
from warden.plan.mountoptions import mount_options
from warden.plan.program import Point, Program, run_step, run_steps
from warden.plan.steps import BIND_IDMAP, BIND_IN_ROOT, BIND_RECURSIVE, Op, Plan, Step
from warden.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

#: File systems that show the namespaces of the process that mounts them.
OF_NAMESPACES = ("proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2")
UNLIMITED = 2**64 - 1
_CLONE = {
    "pid": flags.CLONE_NEWPID,
    "net": flags.CLONE_NEWNET,
    "uts": flags.CLONE_NEWUTS,
    "ipc": flags.CLONE_NEWIPC,
    "user": flags.CLONE_NEWUSER,
    "cgroup": flags.CLONE_NEWCGROUP,
    "time": flags.CLONE_NEWTIME,
}
MNT_DETACH = 2
OWN_NETWORK = (NetworkMode.WARDEN, NetworkMode.NONE)


def plan_of(spec: ContainerSpec, place: Placement) -> Plan:
    """The plan of a container of either kind."""
    return container_plan(spec, place) if spec.system is None else system_plan(spec, spec.system, place)


def system_plan(spec: ContainerSpec, system: System, place: Placement) -> Plan:
    """The whole plan. *place.lower* is the root file system itself, *place.binds* what the engine adds: terminals."""
    staged = list(_staged(system, place))
    system = replace(system, filesystems=tuple(item for item, _ in staged))
    early, late = split(system)
    plan = Plan(
        (
            *_launch(system, place),
            *_clone(spec, system, place),
            *(step for _, steps in staged for step in steps),
            *_root(system, place),
            *(_dev(system, place) if system.dev else ()),
            *(step for item in early for step in _mount(system, item)),
            *_tunnel(system),
            *_terminals(system, place),
            *run_steps(place.programs, Point.PARENT_AFTER_CLONE),
            *_go_back(place),
            words.simple(Op.RELEASE, "release the child", "from here on it acts for itself, without the host's rights"),
            *_inside(system, place),
            *(step for item in late for step in _mount(system, item)),
            *_names(spec, system, place),
            *run_steps(place.programs, Point.CHILD_BEFORE_PIVOT),
            *((words.profile(*place.profile),) if place.profile else ()),
            *_context(system),
            words.simple(Op.PIVOT_ROOT, "pivot_root(., .); umount2(., MNT_DETACH)", "the host's files are gone"),
            *_awaited(place),
            *(run_step(_confined(system, place, item)) for item in place.programs.get(Point.CHILD_AFTER_PIVOT, ())),
            Step(Op.UMASK, (0o022,), "umask(022)"),
            *(_serve() if system.init is None else _first(system, system.init, place)),
        )
    )
    return plan if system.tunnel is None else Plan(tuple(map(_private, plan.steps)))


def _awaited(place: Placement) -> Iterator[Step]:
    if place.awaited:
        yield words.simple(Op.AWAIT, "await", "nothing of its own runs before its limits on devices are in force")


def _confined(system: System, place: Placement, program: Program) -> Program:
    """A file of the container's, which its root may have written: it may no more than the first process."""
    bounds = (*_joins(place.hook_joins), *_bounds(system, place.permitted, place.seccomp))
    return replace(program, steps=Plan((*bounds, *program.steps.steps)))


def _joins(count: int) -> list[Step]:
    return [Step(Op.JOIN_CGROUP_FD, (n,), f"echo 0 > descriptor {n}", "the container's limits") for n in range(count)]


def _private(step: Step) -> Step:
    """A bind of a mount that follows the host's would follow them too; the tunnel alone is to."""
    if step.op is not Op.BIND or step.args[4]:
        return step
    return Step(Op.BIND, (*step.args[:4], flags.MS_PRIVATE), step.text, step.why)


def _tunnel(system: System) -> Iterator[Step]:
    if system.tunnel is not None:
        source, target = system.tunnel
        yield words.mkdir(target, 0o711, system.outside(0))
        yield words.bind(source, target, 0, 0, "what is mounted there later comes in", flags.MS_SLAVE)


def _staged(system: System, place: Placement) -> Iterator[tuple[FileSystem, tuple[Step, ...]]]:
    """Each mount, and what is done for it before there is a root: a source in another container's root is bound, looked up
    below that, to a place that nobody else can change, and from there."""
    for number, item in enumerate(system.filesystems):
        if not item.base:
            yield item, ()
            continue
        aside = f"{place.directory}/mnt/{number}"
        place_of_it = f"{aside}/it"
        steps = (
            words.mkdir(f"{aside}/root", 0o755, 0),
            words.mkdir(place_of_it, 0o755, 0) if item.source.endswith("/") else words.empty_file(place_of_it, 0),
            words.bind(item.base, f"{aside}/root", 0, BIND_RECURSIVE, "another container's root"),
            words.root(aside, "beside the root"),
            words.bind(f"/root{item.source}", "/it", 0, BIND_RECURSIVE | BIND_IN_ROOT, "its links lead nowhere else"),
            words.root("/", "back"),
        )
        yield replace(item, source=place_of_it, base=""), steps


def split(system: System) -> tuple[tuple[FileSystem, ...], tuple[FileSystem, ...]]:
    """What the launcher mounts, and what the child does: file systems of namespaces, and all that lies on one of those."""
    late: list[FileSystem] = []
    covered = [path for path, wanted in (("/proc", system.proc), ("/sys", system.sys)) if wanted]
    covered += ["/dev/pts"] if system.terminals else []
    for item in system.filesystems:
        target = os.path.normpath(item.target)
        own = item.fstype in OF_NAMESPACES and not item.is_bind
        if own or any(f"{target}/".startswith(f"{path}/") for path in covered):
            late.append(item)
            covered.append(target)
    return tuple(item for item in system.filesystems if item not in late), tuple(late)


def _launch(system: System, place: Placement) -> Iterator[Step]:
    if place.monitor is not None:
        logs = [
            part for path, bound in (place.monitor.log, place.monitor.buffer) for part in (os.fsencode(path), bound)
        ]
        args = (place.monitor.ending.encode(), int(place.monitor.console is not None), place.monitor.terminals, *logs)
        yield Step(Op.MONITOR, args, "monitor", "the launcher stays, has the terminals, and sees to the end")
    for path in place.joins:
        yield words.join_cgroup(path, "the first process is in its container's cgroup from its birth")
    if place.into is not None:
        yield words.into_cgroup(place.into, "the first process is in its container's cgroup from its birth")
    yield words.unshare(flags.CLONE_NEWNS, "mounts made from here on are not the host's")
    if system.tunnel is None:
        yield words.propagation(flags.MS_REC | flags.MS_PRIVATE, "rprivate", "nothing propagates either way")
    else:
        yield words.propagation(flags.MS_REC | flags.MS_SLAVE, "rslave", "nothing propagates to the host")
    yield from run_steps(place.programs, Point.PARENT_BEFORE_CLONE)
    for name, path in system.entered:
        yield words.setns(path, _CLONE[name], f"its {name} namespace is another's")
    if any(system.clocks):
        yield words.unshare(flags.CLONE_NEWTIME, "children have clocks of their own")
        for name, offset in zip(("boottime", "monotonic"), system.clocks, strict=True):
            seconds, rest = divmod(offset, 10**9)
            yield words.write("/proc/self/timens_offsets", f"{name} {seconds} {rest}", "before the first child")


def _namespaces(spec: ContainerSpec, system: System) -> int:
    """CLONE_NEWCGROUP and CLONE_NEWNS are the child's own, once it is where it belongs."""
    taken = {*system.kept, *(name for name, _ in system.entered), "cgroup", "time"}
    if spec.network not in OWN_NETWORK:
        taken.add("net")
    if not system.id_map:
        taken.add("user")
    return sum(bit for name, bit in _CLONE.items() if name not in taken)


def _clone(spec: ContainerSpec, system: System, place: Placement) -> Iterator[Step]:
    if place.shared is not None:
        yield words.setns(place.shared.theirs, flags.CLONE_NEWNET, "the network that it shares")
    yield words.clone(_namespaces(spec, system), "the child, which waits")
    if place.shared is not None:
        yield words.setns(place.shared.ours, flags.CLONE_NEWNET, "the launcher goes back")
    for op, kind in ((Op.UID_MAP, "u"), (Op.GID_MAP, "g")):
        ranges = [f"{item.inside} {item.outside} {item.count}" for item in system.id_map if item.kind == kind]
        if ranges:
            yield words.id_map(op, "\n".join(ranges), "root inside is nobody outside" if kind == "u" else "")
    if place.host_network is not None:
        yield words.netlink(place.host_network.messages, place.host_network.text, "the host's end of the link")
        yield from (words.write(path, value, "of the host's end") for path, value in place.host_network.writes)


def _go_back(place: Placement) -> Iterator[Step]:
    """The launcher: nothing of the container's may be held by who watches it."""
    if place.monitor is not None:
        for path in place.monitor.back:
            yield words.join_cgroup(path, "the launcher leaves the container's cgroup")
        yield words.setns(place.monitor.home, flags.CLONE_NEWNS, "the launcher goes back to the host's mounts")


def _root(system: System, place: Placement) -> Iterator[Step]:
    target = f"{place.directory}/mnt/root"
    shifted = "idmap" in system.root_options
    options = mount_options(word for word in system.root_options if word != "idmap")
    how = BIND_IDMAP if shifted else BIND_RECURSIVE
    why = "its owners shifted into the container's ids" if shifted else "the root file system as it is"
    yield words.bind(place.lower, target, options.attributes, how, why, options.propagation)
    for name, wanted in (("proc", system.proc), ("sys", system.sys)):
        if wanted == "mixed":
            yield words.mkdir(f"{place.directory}/mnt/{name}", 0o555, why="where another one is put aside")
    yield words.root(target, "targets are resolved below it, and none through a link", flags.RESOLVE_NO_SYMLINKS)


def _dev(system: System, place: Placement) -> Iterator[Step]:
    owner = system.outside(0)
    data = f"mode=0755,size={system.dev_bytes},uid={owner},gid={system.outside(0, 'g')}"
    yield words.mkdir("/dev", 0o755, owner)
    yield words.mount("none", "/dev", "tmpfs", flags.MS_NOSUID, data)
    for name, major, minor, mode in DEVICES:
        if place.nodes:
            yield words.device(f"/dev/{name}", major, minor, mode, owner)
        else:
            yield words.empty_file(f"/dev/{name}", owner)
            yield words.bind(f"/dev/{name}", f"/dev/{name}", 0, 0, "the host's, for nobody here may make one")
    for text, name in DEVICE_LINKS:
        if name != "ptmx" or system.terminals:
            yield words.symlink(text, f"/dev/{name}")
    for name in ("pts", "shm", "mqueue"):
        yield words.mkdir(f"/dev/{name}", 0o755, owner)


def _mount(system: System, item: FileSystem) -> Iterator[Step]:
    owner, options = system.outside(0), mount_options(item.options)
    if item.create == "dir":
        yield words.mkdir(item.target, 0o755, owner)
    elif item.create == "file":
        yield words.empty_file(item.target, owner)
    if item.is_bind:
        how = BIND_RECURSIVE if "rbind" in item.options else 0
        how |= BIND_IN_ROOT if item.inside else 0
        yield words.bind(item.source, item.target, options.attributes, how, "", options.propagation)
        return
    data = options.data
    if item.fstype == "tmpfs" and system.id_map and "uid=" not in data:
        data = ",".join(part for part in (data, f"uid={owner},gid={system.outside(0, 'g')}") if part)
    yield words.mount(item.source, item.target, item.fstype, options.flags, data)


def _terminals(system: System, place: Placement) -> Iterator[Step]:
    owner = system.outside(0)
    for item in place.binds:
        if isinstance(item, Tmpfs):
            yield from tmpfs_steps(item, owner)
            continue
        yield words.mkdir(item.target, 0o755, owner) if item.is_directory else words.empty_file(item.target, owner)
        attributes = flags.MOUNT_ATTR_RDONLY if item.read_only else 0
        yield words.bind(item.source, item.target, attributes, BIND_RECURSIVE, "what the engine lends")


def _inside(system: System, place: Placement) -> Iterator[Step]:
    if system.id_map:
        yield from words.owner_ids(0, 0, "root of its user namespace")
    if system.key_context:
        yield words.context("/proc/self/attr/keycreate", system.key_context, "SELinux's of its keyring")
    if system.keyring:
        yield words.simple(Op.KEYRING, "keyctl(KEYCTL_JOIN_SESSION_KEYRING)", "whose keys it finds are its own")
    own = flags.CLONE_NEWNS
    if "cgroup" not in system.kept and "cgroup" not in dict(system.entered):
        own |= flags.CLONE_NEWCGROUP
    yield words.unshare(own, "what was mounted so far is locked for the container")
    yield words.root(".", "where unshare left it: its targets lead through no link either", flags.RESOLVE_NO_SYMLINKS)
    if system.proc:
        yield words.mkdir("/proc", 0o555)
        yield words.mount("proc", "/proc", "proc", NOTHING, "", "before pivot_root: the host's must still be in sight")
    if system.sys:
        read_only = flags.MS_RDONLY if system.sys == "ro" else 0
        yield words.mkdir("/sys", 0o555)
        yield words.mount("sysfs", "/sys", "sysfs", NOTHING | read_only)
    if system.proc == "mixed":
        yield from _close_proc(f"{place.directory}/mnt")
    if system.sys == "mixed":
        yield from _close_sys(f"{place.directory}/mnt")
    if system.terminals:
        shared = flags.MS_NOSUID | flags.MS_NOEXEC
        if not system.dev:
            yield words.mkdir("/dev/pts", 0o755)
        group = ",gid=5" if system.maps(5, "g") else ""  # tty, in every distribution; one that is not mapped is EINVAL
        data = f"newinstance,ptmxmode=0666,mode=0620{group},max={system.terminals}"
        yield words.mount("devpts", "/dev/pts", "devpts", shared, data)


def _context(system: System) -> tuple[Step, ...]:
    path = "/proc/self/attr/exec"
    return (words.context(path, system.context, "SELinux's of its next exec"),) if system.context else ()


def _names(spec: ContainerSpec, system: System, place: Placement) -> Iterator[Step]:
    """What is set while the host's /proc is still in sight: there sysctls can be written."""
    if "uts" not in system.kept and "uts" not in dict(system.entered):
        yield words.hostname(place.hostname)
    if place.container_network is not None and spec.network in OWN_NETWORK:
        yield words.netlink(place.container_network.messages, place.container_network.text, "its own end of the link")
    for name, value in system.sysctls:
        # proc_sys_call_handler (fs/proc/proc_sysctl.c): the table is that of the writer's namespaces
        yield words.write(f"/proc/sys/{name.replace('.', '/')}", value, "of its own namespaces")


def _close_proc(beside: str) -> Iterator[Step]:
    """Read-only what steers the host, but for what is its own network's."""
    yield from _aside(beside, "proc", "proc")
    yield words.readonly("/proc/sys", "steers the host")
    yield words.bind(f"{beside}/proc/sys/net", "/proc/sys/net", 0, 0, "its own namespace's, which can be written")
    yield words.readonly("/proc/sysrq-trigger", "steers the host")


def _close_sys(beside: str) -> Iterator[Step]:
    """The same, of sysfs."""
    own = "/sys/devices/virtual/net"
    yield from _aside(beside, "sys", "sysfs")
    yield words.readonly("/sys", "steers the host")
    yield words.bind(f"{beside}{own}", own, 0, 0, "its own network's links, which can be written")


def _aside(beside: str, name: str, fstype: str) -> Iterator[Step]:
    """Another one, beside the root, from where parts can be bound: the source of a bind is looked up from the host's root,
    so a path that leads through the container's own could lead anywhere. It goes with the host's files."""
    yield words.root(beside, "beside the root")
    yield words.mount(fstype, f"/{name}", fstype, NOTHING, "", "another one, for a part of it")
    yield words.root(".", "back in the root", flags.RESOLVE_NO_SYMLINKS)


def _first(system: System, init: Init, place: Placement) -> Iterator[Step]:
    """PID 1 itself, on the console if there is one."""
    monitor = place.monitor
    if monitor is not None and monitor.console is not None:
        for number in range(3):
            yield Step(
                Op.USE_FD, (monitor.console, number), f"dup2(console, {number})", "" if number else "its console"
            )
    *steps, last = _become(system, init, place.permitted, place.seccomp)
    yield from steps
    if monitor is not None and monitor.death:
        yield Step(
            Op.PDEATHSIG, (monitor.death,), f"prctl(PR_SET_PDEATHSIG, {monitor.death})", "it ends with its monitor"
        )
    yield last


def _serve() -> Iterator[Step]:
    yield Step(Op.NAME, (b"wshd",), "prctl(PR_SET_NAME, wshd)")
    yield words.simple(Op.SERVE, "serve", "PID 1: reaps, starts jobs, keeps what the daemon must not lose")


def program_plan(
    system: System,
    program: Init,
    joins: int,
    permitted: int,
    seccomp: bytes = b"",
    profile: tuple[str, str] | None = None,
) -> Plan:
    """The steps by which a child of our PID 1 becomes *program*, on descriptors of the caller's: those to be joined by
    come first, *joins* of them, then its standard input, output and error. *seccomp*: a filter, b"" for none. *profile*:
    as Placement has it."""
    steps = _joins(joins)
    if "cgroup" not in system.kept:
        steps.append(words.unshare(flags.CLONE_NEWCGROUP, "it sees its cgroup as the root"))
    steps += [Step(Op.USE_FD, (joins + n, n), f"dup2(descriptor {joins + n}, {n})") for n in range(3)]
    steps += [words.profile(*profile)] if profile else []
    steps += _context(system)
    return Plan((*steps, *_become(system, program, permitted, seccomp)))


def _become(system: System, init: Init, permitted: int, seccomp: bytes) -> Iterator[Step]:
    if system.personality:
        yield Step(Op.PERSONALITY, (system.personality,), f"personality({system.personality:#x})", "uname says so")
    yield words.simple(Op.SETSID, "setsid()")
    for name, *pair in init.rlimits:
        soft, hard = (UNLIMITED if value is None else value for value in pair)
        yield Step(Op.RLIMIT, (RESOURCES[name], soft, hard), f"setrlimit(RLIMIT_{name.upper()}, {soft}, {hard})")
    packed = b"".join(group.to_bytes(4, "little") for group in init.groups)
    yield Step(Op.GROUPS, (packed,), "setgroups(" + ", ".join(map(str, init.groups)) + ")")
    yield from _bounds(system, permitted, seccomp)
    if (init.uid, init.gid) != (0, 0):
        yield from words.owner_ids(init.uid, init.gid, "whom the first process runs as")
    if init.no_new_privs:
        yield words.simple(Op.NO_NEW_PRIVS, "prctl(PR_SET_NO_NEW_PRIVS)", "set-user-ID programs give nothing")
    yield Step(Op.CHDIR, (words.raw(init.cwd),), f"chdir({init.cwd})")
    for name, value in init.env:
        yield Step(Op.ENV, (os.fsencode(f"{name}={value}"),), f"setenv({name})")
    for word in init.argv:
        yield Step(Op.ARG, (os.fsencode(word),), f"argument {word!r}")
    yield Step(Op.EXEC, (os.fsencode(init.argv[0]),), f"execve({init.argv[0]})")


def _bounds(system: System, permitted: int, seccomp: bytes) -> Iterator[Step]:
    if system.capabilities is not None:
        kept = capabilities.capability_set(system.capabilities)
        own = capabilities.ALL if system.id_map else permitted
        text = "prctl(PR_CAPBSET_DROP, all but " + (",".join(capabilities.capability_names(kept)) or "none") + ")"
        # exec of root takes what the bounding set leaves (capabilities(7)); until then its own rights are needed
        yield Step(Op.CAPABILITIES, (kept, own, own, 0, 0), text, "all others are gone for good")
    if seccomp:  # while CAP_SYS_ADMIN is still there, which it needs without no_new_privs
        yield Step(Op.SECCOMP, (seccomp,), "seccomp(SECCOMP_SET_MODE_FILTER)", "what its configuration lets it call")
