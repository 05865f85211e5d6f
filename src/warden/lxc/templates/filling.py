"""What a template is told and what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from warden.lxc.home import Home


@dataclass(frozen=True, slots=True)
class Filling:
    """*root*: an empty directory to be filled; *args*: what followed `--`; *quiet*: say nothing."""

    home: Home
    root: str
    args: tuple[str, ...] = ()
    quiet: bool = False

    def progress(self, line: str) -> None:
        """Tells people how far it is."""
        if not self.quiet:
            print(line, file=sys.stderr)


#: Fills the root; gives the lines of the configuration that belong to it. Raises WardenError, OSError.
Template = Callable[[Filling], str]


COMMON = """\
lxc.uts.name = {name}
lxc.pty.max = 1024
lxc.cap.drop = sys_module mac_admin mac_override sys_time
lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed
lxc.mount.entry = shm dev/shm tmpfs nosuid,nodev,mode=1777,create=dir 0 0
lxc.mount.entry = mqueue dev/mqueue mqueue defaults,optional,create=dir 0 0
"""
