"""`lxc-ls`: the containers below a lxcpath, by name or as a table."""

from __future__ import annotations

import sys

from warden.light import TYPE_CHECKING, late
from warden.lxc.inventory import Item, addresses, items
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Site
from warden.lxc.tools.speaking import lxcpath_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
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
        Option("", "nesting", "NUM", "list nested containers: not carried out", optional=True),
        Option("", "filter", "REGEX", "filter container names by regular expression"),
        Option("g", "groups", "GROUPS", "comma separated list of groups a container must have to be displayed"),
    ),
    named=False,
    end="Columns: NAME, STATE, PID, RAM, SWAP, AUTOSTART, GROUPS, INTERFACE, IPV4, IPV6 and UNPRIVILEGED.",
)
_USUAL = "NAME,STATE,AUTOSTART,GROUPS,IPV4,IPV6,UNPRIVILEGED"
_GAP = 1


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    if given.has("nesting"):
        TOOL.fail("--nesting: is not carried out here")
    text = given.last("filter") or (given.rest[0] if given.rest else "")
    try:
        pattern = re.compile(text) if text else None
    except re.error as error:
        TOOL.fail(f"failed to compile the regex '{text}': {error}")
    columns = [word.strip().upper() for word in given.last("fancy-format", _USUAL).split(",")]
    for name in columns:
        if name not in _COLUMNS:
            print(f"Invalid key: {name}", file=sys.stderr)
            return 0
    found = [item for item in items(Site.from_environment(), lxcpath_of(given)) if _wanted(given, item, pattern)]
    if given.has("fancy") or given.has("fancy-format"):
        _fancy(found, columns)
    else:
        _plain(given, [item.name for item in found])
    return 0


def _wanted(given: Given, item: Item, pattern: re.Pattern[str] | None) -> bool:
    if pattern is not None and not pattern.search(item.name):
        return False
    alive = item.state != "STOPPED"
    asked = [name for name in ("active", "running", "frozen", "stopped", "defined") if given.has(name)]
    holds = {
        "active": alive,
        "running": alive,
        "frozen": item.state == "FROZEN",
        "stopped": not alive,
        "defined": item.is_defined,
    }
    if asked and not any(holds[name] for name in asked):
        return False
    needs_config = given.has("groups") or given.has("fancy") or given.has("fancy-format")
    if needs_config and (error := item.readable()) is not None:
        print(f"Failed to load config for {item.name}: {error}", file=sys.stderr)
        return False
    groups = [word for word in given.last("groups").split(",") if word]
    return not groups or (item.is_defined and set(groups) <= set(item.config.group))


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


def _fancy(found: list[Item], columns: list[str]) -> None:
    rows = [columns] + [[_COLUMNS[name](item) or "-" for name in columns] for item in found]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    for row in rows:
        print("".join(f"{cell:<{width}} " for cell, width in zip(row, widths, strict=True)))


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
    return ", ".join(name for name in names if name != "lo")


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
