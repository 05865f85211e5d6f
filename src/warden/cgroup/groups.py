"""The groups of containers and jobs: made, limited, measured, emptied, removed.

On disk, in every hierarchy used (layout.py): PARENT/wshd holds every container's PID 1, outside all limits, so that no
OOM kill hits a supervisor; PARENT/instance-ID carries a container's limits; PARENT/instance-ID/job-N holds one job.
Never touches a group outside PARENT. Synchronous; every call is a few small file operations, except `kill` and
`remove`, which wait, with a bound, for processes to be gone.
"""

from __future__ import annotations

import errno
import os

from warden.cgroup import extras, files, kill
from warden.cgroup.freezer import Freezer
from warden.cgroup.jobio import JobIo
from warden.cgroup.layout import V2_NAMES, Hierarchy
from warden.errors import KernelRefused
from warden.light import TYPE_CHECKING, late
from warden.model.limits import Limits
from warden.records import dataclass
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from warden.cgroup import limiting, tables
    from warden.cgroup.watch import OomWatch
    from warden.model import info
else:  # what a container that has no limits, and that nobody measures, must not pay for
    limiting, tables, info = map(late, ("warden.cgroup.limiting", "warden.cgroup.tables", "warden.model.info"))

#: Enabled for jobs in v2: what peak memory, OOM counts and I/O of one job need. cpu.stat and cgroup.kill are always
#: there; without cpu and pids of their own the jobs share the container's, as they do in v1.
JOB_CONTROLLERS_V2 = frozenset({"memory", "io"})
_EMPTYING_ORDER = ("freezer", "memory", "cpuacct", "pids", "cpu")


@dataclass(frozen=True, slots=True)
class JobUse:
    """What a job used so far. *peak_memory_bytes* None: the kernel keeps no such figure (v2 before 5.19). *io* None: it
    does not count a job's I/O."""

    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    peak_memory_bytes: int | None = None
    oom_kills: int = 0
    io: tables.BlockIo | None = None


def holder(hierarchies: Sequence[Hierarchy], controller: str) -> Hierarchy | None:
    """The hierarchy that has *controller*; cpuacct and freezer are in every v2 group."""
    for hierarchy in hierarchies:
        if controller in hierarchy.controllers or (hierarchy.is_v2 and controller in ("cpuacct", "freezer")):
            return hierarchy
    return None


def member_hierarchy(hierarchies: Sequence[Hierarchy]) -> Hierarchy | None:
    """Where processes are listed and killed: v2, else the freezer, else the next best that has groups for jobs."""
    for name in _EMPTYING_ORDER:
        if (found := holder(hierarchies, name)) is not None:
            return found
    return None


class _Group:
    """One name in several hierarchies."""

    def __init__(self, hierarchies: Sequence[Hierarchy], name: str) -> None:
        self._hierarchies = hierarchies
        self._name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def _path(self, hierarchy: Hierarchy) -> str:
        return f"{hierarchy.root}/{self._name}"

    def _paths(self) -> list[str]:
        return [self._path(hierarchy) for hierarchy in self._hierarchies]

    def directories(self) -> dict[str, str]:
        """Its directory for each controller, v2's also as "unified"."""
        found: dict[str, str] = {}
        for hierarchy in self._hierarchies:
            names = [*(["unified"] if hierarchy.is_v2 else []), *sorted(hierarchy.controllers)]
            found |= dict.fromkeys(names, self._path(hierarchy))
        return found

    def _at(self, controller: str) -> tuple[str, bool] | None:
        """Directory of the group that has *controller*, and whether it is v2's."""
        hierarchy = holder(self._hierarchies, controller)
        return None if hierarchy is None else (self._path(hierarchy), hierarchy.is_v2)

    def _make(self, undo: Undo) -> None:
        for path in self._paths():
            files.make_group(path)
            undo.add(path, files.remove_group, path)

    def _remove(self) -> None:
        """Every hierarchy is tried; the first refusal is raised at the end."""
        failures = []
        for path in self._paths():
            try:
                files.remove_group(path)
            except KernelRefused as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def pids(self) -> list[int]:
        """Every process in it and below, by host number; [] when it is gone."""
        hierarchy = member_hierarchy(self._hierarchies)
        return [] if hierarchy is None else kill.pids(self._path(hierarchy))

    def signal(self, number: int) -> None:
        """One signal to every process below, once."""
        hierarchy = member_hierarchy(self._hierarchies)
        if hierarchy is not None:
            kill.signal_group(self._path(hierarchy), number)


