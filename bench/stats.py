"""Samples and what is said of them: p50, p90, minimum, ratios. Pure; must not measure or print anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

Figure = dict[str, float]  # "p50", "p90", "min"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which *share* (0 to 1) of *values* lies, interpolated between the two nearest."""
    if not values:
        raise ValueError("percentile of nothing")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def figure(values: Sequence[float]) -> Figure:
    """p50, p90 and min of *values*, to four significant digits after the point."""
    return {
        "p50": round(percentile(values, 0.5), 4),
        "p90": round(percentile(values, 0.9), 4),
        "min": round(min(values), 4),
    }


def ratio(of: Figure | None, to: Figure | None) -> float | None:
    """How many times *to* goes into *of* at the median; None when either is missing or *to* is zero."""
    if not of or not to or not to["p50"]:
        return None
    return of["p50"] / to["p50"]


class Samples:
    """Named series of numbers. A name ends in its unit: _ms, _us, _mb_s, _kib."""

    def __init__(self) -> None:
        self.series: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.series.setdefault(name, []).append(value)

    @contextmanager
    def timed_ms(self, name: str) -> Iterator[None]:
        """Adds the milliseconds that the block took; nothing when it raises."""
        begun = time.perf_counter_ns()
        yield
        self.add(name, (time.perf_counter_ns() - begun) / 1e6)

    def figures(self) -> dict[str, Figure]:
        return {name: figure(values) for name, values in self.series.items()}


def median(figures: Mapping[str, Figure], name: str) -> float | None:
    """The p50 of one figure, None when it was not measured."""
    return figures[name]["p50"] if name in figures else None
