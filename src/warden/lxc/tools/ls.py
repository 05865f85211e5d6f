"""`lxc-ls`: the containers below a lxcpath, by name or as a table."""

from __future__ import annotations

import sys

from warden.light import TYPE_CHECKING, late
from warden.lxc.inventory import Item, addresses, items
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import lxcpath_of, shown

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

    from warden.lxc.nesting import Inner
else:
    re = late("re")

TOOL = Tool(
    "lxc-ls",
    "[-P lxcpath] [--active] [--running] [--frozen] [--stopped] [-f] [-F format] [REGEX]",
    "lxc-ls list containers",
    (
        Option("1", "line", "", "show one entry per line"),
        Option("f", "fancy", "", "use a fancy, column-based output"),
        Option("F", "fancy-format", "COLUMNS", "comma separated list of columns, see below"),
        Option("", "active", "", "list only active containers"),
        Option("", "running", "", "list only running containers"),
        Option("", "frozen", "", "list only frozen containers"),
        Option("", "stopped", "", "list only stopped containers"),
        Option("", "defined", "", "list only defined containers"),
        Option(
            "", "nesting", "NUM", "list nested containers up to NUM (default is 5) levels of nesting", optional=True
        ),
        Option("", "filter", "REGEX", "filter container names by regular expression"),
        Option("g", "groups", "GROUPS", "comma separated list of groups a container must have to be displayed"),
    ),
    named=False,
    end="Columns: NAME, STATE, PID, RAM, SWAP, AUTOSTART, GROUPS, INTERFACE, IPV4, IPV6 and UNPRIVILEGED.",
)


class Nested:
    """A container in another, in the table's words."""

    def __init__(self, inner: Inner, level: int) -> None:
        self._inner, self._level, self.state = inner, level, inner.state
        self.name = shown(inner.name)

    @property
    def groups(self) -> list[str]:
        return self._inner.settings.get("lxc.group", "").split()

    def cell(self, name: str) -> str:
        """ "" for what is not known of it."""
        settings = self._inner.settings
        known = {
            "NAME": f"{' ' * (self._level - 1)}\\ {self.name}",
            "STATE": self.state,
            "PID": str(self._inner.pid or ""),
            "AUTOSTART": str(int(settings.get("lxc.start.auto") == "1")),
            "GROUPS": ", ".join(map(shown, self.groups)),
            "UNPRIVILEGED": str("lxc.idmap" in settings or "lxc.id_map" in settings).lower(),
        }
        if self._inner.pid and name in ("IPV4", "IPV6"):
            return ", ".join(addresses(self._inner.pid)[name == "IPV6"])
        return known.get(name, "")


_USUAL = "NAME,STATE,AUTOSTART,GROUPS,IPV4,IPV6,UNPRIVILEGED"
_GAP = 1
_SIZE = 6  # of the columns of sizes, at least


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    depth = given.last("nesting") or "5"
    if not depth.isdecimal():
        TOOL.fail(f"--nesting: {depth!r} is not a number of levels")
    text = given.last("filter") or "|".join(given.rest)
    try:
        pattern = re.compile(text) if text else None
    except re.error as error:
        TOOL.fail(f"failed to compile the regex '{text}': {error}")
    columns = _columns(given)
    if columns is None:
        return 0
    rows: list[Item | Nested] = []
    for item in items(Site.from_environment(), lxcpath_of(given)):
        rows += [item] if _wanted(given, item, pattern) else []
        rows += _nested(given, item, pattern, int(depth)) if given.has("nesting") else ()
    if given.has("fancy"):
        _fancy(rows, columns)
    else:
        _plain(given, [shown(row.name) for row in rows])
    return 0


def _columns(given: Given) -> list[str] | None:
    """None, and a sentence, when one is unknown. They are for the table alone, as in LXC."""
    found = [word.strip().upper() for word in given.last("fancy-format", _USUAL).split(",") if word.strip()]
    unknown = [name for name in found if name not in _COLUMNS]
    if unknown and given.has("fancy"):
        print(f"Invalid key: {unknown[0]}", file=sys.stderr)
        return None
    return found


