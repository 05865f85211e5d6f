"""`lxc-stop`: asks a container to halt or to reboot, and ends it when it does not."""

from __future__ import annotations

import sys

from warden.errors import WardenError, WrongState
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.stoppable import Target
from warden.lxc.tools.speaking import lxcpath_of, say

TOOL = Tool(
    "lxc-stop",
    "--name=NAME",
    "lxc-stop stops a container with the identifier NAME",
    (
        Option("r", "reboot", "", "Reboot the container"),
        Option("W", "nowait", "", "Don't wait for shutdown or reboot to complete"),
        Option("t", "timeout", "T", "Wait T seconds before hard-stopping"),
        Option("k", "kill", "", "Kill container rather than request clean shutdown"),
        Option("", "nolock", "", "Avoid using API locks"),
        Option("", "nokill", "", "Only request clean shutdown, don't force kill after timeout"),
    ),
)
USUAL_S, NOT_RUNNING = 60.0, 2


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    _check(given)
    timeout = timeout_of(TOOL, given, USUAL_S)
    try:
        target = Target(Site.from_environment(), lxcpath_of(given), given.name)
    except WrongState as error:
        say(TOOL, given, "ERROR", str(error))
        return NOT_RUNNING
    try:
        return _stop(given, target, timeout)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1


def _check(given: Given) -> None:
    for option in ("reboot", "timeout", "nokill"):
        if given.has("kill") and given.has(option):
            TOOL.fail(f"-k and --{option} exclude each other")
    if given.has("nolock") and not given.has("kill"):
        TOOL.fail("--nolock may only be used with -k")
    if given.has("reboot") and given.has("nokill"):
        TOOL.fail("--reboot and --nokill exclude each other")


def timeout_of(tool: Tool, given: Given, usual: float | None) -> float | None:
    """Seconds; None for -1, which waits for ever."""
    text = given.last("timeout")
    if not given.has("timeout"):
        return usual
    if not text.removeprefix("-").isdecimal():
        tool.fail(f"--timeout: {text!r} is not a number of seconds")
    return None if text.startswith("-") else float(text)


def _stop(given: Given, target: Target, timeout: float | None) -> int:
    if given.has("kill"):
        target.kill()
    elif given.has("reboot"):
        target.reboot()
        if given.has("nowait") or timeout == 0:
            return 0
        return 0 if target.wait(timeout) and target.is_taken() else 1
    else:
        target.halt()
        if given.has("nowait"):
            return 0
        if target.wait(timeout):
            return 0
        if given.has("nokill"):
            say(TOOL, given, "ERROR", f"{given.name} did not stop in time")
            return 1
        target.kill()
    return 0 if given.has("nowait") or target.wait(USUAL_S) else 1


if __name__ == "__main__":
    sys.exit(main())
