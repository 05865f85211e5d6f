"""Which sentence belongs to a control file: the tables of all controllers as one, for each version of cgroups."""

from __future__ import annotations

import re

from warden.explain.note import FileNote
from warden.explain.tables import block, core, cpu, cpuset, hugetlb, memory_v1, memory_v2, small

V1: dict[str, FileNote] = {
    **core.V1, **cpu.V1, **cpuset.V1, **memory_v1.V1, **block.V1, **hugetlb.V1, **small.V1,
}  # fmt: skip
V2: dict[str, FileNote] = {
    **core.V2, **cpu.V2, **cpuset.V2, **memory_v2.V2, **block.V2, **hugetlb.V2, **small.V2,
}  # fmt: skip

#: Controllers by the first part of their files' names, and those of two names.
CONTROLLERS = (
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "blkio", "io", "hugetlb", "net_cls",
    "net_prio", "perf_event", "rdma", "misc", "dmem",
)  # fmt: skip
#: The same subject under the other version's name; v2's cpu counts what cpuacct did.
TWINS = {"blkio": "io", "io": "blkio", "cpuacct": "cpu", "cpu": "cpuacct"}
CORE = "core"

_HUGE_PAGES = re.compile(r"hugetlb\.[0-9]+[KMG]B\.")


def note_of(name: str, *, is_v2: bool) -> FileNote | None:
    """What is known of the file *name*; None for one that is newer than the tables, or a vendor's."""
    return (V2 if is_v2 else V1).get(_HUGE_PAGES.sub("hugetlb.SIZE.", name))


def controller_of(name: str) -> str:
    """The controller that a file belongs to, `core` for those that every group has."""
    first, dot, _rest = name.partition(".")
    return first if dot and first in CONTROLLERS else CORE
