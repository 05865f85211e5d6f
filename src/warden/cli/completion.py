"""What the prompt offers to complete: commands, flags of the command, values of a flag, live handles.

Pure but for the handles, which the caller looks up. It knows nothing of terminals.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from warden.cli import original

_INDEX = re.compile(r"\[(\d+)\]")


def candidates(before: str, handles: Callable[[], Sequence[str]]) -> list[str]:
    """Words that may stand for the last one of *before* (the line up to the cursor); *handles* is called only when one
    is wanted."""
    words = before.split()
    partial = words.pop() if words and not before[-1:].isspace() else ""
    return [word for word in _possible(words, handles) if word.startswith(partial)]


def _possible(words: list[str], handles: Callable[[], Sequence[str]]) -> Iterator[str]:
    if not words or words == ["help"]:
        yield from (*original.REQUESTS, *(() if words else ("help",)))
        return
    if words[0] not in original.REQUESTS:
        return
    known = dict(_flags(original.new_request(words[0]).DESCRIPTOR, _used_indices(words)))
    field = known.get(words[-1])
    if field is not None and field.type != field.TYPE_BOOL:
        yield from _values(field, handles)
    else:
        yield from (name for name in known if name not in words)
        yield "--help"


def _values(field: Any, handles: Callable[[], Sequence[str]]) -> Iterator[str]:
    if field.type == field.TYPE_ENUM:
        yield from (constant.name for constant in field.enum_type.values)
    elif field.name == "handle":
        yield from map(shlex.quote, handles())


def _used_indices(words: list[str]) -> dict[str, int]:
    """For each repeated field in *words*, by its name up to the bracket, the next free index."""
    free: dict[str, int] = {}
    for word in words:
        if match := _INDEX.search(word):
            name = word[: match.start()]
            free[name] = max(free.get(name, 0), int(match[1]) + 1)
    return free


def _flags(descriptor: Any, free: dict[str, int], prefix: str = "--") -> Iterator[tuple[str, Any]]:
    """Every flag with its field; of a repeated one those in use and the next."""
    for field in descriptor.fields:
        name = prefix + field.name
        names = [f"{name}[{index}]" for index in range(free.get(name, 0) + 1)] if field.is_repeated else [name]
        for full in names:
            if field.type == field.TYPE_MESSAGE:
                yield from _flags(field.message_type, free, full + ".")
            else:
                yield full, field
