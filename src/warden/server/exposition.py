"""Prometheus' text format 0.0.4, as pure functions; which metrics there are of containers is a table in metrics_table.py.

The library prometheus-client could write it too: it takes 14 MB of memory and ten times as long. Tests read what is
written here with its parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warden.records import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Labels as they are written, "" for none, and the value.
Sample = tuple[str, float]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """What stands above the samples of one name. *kind*: counter, gauge or histogram."""

    name: str
    kind: str
    help: str


def labels(**given: str) -> str:
    """name="value",…; values may be anybody's text: escaped, and what is not Unicode is replaced."""
    return ",".join(f'{name}="{_clean(value)}"' for name, value in given.items())


def _clean(value: str) -> str:
    if not value.isascii():
        value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value.translate(_ESCAPES)


def joined(*parts: str) -> str:
    return ",".join(filter(None, parts))


def block(family: Family, samples: Iterable[Sample]) -> str:
    """One family with its samples; "" when there are none."""
    name = family.name
    lines = [f"{name}{{{found}}} {value!r}\n" if found else f"{name} {value!r}\n" for found, value in samples]
    return _head(family) + "".join(lines) if lines else ""


def _head(family: Family) -> str:
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound, *bounds* ascending."""

    bounds: Sequence[float]
    counts: list[int]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: Sequence[float]) -> Histogram:
        return cls(bounds, [0] * (len(bounds) + 1))

    def observe(self, value: float) -> None:
        self.total += value
        for place, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[place] += 1
                return
        self.counts[-1] += 1

    def lines(self, name: str, found: str) -> Iterable[str]:
        """Buckets are cumulative in the format."""
        seen = 0
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield f"{name}_bucket{{{joined(found, labels(le=bound))}}} {seen}\n"
        tail = f"{{{found}}}" if found else ""
        yield f"{name}_sum{tail} {self.total!r}\n"
        yield f"{name}_count{tail} {seen}\n"


def histogram_block(family: Family, histograms: Iterable[tuple[str, Histogram]]) -> str:
    """One family of histograms by their labels; "" when there are none."""
    lines = [line for found, histogram in histograms for line in histogram.lines(family.name, found)]
    return _head(family) + "".join(lines) if lines else ""
