"""The command lines of LXC's tools: getopt_long(3) as GNU has it, and the options that all of them share.

Options may stand among the operands (unless POSIXLY_CORRECT is set), long ones may be abbreviated, `--` ends them. Help
and usage go to standard error with status 0, a wrong option prints the help with status 1, as the originals do. Imports
nothing heavy: every tool starts with this.
"""

from __future__ import annotations

import os
import sys

from warden.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

from warden.lxc.streams import settle

#: The release whose behaviour the tools follow; `--version` says it, and scripts compare it.
LXC_VERSION = "5.0.2"


class Option(NamedTuple):
    """*short*: a letter or ""; *value*: what its argument is called, "" for none; *many*: may be given again;
    *optional*: its argument may be left out, and stands in the same word."""

    short: str
    long: str
    value: str = ""
    note: str = ""
    many: bool = False
    optional: bool = False


NAME = Option("n", "name", "NAME", "NAME of the container")
RCFILE = Option("", "rcfile", "FILE", "Load configuration file FILE")
COMMON = (
    Option("o", "logfile", "FILE", "Output log to FILE instead of stderr"),
    Option("l", "logpriority", "LEVEL", "Set log priority to LEVEL"),
    Option("q", "quiet", "", "Don't produce any output"),
    Option("P", "lxcpath", "PATH", "Use specified container path", many=True),
    Option("?", "help", "", "Give this help list"),
    Option("", "usage", "", "Give a short usage message"),
    Option("", "version", "", "Print the version number"),
)


class Given(NamedTuple):
    """What was on the command line. *name*: of the container, "" where the tool needs none; *values*: of each option by
    its long name, in order, "" for one without an argument; *rest*: the operands that are left."""

    name: str
    values: dict[str, list[str]]
    rest: tuple[str, ...]

    def has(self, long: str) -> bool:
        return long in self.values

    def last(self, long: str, default: str = "") -> str:
        return self.values.get(long, [default])[-1]

    @property
    def lxcpath(self) -> str:
        """Without the slashes at its end; "" where none was given."""
        path = self.last("lxcpath")
        return path.rstrip("/") or path[:1]


class _Wrong(Exception):
    pass


class Tool(NamedTuple):
    """*synopsis*: what follows the tool's name; *summary*: what it does; *named*: needs a container's name; *paths*: how
    many -P it takes; *config*: takes --rcfile; *end*: further lines of the help."""

    tool: str
    synopsis: str
    summary: str
    options: tuple[Option, ...] = ()
    named: bool = True
    paths: int = 1
    config: bool = True
    end: str = ""

    @property
    def all(self) -> tuple[Option, ...]:
        own = {option.long for option in self.options}
        first = (*((NAME,) if self.named and "name" not in own else ()), *self.options)
        rcfile = (RCFILE,) if self.config and "rcfile" not in own else ()
        return (*first, *rcfile, *COMMON)

    def parse(self, argv: Sequence[str]) -> Given:
        """Ends the process for --help, --usage and --version, and for what is wrong."""
        settle(self.tool)
        try:
            values, rest = _getopt(self, list(argv))
        except _Wrong as error:
            print(f"{self.tool}: {error}", file=sys.stderr)
            self._end(self.help(), 1)
        if "help" in values:
            self._end(self.help(), 0)
        if "usage" in values:
            self._end(self.usage(), 0)
        if "version" in values:
            print(LXC_VERSION)
            sys.exit(0)
        if len(values.get("lxcpath", ())) > self.paths:
            self.fail(f"This command only accepts {self.paths} -P,--lxcpath arguments")
        if not all(values.get("lxcpath", ("/",))):
            self.fail("-P: the path is empty")
        if RCFILE in self.all and not os.access(values.get("rcfile", ["/"])[-1], os.R_OK):
            self.fail(f"--rcfile: {values['rcfile'][-1]} cannot be read")
        name = values.get("name", [""])[-1]
        if self.named and "name" not in values and rest:
            name = rest.pop(0)
        if self.named and not name:
            self.fail("No container name specified")
        if os.geteuid():
            self._enter()
        return Given(name, values, tuple(rest))

    def _enter(self) -> None:
        from warden.errors import WardenError  # root needs none of it
        from warden.lxc import ordinary

        if self.tool in ordinary.TOOLS:
            try:
                ordinary.enter()
            except WardenError as error:
                self.fail(str(error))

    def fail(self, message: str, code: int = 1) -> NoReturn:
        """One sentence on standard error, and the end."""
        print(f"{self.tool}: {message}", file=sys.stderr)
        sys.exit(code)

    def _end(self, text: str, code: int) -> NoReturn:
        sys.stderr.write(text)
        sys.exit(code)

    def usage(self) -> str:
        return f"Usage: {self.tool} " + " ".join(f"[{_words(option, '|')}]" for option in self.all) + "\n"

    def help(self) -> str:
        from warden.lxc.examples import examples_of

        common = {option.long for option in COMMON}
        own = _table(option for option in self.all if option.long not in common)
        end = f"\n{self.end.rstrip()}\n" if self.end else ""
        return (
            f"Usage: {self.tool} {self.synopsis}\n\n{self.summary}\n\nOptions :\n{own}\n"
            f"Common options :\n{_table(COMMON)}\n"
            "Mandatory or optional arguments to long options are also mandatory or optional\n"
            f"for any corresponding short options.\n{end}{examples_of(self.tool)}"
        )


