"""The whole report on a process or a container: which parts were asked for, read once, as plain data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from warden.errors import BadInput
from warden.explain import groups, lookup
from warden.explain.groups import Group
from warden.explain.namespaces import Namespace, container_id, namespaces_of
from warden.explain.network import Network, read_network
from warden.explain.process import ProcessDir, ProcessFacts, facts_in, read_process
from warden.records import dataclass

#: Parts of a report, in their order.
SECTIONS = (
    "process", "namespaces", "cgroups", "mounts", "capabilities", "seccomp", "ids", "rlimits", "network", "firewall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """One process that is shown. *role*: "process", "init" (PID 1 of a container) or "job"; *job* its number."""

    role: str
    facts: ProcessFacts
    job: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show. *controllers*: only these cgroup controllers; empty: all."""

    sections: tuple[str, ...] = SECTIONS
    controllers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.controllers:
            if name not in (*lookup.CONTROLLERS, lookup.CORE):
                known = ", ".join((*lookup.CONTROLLERS, lookup.CORE))
                raise BadInput(f"--controller: {name!r} is no controller", hint=f"one of {known}")

    def controller(self, name: str) -> bool:
        """Whether files of this controller are wanted; one that the other version of cgroups calls differently too."""
        return not self.controllers or name in self.controllers or lookup.TWINS.get(name) in self.controllers


@dataclass(frozen=True, slots=True)
class Report:
    """*subjects*: the process itself first. Parts that were not asked for are empty, *network* None."""

    subjects: tuple[Subject, ...]
    container: str = ""
    namespaces: tuple[Namespace, ...] = ()
    groups: tuple[Group, ...] = ()
    network: Network | None = None

    @property
    def main(self) -> ProcessFacts:
        return self.subjects[0].facts


def of_process(pid: int, wanted: Wanted) -> Report:
    """Any process. Raises BadInput when there is none, NotPermitted when it is another user's and we are not root."""
    with ProcessDir(pid) as directory:
        facts = facts_in(directory)
        network = _network(directory, wanted)
    found = groups.of_process(facts.cgroups) if "cgroups" in wanted.sections else []
    return Report(
        (Subject("process", facts),),
        container_id(facts),
        _namespaces(facts, wanted),
        _filled(found, wanted),
        network,
    )


def of_container(pid: int, identity: str, jobs: Sequence[int], wanted: Wanted) -> Report:
    """A container with its PID 1 and the first process of each of its running *jobs*; raises as `of_process`."""
    with ProcessDir(pid) as directory:
        init = facts_in(directory)
        network = _network(directory, wanted)
    own = groups.of_process(init.cgroups)
    theirs = groups.of_container(own, identity, jobs)
    found = _filled([*theirs, *own], wanted) if "cgroups" in wanted.sections else ()
    subjects = [Subject("init", init), *_job_subjects(theirs)]
    return Report(tuple(subjects), identity, _namespaces(init, wanted), found, network)


def _network(directory: ProcessDir, wanted: Wanted) -> Network | None:
    return read_network(directory) if {"network", "firewall"} & set(wanted.sections) else None


def _namespaces(facts: ProcessFacts, wanted: Wanted) -> tuple[Namespace, ...]:
    return namespaces_of(facts) if "namespaces" in wanted.sections else ()


def _filled(found: Collection[Group], wanted: Wanted) -> tuple[Group, ...]:
    """Read; with named controllers only the groups that have a file of them."""
    full = [groups.fill(group, wanted.controller) for group in found]
    return tuple(group for group in full if group.files or not wanted.controllers)


def _job_subjects(theirs: Sequence[Group]) -> list[Subject]:
    """Of each job the process with the lowest number in its group: the one that was started."""
    first: dict[int, int] = {}
    for group in theirs:
        if group.role == "job" and group.job not in first and (members := groups.members_of(group.directory)):
            first[group.job] = min(members)
    return [Subject("job", facts, job) for job, pid in first.items() if (facts := _facts_or_none(pid)) is not None]


def _facts_or_none(pid: int) -> ProcessFacts | None:
    try:
        return read_process(pid)
    except BadInput:
        return None  # the job ended meanwhile
