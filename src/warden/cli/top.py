"""`warden top`: containers by what they use, live. What is shown is a pure function of measurements, keys and size."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from warden.cli import connect, rates
from warden.cli.options import Command
from warden.cli.rates import Usage, percent, size
from warden.cli.screen import Screen, Segment, pad, render
from warden.cli.signals import Interrupted
from warden.errors import BadInput
from warden.model.size import parse_duration
from warden.model.stats import MAX_INTERVAL_S
from warden.model.text import escaped
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from warden.client.blocking import Client
    from warden.model.stats import Stats

MIN_S, STEPS_S = 0.1, (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_HELP = "c cpu  m memory  p pids  n net  i io  d disk  h handle  r reverse  + - interval  q quit"


@dataclass(frozen=True, slots=True)
class Column:
    """*key*: what is pressed to sort by it, "" for none. *order*: None sorts last. *style*: by how much it is."""

    key: str
    title: str
    width: int
    text: Callable[[Usage], str]
    order: Callable[[Usage], float | str | None]
    style: Callable[[Usage], str] = lambda _usage: ""


def _level(value: float | None, yellow: float, red: float) -> str:
    return "" if value is None or value < yellow else "yellow" if value < red else "red"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{size(value)}/s"


COLUMNS = (
    Column("h", "HANDLE", 24, lambda u: escaped(u.handle), lambda u: u.handle),
    Column("c", "CPU", 9, lambda u: percent(u.cpu_percent), lambda u: u.cpu_percent,
           lambda u: _level(u.cpu_percent, 50, 90)),
    Column("m", "MEMORY", 10, lambda u: size(u.memory), lambda u: u.memory),
    Column("", "LIMIT", 10, lambda u: size(u.limit), lambda u: u.limit),
    Column("", "MEM", 8, lambda u: percent(u.memory_percent), lambda u: u.memory_percent,
           lambda u: _level(u.memory_percent, 75, 90)),
    Column("p", "PIDS", 6, lambda u: "-" if u.tasks is None else str(u.tasks), lambda u: u.tasks),
    Column("n", "NET", 12, lambda u: _rate(u.network_rate), lambda u: u.network_rate),
    Column("i", "IO", 12, lambda u: _rate(u.io_rate), lambda u: u.io_rate),
    Column("d", "DISK", 10, lambda u: size(u.disk), lambda u: u.disk),
)  # fmt: skip
BY_KEY = {column.key: column for column in COLUMNS if column.key}


@dataclass(frozen=True, slots=True)
class View:
    """How it is looked at."""

    sort: str = "c"
    reverse: bool = False
    interval: float = 2.0
    over: bool = False


def press(view: View, keys: str) -> View:
    """The view after *keys*; what is no key is passed over."""
    for key in keys:
        if key in BY_KEY:
            view = replace(view, sort=key, reverse=False)
        elif key == "r":
            view = replace(view, reverse=not view.reverse)
        elif key in "+-":
            view = replace(view, interval=_step(view.interval, longer=key == "+"))
        elif key == "q":
            view = replace(view, over=True)
    return view


def _step(interval: float, *, longer: bool) -> float:
    if longer:
        return next((step for step in STEPS_S if step > interval), interval)
    return next((step for step in reversed(STEPS_S) if step < interval), interval)


def arranged(rows: Sequence[Usage], view: View) -> list[Usage]:
    """Most first, handles from A; the other way when reversed. What is not known is last in every case."""
    order = BY_KEY[view.sort].order
    known = [row for row in rows if order(row) is not None]
    known.sort(key=lambda row: row.handle)
    known.sort(key=order, reverse=(view.sort != "h") != view.reverse)  # type: ignore[arg-type]
    return known + [row for row in rows if order(row) is None]


def frame(rows: Sequence[Usage], view: View, height: int) -> Iterator[list[Segment]]:
    """The lines of the screen, at most *height*."""
    yield [(_summary(rows, view), "bold")]
    yield [(_HELP, "dim")]
    yield [(_titled(column), "reverse" if column.key != view.sort else "reverse bold cyan") for column in COLUMNS]
    room = max(height - 3, 0)
    shown = arranged(rows, view)
    hidden = len(shown) - room
    for row in shown[: room - 1] if hidden > 0 else shown:
        yield _line(row)
    if hidden > 0 and room:
        yield [(f"and {hidden + 1} more", "dim")]


def _titled(column: Column) -> str:
    return pad(column.title, column.width, right=column.key != "h") + " "


def _line(row: Usage) -> list[Segment]:
    return [(pad(c.text(row), c.width, right=c.key != "h") + " ", c.style(row)) for c in COLUMNS]


def _summary(rows: Sequence[Usage], view: View) -> str:
    cpu, memory, tasks = (sum(filter(None, (getattr(row, name) for row in rows)))
                          for name in ("cpu_percent", "memory", "tasks"))  # fmt: skip
    title = BY_KEY[view.sort].title.lower() + (" reversed" if view.reverse else "")
    count = f"{len(rows)} container" + ("" if len(rows) == 1 else "s")
    used = f"cpu {percent(cpu)}, memory {size(memory)}, {tasks} tasks"
    return f"warden top  {time.strftime('%H:%M:%S')}  {count}, {used}  by {title}, every {view.interval:g} s"


class _Source:
    """Measurements, each with the one before it."""

    def __init__(self, client: Client, handles: Sequence[str]) -> None:
        self._client, self._handles = client, handles
        self._last: Sequence[Stats] = ()

    def measure(self) -> list[Usage]:
        found = self._client.stats(*self._handles, brief=True)
        rows = rates.usages(found, self._last)
        self._last = found
        return rows


def _live(source: _Source, view: View, count: int | None, screen: Screen) -> None:
    due, rows = 0.0, list[Usage]()
    while not view.over and count != 0:
        if time.monotonic() >= due:
            rows = source.measure()
            # The second look comes soon: without it there are no rates.
            due = time.monotonic() + (view.interval if due else min(view.interval, 0.5))
            count = None if count is None else count - 1
        screen.draw(frame(rows, view, screen.size()[0]))
        keys = screen.keys(due - time.monotonic())
        if keys is None:
            return
        after = press(view, keys)
        if after.interval != view.interval:
            due = min(due, time.monotonic() + after.interval)
        view = after


def _batch(source: _Source, view: View, count: int | None) -> None:
    source.measure()  # rates are of what is between two
    time.sleep(min(view.interval, 0.5))
    while True:
        lines = (render(line, 1000, colour=False).rstrip() for line in frame(source.measure(), view, 1 << 30))
        texts = [line for number, line in enumerate(lines) if number != 1]  # there are no keys
        print("\n".join(texts) + "\n", flush=True)
        count = None if count is None else count - 1
        if count == 0:
            return
        time.sleep(view.interval)


def top(options: Namespace) -> int:
    """`warden top`."""
    view = _view(options)
    if options.count is not None and options.count < 1:
        raise BadInput(f"--count: {options.count} is not a number of tables", hint="at least 1")
    live = not options.batch and sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    with closing(connect.open_client(options)) as client:
        source = _Source(client, options.any_handles)
        if not live:
            _batch(source, view, options.count)
            return 0
        try:
            with Screen(colour="NO_COLOR" not in os.environ) as screen:
                _live(source, view, options.count, screen)
        except Interrupted as signal:
            return 128 + signal.number
    return 0


def _view(options: Namespace) -> View:
    """Raises BadInput."""
    sort = options.sort or "c"
    if sort not in BY_KEY:
        raise BadInput(f"--sort: {sort!r} is not a key", hint="one of " + ", ".join(BY_KEY))
    interval = 2.0 if options.interval is None else parse_duration(options.interval, field="--interval")
    if not MIN_S <= interval <= MAX_INTERVAL_S:
        raise BadInput(f"--interval: {options.interval!r} is out of range", hint=f"{MIN_S * 1000:.0f}ms to a day")
    return View(sort=sort, interval=interval)


COMMANDS = {
    "top": Command(
        "[--interval TIME] [-s KEY] [-b] [-n COUNT] [HANDLE...]",
        "Shows containers by what they use, live: " + _HELP + ". Rates are since the measurement before.",
        ("interval", "sort", "batch", "count", "any_handles"),
        "warden top\nwarden top --interval 500ms --sort m\nwarden top -b -n 1 box",
        top,
    ),
}
