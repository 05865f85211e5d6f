"""`lxc-cgroup`: a file of a running container's cgroup, read or written."""

from __future__ import annotations

import os
import sys

from warden.errors import BadInput, WardenError, WrongState
from warden.light import TYPE_CHECKING, late
from warden.lxc import states
from warden.lxc.options import Given, Tool
from warden.lxc.place import Running, Site, remember
from warden.lxc.tools.speaking import lxcpath_of, say

if TYPE_CHECKING:
    import re
else:
    re = late("re")

TOOL = Tool(
    "lxc-cgroup",
    "--name=NAME state-object [value]",
    "Get or set the value of a state object (for example, 'cpuset.cpus')\n"
    "in the container's cgroup for the corresponding subsystem.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.rest:
        TOOL.fail("Missing state object")
    try:
        _work(given)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    return 0


def _work(given: Given) -> None:
    lxcpath, key = lxcpath_of(given), given.rest[0]
    site = Site.from_environment()
    seen = states.find(site, lxcpath, given.name)
    if seen is None or seen.state not in states.ALIVE:
        raise WrongState(f"'{lxcpath}:{given.name}' is not running")
    where = f"'{lxcpath}:{given.name}'"
    path = _path(site, seen.running, key)
    if len(given.rest) == 1:
        try:
            with open(path or "/", encoding="utf-8", errors="surrogateescape") as file:
                print(file.read())
        except OSError as error:
            raise BadInput(f"Failed to retrieve value of '{key}' for {where}", hint=_why(error, path)) from error
        return
    value = given.rest[1]
    try:
        fd = os.open(path or "/", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, os.fsencode(value) or b"\n")  # nothing would be no write at all: the kernel is not asked
        finally:
            os.close(fd)
    except OSError as error:
        text = f"Failed to assign '{value}' value to '{key}' for '{given.name}'"
        raise BadInput(text, hint=_why(error, path)) from error


def _why(error: OSError, path: str) -> str:
    return error.strerror or "" if path else "its cgroups have no such controller"


def _path(site: Site, running: Running, key: str) -> str:
    """ "" where no hierarchy has the controller. One that no limit has needed yet is joined first."""
    controller, dot, _ = key.partition(".")
    letters = key.isascii() and key.replace(".", "").replace("_", "").replace("-", "").isalnum()
    if not letters or not dot or not all(key.split(".")) or "-" in controller:
        return ""
    directory = running.groups.get(controller)
    if directory is None or not os.path.isdir(directory):
        directory = _joined(site, running, controller) or running.groups.get("")
    if directory is not None and not os.path.exists(f"{directory}/{key}"):
        directory = running.groups.get("", directory)
    return f"{directory}/{key}" if directory else ""


def _joined(site: Site, running: Running, controller: str) -> str | None:
    from warden.cgroup.driver import Manager

    group = Manager(site.parent).container(running.container_id)
    place = group.place(controller)
    if place is None:
        return None
    if not place.made:
        group.use(controller)
        groups = {**running.groups, controller: place.path}
        remember(site, running._replace(groups=groups, made=tuple({*running.made, place.path})))
    return place.path


if __name__ == "__main__":
    sys.exit(main())
