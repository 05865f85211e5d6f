"""`lxc-clone`: what lxc-copy was before LXC 2.0, with its options of then."""

from __future__ import annotations

import sys

from warden.lxc.home import home_of
from warden.lxc.options import Given, Option, Tool
from warden.lxc.snapshots import mend
from warden.lxc.system import default_lxcpath
from warden.lxc.tools.copy import perform
from warden.lxc.tools.speaking import guarded

TOOL = Tool(
    "lxc-clone",
    "[-s] [-B TYPE] [-L SIZE] [-K] [-M] [-p LXCPATH] [-P NEWPATH] [-R] {ORIG NEW | -o ORIG -n NEW} [-- hook options]",
    "lxc-clone clones a container; lxc-copy is its name today",
    (
        Option("o", "orig", "ORIG", "the container to be cloned"),
        Option("n", "new", "NEW", "name of the new container"),
        Option("s", "snapshot", "", "create snapshot instead of clone"),
        Option("B", "backingstorage", "TYPE", "storage of the new container: dir, overlay, loop, btrfs"),
        Option("L", "fssize", "SIZE[U]", "size of the new file system of loop, default unit M"),
        Option("K", "keepname", "", "keep the hostname of the original container"),
        Option("M", "keepmac", "", "keep the MAC address of the original container"),
        Option("R", "rename", "", "rename container"),
        Option("H", "copyhooks", "", "Copy all hooks, which is always done"),
        Option("p", "origpath", "PATH", "where ORIG is"),
        Option("P", "newpath", "PATH", "where NEW is to be"),
    ),
    named=False,
    config=False,
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    words = list(given.rest)
    orig = given.last("orig") or (words.pop(0) if words else "")
    new = given.last("new") or (words.pop(0) if words else "")
    if not orig or not new:
        TOOL.fail("two names are needed: of the container and of the new one")
    settled = given._replace(name=orig, rest=tuple(words))
    return guarded(TOOL, settled, lambda: _clone(settled, orig, new))


def _clone(given: Given, orig: str, new: str) -> None:
    path = given.last("origpath").rstrip("/") or given.lxcpath or default_lxcpath()
    mend(home_of(path, orig))
    perform(path, orig, given.last("newpath").rstrip("/") or path, new, given)


if __name__ == "__main__":
    sys.exit(main())
