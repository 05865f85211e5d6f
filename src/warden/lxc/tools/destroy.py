"""`lxc-destroy`: a container and what is in its directory."""

from __future__ import annotations

import os
import sys

from warden.lxc.destroying import Destruction, destroy
from warden.lxc.home import home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site, sweep
from warden.lxc.stopping import running, stop_now
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.speaking import guarded, say

TOOL = Tool(
    "lxc-destroy",
    "--name=NAME [-f] [-s] [-P lxcpath]",
    "lxc-destroy destroys a container with the identifier NAME",
    (
        Option("s", "snapshots", "", "destroy including all snapshots"),
        Option("f", "force", "", "stop and destroy the container if it's still running"),
        Option("", "remove-rootfs", "", "remove its root file system also where that is outside of LXCPATH/NAME"),
    ),
    config=False,
    end="What is outside of the container's own directory stays, unless --remove-rootfs is given.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _destroy(given))


def _destroy(given: Given) -> None:
    home = home_of(given.lxcpath or default_lxcpath(), given.name)
    if os.path.isdir(home.path) and not home.is_half_made and not home.is_settled:
        from warden.lxc.snapshots import mend  # only when somebody was killed

        mend(home)
    site = Site.from_environment()
    sweep(site)  # it may still run, while who started it was killed
    if home.is_defined and given.has("force") and running(home):
        stop_now(home, site)
    kept = destroy(Destruction(home, given.has("snapshots"), given.has("remove-rootfs")))
    if kept:
        say(TOOL, given, "WARN", f"{kept} is outside of {home.path} and stays")


if __name__ == "__main__":
    sys.exit(main())
