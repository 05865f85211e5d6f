"""Every key of LXC's configuration: its name today, its name before 2.1, its values, its meaning, what it becomes. A table.

reading.py builds LxcConfig by it, update_config.py renames by it, the documentation is made from it. Pure.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, Enum, NamedTuple
from warden.lxc import values as v
from warden.lxc.fstab import entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Kind(Enum):
    """How repeating a key and an empty value act."""

    ONE = "one"  # the last counts; empty: as if never given
    MANY = "many"  # each adds; empty: forget those before
    BELOW = "below"  # KEY.NAME = VALUE, each adds; KEY.NAME empty: forget that name's, KEY empty: forget all
    DROPPED = "dropped"  # LXC itself has given it up: accepted and ignored


class Key(NamedTuple):  # of which there are many at every start
    """One row. *field*: of LxcConfig. *parse*: value → what the field holds (MANY: a tuple of items; BELOW: of name and
    value, a tuple of items). *becomes*: what carries it out; "" while only this door itself needs it."""

    name: str
    parse: Callable[..., Any]
    note: str
    becomes: str = ""
    legacy: tuple[str, ...] = ()
    kind: Kind = Kind.ONE

    @property
    def field(self) -> str:
        return self.name.removeprefix("lxc.").replace(".", "_").replace("-", "_")


HOOKS = "pre-start pre-mount mount autodev start-host start stop post-stop clone destroy".split()
_MOUNT_AUTO = (
    "proc proc:mixed proc:rw sys sys:ro sys:mixed sys:rw shmounts "
    "cgroup cgroup:mixed cgroup:ro cgroup:rw cgroup-full cgroup-full:mixed cgroup-full:ro cgroup-full:rw "
    "cgroup2 cgroup2:mixed cgroup2:ro cgroup2:rw"
).split()


def _auto(value: str) -> tuple[str, ...]:
    """Words of lxc.mount.auto; `:force` after those of cgroups, `shmounts:SOURCE[:TARGET]` with its paths."""
    check = v.one_of(*_MOUNT_AUTO)
    for word in value.split():
        plain = word.removesuffix(":force") if word.startswith("cgroup") else word
        check("shmounts" if word.startswith("shmounts:") else plain)
    return tuple(value.split())


def _hook(name: str, value: str) -> tuple[tuple[str, str], ...]:
    v.one_of(*HOOKS)(name)
    return ((name, value),)


def _options(value: str) -> tuple[str, ...]:
    return tuple(word for word in value.split(",") if word)


def _version(value: str) -> int:
    return int(v.one_of("0", "1")(value))


def _row(
    name: str,
    parse: Callable[..., Any],
    note: str,
    becomes: str = "",
    *legacy: str,
    kind: Kind = Kind.ONE,
) -> Key:
    return Key(f"lxc.{name}", parse, note, becomes, tuple(f"lxc.{old}" for old in legacy), kind)


def _many(name: str, parse: Callable[..., Any], note: str, becomes: str = "", *legacy: str) -> Key:
    return _row(name, parse, note, becomes, *legacy, kind=Kind.MANY)


def _below(name: str, parse: Callable[..., Any], note: str, becomes: str = "", *legacy: str) -> Key:
    return _row(name, parse, note, becomes, *legacy, kind=Kind.BELOW)


def _dropped(name: str, note: str) -> Key:
    return _row(name, v.text, note, kind=Kind.DROPPED)


_LSM = "where the kernel has the security module, else ignored"
_OWN_CGROUP = "nothing: containers lie in the engine's own cgroup tree"
KEYS: tuple[Key, ...] = (
    _row("arch", v.architecture, "architecture that programs see, such as i686 or x86_64", "personality"),
    _row("uts.name", v.uts_name, "host name", "hostname", "utsname"),
    # root file system
    _row("rootfs.path", v.text, "directory, or KIND:PLACE (dir overlay loop btrfs)", "root", "rootfs"),
    _row("rootfs.mount", v.path, "where it is mounted before it becomes the root", "nothing: in the engine's depot"),
    _row("rootfs.options", _options, "mount options; idmap=container shifts owners", "root options"),
    _row("rootfs.managed", v.switch, "0: never destroyed with the container"),
    _dropped("rootfs.backend", "kind of storage, now part of lxc.rootfs.path"),
    _dropped("pivotdir", "where the old root was kept"),
    # terminals
    _row("tty.max", v.number, "number of /dev/ttyN", "terminals", "tty"),
    _row("tty.dir", v.relative_path, "directory below /dev for console and ttys", "terminals", "devttydir"),
    _row("pty.max", v.number, "number of pseudo terminals; 0: no devpts", "devpts", "pts"),
    _row("console.path", v.text, "file or device the console is connected to, or none", "console", "console"),
    _row("console.logfile", v.path, "file that keeps what the console shows", "console"),
    _row("console.buffer.size", v.auto_size, "bytes of the output kept in memory for lxc-console -b", "console"),
    _row("console.size", v.auto_size, "bytes that the log may have, or auto; a full one begins anew", "console"),
    _row("console.rotate", v.switch, "1: a full log is kept as LOGFILE.1", "console"),
    # cgroups
    _row("cgroup.dir", v.relative_path, "cgroup below which both lie", _OWN_CGROUP),
    _row("cgroup.dir.container", v.relative_path, "cgroup of the container", _OWN_CGROUP),
    _row("cgroup.dir.container.inner", v.relative_path, "cgroup that it sees as its root", _OWN_CGROUP),
    _row("cgroup.dir.monitor", v.relative_path, "cgroup of the monitor", _OWN_CGROUP),
    _row("cgroup.dir.monitor.pivot", v.relative_path, "cgroup of the monitor while it ends", _OWN_CGROUP),
    _row("cgroup.relative", v.switch, "below the starter's own cgroup", _OWN_CGROUP),
    _below("cgroup", v.named_text, "a file of a v1 controller, and what is written to it", "limits"),
    _below("cgroup2", v.named_text, "a file of cgroup v2, and what is written to it", "limits"),
    # mounts
    _row("mount.fstab", v.path, "file of mounts, as fstab(5)", "filesystems", "mount"),
    _many("mount.entry", entries, "one line of fstab(5); also optional, create=dir, create=file", "filesystems"),
    _many("mount.auto", _auto, "what is mounted without being listed: " + " ".join(_MOUNT_AUTO), "proc and sys"),
    _row("autodev", v.switch, "a tmpfs with the usual devices on /dev", "dev"),
    _row("autodev.tmpfs.size", v.number, "bytes of that tmpfs", "dev"),
    _dropped("kmsg", "link from /dev/kmsg to the console"),
    # rights
    _many("idmap", v.id_ranges, "u, g or b, first id inside, first on the host, count", "id maps", "id_map"),
    _many("cap.drop", v.capabilities, "capabilities taken away", "capabilities"),
    _many("cap.keep", v.capabilities, "capabilities left, or none; excludes lxc.cap.drop", "capabilities"),
    _row("no_new_privs", v.switch, "set-user-ID programs give nothing", "init"),
    _row("apparmor.profile", v.text, "profile, generated, unconfined or unchanged", _LSM, "aa_profile"),
    _row("apparmor.allow_incomplete", v.switch, "start without full support", _LSM, "aa_allow_incomplete"),
    _row("apparmor.allow_nesting", v.switch, "allow containers inside", _LSM),
    _many("apparmor.raw", v.texts, "a line of the generated profile", _LSM),
    _row("selinux.context", v.text, "context of the first process", _LSM, "se_context"),
    _row("selinux.context.keyring", v.text, "context of its keyring", _LSM),
    _row("keyring.session", v.switch, "a session keyring of its own", "keyring"),
    _row("seccomp.profile", v.text, "file with a system call filter", "seccomp", "seccomp"),
    _row("seccomp.allow_nesting", v.switch, "filters upon filters", "seccomp"),
    _row("seccomp.notify.proxy", v.text, "socket that decides instead of the filter", "nothing: notify is refused"),
    _row("seccomp.notify.cookie", v.text, "what is told to it", "nothing: notify is refused"),
    _below("prlimit", v.rlimit, "SOFT[:HARD] of setrlimit(2), or unlimited", "init", "limit"),
    _below("sysctl", v.named_text, "a kernel parameter of the container's namespaces", "sysctls"),
    _below("proc", v.named_text, "a file of /proc/PID of the first process", "proc files"),
    # the first process
    _row("init.cmd", v.text, "program and arguments of the first process", "init", "init_cmd"),
    _row("init.uid", v.number, "its user", "init", "init_uid"),
    _row("init.gid", v.number, "its group", "init", "init_gid"),
    _row("init.groups", v.groups, "its further groups", "init"),
    _row("init.cwd", v.path, "its working directory", "init"),
    _row("execute.cmd", v.text, "what lxc-execute runs when not told"),
    _row("signal.halt", v.signal_number, "signal that asks it to halt, SIGPWR", "", "haltsignal"),
    _row("signal.reboot", v.signal_number, "signal that asks it to reboot, SIGINT", "", "rebootsignal"),
    _row("signal.stop", v.signal_number, "signal that ends it, SIGKILL", "", "stopsignal"),
    _many("environment", v.environment, "NAME=VALUE, or NAME to take it over", "init"),
    _many("environment.runtime", v.environment, "the same, for the first process alone", "init"),
    _many("environment.hooks", v.environment, "the same, for hooks alone", "hooks"),
    # namespaces
    _row("namespace.clone", v.namespaces, "those that are new; others are shared with the host", "namespaces"),
    _row("namespace.keep", v.namespaces, "those that are shared with the host", "namespaces"),
    _below("namespace.share", v.shared_namespace, "whose is used: a container, a pid or a path", "namespaces"),
    _row("time.offset.boot", v.nanoseconds, "offset of the boot clock", "time namespace"),
    _row("time.offset.monotonic", v.nanoseconds, "offset of the monotonic clock", "time namespace"),
    _row("sched.core", v.switch, "core scheduling domain of its own", "scheduling"),
    # life
    _below("hook", _hook, "a program run at " + ", ".join(HOOKS), "hooks"),
    _row("hook.version", _version, "how hooks are told: 0 arguments, 1 environment", "hooks"),
    _row("start.auto", v.switch, "whether lxc-autostart starts it"),
    _row("start.delay", v.number, "seconds that it waits after it"),
    _row("start.order", v.integer, "place among the others"),
    _many("group", v.words, "groups that it belongs to, for lxc-autostart and lxc-ls"),
    _row("ephemeral", v.switch, "destroyed when it stops"),
    _row("monitor.unshare", v.switch, "the monitor has a mount namespace of its own", "nothing: a start has its own"),
    _row("monitor.signal.pdeath", v.signal_number, "signal it gets when the monitor dies", "monitor"),
    _row("log.level", v.level, "what is worth a line in the log", "", "loglevel"),
    _row("log.file", v.text, "the log", "", "logfile"),
    _row("log.syslog", v.facility, "facility of syslog that gets it as well", "nothing: no syslog is written", "syslog"),
)
BY_NAME = {key.name: key for key in KEYS}
#: Name before 2.1 → name today; `lxc.mount` and `lxc.console` are both, an old key and the beginning of new ones.
SUCCESSORS = {old: key.name for key in KEYS for old in key.legacy}
BELOW = tuple(key for key in KEYS if key.kind is Kind.BELOW)


def find(name: str) -> tuple[Key, str] | None:
    """The row of a key by any of its names, and what stands below it: ("lxc.cgroup", "cpu.shares"). None: no such key."""
    name = SUCCESSORS.get(name, name)
    if name in BY_NAME:
        return BY_NAME[name], ""
    for key in BELOW:
        for prefix in (key.name, *key.legacy):
            if name.startswith(prefix + "."):
                return key, name[len(prefix) + 1 :]
    return None


def modern(name: str) -> str:
    """*name* as it is written today; networks are networks.py's."""
    found = find(name)
    if found is None:
        return name
    key, below = found
    return f"{key.name}.{below}" if below else key.name