class ContainerGroup(_Group):
    """The groups of one container. Keep one object per container: v1's OOM kills of removed jobs are counted in it."""

    def __init__(
        self,
        hierarchies: Sequence[Hierarchy],
        parent: str,
        container_id: str,
        lazy: Sequence[Hierarchy] = (),
        on_made: Callable[[str], None] = lambda _path: None,
        io: JobIo | None = None,
    ) -> None:
        """*on_made* is told of every group above the container's own that a limit made necessary."""
        super().__init__(hierarchies, f"{parent}/instance-{container_id}")
        self._parent = parent
        self._extras = tuple(lazy)
        self._on_made = on_made
        self._io = io or JobIo(None, parent, container_id)
        self._removed_jobs_oom_kills = 0
        place = self._at("freezer")
        self._freezer = Freezer(None, is_v2=False) if place is None else Freezer(place[0], is_v2=place[1])

    def create(self) -> None:
        """Make the groups; raises KernelRefused (EEXIST too) and leaves nothing then."""
        with Undo() as undo:
            self._make(undo)
            for hierarchy in self._hierarchies:
                if hierarchy.is_v2:
                    enable_controllers(self._path(hierarchy), hierarchy.controllers & JOB_CONTROLLERS_V2)
            self._io.create()
            undo.release()

    def remove(self) -> None:
        """Remove the jobs' groups and then its own; what is gone is fine; raises KernelRefused (EBUSY) after 0.5 s."""
        for hierarchy in self._extras:
            files.remove_group(self._path(hierarchy))
        self._io.remove()
        self._remove()

    def kill(self) -> None:
        """SIGKILL everything below and wait until it is empty; raises KernelRefused when that takes over 2 s.

        A container that stands still is emptied all the same, and is paused after it as before."""
        if self._at("freezer") is not None:
            self._freezer.kill_all()
        elif (hierarchy := member_hierarchy(self._hierarchies)) is not None:
            kill.kill_group(self._path(hierarchy), is_v2=hierarchy.is_v2)

    def freeze(self) -> None:
        """Every process below stands still until `thaw`; what is killed dies all the same. Twice is fine. Raises
        KernelRefused, and then nothing stands still."""
        self._freezer.freeze()

    def thaw(self) -> None:
        """They go on, those too that a crash in the middle of a kill left frozen. Raises KernelRefused."""
        self._freezer.thaw()

    def set_limits(
        self,
        limits: Limits,
        before: Limits | None = None,
        *,
        also: Collection[str] = (),
        best_effort: bool = False,
    ) -> list[limiting.Skipped]:
        """Put *limits* in force, all or none of them; see limiting.change. Raises KernelRefused, BadInput.

        A memory limit below what is in use is refused (EBUSY).
        """
        if before == limits and not also:
            return []
        return limiting.change(self, before, limits, also=also, best_effort=best_effort)

    def limits_in_force(self, asked: Limits) -> dict[str, str]:
        """Every resource that can be limited here and its value, as the kernel rounded it, by v2's name."""
        return limiting.in_force(self, asked)

    def raw_limits(self) -> list[tuple[str, str]]:
        """The files in which limits lie, by path, and their texts."""
        return list(limiting.raw(self))

    def place(self, controller: str) -> limiting.Place | None:
        """Where *controller* is, by v1's name; "" for v2's group itself. None where the machine lacks it."""
        hierarchy = self._hierarchy_of(controller)
        if hierarchy is None:
            return None
        path = self._path(hierarchy)
        made = self._has(path, hierarchy, controller)
        return limiting.Place(path, hierarchy.is_v2, hierarchy.root, made)

    def _hierarchy_of(self, controller: str) -> Hierarchy | None:
        if not controller:
            return next((hierarchy for hierarchy in self._hierarchies if hierarchy.is_v2), None)
        found = holder((*self._hierarchies, *self._extras), controller)
        if found is not None:
            return found
        name = V2_NAMES.get(controller, controller)
        return next((h for h in self._hierarchies if h.is_v2 and name in h.available), None)

    def _has(self, path: str, hierarchy: Hierarchy, controller: str) -> bool:
        if not controller or not hierarchy.is_v2:
            return os.path.isdir(path)
        names = files.read_optional(f"{path}/cgroup.controllers") or ""
        return V2_NAMES.get(controller, controller) in names.split()

    def directories(self) -> dict[str, str]:
        """Its directory by controller, as it is called here, in every hierarchy in use or joined; "" is v2's."""
        unified = self.place("")
        found = {} if unified is None else {"": unified.path}
        for hierarchy in (*self._hierarchies, *self._extras):
            if os.path.isdir(self._path(hierarchy)):
                found |= {name: self._path(hierarchy) for name in hierarchy.controllers}
        return found

    def use(self, controller: str, *, empty: bool = False) -> None:
        """Make the group that *controller* has for this container, and move its processes in; *empty*: it has none yet.
        Raises KernelRefused."""
        hierarchy = self._hierarchy_of(controller)
        assert hierarchy is not None, controller
        if hierarchy in self._hierarchies:
            self._enable_on_the_way(hierarchy, controller)
            return
        for made in extras.make_parents(hierarchy, self._parent):
            self._on_made(made)
        path = self._path(hierarchy)
        files.make_group(path, exist_ok=True)
        extras.fill_cpuset(path)
        if not empty:
            extras.move_in(path, self.pids)

    def _enable_on_the_way(self, hierarchy: Hierarchy, controller: str) -> None:
        for path in files.ours(extras.way_to(hierarchy, self._parent)):
            extras.enable(path, {V2_NAMES.get(controller, controller)})

    def sizes(self) -> list[str]:
        """Of huge pages, as hugetlb's files name them."""
        names = files.listing("/sys/kernel/mm/hugepages")
        return sorted(map(extras.page_size, names))

    def cpu_shares(self, asked: int | None = None) -> int:
        """Shares in force, as the kernel clamped them. v2 keeps a coarser weight: *asked* is the answer while it still
        translates to that weight. Raises KernelRefused where there is no cpu controller."""
        cpu = self._at("cpu")
        if cpu is None:
            raise self._lacking("read cpu shares", "cpu")
        directory, is_v2 = cpu
        if not is_v2:
            return int(files.read(f"{directory}/cpu.shares"))
        weight = int(files.read(f"{directory}/cpu.weight"))
        if asked is not None and tables.shares_to_weight(asked) == weight:
            return min(max(asked, tables.MIN_SHARES), tables.MAX_SHARES)
        return tables.weight_to_shares(weight)

    def memory_limit(self) -> int | None:
        """Bytes as the kernel rounded them, None unlimited."""
        memory = self._at("memory")
        if memory is None:
            return None
        directory, is_v2 = memory
        return tables.parse_limit(files.read(f"{directory}/{'memory.max' if is_v2 else 'memory.limit_in_bytes'}"))

    def memory_use(self) -> info.MemoryUse:
        """Memory now; an empty one where there is no memory controller. Raises KernelRefused when the group is gone."""
        memory = self._at("memory")
        if memory is None:
            return info.MemoryUse()
        directory, is_v2 = memory
        current = int(files.read(f"{directory}/{'memory.current' if is_v2 else 'memory.usage_in_bytes'}"))
        stat = self._stat_v2(directory) if is_v2 else _stat_v1(directory)
        return info.MemoryUse(current, _peak(directory, is_v2), self.memory_limit(), self.oom_kills(), stat)

    def _stat_v2(self, directory: str) -> dict[str, int]:
        stat = tables.parse_flat(files.read(f"{directory}/memory.stat"))
        swap = files.read_optional(f"{directory}/memory.swap.current")
        levels = _levels(directory, self._name)
        limit, swap_limit = (_smallest(levels, name) for name in ("memory.max", "memory.swap.max"))
        return tables.memory_stat_v2(stat, None if swap is None else int(swap), limit, swap_limit)

    def cpu(self) -> info.CpuStat:
        """Processor time of all its jobs, past ones too; zeros where it is not counted. Raises KernelRefused."""
        account = self._at("cpuacct")
        if account is None:
            return info.CpuStat()
        directory, is_v2 = account
        if is_v2:
            return tables.cpu_stat_v2(tables.parse_flat(files.read(f"{directory}/cpu.stat")))
        ticks = tables.parse_flat(files.read(f"{directory}/cpuacct.stat"))
        return tables.cpu_stat_v1(files.read(f"{directory}/cpuacct.usage"), ticks)

    def oom_kills(self) -> int:
        """Processes killed for memory so far, in removed jobs too; raises KernelRefused when the group is gone.

        v1 counts a kill only in the victim's own group, v2 in every group above it as well.
        """
        memory = self._at("memory")
        if memory is None:
            return 0
        directory, is_v2 = memory
        if is_v2:
            return oom_kills_in(directory, is_v2=True)
        listed, _ = self._at("freezer") or memory  # it has the jobs too, and few files to pass over
        of_jobs = sum(job.oom_kills() for job in map(self.job, _jobs_in([listed])))
        return oom_kills_in(directory, is_v2=False) + of_jobs + self._removed_jobs_oom_kills

    def past(self) -> dict[str, Any]:
        """What v1 forgets of removed jobs, for `recall` of another engine; {} when there is nothing."""
        kills = {"oom_kills": self._removed_jobs_oom_kills} if self._removed_jobs_oom_kills else {}
        io = self._io.past()
        return kills | ({"io": io} if io else {})

    def recall(self, past: Mapping[str, Any]) -> None:
        """Takes up what `past` of an earlier engine said."""
        self._removed_jobs_oom_kills += past.get("oom_kills", 0)
        self._io.recall(past.get("io", {}))

    def watch_oom(self) -> OomWatch:
        """Start watching for OOM kills; close it before `remove`, or ignore the last wake-up. Raises KernelRefused."""
        memory = self._at("memory")
        if memory is None:
            raise self._lacking("watch memory", "memory")
        from warden.cgroup.watch import watch_v1, watch_v2

        directory, is_v2 = memory
        return (watch_v2 if is_v2 else watch_v1)(directory, self.oom_kills)

    def where(self, controller: str) -> tuple[str, bool] | None:
        """Directory of the container's group that has *controller*, and whether it is v2's; None where it is not used."""
        return self._at(controller)

    def io_sums(self) -> tuple[str, str] | None:
        """v1's block I/O of all jobs, see JobIo.sums."""
        return self._io.sums()

    def shared_procs(self) -> str | None:
        """The file that lists the processes of all jobs, where these have no groups of their own; None if nowhere."""
        return next((f"{self._path(h)}/cgroup.procs" for h in self._hierarchies if not h.per_job), None)

    def job(self, job_id: int) -> JobGroup:
        """The groups of job *job_id*; makes nothing."""
        shared = (self._extra_joins, self._freezer, self._io)
        return JobGroup(self._hierarchies, self._name, job_id, self._count_removed, *shared)

    def gather(self) -> None:
        """Moves all its processes into the groups that limits asked for; a job that was just starting may have missed
        one. Raises KernelRefused."""
        for hierarchy in self._extras:
            if os.path.isdir(self._path(hierarchy)):
                extras.move_in(self._path(hierarchy), self.pids)

    def extras_made(self) -> int:
        """How many there are; it never falls while the container lives."""
        return len(self._extra_joins())

    def _extra_joins(self) -> list[str]:
        """Files by which a job joins the groups that limits asked for."""
        paths = ((self._path(hierarchy), hierarchy.procs) for hierarchy in self._extras)
        return [f"{path}/{procs}" for path, procs in paths if os.path.isdir(path)]

    def existing_jobs(self) -> list[int]:
        """Numbers of the jobs that have groups, in order."""
        return _jobs_in(self._paths())

    def _lacking(self, operation: str, controller: str) -> KernelRefused:
        hint = f"this machine has no {controller} controller"
        return KernelRefused(operation, self._name, errno.EOPNOTSUPP, hint=hint)

    def _count_removed(self, oom_kills: int) -> None:
        self._removed_jobs_oom_kills += oom_kills


