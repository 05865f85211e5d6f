"""Missing: what a configuration asks for and a ContainerSpec cannot say, by kind, so that whoever starts it can do it."""

from __future__ import annotations

from warden.light import Enum
from warden.records import dataclass


class Need(Enum):
    """Who has to do it."""

    STORAGE = "storage"  # a root file system that is not a directory
    CONSOLE = "console"  # the process that owns the terminals
    HOOK = "hook"  # programs at points of its life
    SCRIPT = "script"  # programs around a network interface
    CGROUP = "cgroup"  # a file of a cgroup that is not one of the limits
    NAMESPACE = "namespace"  # of another container, by its name
    SECCOMP = "seccomp"
    LSM = "lsm"
    PROC_FILE = "proc_file"
    SCHEDULING = "scheduling"


@dataclass(frozen=True, slots=True)
class Missing:
    """One of them: the *key* that asks for it as it is written today, its *value*, and in words what it would be."""

    need: Need
    key: str
    value: str
    what: str
