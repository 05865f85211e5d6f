"""`lxc-autostart`: starts, stops or lists the containers that are to be started by themselves."""

from __future__ import annotations

import os
import sys
import time

from warden.errors import WardenError
from warden.light import TYPE_CHECKING
from warden.lxc.inventory import Item, items
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import lxcpath_of, say, shown
from warden.lxc.tools.stop import USUAL_S, timeout_of

if TYPE_CHECKING:
    from collections.abc import Callable

TOOL = Tool(
    "lxc-autostart",
    "",
    "lxc-autostart managed auto-started containers",
    (
        Option("k", "kill", "", "kill the containers instead of starting them"),
        Option("L", "list", "", "list all affected containers and wait time"),
        Option("r", "reboot", "", "reboot the containers instead of starting them"),
        Option("s", "shutdown", "", "shutdown the containers instead of starting them"),
        Option("a", "all", "", "list all auto-started containers (ignore groups)"),
        Option("A", "ignore-auto", "", "ignore lxc.start.auto and select all matching containers"),
        Option("g", "groups", "GROUPS", "list of groups (comma separated) to select", many=True),
        Option("t", "timeout", "T", "wait T seconds before hard-stopping"),
    ),
    named=False,
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    timeout = timeout_of(TOOL, given, USUAL_S)
    if sum(given.has(name) for name in ("kill", "reboot", "shutdown")) > 1:
        TOOL.fail("-r, -s and -k exclude each other")
    backwards = given.has("shutdown") or given.has("kill")
    site = Site.from_environment()
    found = _selected(given, list(items(site, lxcpath_of(given))), backwards=backwards)
    code = 0
    for item in found:
        alive = item.state != "STOPPED"
        ends = backwards or given.has("reboot")
        if alive != ends:
            continue
        if given.has("list"):
            print(shown(item.name if backwards else f"{item.name} {item.config.start_delay}"))
            continue
        try:
            code |= _act(given, item, timeout)
        except WardenError as error:
            say(TOOL, given._replace(name=item.name), "ERROR", str(error))
            code = 1
    return code


def _selected(given: Given, found: list[Item], *, backwards: bool) -> list[Item]:
    """By order and name within each group, groups as they were asked; each once."""
    usable = []
    for item in found:
        error = item.readable() if item.is_defined else None
        if error is not None:
            say(TOOL, given._replace(name=item.name), "ERROR", str(error))
        elif item.is_defined and (given.has("ignore-auto") or item.config.start_auto):
            usable.append(item)
    usable.sort(key=lambda item: (item.config.start_order, item.name), reverse=backwards)
    if given.has("all"):
        return usable
    chosen: dict[str, Item] = {}
    for group in _groups(given):
        for item in usable:
            if (group in item.config.group) if group else not item.config.group:
                chosen.setdefault(item.name, item)
    return list(chosen.values())


def _groups(given: Given) -> list[str]:
    """ "" stands for those without a group, which are meant when none is asked for."""
    asked = given.values.get("groups", [""])
    return [word.strip() for text in asked for word in text.split(",")]


def _act(given: Given, item: Item, timeout: float | None) -> int:
    """By the tools themselves: each container has a process of its own for it."""
    from warden.lxc.tools import start, stop

    own = {name: value for name, value in given.values.items() if name in ("logfile", "logpriority", "quiet")}
    values = {**own, "lxcpath": [item.lxcpath]}
    if given.has("kill") or given.has("shutdown") or given.has("reboot"):
        words = ["-P", item.lxcpath, "-n", item.name]
        words += ["-k"] if given.has("kill") else ["-t", str(-1 if timeout is None else int(timeout))]
        return stop.main([*words, *(["-r"] if given.has("reboot") else [])])
    code = _apart(lambda: start.run(Given(item.name, values, ()), start.TOOL))
    if not code and item.config.start_delay:
        time.sleep(item.config.start_delay)
    return code


def _apart(work: Callable[[], int]) -> int:
    """The monitor is the child of who started it, who must not stay."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
