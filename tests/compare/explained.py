"""Differences that are meant, by the line and by what differs: why."""

from __future__ import annotations

import re

#: (pattern of the line, what differs or "" for anything, why)
WHY: tuple[tuple[str, str, str], ...] = ()


def why(line: str, what: str) -> str:
    """ "" for what nobody has explained."""
    for pattern, kind, reason in WHY:
        if kind in ("", what) and re.search(pattern, line):
            return reason
    return ""
