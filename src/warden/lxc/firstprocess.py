"""What only the host can do for the first process: files of its /proc, and limits that are raised."""

from __future__ import annotations

import resource

from warden.errors import BadInput
from warden.light import TYPE_CHECKING
from warden.plan.job import RESOURCES

if TYPE_CHECKING:
    from warden.lxc.settings import LxcConfig


def write_proc(pid: int, config: LxcConfig) -> None:
    """Raises BadInput naming the key that the kernel refuses."""
    for name, value in config.proc:
        try:
            with open(f"/proc/{pid}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(value)
        except OSError as error:
            raise BadInput(f"lxc.proc.{name}: {value}: {error.strerror}") from error


def raise_limits(config: LxcConfig) -> None:
    """This process's own hard ones, where more is asked for: root of a user namespace may not (setrlimit(2)), so that the
    first process inherits them, and its plan sets what it gets. Raises BadInput."""
    for name, _, top in config.prlimit:
        hard = resource.RLIM_INFINITY if top is None else top
        soft, present = resource.getrlimit(RESOURCES[name])
        if present == resource.RLIM_INFINITY or (hard != resource.RLIM_INFINITY and hard <= present):
            continue
        try:
            resource.setrlimit(RESOURCES[name], (soft, hard))
        except (OSError, ValueError) as error:  # ValueError stands for EPERM and EINVAL
            shown = "unlimited" if top is None else top
            hint = "raising a hard limit takes CAP_SYS_RESOURCE, and nofile is never above fs.nr_open"
            raise BadInput(f"lxc.prlimit.{name}: {shown}: Operation not permitted", hint=hint) from error
