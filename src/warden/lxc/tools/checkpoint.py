"""`lxc-checkpoint`: a running container written to a directory, and one that is restored from it, by criu(8)."""

from __future__ import annotations

import os
import sys

from warden.errors import WrongState
from warden.light import TYPE_CHECKING
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import guarded, lxcpath_of

if TYPE_CHECKING:
    from warden.lxc.checkpointing import Criu

TOOL = Tool(
    "lxc-checkpoint",
    "--name=NAME -D DIR [-s] [-p] [--predump-dir DIR] [-v] [-A PATH]\n"
    "       lxc-checkpoint --name=NAME -D DIR -r [-d | -F] [-v] [-A PATH]",
    "lxc-checkpoint checkpoints and restores a container",
    (
        Option("r", "restore", "", "Restore container"),
        Option("D", "checkpoint-dir", "DIR", "directory to save the checkpoint in"),
        Option("v", "verbose", "", "Enable verbose criu logs"),
        Option("A", "action-script", "PATH", "Path to criu action script"),
        Option("s", "stop", "", "Stop the container after checkpointing"),
        Option("p", "pre-dump", "", "Only pre-dump the memory of the container, which goes on"),
        Option("", "predump-dir", "DIR", "path to images from previous dump (relative to -D)"),
        Option("d", "daemon", "", "Daemonize the restored container (default)"),
        Option("F", "foreground", "", "Stay until the restored container has stopped"),
    ),
    end="The container must have lxc.console.path = none and lxc.tty.max = 0: a console is the host's.\n"
    "criu does the work; what it says is in DIR/dump.log and DIR/restore.log.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.last("checkpoint-dir"):
        TOOL.fail("-D is required: the directory of the checkpoint")
    wrong = ("stop", "pre-dump", "predump-dir") if given.has("restore") else ("daemon", "foreground")
    for option in wrong:
        if given.has(option):
            TOOL.fail(f"--{option} is not for {'a restore' if given.has('restore') else 'a checkpoint'}")
    for one, other in (("stop", "pre-dump"), ("daemon", "foreground")):
        if given.has(one) and given.has(other):
            TOOL.fail(f"--{one} and --{other} exclude each other")
    return guarded(TOOL, given, lambda: _restore(given) if given.has("restore") else _dump(given))


def _dump(given: Given) -> None:
    from warden.lxc.checkpointing import Dump, dump
    from warden.lxc.home import existing
    from warden.lxc.reading import load
    from warden.lxc.stoppable import Target

    home = existing(lxcpath_of(given), given.name)
    target = Target(Site.from_environment(), home.lxcpath, given.name)
    if target.seen.state != "RUNNING":
        raise WrongState(f"{given.name} is {target.seen.state.lower()}", hint="lxc-unfreeze lets it go on")
    order = Dump(_criu(given), given.has("stop"), given.has("pre-dump"), given.last("predump-dir"))
    dump(target.running, load(given.last("rcfile") or home.config), order)
    if order.stop:
        target.wait(None)


def _restore(given: Given) -> None:
    from warden.lxc.restoring import Restore, restore
    from warden.lxc.starting import start_of

    values = {
        key: [os.path.abspath(text) for text in given.values[key]]
        for key in ("rcfile", "lxcpath", "logfile")
        if given.has(key)
    }
    again = Given(given.name, values, ())
    restore(Restore(_criu(given), start_of(again, execute=False), again), foreground=given.has("foreground"))


def _criu(given: Given) -> Criu:
    from warden.lxc.checkpointing import Criu

    script = given.last("action-script")
    directory = os.path.abspath(given.last("checkpoint-dir"))
    return Criu(directory, given.has("verbose"), os.path.abspath(script) if script else "")


if __name__ == "__main__":
    sys.exit(main())
