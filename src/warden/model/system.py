"""System: a container that is a whole system, with a root file system and a first process of its own. Plain data.

What LXC's and OCI's configurations say and a ContainerSpec of the daemon does not need: file systems one by one, id maps
by hand, capabilities, terminals, namespaces of others, and the program that is PID 1.
"""

from __future__ import annotations

from warden.errors import BadInput
from warden.records import dataclass

NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time")


@dataclass(frozen=True, slots=True)
class IdRange:
    """*kind* "u" or "g": *count* ids from *inside* in the container are those from *outside* on the host."""

    kind: str
    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One mount. *target* inside, absolute; *options*: mount(8)'s words, `bind` and `rbind` among them. *create*: make the
    target first, as "dir" or "file"; *optional*: who places the container leaves it out where source or target lack.
    *inside*: *source* is a path of the container's, absolute, and is looked up as targets are. *base*: it is one of another
    container's, whose root this is: a link in there leads nowhere else; a directory ends in a slash then."""

    source: str
    target: str
    fstype: str
    options: tuple[str, ...] = ()
    create: str = ""
    optional: bool = False
    inside: bool = False
    base: str = ""

    def __post_init__(self) -> None:
        if not self.target.startswith("/") or ".." in self.target.split("/") or "\0" in self.source + self.target:
            raise BadInput(f"mount target: {self.target!r} is not an absolute path without '..'")
        if self.create not in ("", "dir", "file"):
            raise BadInput(f"mount create: {self.create!r} is unknown", hint="dir or file")

    @property
    def is_bind(self) -> bool:
        return "bind" in self.options or "rbind" in self.options


@dataclass(frozen=True, slots=True)
class Init:
    """The program that is PID 1, with exactly this environment. *rlimits*: (name, soft, hard), None unlimited."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    rlimits: tuple[tuple[str, int | None, int | None], ...] = ()
    no_new_privs: bool = False

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise BadInput("init: no program is given")


@dataclass(frozen=True, slots=True)
class System:
    """*init* None: the engine's own PID 1, which starts jobs. *root_options*: mount(8)'s words for the root, and `idmap`
    for owners shifted into the container's ids. *id_map* (): no user namespace. *capabilities*: those left, by name,
    None all. *dev*: a /dev of its own, *dev_bytes* large. *terminals*: as many in a devpts
    of its own, 0 none. *proc*: "", "mixed" or "rw"; *sys*: "",
    "ro", "mixed" or "rw". *cgroups*: its own on /sys/fs/cgroup, "", "ro" or "rw".
    *filesystems*: in the order in which they are mounted. *entered*: (namespace, path of it) of
    somebody else; *kept*: namespaces shared with the host. *clocks*: nanoseconds that boot and monotonic clock are ahead.
    *personality*: of personality(2), 0 leaves it. *keyring*: a session keyring of its own. *context*, *key_context*: of
    SELinux, of the first program and of that keyring, "" none; who places the container leaves them out without SELinux.
    *tunnel*: a directory of the host, and where it is inside: what is mounted below it on the host appears there.
    """

    init: Init | None = None
    root_options: tuple[str, ...] = ()
    id_map: tuple[IdRange, ...] = ()
    capabilities: tuple[str, ...] | None = None
    dev: bool = True
    dev_bytes: int = 500000
    terminals: int = 0
    proc: str = ""
    sys: str = ""
    cgroups: str = ""
    filesystems: tuple[FileSystem, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    entered: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    clocks: tuple[int, int] = (0, 0)
    personality: int = 0
    keyring: bool = False
    context: str = ""
    key_context: str = ""
    tunnel: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        for name in (*self.kept, *(name for name, _ in self.entered)):
            if name not in NAMESPACES or name == "mnt":
                hint = "a mount namespace is always its own" if name == "mnt" else "one of " + ", ".join(NAMESPACES)
                raise BadInput(f"namespace: {name!r} cannot be shared", hint=hint)

    def maps(self, inside: int, kind: str = "u") -> bool:
        """Whether an id of the container is one of the host's."""
        ranges = (item for item in self.id_map if item.kind == kind)
        return not self.id_map or any(item.inside <= inside < item.inside + item.count for item in ranges)

    def outside(self, inside: int, kind: str = "u") -> int:
        """The host's id of one of the container's; raises BadInput for one that is not mapped."""
        for item in self.id_map:
            if item.kind == kind and item.inside <= inside < item.inside + item.count:
                return item.outside + inside - item.inside
        if self.id_map:
            raise BadInput(f"id map: {inside} of the container is not mapped", hint="root, 0, must be")
        return inside
