"""Text from strangers, made fit to be shown: handles, tags, names of processes, what programs wrote."""

from __future__ import annotations

_TAB = 9
_C1, _RAW_C1, _ORDER = range(0x7F, 0xA0), range(0xDC80, 0xDCA0), (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
_OBEYED = frozenset((*range(0x20), *_C1, *_RAW_C1, *_ORDER)) - {_TAB}


def escaped(text: str) -> str:
    """*text* on one line, without anything that a terminal would obey or that would begin a line of a log: what cannot be
    printed is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def harmless(text: str) -> str:
    """On one line, without what a terminal obeys: all else, whatever its bytes, stays as it is for who reads it in a pipe.
    A byte that is no UTF-8 is a surrogate here, and may be one of ECMA-48's C1 codes there."""
    return text if text.isprintable() else "".join(escaped(c) if ord(c) in _OBEYED else c for c in text)


def roff(text: str) -> str:
    """Backslashes, dashes and what is not ASCII as groff_char(7) wants them; no line begins with a control character."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    plain = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    lines = plain.split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)
