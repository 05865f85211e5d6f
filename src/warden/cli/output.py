"""How results look: tables, JSON, colours on a terminal only, and bytes written as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from warden.model.text import escaped

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}


def colour(text: str, name: str) -> str:
    """*text* in a colour when standard output is a terminal and NO_COLOR is unset."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{_COLOURS[name]}m{text}\033[0m"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two blanks apart, no blanks at the end of a line."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(line.rstrip() + "\n" for line in padded)


def print_json(value: object) -> None:
    """One JSON document and a newline on standard output."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False) if sys.stdout.isatty() else json.dumps(value))


def write_bytes(stream: str, data: bytes) -> None:
    """Writes a job's bytes to this command's "stdout" or "stderr" at once."""
    file = sys.stderr if stream == "stderr" else sys.stdout
    file.buffer.write(data)
    file.buffer.flush()


def say(sentence: str) -> None:
    """One sentence for the person, on standard error."""
    print("warden: " + "\n".join(map(escaped, sentence.split("\n"))), file=sys.stderr)