class JobGroup(_Group):
    """The groups of one job, in the hierarchies where jobs have their own; in the others it joins the container's."""

    def __init__(
        self,
        hierarchies: Sequence[Hierarchy],
        container: str,
        job_id: int,
        on_removed: Callable[[int], None],
        extra_joins: Callable[[], list[str]] = list,
        freezer: Freezer | None = None,
        io: JobIo | None = None,
    ) -> None:
        super().__init__([hierarchy for hierarchy in hierarchies if hierarchy.per_job], f"{container}/job-{job_id}")
        self._shared = [f"{h.root}/{container}/{h.procs}" for h in hierarchies if not h.per_job]
        self._on_removed = on_removed
        self._extra_joins = extra_joins
        self._freezer = freezer
        self._io = io or JobIo(None, container, str(job_id))
        self._job_id = job_id

    def kill(self) -> None:
        """SIGKILL everything in it and wait until it is empty, also while its container stands still; raises
        KernelRefused when that takes over 2 s."""
        if self._freezer is not None and (place := self._at("freezer")) is not None:
            self._freezer.kill_job(place[0])
        elif (hierarchy := member_hierarchy(self._hierarchies)) is not None:
            kill.kill_group(self._path(hierarchy), is_v2=hierarchy.is_v2)

    def create(self) -> None:
        """Make the groups; raises KernelRefused (EEXIST too) and leaves nothing then."""
        with Undo() as undo:
            self._make(undo)
            self._io.add_job(self._job_id)
            undo.release()

    def remove(self) -> None:
        """Remove the groups; what is gone is fine. Read `usage` first. Raises KernelRefused (EBUSY) after 0.5 s."""
        killed = self.oom_kills()
        self._io.remove_job(self._job_id)
        self._remove()
        self._on_removed(killed)

    def populated(self) -> bool:
        """Whether a living process of the job is left."""
        hierarchy = member_hierarchy(self._hierarchies)
        return hierarchy is not None and kill.populated(self._path(hierarchy), is_v2=hierarchy.is_v2)

    def open_join(self) -> list[int]:
        """Descriptors, one per hierarchy, to each of which the joining task writes "0"; the caller closes them.

        Raises KernelRefused and leaves none open then.
        """
        with Undo() as undo:
            opened = []
            for path in self.join_paths():
                fd = files.open_write(path)
                undo.add(path, os.close, fd)
                opened.append(fd)
            undo.release()
        return opened

    def join_paths(self) -> list[str]:
        """The files themselves, for a task with the host's rights."""
        own = [f"{self._path(hierarchy)}/{hierarchy.procs}" for hierarchy in self._hierarchies]
        return own + self._shared + self._extra_joins() + self._io.joins(self._job_id)

    def place_in_v2(self) -> str | None:
        """Directory for CLONE_INTO_CGROUP (since 5.7); None when v2 is not used."""
        return next((self._path(hierarchy) for hierarchy in self._hierarchies if hierarchy.is_v2), None)

    def usage(self) -> JobUse:
        """Processor time, peak memory, OOM kills and I/O so far; raises KernelRefused when the group is gone."""
        account, memory = self._at("cpuacct"), self._at("memory")
        user_s, system_s = (0.0, 0.0) if account is None else _cpu_seconds(*account)
        io = self._block_io()
        if memory is None:
            return JobUse(user_s, system_s, io=io)
        directory, is_v2 = memory
        return JobUse(user_s, system_s, _peak(directory, is_v2), oom_kills_in(directory, is_v2=is_v2), io)

    def _block_io(self) -> tables.BlockIo | None:
        counting = next((h for h in self._hierarchies if h.is_v2 and "io" in h.controllers), None)
        if counting is None:
            return self._io.use(self._job_id)
        stat = files.read_optional(f"{self._path(counting)}/io.stat")  # not there where io was not given on to us
        return None if stat is None else tables.block_io_v2(stat)

    def cpu_s(self) -> float:
        """Processor time so far, user and system, of all its processes, living or not; raises KernelRefused."""
        account = self._at("cpuacct")
        if account is None:
            return 0.0
        directory, is_v2 = account
        if is_v2:
            return tables.parse_flat(files.read(f"{directory}/cpu.stat")).get("usage_usec", 0) / 1e6
        return int(files.read(f"{directory}/cpuacct.usage")) / 1e9

    def oom_kills(self) -> int:
        """Processes of the job killed for memory; 0 when the group is gone."""
        memory = self._at("memory")
        try:
            return 0 if memory is None else oom_kills_in(memory[0], is_v2=memory[1])
        except KernelRefused as error:
            if error.errno in files.GONE:
                return 0
            raise

    def set_kill_together(self) -> None:
        """Let the kernel kill the whole job with an OOM victim (v2, since 4.19); v1 cannot: nothing is done there."""
        memory = self._at("memory")
        if memory is not None and memory[1]:
            files.write(f"{memory[0]}/memory.oom.group", "1")


