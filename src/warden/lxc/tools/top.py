"""`lxc-top`: what the running containers use, again and again, as a table or as CSV."""

from __future__ import annotations

import os
import select
import sys
import termios
import time

from warden.light import TYPE_CHECKING, NamedTuple
from warden.lxc import states, usage
from warden.lxc.options import Given, Option, Tool
from warden.lxc.place import Running, Site
from warden.lxc.tools.speaking import lxcpath_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TOOL = Tool(
    "lxc-top",
    "[--name=NAME]",
    "lxc-top monitors the state of the active containers",
    (
        Option("d", "delay", "SECONDS", "delay in seconds between refreshes (default: 3.0)"),
        Option("b", "batch", "", "output in batch mode, as CSV"),
        Option(
            "s", "sort", "n|c|b|m|s|k", "sort by: name, cpu use, block I/O use, memory, memory and swap, kernel memory"
        ),
        Option("r", "reverse", "", "reverse the order"),
    ),
    named=False,
    end="On a terminal q ends it, r and the letters of -s change the order at once.",
)
_HEADER = (
    "time_ms,container,cpu_nanos,cpu_sys_userhz,cpu_user_userhz,blkio_bytes,blkio_iops,"
    "mem_used_bytes,memsw_used_bytes,kernel_mem_used_bytes"
)


class _Row(NamedTuple):
    name: str
    cpu_ns: int
    system: int
    user: int
    io_bytes: int
    io_count: int
    memory: int
    swap: int
    kernel: int


_KEYS = {"n": "name", "c": "cpu_ns", "b": "io_bytes", "m": "memory", "s": "swap", "k": "kernel"}


def main(argv: list[str] | None = None) -> int:
    given = TOOL.parse(sys.argv[1:] if argv is None else argv)
    key, text = given.last("sort", "n"), given.last("delay", "3")
    if key not in _KEYS:
        TOOL.fail(f"--sort: {key!r} is unknown: one of " + ", ".join(_KEYS))
    try:
        delay = float(text)
    except ValueError:
        TOOL.fail(f"--delay: {text!r} is not a number of seconds")
    if not 0 < delay < 1e6:
        TOOL.fail(f"--delay: {text} is out of range")
    if given.has("batch"):
        print(_HEADER, flush=True)
    typing = not given.has("batch") and sys.stdin.isatty()
    before = _unbuffered() if typing else None
    try:
        _show(given, key, delay, typing=typing)
    except (KeyboardInterrupt, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
    return 0


def _show(given: Given, key: str, delay: float, *, typing: bool) -> None:
    """Again and again, until q is typed."""
    site, lxcpath = Site.from_environment(), lxcpath_of(given)
    show, backwards = _csv if given.has("batch") else _table, given.has("reverse")
    while True:
        rows = [_row(s.running) for s in states.every(site) if s.running.lxcpath == lxcpath]
        rows.sort(key=lambda row: getattr(row, _KEYS[key]), reverse=(key != "n") != backwards)
        show(rows)
        for letter in _typed(delay) if typing else _slept(delay):
            if letter in ("q", ""):
                return
            backwards ^= letter in ("r", key)  # the same column again: the other way round, as in LXC
            key = letter if letter in _KEYS else key


def _typed(delay: float) -> Sequence[str]:
    """What was typed meanwhile, ("",) at its end; returns at once when something is."""
    if not select.select([0], [], [], delay)[0]:
        return ""
    return os.read(0, 64).decode(errors="replace") or ("",)


def _slept(delay: float) -> str:
    time.sleep(delay)
    return ""


def _unbuffered() -> list[Any]:
    """A key counts at once, and is not shown; Ctrl-C stays what it is. How the terminal was."""
    before = termios.tcgetattr(0)
    now = termios.tcgetattr(0)
    now[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(0, termios.TCSADRAIN, now)
    return before


def _row(running: Running) -> _Row:
    user, system = usage.cpu_ticks(running)
    io = usage.block_io(running) or (0, 0)
    parts = (usage.memory(running), usage.memory_and_swap(running), usage.kernel_memory(running))
    return _Row(shown(running.name), usage.cpu_ns(running) or 0, system, user, *io, *(part or 0 for part in parts))


def _csv(rows: list[_Row]) -> None:
    now = time.time_ns() // 10**6
    for row in rows:
        print(
            f"{now},{row.name},{row.cpu_ns},{row.system},{row.user},{row.io_bytes},{row.io_count},"
            f"{row.memory},{row.swap},{row.kernel}",
            flush=True,
        )


def _table(rows: list[_Row]) -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[J")
    whole = len(rows)
    if sys.stdout.isatty():
        lines = os.get_terminal_size(1).lines or 10**6  # 0: nobody knows
        rows = rows[: max(1, lines - 3)]  # what does not fit would scroll the rest away
    width = max([9, *(len(row.name) for row in rows)])
    print(f"{'Container':<{width}} {'CPU s':>10} {'Sys s':>10} {'User s':>10} {'BlkIO':>12} {'Mem':>12} {'KMem':>12}")
    for row in rows:
        cells = (row.cpu_ns / 1e9, row.system / 100, row.user / 100)
        times = " ".join(f"{value:>10.2f}" for value in cells)
        sizes = " ".join(f"{usage.human(value):>12}" for value in (row.io_bytes, row.memory, row.kernel))
        print(f"{row.name:<{width}} {times} {sizes}")
    print(f"TOTAL {len(rows)} of {whole}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
