"""Runs every scenario through both sets of tools and prints what differs as a table of Markdown."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from compare.explained import reasons, why
from compare.scenarios import CONFIGS, SCENARIOS, SPECIAL, UNUSUAL
from compare.worlds import BRIDGE, Result, World

THEIRS = "/usr/bin"
SHOWN, LINES = 90, 6
ALONE = "COMPARE_LXC_ALONE"  # in namespaces of its own
SETUP = f"""mount --make-rprivate /
mkdir -p "$2"; mount --rbind /sys/fs/cgroup "$2"
mount -t sysfs sysfs /sys; mount --rbind "$2" /sys/fs/cgroup; umount -l "$2"
mkdir -p /run/lxc; mount -t tmpfs tmpfs /run/lxc
ip link set lo up; ip link add {BRIDGE} type bridge; ip address add 198.18.9.1/24 dev {BRIDGE}; ip link set {BRIDGE} up
"""


Before = dict[str, tuple[set[str], set[str]]]


class Row(NamedTuple):
    scenario: str
    line: str
    what: str
    theirs: str
    ours: str
    note: str = ""
    earlier: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        return why(self.line, self.what, self.theirs, self.ours, self.earlier)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="compare-lxc", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="this scenario; can be repeated")
    parser.add_argument("--all", action="store_true", help="what is explained too, and what each printed")
    parser.add_argument("--document", metavar="FILE", help="put figures and table into FILE, in place of those it has")
    parser.add_argument("--messages", metavar="FILE", help="write what both say on standard error to FILE")
    options = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("compare-lxc: containers need root (run it with sudo)", file=sys.stderr)
        return 1
    if not os.path.exists(f"{THEIRS}/lxc-start"):
        print("compare-lxc: LXC's own tools are not installed (apt-get install lxc)", file=sys.stderr)
        return 77
    if ALONE not in os.environ:
        return alone(argv)
    if options.messages:
        Path(options.messages).write_text("")
    if options.document and (options.only or options.all):
        parser.error("--document: it shows all scenarios, and one row for each reason")
    return compared(options.only or list(SCENARIOS), options.document, everything=options.all, messages=options.messages)


def alone(argv: Sequence[str]) -> int:
    """The same in network, mount and pid namespaces of its own, where both find a bridge; all ends with it."""
    with tempfile.TemporaryDirectory(prefix="compare-lxc-") as scratch:
        Path(scratch).chmod(0o755)
        script = f'set -e; {SETUP}\nset +e; shift 2; "$@"; exit $?'  # a shell stays PID 1: somebody must reap
        command = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", script]
        program = [sys.executable, str(Path(__file__).parents[2] / "scripts/compare-lxc"), *argv]
        env = {**os.environ, ALONE: scratch}
        return subprocess.run([*command, "sh", scratch, f"{scratch}/cgroup", *program], env=env, check=False).returncode


def compared(names: Sequence[str], document: str | None, *, everything: bool, messages: str | None) -> int:
    rows: list[Row] = []
    count = 0
    for name in names:
        found, lines = _scenario(name, messages)
        rows += found
        count += lines
        print(f"compare-lxc: {name}: {lines} lines, {len(found)} differences", file=sys.stderr)
    unknown = [row for row in rows if not row.reason]
    lines = len({(row.scenario, row.line) for row in rows})
    figures = f"{count:,} command lines, {lines} of them with a difference; unexplained: {len(unknown)}"
    table = ["| command line | differs | LXC 5.0.2 | here | why |", "|---|---|---|---|---|"]
    table += [_as_markdown(row) for row in (rows if everything else _shown(rows))]
    print(f"{figures}.\n", *table, sep="\n")
    for reason in sorted(reasons() - {row.reason for row in rows}) if set(names) == set(SCENARIOS) else ():
        print(f"compare-lxc: explains nothing: {reason}", file=sys.stderr)
    if document:
        _write(Path(document), figures, table)
    return 1 if unknown else 0


def _write(path: Path, figures: str, table: Sequence[str]) -> None:
    """In place of the first table and the figures in bold before it."""
    text = re.sub(r"\*\*[\d,]+ command lines, [^*]*\*\*", f"**{figures}**", path.read_text(), count=1)
    text_of_table = "\n".join(table).replace("\\", "\\\\") + "\n"
    path.write_text(re.sub(r"(?m)(^\|.*\n)+", text_of_table, text, count=1))


def _shown(rows: Sequence[Row]) -> list[Row]:
    """All that nobody has explained, and of what has the same explanation the first, with the number of the others."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        lines.setdefault(row.reason, []).append(row.line)
    found: dict[str, Row] = {}
    for row in rows:
        more = len(set(lines[row.reason])) - 1
        text = f"{row.line}` and {more} more" if more else row.line
        shown = row._replace(line=text, note=row.reason) if row.reason else row
        found.setdefault(row.reason or str(row), shown)
    return list(found.values())


