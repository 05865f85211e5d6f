"""`lxc-execute`: one program in a container that lives as long as it does."""

from __future__ import annotations

import os
import sys

from warden.errors import BadInput, JobFailed, WardenError
from warden.light import TYPE_CHECKING, signal, suppress
from warden.lxc.options import Given, Option, Tool
from warden.lxc.starting import OPTIONS, start_of
from warden.records import replace

if TYPE_CHECKING:
    from warden.lxc.running import Start
    from warden.model.system import Init

TOOL = Tool(
    "lxc-execute",
    "--name=NAME [-- COMMAND]",
    "lxc-execute creates a container with the identifier NAME\nand execs COMMAND into this container.",
    (
        Option("d", "daemon", "", "Daemonize the container"),
        *OPTIONS,
        Option("u", "uid", "UID", "Execute COMMAND with UID inside the container"),
        Option("g", "gid", "GID", "Execute COMMAND with GID inside the container"),
    ),
    end="Without COMMAND the configuration's lxc.execute.cmd is run.",
)
NOT_RUN = 255


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    for number in (signal.SIGTERM, signal.SIGHUP):  # until the command runs and gets them; then nothing is left behind
        signal.signal(number, _end)
    try:
        start = start_of(given, execute=True)
        program = _program(given, start)
        for warning in start.translation.warnings:
            say(given, "WARN", warning)
        return _background(given, start, program) if given.has("daemon") else _run(start, program)
    except JobFailed as error:
        say(given, "ERROR", str(error))
        return NOT_RUN
    except (WardenError, OSError) as error:
        say(given, "ERROR", str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def say(given: Given, level: str, message: str) -> None:
    """To the log file if there is one, and what went wrong to standard error unless that was not wanted."""
    from warden.model.text import harmless  # few say anything

    line = harmless(message.replace("\n", " "))
    if path := given.last("logfile"):
        from warden.lxc import logfile

        try:
            logfile.append(path, TOOL.tool, given.name, level, line)
        except WardenError as error:
            if not given.has("quiet") and error.message not in line:
                print(f"{TOOL.tool}: {given.name}: {error}", file=sys.stderr)
    if level == "ERROR" and not given.has("quiet"):
        print(f"{TOOL.tool}: {given.name}: {line}", file=sys.stderr)


def _program(given: Given, start: Start) -> Init:
    from warden.lxc.translate import program_of
    from warden.lxc.values import split

    config = start.scene.config
    try:
        argv = given.rest or tuple(split(config.execute_cmd))
    except ValueError as error:
        raise BadInput(f"lxc.execute.cmd: {config.execute_cmd!r}: {error}") from error
    if not argv:
        TOOL.fail("no command is given, and the configuration has no lxc.execute.cmd")
    program = program_of(config, argv, os.environ)
    return replace(program, uid=_id(given, "uid", program.uid), gid=_id(given, "gid", program.gid))


def _id(given: Given, which: str, usual: int) -> int:
    text = given.last(which)
    if text and not (text.isdecimal() and int(text) < 2**32 - 1):
        TOOL.fail(f"--{which}: {text!r} is not a number")
    return int(text) if text else usual


def _run(start: Start, program: Init, ready: int | None = None) -> int:
    from warden.lxc.executing import execute

    def running() -> None:
        if ready is not None:
            os.write(ready, b"\0")
            os.close(ready)

    return execute(start, program, running)


def _background(given: Given, start: Start, program: Init) -> int:
    """The caller waits until the program runs, and gets the reason if it does not."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with open(reader, "rb") as file:
            said = file.read()
        if said[:1] == b"\0":
            return 0
        say(given, "ERROR", said.decode(errors="replace").strip() or "the container could not be started")
        return 1
    os.close(reader)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    code = 1
    try:
        code = _run(start, program, writer)
    except (WardenError, OSError) as error:
        with suppress(OSError):
            os.write(writer, str(error).encode(errors="replace"))
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
