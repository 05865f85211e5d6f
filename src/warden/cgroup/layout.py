"""Which cgroup hierarchies this machine has, and which of them warden uses.

Owns the reading of mountinfo; `detect` is pure when the texts are given. Creates nothing.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING, late
from warden.records import dataclass, field

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
else:
    re = late("re")

#: What warden does, by v1's names: limits and OOM kills; shares; processor time; number of processes; exact kills.
NEEDED = ("memory", "cpu", "cpuacct", "pids", "freezer")
#: v2's name of a controller that has another in v1.
V2_NAMES = {"blkio": "io", "cpuacct": "cpu"}
#: v2 has processor time and freezing in every group (cpu.stat since 4.15, cgroup.freeze since 5.2).
NEEDED_V2 = frozenset({"memory", "cpu", "pids"})
#: Used where v2 has it: without it nothing is said of what jobs read and write. v1's blkio is jobio.py's.
WELCOME_V2 = frozenset({"io"})
#: v1 hierarchies in which every job has a group of its own: for its verdict, its usage, and killing exactly its tree.
PER_JOB = frozenset({"memory", "cpuacct", "freezer"})

_V1_CONTROLLERS = frozenset(
    {"cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer"}
    | {"net_cls", "perf_event", "net_prio", "hugetlb", "pids", "rdma", "misc"}
)


_NAMED = "name="


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree that is used. *controllers*: those of them that warden needs. *per_job*: jobs have groups in it.
    *available*: what v2's root could give out beside them."""

    root: str
    controllers: frozenset[str]
    is_v2: bool = False
    per_job: bool = False
    available: frozenset[str] = frozenset()

    @property
    def procs(self) -> str:
        """The file that a task writes "0" to, to join a group: in v1 `tasks` takes no global lock (since 5.5)."""
        return "cgroup.procs" if self.is_v2 else "tasks"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the controllers are. *hierarchies*: v1 controller → directory of its mount; *v2*: mount of cgroup2;
    *named*: hierarchies without a controller, `name=systemd` among them, → directory of the mount."""

    hierarchies: Mapping[str, str] = field(default_factory=dict)
    v2: str | None = None
    v2_controllers: frozenset[str] = frozenset()
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """ "v1", "hybrid" or "v2"; "none" where nothing is mounted."""
        if self.v2 is not None:
            return "hybrid" if self.hierarchies else "v2"
        return "v1" if self.hierarchies else "none"

    def used(self) -> tuple[Hierarchy, ...]:
        """The trees that warden makes groups in, v2 first; v2 only where it holds a controller that is needed."""
        found = []
        needed = self.v2_controllers & NEEDED_V2
        if self.v2 is not None and (needed or not self.hierarchies):
            shared = needed | (self.v2_controllers & WELCOME_V2)
            found.append(Hierarchy(self.v2, shared, is_v2=True, per_job=True, available=self.v2_controllers))
        by_root: dict[str, set[str]] = {}
        for name in NEEDED:
            if name in self.hierarchies:
                by_root.setdefault(self.hierarchies[name], set()).add(name)
        for root, names in by_root.items():
            found.append(Hierarchy(root, frozenset(names), per_job=bool(names & PER_JOB)))
        return tuple(found)

    def missing(self) -> list[str]:
        """Controllers that warden needs and this machine lacks, by v1's names."""
        have = {name for hierarchy in self.used() for name in hierarchy.controllers}
        if any(hierarchy.is_v2 for hierarchy in self.used()):
            have |= {"cpuacct", "freezer"}
        return [name for name in NEEDED if name not in have]


def detect(mountinfo: str | None = None, controllers: str | None = None) -> Layout:
    """The layout told by the texts of /proc/self/mountinfo (proc(5)) and of cgroup.controllers at the v2 mount.

    Reads both files when *mountinfo* is None. Raises OSError when /proc cannot be read.
    """
    live = mountinfo is None
    mounts = _cgroup_mounts(_read_mountinfo() if mountinfo is None else mountinfo)
    v1: dict[str, str] = {}
    named: dict[str, str] = {}
    for mount in mounts:
        for name in mount.controllers:
            (named if name.startswith(_NAMED) else v1).setdefault(name, mount.point)
    v2 = next((mount.point for mount in mounts if mount.is_v2), None)
    if live and controllers is None and v2 is not None:
        controllers = _read_controllers(v2)
    return Layout(v1, v2, frozenset((controllers or "").split()) if v2 is not None else frozenset(), named)


@dataclass(frozen=True, slots=True)
class _Mount:
    point: str
    is_v2: bool
    controllers: tuple[str, ...]
    rank: tuple[bool, bool]


def _cgroup_mounts(text: str) -> list[_Mount]:
    """Mounts of cgroup file systems, the most useful first: the whole tree before a part, writable before not."""
    mounts = [mount for line in text.splitlines() if (mount := _cgroup_mount(line)) is not None]
    return sorted(mounts, key=lambda mount: mount.rank)


def _cgroup_mount(line: str) -> _Mount | None:
    before, separator, after = line.partition(" - ")
    fields, tail = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(tail) < 3 or tail[0] not in ("cgroup", "cgroup2"):
        return None
    is_v2 = tail[0] == "cgroup2"
    words = [] if is_v2 else tail[2].split(",")
    names = tuple(name for name in words if name in _V1_CONTROLLERS) or tuple(filter(_is_name, words))
    rank = (fields[3] != "/", "ro" in fields[5].split(",") or "ro" in tail[2].split(","))
    return _Mount(_unescape(fields[4]), is_v2, names, rank)


def _is_name(word: str) -> bool:
    return word.startswith(_NAMED)


def _unescape(path: str) -> str:
    r"""mountinfo writes space, tab, newline and backslash as \ooo (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path) if "\\" in path else path


def _read_mountinfo() -> str:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _read_controllers(mount: str) -> str:
    try:
        with open(f"{mount}/cgroup.controllers", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
