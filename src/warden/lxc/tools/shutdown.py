"""`lxc-shutdown` of 0.9: asks a container to halt, and waits only when told to."""

from __future__ import annotations

import sys

from warden.errors import WardenError
from warden.lxc.options import Option, Tool
from warden.lxc.place import Site
from warden.lxc.stoppable import Target
from warden.lxc.tools.speaking import lxcpath_of, say
from warden.lxc.tools.stop import timeout_of

TOOL = Tool(
    "lxc-shutdown",
    "--name=NAME",
    "lxc-shutdown asks the container NAME to halt. lxc-stop also ends one that does not.",
    (
        Option("w", "wait", "", "Wait until it has stopped"),
        Option("t", "timeout", "T", "Wait T seconds at most, then end it"),
        Option("r", "reboot", "", "Reboot it instead"),
    ),
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    timeout = timeout_of(TOOL, given, None)
    try:
        target = Target(Site.from_environment(), lxcpath_of(given), given.name)
        if given.has("reboot"):
            target.reboot()
        else:
            target.halt()
        if given.has("wait") or given.has("timeout"):
            if not target.wait(timeout) and not given.has("reboot"):
                target.kill()
                return 0 if target.wait(60.0) else 1
            return 0
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
