"""`warden limit`: changes limits of a container that exists, and shows what is in force."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, output
from warden.cli.options import LIMITS, Command, given_limits
from warden.model.size import format_size

if TYPE_CHECKING:
    from warden.model.resources import LimitReport

_BYTES = ("memory.max", "memory.high", "memory.low", "memory.swap.max", "disk.max")


def limit(options: Namespace) -> int:
    """`warden limit`."""
    wanted = given_limits(options)
    with closing(connect.open_client(options)) as client:
        report = client.container(options.handle).limit(raw=options.raw or options.json, **wanted)
    if options.json:
        output.print_json(
            {
                "in_force": dict(report.in_force),
                "asked": dict(report.asked),
                "raw": dict(report.raw),
                "warnings": list(report.warnings),
            }
        )
        return 0
    for warning in report.warnings:
        output.say(f"not limited: {warning}")
    if options.raw:
        print(output.table(("FILE", "VALUE"), ((path, _one_line(text)) for path, text in report.raw)), end="")
    else:
        print(output.table(("RESOURCE", "IN FORCE", "MEANING"), _rows(report, _touched(wanted))), end="")
    return 0


def _touched(wanted: dict[str, Any]) -> set[str]:
    """The resources that were changed; all when none was."""
    from warden.model import resources

    names = {row for name, _ in resources.settings_of(wanted) for row in resources.rows_of(name)}
    return names or set(resources.BY_NAME)


def _one_line(text: str) -> str:
    return ", ".join(text.splitlines()) or "-"


def _rows(report: LimitReport, names: set[str]) -> Iterable[tuple[str, ...]]:
    from warden.model.resources import BY_NAME

    for name, text in report.in_force.items():
        if name in names:
            shown, asked = readable(name, text), readable(name, report.asked.get(name, text))
            yield name, shown if shown == asked else f"{shown} (asked {asked})", BY_NAME[name].note


def readable(name: str, text: str) -> str:
    """A value for people: 64.0 MiB, 1.5 processors."""
    if name in _BYTES and text.isdecimal():
        return format_size(int(text))
    if name == "cpu.max" and text.split()[0].isdecimal():
        quota, period = map(int, text.split())
        return f"{quota / period:g} processors"
    return text


COMMANDS = {
    "limit": Command(
        "[OPTION...] HANDLE",
        "Changes limits of a container at once, also for what runs in it: all that are given, or none when one is "
        "refused.\nWithout options it shows all that is in force. --limit takes the names of cgroup v2's files, and v1's.",
        (*LIMITS, "raw", "json", "handle"),
        """
warden limit box
warden limit --memory 64M --cpus 1.5 --pids 100 box
warden limit --io-max '/var/lib/warden rbps=10M wiops=200' box
warden limit --limit memory.high=48M --limit cpu.shares=512 box
warden limit --memory max box
warden limit --raw box
""",
        limit,
    ),
}
