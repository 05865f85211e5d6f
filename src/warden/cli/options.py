"""The options that subcommands share, as one table, and the parser that is built from it for one subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from warden.errors import BadInput


class Command(NamedTuple):
    """One subcommand: *arguments* name rows of ARGUMENTS, *act* gets the parsed options and returns the exit code."""

    usage: str
    summary: str
    arguments: tuple[str, ...]
    examples: str
    act: Callable[[argparse.Namespace], int]


#: Name of the row, its flags (none: a positional argument of that name), and what argparse is told.
ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "socket": (("--socket",), {"metavar": "PATH", "help": "the daemon's socket"}),
    "json": (("--json",), {"action": "store_true", "help": "print JSON"}),
    # a new container
    "memory": (("-m", "--memory"), {"metavar": "SIZE", "help": "memory limit, such as 64M"}),
    "name": (("--name",), {"metavar": "HANDLE", "help": "handle of the container (default: a new one)"}),
    "image": (("--image",), {"metavar": "NAME", "help": "image to start from (default: the daemon's, normally host)"}),
    "rootfs": (("--rootfs",), {"metavar": "DIR", "help": "use this directory of the host instead of an image"}),
    "mount": (
        ("-v", "--mount"),
        {"metavar": "SRC:DST[:ro|rw]", "action": "append", "default": [], "help": "bind mount (default: rw)"},
    ),
    "network": (
        ("--network",),
        {"choices": ("warden", "none", "host"), "default": "warden", "help": "default: warden"},
    ),
    "hostname": (("--hostname",), {"metavar": "NAME", "help": "host name inside"}),
    "oom_policy": (
        ("--oom-policy",),
        {"choices": ("kill_job", "stop"), "help": "out of memory ends the job (default) or stops the container"},
    ),
    "grace_time": (
        ("--grace-time",),
        {"metavar": "TIME", "help": "destroy the container this long after its last connection is gone"},
    ),
    "no_user_namespace": (
        ("--no-user-namespace",),
        {"action": "store_true", "help": "root inside is root outside; only for what you trust"},
    ),
    "rm": (("--rm",), {"action": "store_true", "help": "remove the container afterwards (the default)"}),
    "keep": (("--keep",), {"action": "store_true", "help": "keep the container afterwards"}),
    "detach": (
        ("-d", "--detach"),
        {"action": "store_true", "help": "print the handle and do not wait; implies --keep"},
    ),
    # a job
    "env": (
        ("-e", "--env"),
        {
            "metavar": "NAME[=VALUE]",
            "action": "append",
            "default": [],
            "help": "set a variable; NAME alone: the caller's",
        },
    ),
    "cwd": (("-w", "--cwd"), {"metavar": "DIR", "help": "working directory inside"}),
    "user": (("-u", "--user"), {"metavar": "USER", "help": "user inside (default: vcap, or root with --privileged)"}),
    "privileged": (("--privileged",), {"action": "store_true", "help": "run as root of the container"}),
    "timeout": (("--timeout",), {"metavar": "TIME", "help": "kill the job after this time, such as 10, 500ms or 2m"}),
    "cpu_timeout": (
        ("--cpu-timeout",),
        {"metavar": "TIME", "help": "kill the job when all its processes have used this much processor time"},
    ),
    "output_limit": (("--output-limit",), {"metavar": "SIZE", "help": "most bytes of output that are kept and shown"}),
    "rlimit": (
        ("--rlimit",),
        {"metavar": "NAME=N", "action": "append", "default": [], "help": "resource limit, such as nofile=256"},
    ),
    "interactive": (("-i", "--interactive"), {"action": "store_true", "help": "give the job this command's stdin"}),
    "tty": (("-t", "--tty"), {"action": "store_true", "help": "give the job a terminal"}),
    "script": (("--script",), {"metavar": "FILE", "help": "run this bash script, - for stdin, instead of a command"}),
    # what exists
    "all": (("-a", "--all"), {"action": "store_true", "help": "stopped containers too"}),
    "quiet": (("-q", "--quiet"), {"action": "store_true", "help": "handles only"}),
    "job": (("--job",), {"metavar": "N", "type": int, "help": "this job only"}),
    "follow": (("-f", "--follow"), {"action": "store_true", "help": "go on until the jobs end"}),
    "signal": (
        ("-s", "--signal"),
        {"metavar": "SIGNAL", "default": "KILL", "help": "by name or number (default: KILL)"},
    ),
    "kill": (("--kill",), {"action": "store_true", "help": "do not ask the jobs first"}),
    "owner": (("--owner",), {"metavar": "USER[:GROUP]", "help": "whose the copies on the host are (default: root's)"}),
    "images": (("--images",), {"metavar": "DIR", "help": "the image store (default: /var/lib/warden/images)"}),
    "depot": (("--depot",), {"metavar": "DIR", "help": "the depot to look at (default: /var/lib/warden/containers)"}),
    # positional
    "handle": ((), {"metavar": "HANDLE"}),
    "handles": ((), {"metavar": "HANDLE", "nargs": "+"}),
    "command": ((), {"metavar": "CMD", "nargs": argparse.REMAINDER, "help": argparse.SUPPRESS}),
    "from_": ((), {"metavar": "SRC"}),
    "to": ((), {"metavar": "DST"}),
    "action": ((), {"metavar": "ACTION", "choices": ("build", "list", "remove")}),
    "topic": ((), {"metavar": "COMMAND"}),
    "image_names": ((), {"metavar": "IMAGE", "nargs": "*"}),
}

CONTAINER = (
    "memory",
    "name",
    "image",
    "rootfs",
    "mount",
    "network",
    "hostname",
    "oom_policy",
    "no_user_namespace",
)
JOB = (
    *("env", "cwd", "user", "privileged", "timeout", "cpu_timeout", "output_limit", "rlimit"),
    *("interactive", "tty", "script", "json"),
)


class _Parser(argparse.ArgumentParser):
    """argparse with errors as one sentence, raised instead of printed."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message + self._suggestion(message), hint=f"{self.prog} --help shows the options")

    def _suggestion(self, message: str) -> str:
        word = next((word for word in message.split() if word.startswith("--")), "")
        if not message.startswith("unrecognized") or not word:
            return ""
        from difflib import get_close_matches

        known = [flag for action in self._actions for flag in action.option_strings]
        near = get_close_matches(word.partition("=")[0], known, 1)
        return f", did you mean {near[0]}?" if near else ""


