"""Text from strangers, made fit to be shown: handles, tags, names of processes, what programs wrote."""

from __future__ import annotations


def escaped(text: str) -> str:
    """*text* on one line, without anything that a terminal would obey or that would begin a line of a log: what cannot be
    printed is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def roff(text: str) -> str:
    """Backslashes, dashes and what is not ASCII as groff_char(7) wants them; no line begins with a control character."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    plain = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    lines = plain.split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)
