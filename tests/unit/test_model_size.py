"""Sizes and durations: what is read, what is refused, and that no text at all raises anything but BadInput."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model.size import MAX_BYTES, format_size, parse_duration, parse_size

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0), ("4096", 4096), ("64M", 64 << 20), ("64m", 64 << 20), ("64MB", 64 << 20), ("64MiB", 64 << 20),
        (" 1.5 G ", 3 << 29), ("0.5k", 512), ("512b", 512), ("2T", 2 << 40), (7, 7), (f"{MAX_BYTES}", MAX_BYTES),
    ],
)  # fmt: skip
def test_reads_sizes(text: str | int, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "M", "1Q", "-1", "1 2", "1e3", ".5", "1.", "0x10", "1MM", "\u0664", "1\u212a", "inf"])
def test_refuses_what_is_not_a_size(text: str) -> None:
    with pytest.raises(BadInput, match=r"^memory: .* is not a size"):
        parse_size(text, field="memory")


@pytest.mark.parametrize("size", [-1, 2**63, "9223372036854775808", "8388608T", "9" * 400 + ".5", "9" * 5000])
def test_refuses_sizes_out_of_range(size: str | int) -> None:
    with pytest.raises(BadInput, match=r"^disk: "):
        parse_size(size, field="disk")


def test_a_truth_value_is_no_number() -> None:
    with pytest.raises(BadInput):
        parse_size(True)
    with pytest.raises(BadInput):
        parse_duration(True)


@given(st.integers(0, MAX_BYTES))
def test_a_plain_number_comes_back(count: int) -> None:
    assert parse_size(str(count)) == parse_size(count) == count


@given(st.integers(0, 2**20), st.sampled_from(sorted(UNITS)), st.sampled_from(["", "B", "iB", "b", "IB"]), st.booleans())
def test_a_number_with_a_unit_is_exact(number: int, unit: str, suffix: str, small: bool) -> None:
    text = f"{number}{unit}{suffix if unit else suffix.removeprefix('i').removeprefix('I')}"
    assert parse_size(text.lower() if small else text) == number * UNITS[unit]


@given(st.integers(0, 2**54))
def test_formatting_and_reading_differ_by_rounding_only(count: int) -> None:
    again = parse_size(format_size(count))
    assert again == count if count < 1024 else abs(again - count) <= count * 0.05 + 1


@given(st.text() | st.from_regex(r"[0-9]{1,400}(\.[0-9]{1,400})?[kKmMgGtT\u212a]?(i?b)?", fullmatch=True))
def test_any_text_is_a_size_or_bad_input(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert 0 <= parse_size(text) <= MAX_BYTES


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (64 << 20, "64.0 MiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5.0 TiB"),
        (2**20 - 1, "1.0 MiB"), (2**30 - 1, "1.0 GiB"),
    ],
)  # fmt: skip
def test_formats_sizes_for_people(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5", 1.5), ("300ms", 0.3), ("2m", 120), ("1h", 3600), ("10 S", 10), (0, 0), (2.5, 2.5)]
)
def test_reads_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1d", "-1s", "1 h 2 m", "1\u017f", "nan", "1e3"])
def test_refuses_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(BadInput, match=r"^timeout: .* is not a duration"):
        parse_duration(text, field="timeout")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 1e9, 10**400, "1000000000", "9" * 400, "9" * 5000])
def test_refuses_durations_out_of_range(value: str | float) -> None:
    with pytest.raises(BadInput, match=r"^timeout: .* is out of range"):
        parse_duration(value, field="timeout")


@given(st.text() | st.from_regex(r"[0-9]{1,400}(\.[0-9]{1,400})?(?i:ms|s|m|h|\u017f)?", fullmatch=True) | st.floats())
def test_anything_is_a_duration_or_bad_input(value: str | float) -> None:
    with contextlib.suppress(BadInput):
        assert 0 <= parse_duration(value) < 1e9