def build_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    parser = _Parser(
        prog=f"warden {name}",
        usage=f"warden {name} {command.usage}",
        description=command.summary,
        epilog="examples:\n" + "".join(f"  {line}\n" for line in command.examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for row in (*command.arguments, "socket"):
        flags, keywords = ARGUMENTS[row]
        parser.add_argument(*(flags or (row,)), **(keywords | ({"dest": row} if flags else {})))
    return parser


def parse(name: str, command: Command, words: list[str]) -> argparse.Namespace:
    """Parses one subcommand's words; `--help` prints and exits 0, everything wrong raises BadInput."""
    options = build_parser(name, command).parse_args(words)
    given = getattr(options, "command", None)
    if given and given[0] == "--":
        del given[0]
    return options


def split_env(words: list[str], caller: dict[str, str]) -> dict[str, str]:
    """NAME=VALUE as it stands; NAME alone from *caller*, left out when the caller has none."""
    result = {}
    for word in words:
        name, sign, value = word.partition("=")
        if sign:
            result[name] = value
        elif name in caller:
            result[name] = caller[name]
    return result


def split_rlimits(words: list[str]) -> dict[str, int]:
    """NAME=N; raises BadInput for anything else (the names are checked by JobSpec)."""
    result = {}
    for word in words:
        name, _, value = word.partition("=")
        if not value.isdigit():
            raise BadInput(f"--rlimit: {word!r} is not NAME=N", hint="such as nofile=256")
        result[name] = int(value)
    return result


def read_script(path: str) -> bytes:
    """The bytes of a script file, or of standard input for "-"; raises BadInput."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadInput(f"--script {path}: {error.strerror}") from error
