"""lxc.sched.core: a core scheduling domain of a container's own, for its first process and for who is attached."""

from __future__ import annotations

import errno

from warden.errors import BadInput, KernelRefused, NotSupported
from warden.light import logger
from warden.model.system import System

log = logger("warden.lxc")


def check(system: System) -> None:
    """Raises BadInput: a domain is a container's as a whole only where its processes are its own (LXC's rule)."""
    if "pid" in (*system.kept, *(name for name, _ in system.entered)):
        raise BadInput("lxc.sched.core: needs a pid namespace of its own", hint="take pid out of lxc.namespace.*")


def separate(pid: int) -> None:
    """*pid*, before it has started anything. Where cores have one thread each nothing is to be separated, and nothing is
    done. Raises NotSupported, KernelRefused."""
    from warden.kernel import coresched

    try:
        coresched.create(pid)
    except OSError as error:
        if error.errno == errno.ENODEV:
            log.warning("lxc.sched.core: this machine has no simultaneous multithreading: nothing is to be separated")
        elif error.errno == errno.EINVAL:
            hint = "CONFIG_SCHED_CORE, since Linux 5.14; or take lxc.sched.core out"
            raise NotSupported("lxc.sched.core: the kernel has no core scheduling", hint=hint) from error
        else:
            raise KernelRefused("prctl PR_SCHED_CORE_CREATE", str(pid), error.errno or 0) from error


def join(pid: int) -> None:
    """The calling process, before it becomes one of the container's. Raises KernelRefused."""
    from warden.kernel import coresched

    try:
        coresched.share_from(pid)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise KernelRefused("prctl PR_SCHED_CORE_SHARE_FROM", str(pid), error.errno or 0) from error
