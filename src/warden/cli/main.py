"""Entry of the command `warden`: finds the subcommand, runs it, turns every error into one sentence and an exit code.

Must stay cheap: only the chosen subcommand's module is imported, and neither argparse nor the client before need.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from warden.errors import BadInput, UnknownHandle, WardenError

#: Subcommand, the module that owns it, and its line in the overview.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("running", "run a command in a new container, then remove it"),
    "create": ("running", "make a container and print its handle"),
    "exec": ("running", "run a command in a container that exists"),
    "ps": ("containers", "list containers"),
    "info": ("containers", "show everything known of a container"),
    "limit": ("limiting", "change and show what a container may use"),
    "net": ("netting", "show how all are connected, or what a container may reach and was refused, and change it"),
    "port": ("netting", "show and change which ports of the host lead to a container"),
    "stats": ("usage", "show what containers use: processor, memory, network, disks"),
    "top": ("top", "the same as a live view, sorted by key"),
    "explain": ("explaining", "show a container or any process from the kernel's side, with sentences"),
    "logs": ("observing", "show the output kept of a container's jobs"),
    "attach": ("attaching", "attach to a job that runs"),
    "wait": ("observing", "wait for the end of containers' main jobs, print their exit codes"),
    "jobs": ("observing", "list the jobs of a container"),
    "inspect": ("observing", "show everything known of containers as JSON"),
    "events": ("observing", "show what happens to containers and jobs"),
    "cp": ("copying", "copy files into a container or out of it"),
    "pause": ("control", "let all processes of containers stand still"),
    "resume": ("control", "let them go on"),
    "kill": ("control", "send a signal to the jobs of a container, KILL unless told"),
    "stop": ("containers", "end all jobs of a container, keep its files"),
    "start": ("control", "start the main job of containers, also of stopped ones"),
    "restart": ("control", "stop containers and start their main job"),
    "rename": ("control", "give a container another handle"),
    "destroy": ("containers", "remove containers"),
    "volume": ("volumes", "make, list and remove volumes"),
    "cgroup": ("hierarchies", "list cgroup hierarchies, make and use named ones"),
    "network": ("networks", "make, list, inspect and remove networks that containers share"),
    "plan": ("planning", "show step by step what the kernel would be asked, without doing it"),
    "image": ("images", "build, list and remove images"),
    "doctor": ("doctor", "check what this machine can do and what is missing"),
    "ping": ("service", "ask the daemon for a sign of life"),
    "version": ("service", "show the versions of command and daemon"),
    "completion": ("manual", "print the completion script for bash and zsh"),
    "man": ("manual", "print the manual page of a command"),
}

_OVERVIEW = """usage: warden [--socket PATH] COMMAND [OPTION...]
       warden [--socket PATH] -- REQUEST [--FIELD VALUE...]
       warden [--socket PATH] [--repl] [--trace] [--exit_on_error]

commands:
{commands}

options:
  --socket PATH  the daemon's socket (default: $WARDEN_SOCKET, else /run/warden/warden.sock)
  --repl         requests from a prompt, or one a line from standard input; without a COMMAND this is the default
  --trace        there: show each request before it is sent
  --exit_on_error  there: end at the first request or job that fails, with its status
  --version      print the version of this command
  -h, --help     this text, or after a command its options and examples

examples:
  warden run -m 64M -- python3 -c 'print("hello")'
  warden exec -it my-box bash
  warden -- create --memory_limit 67108864
"""


#: Of the prompt; the original allowed the last two before a single request too, where they mean nothing.
_SWITCHES = ("--repl", "--trace", "--exit_on_error")


class _Globals:
    """What stands before the subcommand."""

    def __init__(self) -> None:
        self.socket: str | None = None
        self.rest: list[str] = []
        self.original = False
        self.help = False
        self.version = False
        self.switches: set[str] = set()


def _take_socket(word: str, words: list[str]) -> str:
    if "=" in word:
        return word.partition("=")[2]
    if not words:
        raise BadInput("--socket: a path is missing")
    return words.pop(0)


def split_globals(argv: list[str]) -> _Globals:
    """Splits off the options that stand before the subcommand; raises BadInput for one that is unknown."""
    found, words = _Globals(), list(argv)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            found.original = True
            break
        if word == "--socket" or word.startswith("--socket="):
            found.socket = _take_socket(word, words)
        elif word in ("-h", "--help"):
            found.help = True
        elif word == "--version":
            found.version = True
        elif word in _SWITCHES:
            found.switches.add(word)
        else:
            raise BadInput(f"unknown option {word}", hint="warden --help lists them")
    found.rest = words
    return found


def overview() -> str:
    """The text of `warden --help`."""
    lines = (f"  {name:<12}{summary}" for name, (_, summary) in COMMANDS.items())
    return _OVERVIEW.format(commands="\n".join(lines))


def _run(argv: list[str]) -> int:
    found = split_globals(argv)
    if found.version:
        from warden import __version__

        print(f"warden {__version__}")
        return 0
    if found.original:
        from warden.cli import original

        return original.main(found.rest, found.socket)
    if found.help or found.rest[:1] == ["help"]:
        print(overview(), end="")
        return 0
    if not found.rest or "--repl" in found.switches:
        return _prompt(found)
    return _run_subcommand(found.rest[0], found.rest[1:], found.socket)


def _prompt(found: _Globals) -> int:
    if found.rest:
        raise BadInput(f"--repl takes no command, got {found.rest[0]!r}")
    from warden.cli import prompt

    trace, exit_on_error = "--trace" in found.switches, "--exit_on_error" in found.switches
    code = prompt.main(found.socket, trace=trace, exit_on_error=exit_on_error)
    if code is None and "--repl" not in found.switches:
        print(overview(), end="")  # nothing was asked for in any way
        return 2
    return code or 0


def _run_subcommand(name: str, words: list[str], socket: str | None) -> int:
    if name not in COMMANDS:
        _unknown_command(name)
    from importlib import import_module

    from warden.cli.options import parse

    command = import_module("warden.cli." + COMMANDS[name][0]).COMMANDS[name]
    options = parse(name, command, words)
    options.socket = options.socket or socket
    try:
        return int(command.act(options))
    except UnknownHandle as error:
        if error.message != "unknown handle" or not isinstance(getattr(options, "handle", None), str):
            raise
        raise UnknownHandle(f"{options.handle}: {error.message}") from error  # Warden's text does not say which


def _unknown_command(name: str) -> NoReturn:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else "warden --help lists them"
    raise BadInput(f"unknown command {name!r}", hint=hint)


def _report(error: WardenError) -> int:
    from warden.cli.output import say

    say(str(error))
    return error.exit_code


def _silence_stdout() -> int:
    # The reader went away (`warden logs x | head`): not an error, and the flush at exit must not complain either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + 13


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; `WARDEN_DEBUG=1` lets errors through as tracebacks."""
    debug = os.environ.get("WARDEN_DEBUG") == "1"
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _silence_stdout()
    except KeyboardInterrupt:
        return 128 + 2
    except WardenError as error:
        if debug:
            raise
        return _report(error)
    except Exception as error:
        if debug:
            raise
        print(f"warden: {type(error).__name__}: {error} (WARDEN_DEBUG=1 shows where)", file=sys.stderr)
        return 70  # EX_SOFTWARE of sysexits.h: a bug of ours


if __name__ == "__main__":
    sys.exit(main())
