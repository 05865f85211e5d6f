"""What the tools say when something goes wrong, and where: standard error, the log file, the exit code."""

from __future__ import annotations

import sys

from warden.errors import WardenError
from warden.light import TYPE_CHECKING
from warden.lxc.options import Given, Tool

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130


def say(tool: Tool, given: Given, level: str, message: str) -> None:
    """To the log file if there is one; what is an error or a warning to standard error, unless that was not wanted."""
    line = shown(message.replace("\n", " "))
    if path := given.last("logfile"):
        from warden.lxc import logfile

        try:
            logfile.append(path, tool.tool, given.name, level, line)
        except WardenError as error:
            if not given.has("quiet") and error.message not in line:
                print(shown(f"{tool.tool}: {given.name}: {error}"), file=sys.stderr)
    if level in ("ERROR", "WARN") and not given.has("quiet"):
        print(f"{tool.tool}: {given.name}: {line}", file=sys.stderr)


def shown(text: str) -> str:
    """What comes out of a file or a name that may be a stranger's, without anything that a terminal would obey."""
    if text.isprintable():
        return text
    from warden.model.text import harmless

    return harmless(text)


def guarded(tool: Tool, given: Given, work: Callable[[], None]) -> int:
    """The exit code: 1 and a sentence for every error that is one of ours or the system's."""
    try:
        work()
    except WardenError as error:
        say(tool, given, "ERROR", str(error))
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(tool, given, "ERROR", f"{where}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED  # what was made is undone by now
    return 0


def lxcpath_of(given: Given) -> str:
    """Where the container is defined, as whoever started it wrote it down."""
    import os

    from warden.lxc.system import default_lxcpath

    return os.path.abspath(given.lxcpath or default_lxcpath())
