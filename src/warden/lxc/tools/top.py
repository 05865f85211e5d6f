"""`lxc-top`: what the running containers use, again and again, as a table or as CSV."""

from __future__ import annotations

import os
import select
import sys
import time

from warden.light import NamedTuple
from warden.lxc import states, usage
from warden.lxc.options import Option, Tool
from warden.lxc.place import Running, Site
from warden.lxc.tools.speaking import lxcpath_of

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
    site, lxcpath = Site.from_environment(), lxcpath_of(given)
    show = _csv if given.has("batch") else _table
    if given.has("batch"):
        print(_HEADER, flush=True)
    try:
        while True:
            rows = [_row(s.running) for s in states.every(site) if s.running.lxcpath == lxcpath]
            rows.sort(key=lambda row: getattr(row, _KEYS[key]), reverse=(key != "n") != given.has("reverse"))
            show(rows)
            if _left(delay, batch=given.has("batch")):
                return 0
    except (KeyboardInterrupt, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _left(delay: float, *, batch: bool) -> bool:
    """Waits; whether q was typed."""
    if batch or not sys.stdin.isatty():
        time.sleep(delay)
        return False
    ready, _, _ = select.select([0], [], [], delay)
    return bool(ready) and os.read(0, 64)[:1] in (b"q", b"")


def _row(running: Running) -> _Row:
    user, system = usage.cpu_ticks(running)
    io = usage.block_io(running) or (0, 0)
    parts = (usage.memory(running), usage.memory_and_swap(running), usage.kernel_memory(running))
    return _Row(running.name, usage.cpu_ns(running) or 0, system, user, *io, *(part or 0 for part in parts))


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
    width = max([9, *(len(row.name) for row in rows)])
    print(f"{'Container':<{width}} {'CPU s':>10} {'Sys s':>10} {'User s':>10} {'BlkIO':>12} {'Mem':>12} {'KMem':>12}")
    for row in rows:
        cells = (row.cpu_ns / 1e9, row.system / 100, row.user / 100)
        times = " ".join(f"{value:>10.2f}" for value in cells)
        sizes = " ".join(f"{usage.human(value):>12}" for value in (row.io_bytes, row.memory, row.kernel))
        print(f"{row.name:<{width}} {times} {sizes}")
    print(f"TOTAL {len(rows)} of {len(rows)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