def _jobs_in(directories: Sequence[str]) -> list[int]:
    names = {name for directory in directories for name in files.subgroups(directory)}
    numbers = (name.removeprefix("job-") for name in names if name.startswith("job-"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def enable_controllers(path: str, wanted: frozenset[str]) -> None:
    """Let the groups below *path* have *wanted*, as far as *path* has them (v2); raises KernelRefused."""
    if not wanted:
        return
    try:
        files.write(f"{path}/cgroup.subtree_control", _plus(wanted))
    except KernelRefused as error:
        if error.errno != errno.ENOENT:  # ENOENT: one of them is not in cgroup.controllers
            raise
        available = wanted & set(files.read(f"{path}/cgroup.controllers").split())
        if available:
            files.write(f"{path}/cgroup.subtree_control", _plus(available))


def _plus(controllers: frozenset[str]) -> str:
    return " ".join(f"+{name}" for name in sorted(controllers))


def oom_kills_in(directory: str, *, is_v2: bool) -> int:
    """Victims whose memory belonged to *directory* (v1: there alone, since 4.13; v2: and below)."""
    name = "memory.events" if is_v2 else "memory.oom_control"
    return tables.parse_flat(files.read(f"{directory}/{name}")).get("oom_kill", 0)


def _stat_v1(directory: str) -> dict[str, int]:
    return tables.memory_stat_v1(tables.parse_flat(files.read(f"{directory}/memory.stat")))


def _peak(directory: str, is_v2: bool) -> int | None:
    """v2's memory.peak: since 5.19. It may exceed the limit by what the kernel charged to a dying OOM victim."""
    text = files.read_optional(f"{directory}/{'memory.peak' if is_v2 else 'memory.max_usage_in_bytes'}")
    return None if text is None else int(text)


def _levels(directory: str, name: str) -> list[str]:
    """*directory* and the groups above it down from the mount; the topmost group has no limit files."""
    found = [directory]
    for _ in range(name.count("/")):
        found.append(os.path.dirname(found[-1]))
    return found


def _smallest(levels: list[str], file: str) -> int | None:
    texts = (files.read_optional(f"{level}/{file}") for level in levels)
    limits = [limit for text in texts if text is not None and (limit := tables.parse_limit(text)) is not None]
    return min(limits, default=None)


def _cpu_seconds(directory: str, is_v2: bool) -> tuple[float, float]:
    if is_v2:
        stat = tables.parse_flat(files.read(f"{directory}/cpu.stat"))
        return stat.get("user_usec", 0) / 1e6, stat.get("system_usec", 0) / 1e6
    # usage_user and usage_sys: since 4.7.
    user, system = (files.read_optional(f"{directory}/cpuacct.usage_{half}") for half in ("user", "sys"))
    total = int(files.read(f"{directory}/cpuacct.usage"))
    return tables.split_cpu(total, int(user or 0), int(system or 0))
