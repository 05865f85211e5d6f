"""Text in columns on a terminal: display width (Chinese characters are two columns wide), wrapping, safe characters."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence

#: Punctuation that must not begin a line, and what must not end one.
_CLOSING = frozenset("，。；：、！？）》”’…")
_OPENING = frozenset("（《“‘")
#: A last column narrower than this is not worth wrapping into.
NARROWEST = 24


def columns() -> int:
    """Of the terminal, between 40 and 200; 100 where output is no terminal."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return 100
    return min(max(shutil.get_terminal_size((100, 24)).columns, 40), 200)


def width(text: str) -> int:
    """Columns that *text* takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, size: int) -> str:
    """*text* filled with blanks to *size* columns."""
    return text + " " * max(size - width(text), 0)


def wrap(text: str, size: int) -> list[str]:
    """Lines of at most *size* columns, broken at blanks and between wide characters; a word too long is cut."""
    lines, line = [], ""
    for piece in _pieces(text, size):
        if line.strip() and width(line) + width(piece.rstrip()) > size:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str, size: int) -> Iterable[str]:
    """What stays together: a word with the blanks after it, one wide character with its punctuation, never over *size*."""
    piece = ""
    for character in text:
        is_new_word = character != " " and piece[-1:] == " "
        beside_wide = bool(piece) and character != " " and (_is_wide(piece[-1]) or _is_wide(character))
        holds = character in _CLOSING or piece[-1:] in _OPENING
        too_long = character != " " and width(piece) + _width(character) > size
        if piece and (too_long or (not holds and (is_new_word or beside_wide))):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _head(text: str, size: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _width(character)
        if used > size:
            return text[: max(index, 1)]
    return text


def cut(text: str, size: int) -> str:
    """*text*, or its beginning and an ellipsis."""
    return text if width(text) <= size else _head(text, size - 1) + "…"


def indented(text: str, indent: int, total: int) -> str:
    """A paragraph, each line ending in a newline."""
    return "".join(" " * indent + line + "\n" for line in wrap(text, max(total - indent, NARROWEST)))


def grid(rows: Iterable[Sequence[str]], total: int, *, indent: int = 2) -> str:
    """Columns as wide as their widest cell, the last one wrapped within *total*; below the row where it has no room."""
    lines = [tuple(row) for row in rows]
    if not lines:
        return ""
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)][:-1]
    start = indent + sum(widths) + 2 * len(widths)
    room = total - start
    out = []
    for row in lines:
        front = " " * indent + "".join(pad(cell, size) + "  " for cell, size in zip(row, widths, strict=False))
        if room >= min(NARROWEST, width(row[-1])):
            first, *rest = wrap(row[-1], max(room, NARROWEST))
            out += [(front + first).rstrip(), *(" " * start + line for line in rest)]
        else:
            out += [front.rstrip(), indented(row[-1], indent + 4, total).rstrip("\n")]
    return "\n".join(line for line in out if line) + "\n"