def _nested(given: Given, item: Item, pattern: re.Pattern[str] | None, depth: int) -> Iterator[Nested]:
    """What runs in it, whoever is in whom first. Names and all else are the container's own words."""
    if item.running is None or not item.running.pid:
        return
    from warden.errors import WrongState
    from warden.lxc.nesting import inside

    def below(pid: int, level: int) -> Iterator[Nested]:
        try:
            inners = inside(pid) if pid and level <= depth else []
        except WrongState as error:
            print(shown(f"lxc-ls: {item.name}: {error}"), file=sys.stderr)
            return
        for inner in inners:
            found = Nested(inner, level)
            if _fits(given, found.name, found.state, is_defined=True, pattern=pattern) and _in_groups(
                given, found.groups
            ):
                yield found
            yield from below(inner.pid, level + 1)

    yield from below(item.running.pid, 1)


def _in_groups(given: Given, groups: list[str]) -> bool:
    return {word for word in given.last("groups").split(",") if word} <= set(groups)


def _fits(given: Given, name: str, state: str, *, is_defined: bool, pattern: re.Pattern[str] | None) -> bool:
    alive = state != "STOPPED"
    asked = [option for option in ("active", "running", "frozen", "stopped", "defined") if given.has(option)]
    holds = {
        "active": alive,
        "running": alive,
        "frozen": state == "FROZEN",
        "stopped": not alive,
        "defined": is_defined,
    }
    fits = pattern is None or bool(pattern.search(name))
    return fits and all(holds[option] for option in asked)


def _wanted(given: Given, item: Item, pattern: re.Pattern[str] | None) -> bool:
    if not _fits(given, item.name, item.state, is_defined=item.is_defined, pattern=pattern):
        return False
    if (error := item.readable()) is not None:
        print(shown(f"Failed to load config for {item.name}: {error}"), file=sys.stderr)
        return False
    return not given.last("groups") or (item.is_defined and _in_groups(given, list(item.config.group)))


def _plain(given: Given, names: list[str]) -> None:
    if given.has("line"):
        sys.stdout.writelines(f"{name}\n" for name in names)
        return
    width = max((len(name) for name in names), default=0)
    padded = [f"{name:<{max(4, width)}}" for name in names]
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{text}\n" for text in padded)
        return
    import shutil  # which imports every kind of compression

    across = max(1, shutil.get_terminal_size().columns // (max(4, width) + _GAP))
    for start in range(0, len(padded), across):
        print(" ".join(padded[start : start + across]))


def _fancy(found: list[Item | Nested], columns: list[str]) -> None:
    rows = [columns] + [[_cell(item, name) or "-" for name in columns] for item in found]
    least = [_SIZE if name in ("RAM", "SWAP") else 0 for name in columns]
    widths = [max(least[place], *(len(row[place]) for row in rows)) for place in range(len(columns))]
    for row in rows:
        print("".join(f"{cell:<{width}} " for cell, width in zip(row, widths, strict=True)))


def _cell(item: Item | Nested, name: str) -> str:
    return shown(item.cell(name) if isinstance(item, Nested) else _COLUMNS[name](item))


def _joined(item: Item, family: int) -> str:
    return ", ".join(addresses(item.running.pid)[family]) if item.running and item.running.pid else ""


def _megabytes(value: int | None) -> str:
    return "" if value is None else f"{value / 2**20:.2f}MB"


def _ram(item: Item) -> str:
    from warden.lxc import usage

    return _megabytes(usage.memory(item.running)) if item.running else ""


def _swap(item: Item) -> str:
    from warden.lxc import usage

    both = usage.memory_and_swap(item.running) if item.running else None
    own = usage.memory(item.running) if item.running else None
    return _megabytes(None if both is None else max(0, both - (own or 0)))


def _interfaces(item: Item) -> str:
    if item.running is None or not item.running.pid:
        return ""
    try:
        with open(f"/proc/{item.running.pid}/net/dev", encoding="ascii", errors="replace") as file:
            names = [line.partition(":")[0].strip() for line in file.readlines()[2:]]
    except OSError:
        return ""
    return ", ".join(sorted(names))  # as LXC


_COLUMNS: dict[str, Callable[[Item], str]] = {
    "NAME": lambda item: item.name,
    "STATE": lambda item: item.state,
    "PID": lambda item: str(item.running.pid) if item.running and item.running.pid else "",
    "RAM": _ram,
    "SWAP": _swap,
    "AUTOSTART": lambda item: str(int(item.is_defined and item.config.start_auto)),
    "GROUPS": lambda item: ", ".join(item.config.group) if item.is_defined else "",
    "INTERFACE": _interfaces,
    "IPV4": lambda item: _joined(item, 0),
    "IPV6": lambda item: _joined(item, 1),
    "UNPRIVILEGED": lambda item: str(item.is_defined and item.config.unprivileged).lower(),
}


if __name__ == "__main__":
    sys.exit(main())
