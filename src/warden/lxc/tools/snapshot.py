"""`lxc-snapshot`: keeps what a container is, lists what was kept, and puts it back."""

from __future__ import annotations

import sys

from warden.errors import BadInput
from warden.lxc import configfile, snapshots
from warden.lxc.home import Home, existing, home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.speaking import guarded, shown

TOOL = Tool(
    "lxc-snapshot",
    "--name=NAME [-P lxcpath] [-L [-C]] [-c commentfile] [-r snapname [-N newname]] [-d snapname]",
    "lxc-snapshot snapshots a container",
    (
        Option("L", "list", "", "list all snapshots"),
        Option("r", "restore", "NAME", "restore snapshot NAME, e.g. 'snap0'"),
        Option("N", "newname", "NEWNAME", "NEWNAME for the restored container"),
        Option("d", "destroy", "NAME", "destroy snapshot NAME, e.g. 'snap0'\nuse ALL to destroy all snapshots"),
        Option("c", "comment", "FILE", "add FILE as a comment"),
        Option("C", "showcomments", "", "show snapshot comments"),
    ),
    config=False,
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _run(given))


def _run(given: Given) -> None:
    asked = [f"--{name}" for name in ("list", "restore", "destroy") if given.has(name)]
    if len(asked) > 1:
        raise BadInput(" and ".join(asked) + " exclude each other")
    lxcpath = given.lxcpath or default_lxcpath()
    snapshots.mend(home_of(lxcpath, given.name))
    home = existing(lxcpath, given.name)
    newname = given.last("newname") or (given.rest[0] if given.rest else "")
    if given.has("list"):
        _list(home, comments=given.has("showcomments"))
    elif given.has("destroy"):
        snapshots.drop(home, given.last("destroy"))
    elif not given.has("restore"):
        _take(home, given)
    elif newname and newname != home.name:
        snapshots.restore_as(home, given.last("restore"), home_of(lxcpath, newname))
    else:
        snapshots.restore(home, given.last("restore"))


def _take(home: Home, given: Given) -> None:
    if given.has("showcomments") or given.has("newname"):
        raise BadInput("nothing is listed or restored", hint="-L -C lists with comments, -r NAME -N NEW restores")
    comment = configfile.read(given.last("comment")).text if given.has("comment") else ""
    snapshots.take(home, comment)


def _list(home: Home, *, comments: bool) -> None:
    found = snapshots.listed(home)
    for one in found:
        print(shown(f"{one.name} ({one.path}) {one.taken.strip()}"))
        if comments and one.comment:
            print("\n".join(map(shown, one.comment.rstrip("\n").split("\n"))))
    if not found:
        print("No snapshots")


if __name__ == "__main__":
    sys.exit(main())
