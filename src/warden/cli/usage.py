"""`warden stats`: what containers use, once or again and again, as a table, as all fields, or as JSON."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

from warden.cli import connect, output, rates
from warden.cli.options import Command
from warden.errors import BadInput
from warden.model.text import escaped

if TYPE_CHECKING:
    from warden.client.blocking import Client
    from warden.model.stats import Stats

#: Between the two measurements that the processor share of a single table is made from.
ONCE_S = 0.25
_CLEAR = "\033[H\033[J"


def stats(options: Namespace) -> int:
    """`warden stats`."""
    if options.interval is not None and not options.again:
        raise BadInput("--interval: has a meaning with --follow only")
    with closing(connect.open_client(options)) as client:
        if options.again:
            _follow(client, options)
        elif options.json:
            from warden.model.stats import to_data

            output.print_json([to_data(found) for found in client.stats(*options.any_handles, brief=_brief(options))])
        elif options.all_fields:
            print(all_fields(client.stats(*options.any_handles)), end="")
        else:
            [first, second] = islice(client.follow_stats(*options.any_handles, interval=ONCE_S, brief=True), 2)
            print(_table(second, first), end="")
    return 0


def _brief(options: Namespace) -> bool:
    return not options.all_fields


def _follow(client: Client, options: Namespace) -> None:
    interval = 1.0 if options.interval is None else options.interval
    rounds = client.follow_stats(*options.any_handles, interval=interval, brief=_brief(options))
    if options.json:
        _print_lines(rounds)
        return
    before: Sequence[Stats] = ()
    for number, found in enumerate(rounds):
        text = all_fields(found) if options.all_fields else _table(found, before)
        between = _CLEAR if sys.stdout.isatty() else "\n" if number else ""
        print(between + text, end="", flush=True)
        before = found


def _print_lines(rounds: Iterator[Sequence[Stats]]) -> None:
    """One object a line: a measurement of one container."""
    import json

    from warden.model.stats import to_data

    for found in rounds:
        sys.stdout.write("".join(json.dumps(to_data(stats)) + "\n" for stats in found))
        sys.stdout.flush()


def _table(found: Sequence[Stats], before: Sequence[Stats]) -> str:
    return output.table(rates.HEADER, map(rates.cells, rates.usages(found, before)))


def all_fields(everything: Sequence[Stats]) -> str:
    """Every number with its full name, an empty line between containers."""
    from warden.model.stats import to_data

    texts = ("".join(f"{name:<40} {value}\n" for name, value in _flat(to_data(stats))) for stats in everything)
    return "\n".join(texts)


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _flat(value, f"{prefix}.{name}" if prefix else name)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _flat(value, f"{prefix}[{number}]")
    else:
        yield prefix, escaped(str(data))


COMMANDS = {
    "stats": Command(
        "[-f] [--interval TIME] [--json] [--all-fields] [HANDLE...]",
        "Shows what containers use, all unless some are named: processor (100 % is one processor), memory, tasks, network, "
        "block devices, disk. LXC's that run here are lxc:NAME. With --follow it ends when none of those named is left.",
        ("again", "interval", "json", "all_fields", "any_handles"),
        "warden stats\nwarden stats --follow --interval 500ms box\nwarden stats --json --all-fields box\n"
        "warden stats --follow --json | jq -c '[.handle, .memory.current]'",
        stats,
    ),
}
