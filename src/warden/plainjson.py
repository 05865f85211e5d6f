"""JSON of files that are ours, without the standard library's module, which compiles patterns for 5 ms before it reads.

The reading and writing itself is its C part, asked for directly; where an interpreter has none, the module does it.
"""

from __future__ import annotations

from warden.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner
except ImportError:
    _has_parts = False
else:
    _has_parts = True


class _Context:
    """What the scanner asks for: as json.JSONDecoder has it by default."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _refused(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def loads(text: str) -> Any:
    """Raises ValueError."""
    if not _has_parts:
        import json

        return json.loads(text)
    scan: Any = make_scanner
    try:
        value, end = scan(_Context)(text, len(text) - len(text.lstrip(" \t\r\n")))
    except (StopIteration, SystemError):  # which the C part alone says of some texts
        import json

        return json.loads(text)
    if text[end:].strip(" \t\r\n"):
        raise ValueError(f"more than one value, at {end}")
    return value


def dumps(value: object) -> str:
    """Raises TypeError. What is not ASCII is escaped."""
    if not _has_parts:
        import json

        return json.dumps(value)
    encode: Any = make_encoder
    return "".join(encode(None, _refused, encode_basestring_ascii, None, ": ", ", ", False, False, True)(value, 0))
