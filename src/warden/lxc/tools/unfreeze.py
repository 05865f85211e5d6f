"""`lxc-unfreeze`: every process of a container goes on again."""

from __future__ import annotations

import os
import sys

from warden.errors import WrongState
from warden.lxc import states
from warden.lxc.options import Given, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import guarded, lxcpath_of

TOOL = Tool("lxc-unfreeze", "--name=NAME", "lxc-unfreeze lets the processes of the container NAME go on")


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _work(given))


def _work(given: Given) -> None:
    """One that is stopped is as it should be, as in LXC."""
    from warden.lxc.freezing import is_frozen, thaw

    site = Site.from_environment()
    seen = states.find(site, lxcpath_of(given), given.name)
    if seen is None and not os.path.exists(f"{lxcpath_of(given)}/{given.name}/config"):
        raise WrongState(f"{given.name} doesn't exist")
    if seen is not None and (seen.state in ("FROZEN", "FREEZING") or is_frozen(seen.running)):
        thaw(site, seen.running)


if __name__ == "__main__":
    sys.exit(main())
