"""The table for people, from the same dictionary that --json writes. Pure; must not measure anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.stats import Figure, ratio

UNITS = {
    "_ms": "ms",
    "_us": "µs",
    "_mb_s": "MB/s",
    "_kib": "KiB",
    "_gbit_s": "Gbit/s",
    "_of_veth": "× veth",
    "_of_rate": "× rate",
}
HEAD = ("", "p50", "p90", "min", "unit", "× floor")
Row = tuple[str, ...]


def unit_of(name: str) -> tuple[str, str]:
    """A figure's name without its unit, for people, and the unit."""
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " "), unit
    return name.replace("_", " "), ""


def number(value: float) -> str:
    """Three significant digits or so: what a person compares."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row(name: str, values: Figure, floor: Figure | None) -> Row:
    title, unit = unit_of(name)
    times = ratio(values, floor) if unit == "ms" else None
    cells = (f"{values[part]:.3f}" if unit.startswith("×") else number(values[part]) for part in ("p50", "p90", "min"))
    return (title, *cells, unit, number(times) if times is not None else "")


def format_table(rows: Sequence[Row]) -> str:
    """Columns padded to their widest cell, the first to the left, numbers to the right."""
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    lines = []
    for cells in rows:
        first = cells[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        lines.append("  ".join((first, *rest)).rstrip())
    return "\n".join(lines)


def is_figure(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"p50", "p90", "min"}


def floor_for(name: str, floor: Mapping[str, Figure]) -> Figure | None:
    """What a figure is compared with: creating with the floor's creating, everything else with a whole life."""
    return floor.get("create_ms" if name == "create_ms" else "life_ms")


def section(title: str, figures: Mapping[str, Any], floor: Mapping[str, Figure]) -> Iterator[Row]:
    """A title row and the figures below it; why there are none stands in the notes."""
    yield (f"{title} (not measured)" if figures.get("refused") else title, "", "", "", "", "")
    for name, values in figures.items():
        if is_figure(values):
            cells = row(name, values, floor_for(name, floor))
            yield (f"  {cells[0]}", *cells[1:])


def floor_sections(floor: Mapping[str, Any]) -> Iterator[Row]:
    """The floor that everything is compared with, then its variants."""
    yield from section(f"floor: {floor['of']}" if "of" in floor else "floor", floor, floor)
    for name, figures in floor.get("variants", {}).items():
        yield from section(f"floor: {name}", figures, floor)


LXC_NAMES = {"ours": "lxc tools: ours", "lxc": "lxc tools: LXC's own"}


def lxc_sections(lxc: Mapping[str, Any]) -> Iterator[Row]:
    """Ours as a multiple of the original's, tool by tool, where that is installed."""
    for who, figures in lxc.items():
        if who not in LXC_NAMES:
            continue
        yield (LXC_NAMES[who], "", "", "", "", "× LXC" if who == "ours" and "lxc" in lxc else "")
        for name, values in figures.items():
            if is_figure(values):
                cells = row(name, values, lxc.get("lxc", {}).get(name) if who == "ours" else None)
                yield (f"  {cells[0]}", *cells[1:])


def rows(result: Mapping[str, Any]) -> Iterator[Row]:
    floor = result.get("floor", {})
    yield HEAD
    if floor:
        yield from floor_sections(floor)
    for name in ("warden", "protocol"):
        if name in result:
            yield from section(name, result[name], floor)
    yield from lxc_sections(result.get("lxc", {}))
    for count, figures in result.get("scale", {}).items():
        yield from section(f"{count} containers alive", figures, figures.get("floor", floor))
    for name, figures in result.get("peers", {}).items():
        yield from section(name, figures, floor)
    if "network" in result:
        yield from section("network", result["network"], {})


def parts(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part that may have been refused, by the name that people know it by."""
    for name in ("floor", "warden", "protocol"):
        yield name, result.get(name, {})
    yield "lxc tools", result.get("lxc", {})
    yield from ((LXC_NAMES[who], result["lxc"][who]) for who in LXC_NAMES if who in result.get("lxc", {}))
    for count, figures in result.get("scale", {}).items():
        yield f"{count} containers alive", figures
    yield from result.get("peers", {}).items()
    yield "network", result.get("network", {})


def notes(result: Mapping[str, Any]) -> Iterator[str]:
    """Why something was not measured, and what each peer leaves out, so that nobody compares unlike things."""
    for name, figures in parts(result):
        if figures.get("refused"):
            yield f"{name}: {figures['refused']}"
        elif figures.get("without"):
            yield f"{name}: without {figures['without']}"
    yield from result.get("notes", ())


def render(result: Mapping[str, Any]) -> str:
    """The whole report."""
    table = format_table(list(rows(result)))
    lines = "\n".join(f"- {note}" for note in notes(result))
    return f"{table}\n\n{lines}" if lines else table
