"""`lxc-freeze`: every process of a container stands still."""

from __future__ import annotations

import sys

from warden.errors import WrongState
from warden.lxc import states
from warden.lxc.options import Given, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import guarded, lxcpath_of

TOOL = Tool("lxc-freeze", "--name=NAME", "lxc-freeze makes every process of the container NAME stand still")


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _work(given))


def _work(given: Given) -> None:
    from warden.lxc.freezing import freeze

    site = Site.from_environment()
    seen = states.find(site, lxcpath_of(given), given.name)
    if seen is None or seen.state not in states.ALIVE:
        raise WrongState(f"{given.name} is not running")
    if seen.state != "FROZEN":
        freeze(site, seen.running)


if __name__ == "__main__":
    sys.exit(main())
