"""Lines of fstab(5) as LXC uses them: `lxc.mount.entry` and the file of `lxc.mount.fstab`. Reading the file is all I/O."""

from __future__ import annotations

import os

from warden.errors import BadInput, ConfigError
from warden.light import TYPE_CHECKING, late
from warden.lxc.configfile import read
from warden.records import dataclass

if TYPE_CHECKING:
    import re
else:
    re = late("re")


@dataclass(frozen=True, slots=True)
class FstabEntry:
    """One mount as written: *target* relative to the root file system, or absolute. *options*: mount(8)'s words."""

    source: str
    target: str
    fstype: str
    options: tuple[str, ...]


def parse_entry(text: str) -> FstabEntry:
    """SOURCE TARGET TYPE [OPTIONS [FREQ [PASS]]], blanks in names as \\040; raises BadInput."""
    fields = [_unescaped(field) for field in text.split()]
    if not 3 <= len(fields) <= 6:
        hint = "SOURCE TARGET TYPE OPTIONS 0 0, a blank in a name is written \\040"
        raise BadInput(f"{text!r} is not a line of fstab", hint=hint)
    source, target, fstype, *rest = fields
    words = tuple(word for word in (rest[0] if rest else "defaults").split(",") if word)
    if ".." in target.split("/"):
        raise BadInput(f"{target!r}: a target must not contain '..'")
    return FstabEntry(source, target, fstype, words)


def entries(text: str) -> tuple[FstabEntry, ...]:
    """The value of a key, as a list of one."""
    return (parse_entry(text),)


def _unescaped(field: str) -> str:
    """Octal escapes, as getmntent(3) undoes them."""
    raw = re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes((int(match[1], 8),)), os.fsencode(field))
    return os.fsdecode(raw)


def read_fstab(path: str) -> tuple[FstabEntry, ...]:
    """The mounts of a file; raises ConfigError with its line."""
    found = []
    for number, line in enumerate(read(path).text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(parse_entry(line))
        except BadInput as error:
            raise ConfigError(error.message, path=path, line=number, hint=error.hint) from error
    return tuple(found)
