"""`lxc-copy`: a copy, a clone or another name of a container."""

from __future__ import annotations

import sys

from warden.errors import BadInput
from warden.lxc.copying import Copy, copy, rename
from warden.lxc.home import existing, home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.snapshots import mend
from warden.lxc.storage.base import parse_size
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.speaking import guarded

TOOL = Tool(
    "lxc-copy",
    "--name=NAME -N NEWNAME [-p NEWPATH] [-s | -R] [-B TYPE] [-K] [-M] [-L SIZE] [-- hook options]",
    "lxc-copy clone a container",
    (
        Option("N", "newname", "NEWNAME", "NEWNAME for the new container"),
        Option("p", "newpath", "NEWPATH", "NEWPATH for the container to be stored"),
        Option("R", "rename", "", "rename container"),
        Option("s", "snapshot", "", "create snapshot instead of clone"),
        Option("B", "backingstorage", "TYPE", "backingstorage type for the container: dir, overlay, loop, btrfs"),
        Option("L", "fssize", "SIZE[U]", "size of the new file system of loop, default unit M"),
        Option("K", "keepname", "", "keep the hostname of the original container"),
        Option("M", "keepmac", "", "keep the MAC address of the original container"),
    ),
    config=False,
    end="What follows -- is for the programs of lxc.hook.clone.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.last("newname"):
        TOOL.fail("You must provide a NEWNAME for the new container")
    return guarded(TOOL, given, lambda: _copy(given))


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
        )
    )


if __name__ == "__main__":
    sys.exit(main())
