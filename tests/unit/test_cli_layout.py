"""Columns on a terminal: Chinese characters are two wide, hostile characters are written as escapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.cli import layout
from warden.model.text import escaped


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("内存", 4), ("a内", 3), ("é", 1), ("e\u0301", 1), ("", 0)])
def test_width(text: str, columns: int) -> None:
    assert layout.width(text) == columns


def test_wrapping_keeps_words_and_punctuation_together() -> None:
    assert layout.wrap("one two three", 8) == ["one two", "three"]
    assert layout.wrap("内存不足，杀进程", 8) == ["内存不", "足，杀进", "程"]
    assert layout.wrap("一二三（OOM）", 10) == ["一二三", "（OOM）"]
    assert layout.wrap("", 10) == [""]
    assert layout.wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]


@given(st.text(alphabet="ab 内存，。（）", max_size=60), st.integers(4, 30))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, size: int) -> None:
    lines = layout.wrap(text, size)
    assert all(layout.width(line) <= size + 2 for line in lines)  # closing punctuation may hang over by one
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain 文字", "plain 文字"), ("\x1b[2J", "\\x1b[2J"), ("a\nb", "a\\nb"), ("\u202eabc", "\\u202eabc"), ("\udcff", "\\udcff")],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_columns_are_aligned_by_width() -> None:
    assert layout.grid([("内存", "1", "x"), ("a", "22", "y")], 80) == "  内存  1   x\n  a     22  y\n"
    assert layout.grid([], 80) == ""


def test_the_last_column_is_wrapped_beside_the_others() -> None:
    text = layout.grid([("name", "some words that are long enough to be broken")], 40)
    assert text == "  name  some words that are long enough\n        to be broken\n"


def test_a_last_column_without_room_goes_below() -> None:
    assert layout.grid([("n" * 30, "some words that are rather long")], 40).splitlines()[1].startswith("      some words")


def test_cut_is_by_width() -> None:
    assert layout.cut("abcdef", 4) == "abc…"
    assert layout.cut("内存不足", 5) == "内存…"
    assert layout.cut("abc", 3) == "abc"
