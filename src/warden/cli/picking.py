"""Fields of a document by dotted paths, such as .network.ip or .jobs[0].result.verdict, and how they are printed.

Pure. Names may contain dots themselves: the shortest name that exists is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from warden.errors import BadInput

_PART = re.compile(r"""\[(-?[0-9]+|\*)\]|\[["']([^"']+)["']\]|\.?([^.\[\]]+)""")


def split_path(path: str) -> list[str]:
    """The parts of a path; raises BadInput. "." is the document itself."""
    parts, at = [], 0
    while at < len(path) and path != ".":
        match = _PART.match(path, at)
        if match is None:
            raise BadInput(f"--format: {path!r} is not a path", hint="such as .network.ip or .jobs[0].id; json for all")
        parts.append(match[1] or match[2] or match[3])
        at = match.end()
    return parts


def pick(document: Any, path: str) -> list[Any]:
    """What lies at *path*: one value, or as many as its stars stand for. Raises BadInput naming what is there instead."""
    return list(_walk(document, split_path(path), path))


def _walk(value: Any, parts: list[str], path: str) -> Iterator[Any]:
    if not parts:
        yield value
    elif parts[0] == "*" and isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _walk(item, parts[1:], path)
    elif isinstance(value, dict):
        for count in range(1, len(parts) + 1):
            if (name := ".".join(parts[:count])) in value:
                yield from _walk(value[name], parts[count:], path)
                return
        raise BadInput(f"--format {path}: there is no {parts[0]!r}", hint="there is " + ", ".join(map(str, value)))
    elif isinstance(value, list):
        yield from _walk(_item(value, parts[0], path), parts[1:], path)
    else:
        raise BadInput(f"--format {path}: there is no {parts[0]!r} in a single value")


def _item(items: list[Any], part: str, path: str) -> Any:
    try:
        return items[int(part)]
    except (ValueError, IndexError):
        hint = f"a number from 0 to {len(items) - 1}, or [*] for all" if items else "the list is empty"
        raise BadInput(f"--format {path}: {part!r} is no place in a list of {len(items)}", hint=hint) from None


def as_text(value: Any) -> str:
    """A text as it is, nothing for null, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
