"""`lxc-wait`: until a container is in one of some states."""

from __future__ import annotations

import sys
import time

from warden.errors import WardenError
from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import lxcpath_of, say

TOOL = Tool(
    "lxc-wait",
    "--name=NAME --state=STATE",
    "lxc-wait waits for NAME container state to reach STATE",
    (
        Option("s", "state", "STATE", "ORed states to wait for\n" + "|".join(states.STATES)),
        Option("t", "timeout", "TMO", "Seconds to wait for state changes"),
    ),
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    wanted = [word for word in given.last("state").split("|") if word]
    if not wanted:
        TOOL.fail("No state specified")
    for word in wanted:
        if word not in states.STATES:
            TOOL.fail(f"invalid state '{word}'")
    text = given.last("timeout", "-1")
    if not text.removeprefix("-").isdecimal():
        TOOL.fail(f"--timeout: {text!r} is not a number of seconds")
    deadline = None if text.startswith("-") else time.monotonic() + int(text)
    try:
        return _wait(given, wanted, deadline)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _wait(given: Given, wanted: list[str], deadline: float | None) -> int:
    from warden.lxc.watching import Watch

    site, lxcpath = Site.from_environment(), lxcpath_of(given)
    watch = Watch(site)  # before the first look, so that nothing is between them
    try:
        seen = states.find(site, lxcpath, given.name)
        if (seen.state if seen else "STOPPED") in wanted:
            return 0
        for change in watch.changes(deadline):
            running = change.running
            if (running.name, running.lxcpath) == (given.name, lxcpath) and change.word in wanted:
                return 0
    finally:
        watch.close()
    return 1


if __name__ == "__main__":
    sys.exit(main())
