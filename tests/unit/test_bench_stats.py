"""The benchmark's arithmetic: percentiles, figures, ratios."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.stats import Samples, figure, median, percentile, ratio

numbers = st.lists(st.floats(0, 1e9), min_size=1, max_size=50)


def test_percentile_interpolates_between_neighbours() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([1, 2, 3, 4, 5], 0.9) == pytest.approx(4.6)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 7.0), (0.5, 7.0), (1.0, 7.0)])
def test_percentile_of_one_value_is_that_value(share: float, expected: float) -> None:
    assert percentile([7.0], share) == expected


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@given(numbers)
def test_percentiles_lie_in_order_between_the_extremes(values: list[float]) -> None:
    places = [percentile(values, share) for share in (0.0, 0.5, 0.9, 1.0)]
    assert places[0] == min(values)
    assert places[-1] == max(values)
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(places))


@given(numbers, st.randoms())
def test_figure_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert figure(shuffled) == figure(values)


def test_ratio_compares_medians() -> None:
    assert ratio(figure([30.0]), figure([1.0, 10.0, 100.0])) == 3.0


def test_ratio_to_nothing_is_unknown() -> None:
    assert ratio(figure([1.0]), None) is None
    assert ratio(None, figure([1.0])) is None
    assert ratio(figure([1.0]), figure([0.0])) is None


def test_samples_keep_series_apart_and_in_order() -> None:
    samples = Samples()
    samples.add("a_ms", 1.0)
    samples.add("b_ms", 5.0)
    samples.add("a_ms", 3.0)
    assert samples.figures() == {"a_ms": figure([1.0, 3.0]), "b_ms": figure([5.0])}
    assert median(samples.figures(), "a_ms") == 2.0
    assert median(samples.figures(), "c_ms") is None


def test_a_timed_block_that_fails_is_not_counted() -> None:
    samples = Samples()
    with pytest.raises(ZeroDivisionError), samples.timed_ms("life_ms"):
        _ = 1 / 0
    assert samples.series == {}
    with samples.timed_ms("life_ms"):
        pass
    assert len(samples.series["life_ms"]) == 1