def _words(option: Option, between: str) -> str:
    value = f"[={option.value}]" if option.optional else f"={option.value}" if option.value else ""
    long = f"--{option.long}{value}"
    return between.join(part for part in (f"-{option.short}" if option.short else "", long) if part)


def _table(options: Iterable[Option]) -> str:
    rows = [(_words(option, ", ") if option.short else f"    {_words(option, '')}", option.note) for option in options]
    width = max((len(words) for words, _ in rows), default=0)
    lines = []
    for words, note in rows:
        for number, line in enumerate(note.split("\n")):
            lines.append(f"  {words if number == 0 else '':<{width}}  {line}".rstrip())
    return "\n".join(lines) + "\n"


def _getopt(tool: Tool, argv: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    while argv:
        word = argv.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(tool, word, argv, values)
        elif word.startswith("-") and word != "-":
            _short(tool, word[1:], argv, values)
        else:
            rest.append(word)
            if "POSIXLY_CORRECT" in os.environ:
                break
    return values, rest + argv


def _long(tool: Tool, word: str, argv: list[str], values: dict[str, list[str]]) -> None:
    name, equals, value = word[2:].partition("=")
    fitting = [option for option in tool.all if option.long.startswith(name)]
    exact = [option for option in fitting if option.long == name]
    if len(exact or fitting) > 1:
        choices = " ".join(f"'--{option.long}'" for option in fitting)
        raise _Wrong(f"option '--{name}' is ambiguous; possibilities: {choices}")
    if not fitting:
        raise _Wrong(f"unrecognized option '--{name}'")
    option = (exact or fitting)[0]
    if equals and not option.value:
        raise _Wrong(f"option '--{option.long}' doesn't allow an argument")
    if option.value and not equals and not option.optional:
        if not argv:
            raise _Wrong(f"option '--{option.long}' requires an argument")
        value = argv.pop(0)
    values.setdefault(option.long, []).append(value)


def _short(tool: Tool, letters: str, argv: list[str], values: dict[str, list[str]]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        # -h is help wherever it is nothing else
        wanted = "?" if letter == "h" and all(option.short != "h" for option in tool.all) else letter
        option = next((option for option in tool.all if option.short == wanted), None)
        if option is None:
            raise _Wrong(f"invalid option -- '{letter}'")
        value = ""
        if option.optional:
            value, letters = letters, ""
        elif option.value:
            if not letters and not argv:
                raise _Wrong(f"option requires an argument -- '{letter}'")
            value, letters = letters or argv.pop(0), ""
        values.setdefault(option.long, []).append(value)
