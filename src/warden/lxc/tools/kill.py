"""`lxc-kill` of 0.9: a signal to a container's first process."""

from __future__ import annotations

import sys

from warden.errors import BadInput, WardenError
from warden.lxc.options import Tool
from warden.lxc.place import Site
from warden.lxc.stoppable import Target
from warden.lxc.tools.speaking import lxcpath_of, say

TOOL = Tool(
    "lxc-kill",
    "--name=NAME [SIGNAL]",
    "lxc-kill sends SIGNAL, by number or name, to the first process of the container. SIGKILL without one.",
)
FAILED = 255


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    try:
        number = _number(given.rest)
        target = Target(Site.from_environment(), lxcpath_of(given), given.name)
        target.signal(number)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return FAILED
    return 0


def _number(words: tuple[str, ...]) -> int:
    if len(words) > 1:
        raise BadInput(f"{words[1]!r}: one signal is enough")
    from warden.lxc.values import signal_number

    return signal_number(words[0]) if words else 9


if __name__ == "__main__":
    sys.exit(main())
