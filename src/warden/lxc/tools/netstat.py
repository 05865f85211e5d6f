"""`lxc-netstat` of 0.9: netstat(8) in the network of a running container."""

from __future__ import annotations

import os
import shutil
import sys

from warden.errors import BadInput, KernelRefused, WrongState
from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import guarded, lxcpath_of

TOOL = Tool(
    "lxc-netstat",
    "--name NAME [-- NETSTAT OPTIONS]",
    "lxc-netstat shows the connections of a container, by the host's netstat",
    (Option("n", "name", "NAME", "NAME of the container"),),
    config=False,
    end="NETSTAT OPTIONS: as netstat(8) takes them, or ss(8) where there is no netstat.",
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    return guarded(TOOL, given, lambda: _become(given))


def _become(given: Given) -> None:
    program = shutil.which("netstat") or shutil.which("ss")
    if program is None:
        raise BadInput("there is no netstat and no ss here", hint="install net-tools or iproute2")
    seen = states.find(Site.from_environment(), lxcpath_of(given), given.name)
    if seen is None or seen.state not in states.ALIVE or not seen.running.pid:
        raise WrongState(f"{given.name} is not running")
    _enter(seen.running.pid)
    os.execv(program, [os.path.basename(program), *given.rest])


def _enter(pid: int) -> None:
    """/proc/net shows the network of who looks; the program is the host's own."""
    from warden.kernel.mounts import setns
    from warden.plan.flags import CLONE_NEWNET

    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        setns(namespace, CLONE_NEWNET)
    except OSError as error:
        raise KernelRefused("setns", f"network of {pid}", error.errno or 0) from error


if __name__ == "__main__":
    sys.exit(main())
