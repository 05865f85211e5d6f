"""Text from strangers, made fit to be shown: handles, tags, names of processes, what programs wrote."""

from __future__ import annotations


def escaped(text: str) -> str:
    """*text* on one line, without anything that a terminal would obey or that would begin a line of a log: what cannot be
    printed is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
