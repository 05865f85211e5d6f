"""`lxc-monitor`: what happens to containers, a line each, until it is killed."""

from __future__ import annotations

import os
import sys

from warden.errors import WardenError
from warden.light import TYPE_CHECKING, late
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import say, shown

if TYPE_CHECKING:
    import re
else:
    re = late("re")

TOOL = Tool(
    "lxc-monitor",
    "[--name=NAME]",
    "lxc-monitor monitors the state of the NAME container. NAME may be a regular expression.",
    (
        Option("n", "name", "NAME", "NAME of the container, a regular expression"),
        Option("Q", "quit", "", "tell lxc-monitord to quit; there is none here"),
    ),
    named=False,
    paths=64,
)


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if given.has("quit"):
        return 0
    text = given.last("name") or (given.rest[0] if given.rest else ".*")
    try:
        pattern = re.compile(text)
    except re.error as error:
        TOOL.fail(f"failed to compile the regex '{text}': {error}")
    try:
        _follow(given, pattern)
    except WardenError as error:
        say(TOOL, given, "ERROR", str(error))
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody hears the rest
    return 0


def _follow(given: Given, pattern: re.Pattern[str]) -> None:
    from warden.lxc.system import default_lxcpath
    from warden.lxc.watching import Watch

    paths = {os.path.abspath(path) for path in given.values.get("lxcpath", ()) or (default_lxcpath(),)}
    for change in Watch(Site.from_environment()).changes():
        name = change.running.name
        if change.running.lxcpath in paths and pattern.fullmatch(name):
            print(shown(_sentence(name, change.word)), flush=True)


def _sentence(name: str, word: str) -> str:
    if word.startswith("EXITED "):
        status = int(word.removeprefix("EXITED "))
        return f"'{name}' exited with status [{os.WEXITSTATUS(status)}]"  # of one that a signal ended too, as in LXC
    return f"'{name}' changed state to [{word}]"


if __name__ == "__main__":
    sys.exit(main())
