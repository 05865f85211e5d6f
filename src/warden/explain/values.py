"""What a control file says, for people: numbers in human units, long files cut to the keys that matter. Pure."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable

from warden.explain.note import FileNote, Text, Unit
from warden.model.size import format_size
from warden.records import dataclass

#: v1 shows "no limit" as the largest multiple of a page below 2^63, hugetlb of its own page; nothing real is near it.
UNLIMITED_FROM = 1 << 62
USER_HZ = 100
#: A keyed file with more lines than this is cut in the compact view.
LONG = 8

UNLIMITED = Text("unlimited", "不限")
EMPTY = Text("(empty)", "（空）")
YES, NO = Text("1 (yes)", "1（是）"), Text("0 (no)", "0（否）")
_PROCESSORS = Text("= {:g} processors", "= {:g} 个处理器")
_OF_EVERY = Text("{} of every {}", "每 {1} 中的 {0}")
_COUNTED = Text("{} listed", "共 {} 个")
_PRESSURE = Text(
    "{} % of 10 s, {} % of 1 min, {} % of 5 min; {} in all", "10 秒内 {}%，1 分钟内 {}%，5 分钟内 {}%；累计 {}"
)

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_BYTE_KEYS = frozenset({"rbytes", "wbytes", "dbytes", "rbps", "wbps"})
_KEYED = frozenset({Unit.FLAT, Unit.NESTED, Unit.DEVICES, Unit.TABLE, Unit.PRESSURE})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a keyed file."""

    name: str
    value: str
    meaning: Text | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A file's content: *value* when it is one, else *lines*; *hidden*: how many lines were left out."""

    value: str = ""
    lines: tuple[Line, ...] = ()
    hidden: int = 0


