"""LXC's configuration files as text: read without losing a byte, changed line by line, written back; includes in place.

Knows lines, keys and values, not what a key means (keys.py) or what it becomes (reading.py). The rules, as LXC 5 has
them: one `key = value` a line, blanks around both are not theirs, a line whose first character is `#` is a comment,
one pair of double quotes around a value is not part of it, nothing continues on the next line and nothing after a
value is a comment. What does not begin with `lxc.` says nothing; it becomes a warning.
"""

from __future__ import annotations

import errno
import os
import stat

from warden.errors import ConfigError
from warden.light import TYPE_CHECKING
from warden.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: What no honest file reaches; LXC itself has no bounds and recurses until its stack ends.
MOST_BYTES, MOST_FILES, DEEPEST = 1 << 20, 1000, 16
INCLUDE = "lxc.include"
_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_NULL = os.makedev(1, 3)


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is in the file, with its end. *key* "": it sets nothing."""

    text: str
    key: str = ""
    value: str = ""

    def with_key(self, key: str) -> Line:
        """The same line, blanks and value untouched, with another key."""
        before, _, after = self.text.partition(self.key)
        return Line(before + key + after, key, self.value)

    def with_value(self, value: str) -> Line:
        """The same line with another value, spelled plainly."""
        head, _, rest = self.text.partition("=")
        blanks = rest[: len(rest) - len(rest.lstrip(" \t"))]
        end = "\n" if self.text.endswith("\n") else ""
        return Line(f"{head}={blanks}{value}{end}", self.key, value)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key that was set, and where: *line* 0 when it was not in a file."""

    key: str
    value: str
    path: str
    line: int

    def error(self, message: str, hint: str = "") -> ConfigError:
        return ConfigError(message, path=self.path, line=self.line, hint=hint)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file, without what it includes."""

    path: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """Byte for byte what was read, where nothing was changed."""
        return "".join(line.text for line in self.lines)

    def values(self, key: str) -> tuple[str, ...]:
        return tuple(line.value for line in self.lines if line.key == key)

    def mapped(self, change: Callable[[Line], Line | None]) -> ConfigFile:
        """With every line that sets something changed, or dropped where *change* gives None."""
        lines = (change(line) if line.key else line for line in self.lines)
        return replace(self, lines=tuple(line for line in lines if line is not None))

    def with_value(self, key: str, value: str) -> ConfigFile:
        """*key* set once: where it is set last, or at the end of the file."""
        places = [number for number, line in enumerate(self.lines) if line.key == key]
        if not places:
            return self.appended(key, value)
        lines = list(self.lines)
        lines[places[-1]] = lines[places[-1]].with_value(value)
        return replace(self, lines=tuple(line for n, line in enumerate(lines) if n not in places[:-1]))

    def appended(self, key: str, value: str) -> ConfigFile:
        """With one more line at the end."""
        lines = list(self.lines)
        if lines and not lines[-1].text.endswith("\n"):
            lines[-1] = replace(lines[-1], text=lines[-1].text + "\n")
        return replace(self, lines=(*lines, Line(f"{key} = {value}\n", key, value)))


def parse_line(text: str) -> Line:
    body = text.strip(" \t\r\n\v\f")
    key, equals, value = body.partition("=")
    if body.startswith("#") or not equals:
        return Line(text)
    return Line(text, key.strip(), _unquoted(value.strip()))


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def parse(text: str, path: str) -> ConfigFile:
    """The lines of *text*; raises ConfigError for what is no text."""
    if "\0" in text:
        raise ConfigError("a NUL is in it", path=path, line=text.count("\n", 0, text.index("\0")) + 1)
    parts = text.split("\n")
    ended = [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
    return ConfigFile(path, tuple(map(parse_line, ended)))


def read(path: str, *, stream: bool = True) -> ConfigFile:
    """Bytes that are not UTF-8 survive as surrogates. *stream*: it may be the caller's own, such as /dev/stdin. Raises
    ConfigError naming *path*."""
    try:
        data = contents(path, stream=stream)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"is larger than {MOST_BYTES} bytes", path=path, hint="is this a configuration file?")
    return parse(os.fsdecode(data), path)


def contents(path: str, most: int = MOST_BYTES, *, stream: bool = False, flags: int = 0) -> bytes:
    """At most a byte more than *most*. Whoever owns the directory puts there what he likes: a pipe, or the terminal of who
    reads it, is not waited for. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) and status.st_rdev != _NULL:
            if not (stream and path.startswith(_STREAMS)) or stat.S_ISDIR(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", path)
            os.set_blocking(fd, True)
        return file.read(most + 1) or b""  # None where there is nothing yet: a file of the kernel's, /proc/kmsg say


def write(file: ConfigFile, *, like: str | None = None) -> None:
    """Replaces the file in one step, so that nobody reads half of it; mode and owner are those it had, or those of
    *like*. Raises ConfigError."""
    target = os.path.realpath(file.path)
    scratch = f"{target}.{os.getpid()}.new"
    try:
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=file.path) from error
    try:
        with open(fd, "wb") as out:
            _own(fd, like or target)
            out.write(os.fsencode(file.text))
            out.flush()
            os.fsync(fd)
        os.replace(scratch, target)
    except OSError as error:
        os.unlink(scratch)
        raise ConfigError(f"cannot be written: {error.strerror}", path=file.path) from error


