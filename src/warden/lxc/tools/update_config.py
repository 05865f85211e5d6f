"""`lxc-update-config`: a file of LXC before 2.1 with today's keys. Comments, order, blanks and values stay.

Unlike the original it changes keys only, never a value that looks like one; counts interfaces by what sets them, not by
what a comment says; keeps kinds that a path has already; knows lxc.limit; and where nothing is to be changed leaves the
file and an older copy of it alone.
"""

from __future__ import annotations

import sys

from warden.errors import ConfigError
from warden.light import TYPE_CHECKING, late, pattern
from warden.lxc import configfile, keys, reading
from warden.lxc.configfile import ConfigFile, Line
from warden.lxc.streams import settle
from warden.lxc.values import has_kind
from warden.records import replace

if TYPE_CHECKING:
    import re
else:
    re = late("re")

_USAGE = """\
Usage: lxc-update-config [-h|--help] [-c|--config FILE]
FILE: the container configuration to update, "config" without; it is kept as FILE.backup
"""
_COMMENTED = pattern(r"(\s*#+\s*)(lxc\.[A-Za-z0-9_.-]+)(\s*=.*)", re.DOTALL)


def main(argv: list[str] | None = None) -> int:
    settle("lxc-update-config")
    try:
        path = _path(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        print(f"lxc-update-config: {error}\n{_USAGE}", file=sys.stderr, end="")
        return 1
    if path is None:
        from warden.lxc.examples import examples_of

        sys.stdout.write(_USAGE + examples_of("lxc-update-config"))
        return 0
    try:
        update(path)
    except ConfigError as error:
        print(f"lxc-update-config: {error}", file=sys.stderr)
        return 1
    return 0


def _path(words: list[str]) -> str | None:
    """The file to update; None where help is wanted. Raises ConfigError."""
    path, rest = "config", list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in ("-h", "--help", "-?"):
            return None
        if name == "--config" and equals:
            path = value
        elif word in ("-c", "--config") and rest:
            path = rest.pop(0)
        elif word.startswith("-c") and len(word) > 2:
            path = word[2:]
        else:
            needs = word in ("-c", "--config")
            raise ConfigError(f"option '{word}' requires an argument" if needs else f"unrecognized option '{word}'")
    return path


def update(path: str) -> bool:
    """Whether anything had to be changed. Raises ConfigError; then nothing was."""
    before = configfile.read(path)
    after = updated(before)
    if after.text == before.text:
        return False
    configfile.write(replace(before, path=f"{path}.backup"), like=path)
    configfile.write(after)
    return True


def updated(file: ConfigFile) -> ConfigFile:
    """*file* with today's keys."""
    return _Update(next(iter(file.values("lxc.rootfs.backend")), "")).file(file)


class _Update:
    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.interface = -1

    def file(self, file: ConfigFile) -> ConfigFile:
        lines = (self.line(line) if line.key else self.comment(line) for line in file.lines)
        return ConfigFile(file.path, tuple(line for line in lines if line is not None))

    def line(self, line: Line) -> Line | None:
        if line.key == "lxc.network.type" and line.value:
            self.interface += 1
        found = keys.find(line.key)
        if found is not None and found[0].kind is keys.Kind.DROPPED:
            return None
        if line.key == "lxc.rootfs" and line.value:
            line = line.with_value(self.rootfs(line.value))
        elif line.key in ("lxc.network", "lxc.network.type") and not line.value:
            self.interface = -1
            return line.with_key("lxc.net")
        return line.with_key(reading.modern_name(line.key, str(max(self.interface, 0))))

    def rootfs(self, path: str) -> str:
        """With the kind of storage in front of it, which had a key of its own."""
        return path if has_kind(path) else f"{self.backend or 'dir'}:{path}"

    def comment(self, line: Line) -> Line:
        """A setting that is only commented out is renamed as well: people take the sign away one day."""
        match = _COMMENTED.fullmatch(line.text)
        if match is None:
            return line
        return Line(match[1] + reading.modern_name(match[2], str(max(self.interface, 0))) + match[3])
