"""`lxc-start-ephemeral` of 0.9: a copy that lives as long as a command, or as somebody is at its console."""

from __future__ import annotations

import sys

from warden.lxc.options import Given, Option, Tool
from warden.lxc.tools import attach, console, copy, stop

TOOL = Tool(
    "lxc-start-ephemeral",
    "-o ORIG [-n NAME] [-b DIR] [-d] [-U overlay] [-s tmpfs|dir] [-k] [-u UID] [-- COMMAND]",
    "lxc-start-ephemeral starts a copy of a container that is destroyed when it stops;\nlxc-copy -e is its name today",
    (
        Option("o", "orig", "ORIG", "the container to be copied"),
        Option("n", "name", "NAME", "name of the copy; drawn without"),
        Option("b", "bdir", "DIR", "directory of the host, mounted at the same place"),
        Option("d", "daemon", "", "do not attach to it, leave it running"),
        Option("U", "union-type", "TYPE", "overlay or overlayfs; aufs is no more"),
        Option("s", "storage-type", "TYPE", "where what it writes lies: tmpfs, or dir (default: tmpfs)"),
        Option("k", "keep-data", "", "keep the copy and what it wrote"),
        Option("u", "user", "UID", "run COMMAND as UID of the container"),
        Option("S", "ssh-key", "FILE", "for ssh, which is not used: COMMAND is attached"),
    ),
    named=False,
    config=False,
    end="With COMMAND it is stopped when that ends; without, when its console is left, unless -d is given.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if not given.last("orig"):
        TOOL.fail("which container is to be copied? -o ORIG")
    if given.last("union-type", "overlay") not in ("overlay", "overlayfs"):
        TOOL.fail(f"--union-type: {given.last('union-type')!r} is not here: overlay")
    if given.last("storage-type", "tmpfs") not in ("tmpfs", "dir"):
        TOOL.fail(f"--storage-type: {given.last('storage-type')!r} is unknown: tmpfs or dir")
    if given.has("keep-data") and given.last("storage-type") == "tmpfs":
        TOOL.fail("--keep-data and --storage-type tmpfs exclude each other")
    if given.has("ssh-key"):
        TOOL.fail("--ssh-key: no ssh is used here: COMMAND is attached")
    if given.has("daemon") and given.rest:
        TOOL.fail("--daemon and a COMMAND exclude each other")
    names: list[str] = []
    code = copy.start_ephemeral(TOOL, _order(given), names.append)
    return code if code else _use(given, names[0])


def _order(given: Given) -> Given:
    """In the words of lxc-copy."""
    values = {key: list(value) for key, value in given.values.items() if key in ("lxcpath", "logfile", "quiet")}
    values["newname"] = [given.last("name")]
    if given.has("keep-data"):
        values["keepdata"] = [""]
    elif given.last("storage-type", "tmpfs") == "tmpfs":
        values["tmpfs"] = [""]
    if given.has("bdir"):
        values["mount"] = [f"bind={given.last('bdir')}"]
    return Given(given.last("orig"), values, ())


def _use(given: Given, name: str) -> int:
    where = ["-P", given.lxcpath] if given.lxcpath else []
    if given.has("daemon"):
        print(f"lxc-console -n {name} connects to it, lxc-stop -n {name} stops it")
        return 0
    try:
        if not given.rest:
            return console.main([*where, "-n", name, "-t", "0"])
        user = ["-u", given.last("user")] if given.has("user") else []
        return attach.main([*where, "-n", name, *user, "--", *given.rest])
    finally:
        stop.main([*where, "-n", name, "-k", "-q"])


if __name__ == "__main__":
    sys.exit(main())
