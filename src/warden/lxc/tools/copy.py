"""`lxc-copy`: a copy, a clone or another name of a container."""

from __future__ import annotations

import os
import sys

from warden.errors import BadInput
from warden.light import TYPE_CHECKING
from warden.lxc.copying import Copy, copy, rename
from warden.lxc.home import Home, existing, home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.snapshots import mend
from warden.lxc.storage.base import parse_size
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.speaking import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

TOOL = Tool(
    "lxc-copy",
    "--name=NAME -N NEWNAME [-p NEWPATH] [-s [-a]] [-B TYPE] [-K] [-M] [-L SIZE] [-- hook options]\n"
    "       lxc-copy --name=NAME [-N NEWNAME] [-p NEWPATH] -e [-d | -F] [-D] [-t] [-m MOUNTS] [-B TYPE] [-K] [-M] [-a] "
    "[-- hook options]\n"
    "       lxc-copy --name=NAME -N NEWNAME [-p NEWPATH] -R",
    "lxc-copy clone a container",
    (
        Option("N", "newname", "NEWNAME", "NEWNAME for the new container"),
        Option("p", "newpath", "NEWPATH", "NEWPATH for the container to be stored"),
        Option("R", "rename", "", "rename container"),
        Option("s", "snapshot", "", "create snapshot instead of clone"),
        Option("a", "allowrunning", "", "allow the copy even if the source container is running"),
        Option("F", "foreground", "", "start with current tty attached to /dev/console"),
        Option("d", "daemon", "", "daemonize the container (default)"),
        Option("e", "ephemeral", "", "start the snapshot at once, and destroy it when it stops"),
        Option(
            "m",
            "mount",
            "MOUNTS",
            "directory to mount into the ephemeral container,\n"
            "{bind,overlay}=/src or {bind,overlay}=/src:/dest, bind also with :ro;\nseparated by commas",
            many=True,
        ),
        Option("t", "tmpfs", "", "place what an ephemeral container writes on a tmpfs:\na reboot loses it"),
        Option("D", "keepdata", "", "with -e: a persistent snapshot, which is not destroyed"),
        Option("B", "backingstorage", "TYPE", "backingstorage type for the container: dir, overlay, loop, btrfs"),
        Option("L", "fssize", "SIZE[U]", "size of the new file system of loop, default unit M"),
        Option("K", "keepname", "", "keep the hostname of the original container"),
        Option("M", "keepmac", "", "keep the MAC address of the original container"),
    ),
    end="What follows -- is for the programs of lxc.hook.clone.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    ephemeral = given.has("ephemeral")
    if not given.last("newname") and not ephemeral:
        TOOL.fail("You must provide a NEWNAME for the new container")
    for option in ("rename", "fssize") if ephemeral else ("keepdata", "tmpfs", "mount", "foreground", "daemon"):
        if given.has(option):
            TOOL.fail(
                f"--{option} and --ephemeral exclude each other" if ephemeral else f"--{option} needs --ephemeral"
            )
    if given.has("foreground") and given.has("daemon"):
        TOOL.fail("-F and -d exclude each other")
    if ephemeral:
        return start_ephemeral(TOOL, given)
    return guarded(TOOL, given, lambda: _copy(given))


def start_ephemeral(tool: Tool, given: Given, named: Callable[[str], None] = lambda _name: None) -> int:
    """Also for lxc-start-ephemeral. *named* is told its name."""
    codes = [1]
    failed = guarded(tool, given, lambda: codes.append(_start(tool, given, named)))
    return failed or codes[-1]


def _start(tool: Tool, given: Given, named: Callable[[str], None]) -> int:
    from warden.lxc.ephemeral import parse_mounts, start_copy

    mounts = tuple(mount for text in given.values.get("mount", ()) for mount in parse_mounts(text))
    lxcpath = given.lxcpath or default_lxcpath()
    mend(home_of(lxcpath, given.name))
    old = existing(lxcpath, given.name)
    newpath, newname = given.last("newpath").rstrip("/") or lxcpath, given.last("newname")
    new = home_of(newpath, newname) if newname else Home(os.path.abspath(newpath), "")
    order = Copy(
        old,
        new,
        True,
        given.last("backingstorage"),
        keep_name=given.has("keepname"),
        keep_mac=given.has("keepmac"),
        args=given.rest,
        running=given.has("allowrunning"),
        tmpfs=given.has("tmpfs"),
    )

    def begin(home: Home) -> int:
        from warden.lxc.tools import start

        named(home.name)
        if not given.has("quiet"):
            print(f"Created {home.name} as clone of {old.name}", flush=True)
        own = {name: value for name, value in given.values.items() if name in ("logfile", "logpriority", "quiet")}
        more = {"foreground": [""]} if given.has("foreground") else {}
        return start.run(Given(home.name, {**own, **more, "lxcpath": [home.lxcpath]}, ()), tool)

    return start_copy(order, mounts, given.has("keepdata"), begin)


def _copy(given: Given) -> None:
    lxcpath = given.lxcpath or default_lxcpath()
    old = home_of(lxcpath, given.name)
    mend(old)
    old = existing(lxcpath, given.name)
    newpath = given.last("newpath").rstrip("/") or lxcpath
    perform(old.lxcpath, old.name, newpath, given.last("newname"), given)


def perform(lxcpath: str, name: str, newpath: str, newname: str, given: Given) -> None:
    """What the options of lxc-copy and lxc-clone ask for alike. Raises WardenError."""
    old, new = existing(lxcpath, name), home_of(newpath, newname)
    if given.has("rename"):
        excess = [option for option in ("snapshot", "backingstorage", "fssize") if given.has(option)]
        if excess:
            raise BadInput(f"--rename copies nothing: --{excess[0]} says nothing", hint="leave one of them out")
        rename(old, new)
        return
    size = parse_size(given.last("fssize")) if given.has("fssize") else 0
    copy(
        Copy(
            old,
            new,
            given.has("snapshot"),
            given.last("backingstorage"),
            size,
            given.has("keepname"),
            given.has("keepmac"),
            given.rest,
            running=given.has("allowrunning"),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
