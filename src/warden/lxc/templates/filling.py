"""What a template is told and what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable

from warden.lxc.home import Home
from warden.records import dataclass


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


_COMMON = """\
lxc.uts.name = {name}
lxc.pty.max = 1024
lxc.cap.drop = sys_module mac_admin mac_override sys_time sys_rawio
lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp
lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed
lxc.mount.entry = shm dev/shm tmpfs nosuid,nodev,mode=1777,create=dir 0 0
lxc.mount.entry = mqueue dev/mqueue mqueue defaults,optional,create=dir 0 0
"""

#: Nodes may be made, but only these be opened: null, zero, full, random, urandom, tty, console, ptmx, terminals, fuse.
_DEVICES = "1:3 1:5 1:7 1:8 1:9 5:0 5:1 5:2 136:* 10:229".split()
#: What LXC's own common.conf keeps from every container, written out. The filter is LXC's, or ours where that is not.
CONFINED = (
    _COMMON
    + "".join(
        f"lxc.{version}.devices.{line}\n"
        for version in ("cgroup", "cgroup2")
        for line in ("deny = a", "allow = c *:* m", "allow = b *:* m", *(f"allow = c {one} rwm" for one in _DEVICES))
    )
)
