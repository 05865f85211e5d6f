"""`lxc-usernsexec`: a program as root of a new user namespace."""

from __future__ import annotations

import os
import sys

from warden.errors import BadInput, NotSupported, WardenError
from warden.kernel import mounts
from warden.lxc import idmaps
from warden.lxc.options import Option, Tool
from warden.lxc.unsharing import Unsharing, run
from warden.model.system import IdRange

TOOL = Tool(
    "lxc-usernsexec",
    "[-m TYPE:INSIDE:OUTSIDE:COUNT ...] [-s] [-- COMMAND [ARGUMENT ...]]",
    "lxc-usernsexec runs a command as root in a new user namespace",
    (
        Option(
            "m", "map", "MAP", "u, g or b (both), first id inside, first outside, how many; may be repeated", many=True
        ),
        Option("s", "self", "", "map the caller's own ids as well, after the others"),
    ),
    named=False,
    config=False,
    end="Without -m what /etc/subuid and /etc/subgid grant is mapped; without COMMAND a shell is run.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    try:
        ranges = tuple(item for text in given.values.get("map", ()) for item in idmaps.parse(text))
        if not ranges and not given.has("self"):
            ranges = _granted()
        if given.has("self"):
            ranges = idmaps.with_self(ranges)
        if not any(item.kind == "u" and item.inside == 0 for item in ranges):
            raise BadInput("0 of the namespace is not mapped, and the command is run as 0", hint="-m b:0:OUTSIDE:COUNT")
        command = given.rest or (os.environ.get("SHELL") or "/bin/sh",)
        groups = any(item.kind == "g" and item.inside == 0 for item in ranges)
        flags = mounts.CLONE_NEWUSER | mounts.CLONE_NEWNS
        return run(
            Unsharing(TOOL.tool, flags, command, lambda pid: idmaps.write(pid, ranges), lambda: _be_root(groups))
        )
    except WardenError as error:
        TOOL.fail(str(error))


def _granted() -> tuple[IdRange, ...]:
    """Raises NotSupported: only this tool takes ranges that nobody granted."""
    try:
        return idmaps.granted()
    except NotSupported as error:
        raise NotSupported(error.message, hint=f"give one: -m b:0:100000:65536, or {error.hint}") from error


def _be_root(groups: bool) -> None:
    """Further groups cannot be given up where setgroups(2) had to be denied."""
    if groups:
        with open("/proc/self/setgroups", encoding="ascii") as file:
            if file.read().strip() == "allow":
                os.setgroups([])
        os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
