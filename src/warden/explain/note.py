"""What a table says of one control file or one of its keys: unit, meaning, how to change it, in both languages."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from warden.records import dataclass, field


class Text(NamedTuple):
    """One sentence in both languages."""

    en: str
    zh: str

    def of(self, lang: str) -> str:
        return self.zh if lang == "zh" else self.en


class Unit(enum.Enum):
    """What the numbers of a file are, or how its lines are built; the values are for programs."""

    BYTES = "bytes"
    PAGES = "pages"
    COUNT = "count"
    NS = "ns"
    US = "us"
    TICKS = "USER_HZ"
    WEIGHT = "weight"
    FLAG = "0 or 1"
    WORD = "word"
    WORDS = "words"
    HEX = "hexadecimal"
    CPUS = "list of processors"
    NODES = "list of memory nodes"
    PIDS = "list of processes"
    QUOTA = "us of a period"
    PERCENT = "percent"
    PER_CPU_NS = "ns of each processor"
    FLAT = "flat-keyed"
    NESTED = "nested-keyed"
    DEVICES = "lines by device"
    TABLE = "table"
    PRESSURE = "pressure"
    NONE = "write-only"


UNIT_NAMES = {
    Unit.BYTES: Text("bytes", "字节"),
    Unit.PAGES: Text("pages", "内存页"),
    Unit.COUNT: Text("a number", "个数"),
    Unit.NS: Text("nanoseconds", "纳秒"),
    Unit.US: Text("microseconds", "微秒"),
    Unit.TICKS: Text("ticks of 1/100 s (USER_HZ)", "1/100 秒的时钟滴答（USER_HZ）"),
    Unit.WEIGHT: Text("a share relative to the neighbours'", "与同级组相比的份额"),
    Unit.FLAG: Text("0 or 1", "0 或 1"),
    Unit.WORD: Text("a word", "一个词"),
    Unit.WORDS: Text("words", "若干个词"),
    Unit.HEX: Text("a hexadecimal number", "十六进制数"),
    Unit.CPUS: Text("processors, such as 0-3,8", "处理器列表，如 0-3,8"),
    Unit.NODES: Text("memory nodes, such as 0-1", "内存节点列表，如 0-1"),
    Unit.PIDS: Text("process ids", "进程号"),
    Unit.QUOTA: Text("microseconds of every period", "每个周期内的微秒数"),
    Unit.PERCENT: Text("percent", "百分比"),
    Unit.PER_CPU_NS: Text("nanoseconds of each processor", "每个处理器的纳秒数"),
    Unit.FLAT: Text("flat-keyed: a name and a number a line", "平铺键值：每行一个名字和一个数"),
    Unit.NESTED: Text("nested-keyed: a name and name=number pairs a line", "嵌套键值：每行一个名字和若干 名=数"),
    Unit.DEVICES: Text("a device MAJOR:MINOR a line", "每行一个设备（主号:次号）"),
    Unit.TABLE: Text("a table", "表格"),
    Unit.PRESSURE: Text(
        "pressure: percent of time lost, and microseconds in total", "压力：损失时间的百分比与累计微秒数"
    ),
    Unit.NONE: Text("nothing can be read", "不可读"),
}


@dataclass(frozen=True, slots=True)
class KeyNote:
    """One key of a flat-keyed file."""

    unit: Unit
    meaning: Text


@dataclass(frozen=True, slots=True)
class FileNote:
    """One control file.

    *change* None: read-only. *default*: values that mean that nobody set anything. *key_unit*: of the numbers in a
    keyed file. *keys*: those keys that are worth a sentence; of a long file the compact view shows only these.
    """

    unit: Unit
    meaning: Text
    change: Text | None = None
    default: tuple[str, ...] = ()
    key_unit: Unit = Unit.COUNT
    keys: Mapping[str, KeyNote] = field(default_factory=dict)


def ro(
    unit: Unit, en: str, zh: str, *, key_unit: Unit = Unit.COUNT, keys: Mapping[str, KeyNote] | None = None
) -> FileNote:
    """A file that can only be read."""
    return FileNote(unit, Text(en, zh), None, (), key_unit, keys or {})


def rw(
    unit: Unit,
    en: str,
    zh: str,
    change_en: str,
    change_zh: str,
    *default: str,
    key_unit: Unit = Unit.COUNT,
    keys: Mapping[str, KeyNote] | None = None,
) -> FileNote:
    """A file that can be written."""
    return FileNote(unit, Text(en, zh), Text(change_en, change_zh), default, key_unit, keys or {})


def key(unit: Unit, en: str, zh: str) -> KeyNote:
    return KeyNote(unit, Text(en, zh))
