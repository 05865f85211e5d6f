"""`warden completion` and `warden man`: shell completion and manual pages, made from the parsers themselves."""

from __future__ import annotations

import argparse
from argparse import Namespace
from importlib import import_module

from warden import __version__
from warden.cli.options import Command, build_parser
from warden.errors import BadInput
from warden.model.text import roff

EXIT_CODES = (
    ("0..255", "of run, exec: the exit code of the job"),
    ("2", "wrong usage or input"),
    ("3", "unknown handle"),
    ("5", "the handle is taken"),
    ("9", "an image is missing or cannot be built"),
    ("10", "a hook of the daemon's operator refused it"),
    ("69", "no daemon listens"),
    ("70", "the engine failed"),
    ("71", "the kernel refused a step"),
    ("77", "root is needed"),
    ("78", "a configuration file is wrong"),
    ("124", "the job was killed at --timeout"),
    ("126", "the job could not be started"),
    ("128+N", "the job was ended by signal N"),
    ("137", "the job ran out of memory"),
    ("152", "the job's processor time was used up"),
    ("153", "the job wrote more than its output limit"),
)


def commands() -> dict[str, Command]:
    """Every subcommand with its description."""
    from warden.cli.main import COMMANDS as TABLE

    return {name: import_module("warden.cli." + module).COMMANDS[name] for name, (module, _) in TABLE.items()}


def _flags(name: str, command: Command) -> list[str]:
    return [flag for action in build_parser(name, command)._actions for flag in action.option_strings]


def bash_completion() -> str:
    """A bash script (zsh reads it through bashcompinit): subcommands, their options, handles where one is wanted."""
    table = commands()
    cases = "\n".join(f'    {name}) flags="{" ".join(_flags(name, command))}" ;;' for name, command in table.items())
    rows = {"handle", "handles", "any_handles", "maybe_handle"}
    wanting = "|".join(name for name, command in table.items() if rows & set(command.arguments))
    return f"""# bash completion of warden; zsh: autoload bashcompinit && bashcompinit, then the same
_warden() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" flags="" handle
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(table)}" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
    {wanting})
      COMPREPLY=() # not by compgen -W, which would run what a handle says
      while IFS= read -r handle; do
        [[ "$handle" != "$word"* ]] || COMPREPLY+=("$(printf %q "$handle")")
      done < <(warden ps -aq 2>/dev/null)
      ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -F _warden warden
"""


def man_page(name: str) -> str:
    """The manual page of one subcommand, in the man macros of groff_man(7)."""
    from warden.cli.main import COMMANDS as TABLE

    command = commands()[name]
    parser = build_parser(name, command)
    parts = [
        f'.TH "WARDEN-{name.upper()}" 1 "" "warden {__version__}" "warden manual"',
        f".SH NAME\nwarden-{name} \\- {roff(TABLE[name][1])}",
        f".SH SYNOPSIS\n.B warden {name}\n{roff(command.usage)}",
        f".SH DESCRIPTION\n{roff(command.summary)}",
        ".SH OPTIONS\n" + "\n".join(_option(action) for action in parser._actions if action.help != argparse.SUPPRESS),
        ".SH EXIT STATUS\n" + "\n".join(f".TP\n.B {code}\n{roff(text)}" for code, text in EXIT_CODES),
        f".SH EXAMPLES\n.nf\n{roff(command.examples.strip())}\n.fi",
    ]
    return "\n".join(parts) + "\n"


def _option(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    value = "" if action.nargs == 0 else choices or metavar
    names = ", ".join(action.option_strings)
    return f".TP\n.B {roff(f'{names} {value}'.strip())}\n{roff(action.help or '')}"


def completion(_options: Namespace) -> int:
    """`warden completion`."""
    print(bash_completion(), end="")
    return 0


def man(options: Namespace) -> int:
    """`warden man`."""
    if options.topic not in commands():
        raise BadInput(f"man: no page for {options.topic!r}", hint="one of " + ", ".join(commands()))
    print(man_page(options.topic), end="")
    return 0


COMMANDS = {
    "completion": Command(
        "",
        "Prints the completion script for bash and zsh.",
        (),
        "warden completion > /etc/bash_completion.d/warden\nsource <(warden completion)",
        completion,
    ),
    "man": Command(
        "COMMAND",
        "Prints the manual page of a subcommand, for man -l.",
        ("topic",),
        "warden man run | man -l -",
        man,
    ),
}