def _own(fd: int, path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, status.st_mode & 0o7777)


@dataclass(slots=True)
class Walk:
    """Reading one configuration with all it includes. *warnings*: lines that say nothing, in LXC and here."""

    files: int = 0
    size: int = 0
    chain: tuple[str, ...] = ()
    warnings: list[str] | None = None

    def entries(self, file: ConfigFile) -> Iterator[Entry]:
        """What is set, in order, included files in the place of their line. Raises ConfigError."""
        for number, line in enumerate(file.lines, 1):
            entry = Entry(line.key, line.value, file.path, number)
            if line.key == INCLUDE:
                yield from self.included(entry)
            elif line.key.startswith("lxc."):
                yield entry
            elif line.text.strip() and not line.text.lstrip().startswith("#"):
                self._strange(entry, line)

    def _strange(self, entry: Entry, line: Line) -> None:
        if line.text.lstrip().startswith("lxc."):
            raise entry.error(f"no '=' in {line.text.strip()!r}", "KEY = VALUE; an empty value clears")
        what = f"{line.key!r} is not a key of LXC's" if line.key else f"no '=' in {line.text.strip()!r}"
        if self.warnings is not None:
            self.warnings.append(f"{entry.path}:{entry.line}: {what}: ignored")

    def included(self, entry: Entry) -> Iterator[Entry]:
        """A file, or what ends in .conf in a directory, by name. Nothing for an empty value."""
        if not entry.value:
            return
        for path in self._files(entry):
            yield from self._one(entry, path)

    def _files(self, entry: Entry) -> list[str]:
        if not os.path.isdir(entry.value):
            return [entry.value] if os.path.lexists(entry.value) else self._instead(entry)
        try:
            names = sorted(name for name in os.listdir(entry.value) if name.endswith(".conf"))
        except OSError as error:
            raise entry.error(f"{INCLUDE}: {entry.value} cannot be listed: {error.strerror}") from error
        return [os.path.join(entry.value, name) for name in names]

    def _instead(self, entry: Entry) -> list[str]:
        from warden.lxc.shared import stand_in  # few name what is not there

        own = stand_in(entry.value)
        if own is None:
            return [entry.value]
        if own and self.warnings is not None:
            self.warnings.append(f"{entry.path}:{entry.line}: {entry.value} is not installed: ours is taken instead")
        return [own] if own else []

    def _one(self, entry: Entry, path: str) -> Iterator[Entry]:
        real = os.path.realpath(path)
        if real in self.chain:
            turns = " → ".join((*self.chain[self.chain.index(real) :], real))
            raise entry.error(f"{INCLUDE}: {path} includes itself: {turns}", "take one of these lines out")
        if len(self.chain) >= DEEPEST or self.files >= MOST_FILES:
            most = f"{DEEPEST} levels" if len(self.chain) >= DEEPEST else f"{MOST_FILES} files"
            raise entry.error(f"{INCLUDE}: {path}: more than {most} of includes")
        try:
            file = read(path, stream=False)
        except ConfigError as error:
            raise entry.error(f"{INCLUDE}: {error.message}", error.hint) from error
        self.files, self.size = self.files + 1, self.size + len(file.text)
        if self.size > MOST_BYTES:
            raise entry.error(f"{INCLUDE}: {path}: more than {MOST_BYTES} bytes of includes")
        self.chain = (*self.chain, real)
        yield from self.entries(file)
        self.chain = self.chain[:-1]


def entries_of(
    file: ConfigFile, defines: Iterable[tuple[str, str]] = (), warnings: list[str] | None = None
) -> Iterator[Entry]:
    """Everything that is set in *file* and what it includes, and after it *defines*, those of `-s KEY=VALUE`."""
    walk = Walk(chain=(os.path.realpath(file.path),), warnings=warnings)
    yield from walk.entries(file)
    for key, value in defines:
        entry = Entry(key, _unquoted(value), f"-s {key}={value}", 0)
        yield from walk.included(entry) if key == INCLUDE else (entry,)


def parse_define(text: str) -> tuple[str, str]:
    """KEY and VALUE of `-s KEY=VALUE`; raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"-s {text}: is not KEY=VALUE", hint="such as -s lxc.tty.max=4")
    return key.strip(), value.strip()