def _scenario(name: str, messages: str | None) -> tuple[list[Row], int]:
    scratch = Path(os.environ[ALONE])
    ours = str(Path(sys.executable).parent)
    results = []
    for world in (World("LXC", THEIRS, scratch / "theirs"), World("here", ours, scratch / "ours")):
        world.furnish(_furniture(name))
        lines = [line for line in SCENARIOS[name].splitlines() if line]
        found = [(line, result) for line in lines if (result := world.run(line)) is not None]
        left = world.close()
        results.append((found, left))
    (theirs, their_left), (own, our_left) = results
    rows: list[Row] = []
    before: Before = {}
    for (line, one), (_, other) in zip(theirs, own, strict=True):
        earlier = tuple(row.line for row in rows)
        rows += [row._replace(earlier=earlier) for row in _differences(name, line, one, other, before)]
        if messages:
            _tell(messages, line, one, other)
    for kind, value in their_left.items():
        if our_left[kind] != value:
            rows.append(Row(name, "(left at the end)", kind, value, our_left[kind]))
    return rows, len(theirs)


def _furniture(name: str) -> list[str]:
    found = [other for other in CONFIGS if other not in SPECIAL.get(name, UNUSUAL)]
    return [*found, "configs"] if name == "configs" else found


def _differences(scenario: str, line: str, one: Result, other: Result, before: Before) -> list[Row]:
    """Of effects only what did not differ after the line before."""
    shown = {"exit code": (str(one.code), str(other.code)), "stdout": (one.stdout, other.stdout)}
    found = [Row(scenario, line, kind, *pair) for kind, pair in shown.items() if pair[0] != pair[1]]
    for kind, theirs in one.effects.items():
        apart = _apart(theirs, other.effects[kind])
        new = [side - known for side, known in zip(apart, before.get(kind, (set(), set())), strict=True)]
        if any(new):
            left, right = ("\n".join(sorted(side)) for side in new)
            found.append(Row(scenario, line, kind, left, right))
        before[kind] = apart
    return found


def _tell(path: str, line: str, one: Result, other: Result) -> None:
    """Sentences differ by nature, so that nobody can compare them but a reader."""
    if one.stderr or other.stderr:
        with open(path, "a") as file:
            file.write(f"\n$ {line}\n[{one.code}] {_brief(one.stderr)}\n[{other.code}] {_brief(other.stderr)}\n")


def _brief(text: str) -> str:
    lines = text.rstrip("\n").splitlines()
    return "\n    ".join(lines[:LINES]) + (" …" if len(lines) > LINES else "")


def _apart(theirs: str, ours: str) -> tuple[set[str], set[str]]:
    """The lines of each that the other has not."""
    one, other = set(theirs.splitlines()), set(ours.splitlines())
    return one - other, other - one


def _as_markdown(row: Row) -> str:
    line = row.line.removeprefix("+ ").replace("{lxc}", "LXCPATH")
    command = f"`{line}" if "` and " in line else f"`{line}`"
    cells = (command, row.what, _cell(row.theirs), _cell(row.ours), row.note or row.reason or "**unexplained**")
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """A part of it: a table is to be read."""
    if not text.strip():
        return "nothing"
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).rstrip("\n").splitlines()
    parts = [line if len(line) <= SHOWN else line[:SHOWN] + "…" for line in lines[:LINES]]
    return "<br>".join(f"`{part}`".replace("|", "\\|") for part in parts if part) + (" …" if len(lines) > LINES else "")