def duration(seconds: float) -> str:
    """A time at a glance: 0 s, 250 µs, 3.1 ms, 12.3 s, 5.0 min, 2.0 h."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds * 1e9:.0f} ns" if seconds else "0 s"


def human(unit: Unit, text: str, lang: str) -> str:
    """One number of *unit* in words; what is no number stays as it is, `max` is unlimited."""
    if text == "max" or (text.isdigit() and int(text) >= UNLIMITED_FROM) or (text == "-1" and unit is Unit.US):
        return UNLIMITED.of(lang)
    if not _NUMBER.fullmatch(text):
        return text
    if unit is Unit.FLAG and text in "01":
        return (YES if text == "1" else NO).of(lang)
    scales = {Unit.NS: 1e-9, Unit.US: 1e-6, Unit.TICKS: 1 / USER_HZ}
    if unit in scales and float(text) >= 0:
        return duration(float(text) * scales[unit])
    sizes = {Unit.BYTES: 1, Unit.PAGES: mmap.PAGESIZE}
    if unit in sizes and text.isdigit():
        return format_size(int(text) * sizes[unit])
    return f"{text} %" if unit is Unit.PERCENT else text


def show(note: FileNote | None, raw: str, lang: str, *, everything: bool) -> Shown:
    """The content *raw* of a file; *everything*: no line is left out."""
    text = raw.strip()
    if not text:
        return Shown(EMPTY.of(lang))
    if note is None:
        return _plain(text, everything=everything)
    if note.unit not in _KEYED:
        return Shown(_single(note.unit, text, lang))
    lines = [_line(note, line, lang) for line in text.splitlines()]
    if everything or len(lines) <= LONG:
        return Shown(lines=tuple(lines))
    kept = _worth(note, lines)
    return Shown(lines=tuple(kept), hidden=len(lines) - len(kept))


def _worth(note: FileNote, lines: list[Line]) -> list[Line]:
    """Of a long file the keys with a sentence whose value is not nothing; the first ones where it has no such keys."""
    if not note.keys:
        return lines[:LONG]
    by_name = {line.name: line for line in lines}
    found = (by_name[name] for name in note.keys if name in by_name)
    return [line for line in found if not line.value.startswith(("0 ", "0")) or line.value.startswith("0.")]


def _plain(text: str, *, everything: bool) -> Shown:
    lines = text.splitlines()
    if len(lines) == 1:
        return Shown(text)
    kept = lines if everything else lines[:LONG]
    return Shown(lines=tuple(Line("", line) for line in kept), hidden=len(lines) - len(kept))


def _single(unit: Unit, text: str, lang: str) -> str:
    if unit is Unit.PIDS:
        return _COUNTED.of(lang).format(len(text.split()))
    if unit is Unit.QUOTA:
        return _quota(text, lang)
    if unit is Unit.PER_CPU_NS:
        return ", ".join(human(Unit.NS, word, lang) for word in text.split())
    if unit is Unit.HEX and text.isdigit():
        return f"0x{int(text):x}"
    return human(unit, text, lang)


def _quota(text: str, lang: str) -> str:
    quota, _, period = text.partition(" ")
    if not (quota.isdigit() and period.isdigit()):
        return human(Unit.US, quota, lang)
    share = _PROCESSORS.of(lang).format(int(quota) / int(period))
    return _OF_EVERY.of(lang).format(human(Unit.US, quota, lang), human(Unit.US, period, lang)) + " " + share


def _line(note: FileNote, line: str, lang: str) -> Line:
    if note.unit is Unit.TABLE:
        return Line("", line)
    if note.unit is Unit.PRESSURE:
        return _pressure(note, line, lang)
    if note.unit is Unit.NESTED:
        return _nested(note, line, lang)
    name, _, value = line.rpartition(" ")
    known = note.keys.get(name)
    unit = known.unit if known else note.key_unit
    return Line(name, human(unit, value, lang), known.meaning if known else None)


def _nested(note: FileNote, line: str, lang: str) -> Line:
    words = line.split()
    name = words.pop(0) if "=" not in words[0] else ""
    return Line(name, "  ".join(_pair(note.key_unit, word, lang) for word in words))


def _pair(unit: Unit, word: str, lang: str) -> str:
    name, _, value = word.partition("=")
    return f"{name} {human(Unit.BYTES if name in _BYTE_KEYS else unit, value, lang)}"


def _pressure(note: FileNote, line: str, lang: str) -> Line:
    name, _, rest = line.partition(" ")
    fields = dict(word.partition("=")[::2] for word in rest.split())
    averages = (fields.get(key, "?") for key in ("avg10", "avg60", "avg300"))
    known = note.keys.get(name)
    value = _PRESSURE.of(lang).format(*averages, human(Unit.US, fields.get("total", "?"), lang))
    return Line(name, value, known.meaning if known else None)


def is_default(note: FileNote | None, raw: str) -> bool:
    """Whether a file says nothing but what it says where nobody limited or used anything."""
    text = raw.strip()
    if not text or note is None:
        return not text
    if text in note.default or note.unit is Unit.NONE:
        return True
    if "max" in note.default and text.isdigit() and int(text) >= UNLIMITED_FROM:
        return True
    if note.unit in _KEYED and note.unit is not Unit.TABLE:
        return all(_is_nothing(note, line) for line in text.splitlines())
    return text == "0" and not note.default


def _is_nothing(note: FileNote, line: str) -> bool:
    """Whether a keyed line counts nothing; of a file with known keys only those are looked at."""
    name, _, value = line.rpartition(" ")
    if note.unit is Unit.FLAT:
        return (bool(note.keys) and name not in note.keys) or _all_nothing([value])
    if note.unit is Unit.DEVICES:
        return _all_nothing([value])
    if note.unit is Unit.PRESSURE:  # what is long past, in `total`, presses no more
        line = line.partition(" total=")[0]
    return _all_nothing(word.partition("=")[2] for word in line.split() if "=" in word)


def _all_nothing(values: Iterable[str]) -> bool:
    return all(value in ("max", "0", "0.00") for value in values)
