"""`lxc-start`: a container with an init of its own, in the background or on the caller's terminal."""

from __future__ import annotations

import os
import sys

from warden.errors import WardenError, WrongState
from warden.light import signal
from warden.lxc.options import Given, Option, Tool
from warden.lxc.starting import OPTIONS, start_of
from warden.lxc.tools.speaking import say

TOOL = Tool(
    "lxc-start",
    "--name=NAME -- COMMAND",
    "lxc-start starts COMMAND in specified container NAME",
    (
        Option("d", "daemon", "", "Daemonize the container (default)"),
        Option("F", "foreground", "", "Start with the current tty attached to /dev/console"),
        Option("p", "pidfile", "FILE", "Create a file with the process id"),
        *OPTIONS,
        Option("c", "console", "FILE", "Use specified FILE for the container console"),
        Option("L", "console-log", "FILE", "Log container console output to FILE"),
        Option("C", "close-all-fds", "", "If any fds are inherited, close them"),
    ),
    end="Without COMMAND the configuration's lxc.init.cmd is run.",
)


def main(argv: list[str] | None = None) -> int:
    return run(TOOL.parse(sys.argv[1:] if argv is None else argv))


def run(given: Given, tool: Tool = TOOL) -> int:
    """Also for tools that start a container by the way."""
    signal.signal(signal.SIGTERM, _end)
    try:
        settled = settled_options(given)
        start = start_of(settled, execute=False, argv=settled.rest)
        if start.scene.config.log_file and not settled.has("logfile"):
            settled.values["logfile"] = [os.path.abspath(start.scene.config.log_file)]
        if path := settled.last("logfile"):
            from warden.lxc import logfile

            logfile.check(path)
        for warning in start.translation.warnings:
            say(tool, settled, "INFO", warning)
        if pidfile := settled.last("pidfile"):
            from warden.lxc.pidfile import check_pidfile

            check_pidfile(pidfile)
        if settled.has("foreground"):
            from warden.lxc.foreground import run_in_foreground

            return run_in_foreground(start, settled)
        from warden.lxc.life import Order
        from warden.lxc.life import start as begin
        from warden.lxc.pidfile import write_pidfile

        write_pidfile(settled.last("pidfile"), begin(Order(start, settled)).monitor)
    except WrongState as error:
        say(tool, given, "ERROR", "Container is already running" if "running already" in str(error) else str(error))
        return 0 if "running already" in str(error) else 1
    except (WardenError, OSError) as error:
        say(tool, given, "ERROR", str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def settled_options(given: Given) -> Given:
    """What -c and -L say becomes definitions, and paths absolute: a reboot reads them elsewhere."""
    values = {key: list(value) for key, value in given.values.items()}
    for option in ("rcfile", "console", "console-log", "pidfile", "logfile", "lxcpath"):
        if option in values:
            values[option] = [os.path.abspath(text) if text != "none" else text for text in values[option]]
    define = values.setdefault("define", [])
    for option, key in (("console", "lxc.console.path"), ("console-log", "lxc.console.logfile")):
        define += [f"{key}={text}" for text in values.get(option, ())]
    return Given(given.name, values, given.rest)


if __name__ == "__main__":
    sys.exit(main())
