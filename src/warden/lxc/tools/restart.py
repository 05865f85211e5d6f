"""`lxc-restart` of 0.9: ends a container and starts it again, by the command line that it was started with."""

from __future__ import annotations

import sys

from warden.errors import WardenError, WrongState
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.stoppable import Target
from warden.lxc.tools.speaking import lxcpath_of, say

TOOL = Tool(
    "lxc-restart",
    "--name=NAME [-- COMMAND]",
    "lxc-restart halts the container NAME, ends it when it does not within T seconds, and starts it again.",
    (
        Option("t", "timeout", "T", "Wait T seconds for it to halt, 60 without"),
        Option("k", "kill", "", "End it at once"),
    ),
)


def main(argv: list[str] | None = None) -> int:
    from warden.lxc.tools.start import run
    from warden.lxc.tools.stop import USUAL_S, timeout_of

    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    timeout = timeout_of(TOOL, given, USUAL_S)
    again = Given(given.name, {k: v for k, v in given.values.items() if k not in ("timeout", "kill")}, given.rest)
    try:
        target = Target(Site.from_environment(), lxcpath_of(given), given.name)
        if not given.rest:
            asked = target.running.asked
            if asked:
                again = Given(asked["name"], asked["values"], tuple(asked["rest"]))
        if not given.has("kill"):
            target.halt()
        if given.has("kill") or not target.wait(timeout):
            target.kill()
            target.wait(USUAL_S)
    except WrongState:
        pass  # one that does not run is started
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    return run(again, TOOL)


if __name__ == "__main__":
    sys.exit(main())
