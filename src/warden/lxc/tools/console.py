"""`lxc-console`: the caller's terminal on one of a container's, until prefix q."""

from __future__ import annotations

import os
import sys

from warden.errors import BadInput, WardenError, WrongState
from warden.lxc import states
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import lxcpath_of, say

TOOL = Tool(
    "lxc-console",
    "--name=NAME [--tty NUMBER]",
    "lxc-console logs on the container with the identifier NAME",
    (
        Option("t", "tty", "NUMBER", "Console tty number; the first that is free without, 0 for /dev/console"),
        Option("e", "escape", "PREFIX", "Prefix of the command that leaves, such as ^a or a"),
        Option("b", "buffer", "", "Print what lxc.console.buffer.size keeps of the console, and end"),
    ),
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    try:
        return _console(given)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1


def _console(given: Given) -> int:
    from warden.lxc import terminals
    from warden.lxc.console import Session

    number, prefix = _number(given), _prefix(given.last("escape", "^a"))
    site = Site.from_environment()
    seen = states.find(site, lxcpath_of(given), given.name)
    if seen is None or not seen.running.pid:
        raise WrongState(f"{given.name} is not running")
    directory = f"{site.state}/{seen.running.container_id}"
    if given.has("buffer"):
        os.write(1, terminals.buffered(directory))
        return 0
    sock, master, number = terminals.connect(directory, number)
    key = f"Ctrl+{chr(prefix + ord('a') - 1)}"
    print(
        f"\nConnected to tty {number}\nType <{key} q> to exit the console, <{key} {key}> to enter {key} itself",
        file=sys.stderr,
        flush=True,
    )
    try:
        Session(master, None if number else sock, prefix).run(0, 1)
    finally:
        sock.close()
        os.close(master)
    return 0


def _number(given: Given) -> int:
    from warden.lxc.terminals import ANY

    text = given.last("tty", "-1")
    if text == "-1":
        return ANY
    if not text.isdecimal() or int(text) >= ANY:
        raise BadInput(f"--tty: {text!r} is not a number")
    return int(text)


def _prefix(text: str) -> int:
    """The control character of a letter: ^b and b are the same, as in LXC."""
    letter = text[1:] if len(text) == 2 and text[0] == "^" else text
    if len(letter) == 1 and letter.isascii() and letter.isalpha():
        return ord(letter.lower()) - ord("a") + 1
    raise BadInput(f"--escape: {text!r} is not a letter, with or without ^")


if __name__ == "__main__":
    sys.exit(main())
