"""The configuration of a container that moves or is copied: what names the old directory, the old name, the old address.

Works on lines, so comments, order, and what is not concerned stay. Pure but for drawing addresses.
"""

from __future__ import annotations

import os

from warden.lxc import keys, reading
from warden.lxc.configfile import ConfigFile, Line
from warden.lxc.home import STORAGE, Home
from warden.records import dataclass

#: Their value is a file that goes along, or a program and its arguments.
_FILES = ("lxc.mount.fstab", "lxc.seccomp.profile", "lxc.include")
_LOGS = ("lxc.console.logfile", "lxc.log.file")
_ROOT, _NAME = "lxc.rootfs.path", "lxc.uts.name"


@dataclass(frozen=True, slots=True)
class Moving:
    """From *old* to *new*. *old_root*, *new_root*: values of lxc.rootfs.path, "" for none; *directories*: the root's old
    and new directory, by which targets of mounts begin; *keep_name*, *keep_mac*: what stays as it is."""

    old: Home
    new: Home
    old_root: str = ""
    new_root: str = ""
    directories: tuple[str, str] = ("", "")
    keep_name: bool = False
    keep_mac: bool = False

    def config(self, file: ConfigFile) -> ConfigFile:
        """The configuration in its new place."""
        found = ConfigFile(self.new.config, file.lines).mapped(self._line)
        if self.new_root:
            found = _set_once(found, _ROOT, self.new_root)
        return found if self.keep_name else _set_once(found, _NAME, self.new.name)

    def fstab(self, text: str) -> str:
        """The file of lxc.mount.fstab: targets below the old root are below the new one."""
        lines = text.split("\n")
        return "\n".join(line if line.lstrip().startswith("#") else self._entry(line) for line in lines)

    def files(self, file: ConfigFile) -> tuple[str, ...]:
        """Paths below the old directory, relative to it, of files that the configuration needs; none of the root's."""
        found = dict.fromkeys(
            os.path.relpath(word, self.old.path)
            for line in file.lines
            if _is_file(line.key)
            for word in line.value.split()
            if self.old.holds(word) and os.path.isfile(word)
        )
        return tuple(name for name in found if name.partition("/")[0] not in STORAGE)

    def _line(self, line: Line) -> Line:
        name = reading.modern_name(line.key)
        if _is_file(name) or name in _LOGS:
            return _valued(line, " ".join(self._word(word) for word in line.value.split(" ")))
        if name == "lxc.mount.entry":
            return _valued(line, self._entry(line.value))
        if name.endswith(".hwaddr") and line.value and not self.keep_mac:
            return _valued(line, redrawn(line.value))
        return line

    def _word(self, word: str) -> str:
        return self.new.path + word[len(self.old.path) :] if word.startswith(self.old.path + "/") else word

    def _entry(self, text: str) -> str:
        """An absolute target; blanks between the fields stay as they are."""
        fields = text.split()
        old, new = self.directories
        if len(fields) < 2 or not old or not (fields[1] + "/").startswith(old + "/"):
            return text
        at = text.index(fields[1], text.index(fields[0]) + len(fields[0]))
        return text[:at] + new + text[at + len(old) :]


def _is_file(key: str) -> bool:
    name = keys.modern(key)
    return name in _FILES or name.startswith("lxc.hook.")


def _valued(line: Line, value: str) -> Line:
    return line if value == line.value else line.with_value(value)


def _set_once(file: ConfigFile, name: str, value: str) -> ConfigFile:
    """*name* set where it is set last, by whichever of its names, or at the end."""
    places = [line for line in file.lines if line.key and reading.modern_name(line.key) == name]
    if not places:
        return file.appended(name, value)
    last = places[-1]
    return file.mapped(lambda line: line.with_value(value) if line is last else None if line in places else line)


def redrawn(address: str) -> str:
    """Another hardware address of the same vendor."""
    return _drawn(address[:8] + ":xx:xx:xx")


def _drawn(address: str) -> str:
    from warden.lxc.translate_net import drawn_address  # many have no address

    return drawn_address(address, os.urandom(12).hex())


def drawn(file: ConfigFile) -> ConfigFile:
    """Every x of a hardware address replaced, once and for all."""

    def change(line: Line) -> Line:
        wanted = line.key.startswith(("lxc.net", "lxc.network")) and line.key.endswith("hwaddr")
        if not wanted or "x" not in line.value.lower():
            return line
        return line.with_value(_drawn(line.value.lower()))

    return file.mapped(change)
