"""Sizes and durations as people write them."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import pattern

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = pattern(r"(?ai)\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*")
_BITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BIT_RATE = pattern(r"(?ai)\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)bit(?:/s|ps)?\s*")
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
_DURATION = pattern(r"(?ai)\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?\s*")
MAX_BYTES = 2**63 - 1


def parse_size(text: str | int, *, field: str = "size") -> int:
    """Bytes of "64M", "1.5G", "4096" (binary units, b and iB optional); raises BadInput naming *field*."""
    if isinstance(text, int) and not isinstance(text, bool):
        value = text
    else:
        match = _SIZE.fullmatch(str(text))
        if match is None:
            raise BadInput(f"{field}: {text!r} is not a size", hint="a number with K, M, G or T, such as 64M")
        value = _scaled(match[1], _UNITS[match[2].lower()])
    if not 0 <= value <= MAX_BYTES:
        raise BadInput(f"{field}: {text!r} is out of range", hint=f"0 to {MAX_BYTES} bytes")
    return value


def parse_rate(text: str | int, *, field: str = "rate") -> int:
    """Bytes a second of a size ("1M"), or of bits with decimal units as tc(8) has them ("100mbit"); raises BadInput."""
    match = _BIT_RATE.fullmatch(str(text))
    if match is None:
        return parse_size(text, field=field)
    return parse_size(_scaled(match[1], _BITS[match[2].lower()]) // 8, field=field)


def _scaled(digits: str, unit: int) -> int:
    """More than any range allows where Python counts no further: floats end at 1.8e308, int() at 4300 digits."""
    if float(digits) > 2 * MAX_BYTES:
        return 2 * MAX_BYTES
    return int(float(digits) * unit) if "." in digits else int(digits) * unit


def parse_duration(text: str | float, *, field: str = "duration") -> float:
    """Seconds of "1.5", "300ms", "2m", "1h"; raises BadInput naming *field*."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value = float(text) if abs(text) < 1e9 else float("inf")
    else:
        match = _DURATION.fullmatch(str(text))
        if match is None:
            raise BadInput(f"{field}: {text!r} is not a duration", hint="seconds, or a number with ms, s, m or h")
        value = float(match[1]) * _SECONDS[(match[2] or "").lower()]
    if not 0 <= value < 1e9:
        raise BadInput(f"{field}: {text!r} is out of range", hint="0 to a billion seconds")
    return value


def format_size(count: int) -> str:
    """The shortest text of a number of bytes that a person reads at a glance: 64.0 MiB, 512 B."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(value, 1) < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
