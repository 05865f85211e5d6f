"""Entries of a configuration → LxcConfig. Owns how keys add up: order, clearing, exclusions, and the errors' wording."""

from __future__ import annotations

from warden.errors import BadInput, ConfigError
from warden.light import TYPE_CHECKING
from warden.lxc import configfile, keys
from warden.lxc.configfile import ConfigFile, Entry
from warden.lxc.keys import Key, Kind
from warden.lxc.networks import BY_NAME as NET_KEYS
from warden.lxc.networks import TYPES, Nets, SubKey
from warden.lxc.settings import LxcConfig
from warden.records import fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

_DEFAULTS = {field.name: field.default for field in fields(LxcConfig)}


def load(path: str, defines: Iterable[tuple[str, str]] = ()) -> LxcConfig:
    """The configuration in *path* and what it includes, then *defines*. Raises ConfigError: file, line and key."""
    return config_of(configfile.read(path), defines)


def config_of(file: ConfigFile, defines: Iterable[tuple[str, str]] = ()) -> LxcConfig:
    """As `load`, for a file that was read already."""
    building = _Building()
    for entry in configfile.entries_of(file, defines, building.warnings):
        building.apply(entry)
    return building.finished(file.path)


class _Building:
    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.nets = Nets()
        self.warnings: list[str] = []
        self.places: dict[str, Entry] = {}  # of each key, by its name today: where it was set last

    def apply(self, entry: Entry) -> None:
        """Raises ConfigError naming the entry's place and key."""
        try:
            if entry.key in ("lxc.net", "lxc.network") or entry.key.startswith(("lxc.net.", "lxc.network.")):
                self._net(entry)
            else:
                self._key(entry)
        except ConfigError:
            raise
        except BadInput as error:
            raise entry.error(f"{entry.key}: {error.message}", _hints(error.hint, entry.key)) from error
        self.places[modern_name(entry.key, str(self.nets.latest))] = entry

    def _key(self, entry: Entry) -> None:
        found = keys.find(entry.key)
        if found is None:
            raise _unsupported(entry)
        key, below = found
        if key.kind is Kind.DROPPED:
            self.warnings.append(f"{entry.path}:{entry.line}: {entry.key}: is no longer used: ignored")
        elif key.kind is Kind.BELOW:
            self._below(key, below, entry.value)
        elif not entry.value:
            self.given.pop(key.field, None)
        elif key.kind is Kind.MANY:
            self._many(key.field).extend(key.parse(entry.value))
        else:
            self.given[key.field] = key.parse(entry.value)

    def _below(self, key: Key, below: str, value: str) -> None:
        now = self._many(key.field)
        if value:
            now.extend(key.parse(below, value))
        else:
            now[:] = [item for item in now if below and item[0] != below]

    def _many(self, field: str) -> list[Any]:
        """A tuple that grows would be copied for each line: of a long file, seconds."""
        found: list[Any] = self.given.setdefault(field, [])
        return found

    def _net(self, entry: Entry) -> None:
        parts = _net_parts(entry.key)
        if parts is None:
            raise _unsupported(entry)
        style, number, name = parts
        if not name:
            return self._clear_nets(entry, number)
        sub = NET_KEYS.get(name)
        if sub is None or (style == "net" and number is None):
            raise _unsupported(entry)
        if style == "network" and number is None and sub.name == "type":
            return self._block(sub, entry.value)
        return self.nets.set(self.nets.newest() if number is None else int(number), sub, entry.value)

    def _block(self, sub: SubKey, value: str) -> None:
        """0.9: a type begins an interface, an empty one forgets all of them."""
        if not value:
            return self.nets.clear()
        sub.parse(value)
        self.nets.begin()
        return self.nets.set(self.nets.newest(), sub, value)

    def _clear_nets(self, entry: Entry, number: str | None) -> None:
        if entry.value:
            raise BadInput(f"{entry.value!r} says nothing here", hint="empty clears; lxc.net.0.type = veth begins one")
        self.nets.clear(None if number is None else int(number))

    def finished(self, path: str) -> LxcConfig:
        """Raises ConfigError for what contradicts itself, in the place where it was said last."""
        nets = self.nets.finished(self.warnings)
        places = {key: (entry.path, entry.line) for key, entry in self.places.items()}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.given.items()
        }
        config = LxcConfig(**given, net=nets, warnings=tuple(self.warnings), places=places)
        for key, message, hint in (*self._untyped(), *_contradictions(config)):
            place = self.places.get(key, Entry(key, "", path, 0))
            raise place.error(f"{key}: {message}", hint)
        return config

    def _untyped(self) -> Iterator[tuple[str, str, str]]:
        for number in self.nets.untyped():
            said = [key for key in self.places if key.startswith(f"lxc.net.{number}.")]
            yield said[-1] if said else "lxc.net", f"lxc.net.{number}.type is missing", "one of " + ", ".join(TYPES)


def _contradictions(config: LxcConfig) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong with it, what to do)."""
    if config.cap_drop and config.cap_keep is not None:
        yield "lxc.cap.keep", "lxc.cap.drop is given as well", "they are mutually exclusive: clear one"
    if config.namespace_clone and config.namespace_keep:
        yield "lxc.namespace.keep", "lxc.namespace.clone is given as well", "give one of them"
    for name, _ in config.namespace_share:
        if name in (*config.namespace_clone, *config.namespace_keep):
            yield f"lxc.namespace.share.{name}", "it is cloned or kept as well", "give one of them"
    if "uts" in config.namespace_keep and config.uts_name:
        yield "lxc.uts.name", "would rename the host: lxc.namespace.keep has uts", "clear one of them"


def _net_parts(name: str) -> tuple[str, str | None, str] | None:
    """Of lxc.net.N.KEY and lxc.network.KEY: "net" or "network", the number where there is one, the rest."""
    style, dot, rest = name.removeprefix("lxc.").partition(".")
    if not name.startswith("lxc.") or style not in ("net", "network") or (dot and not rest):
        return None
    number, dot, key = rest.partition(".")
    if number.isdecimal() and len(number) < 10 and (key or not dot):
        return style, number, key
    return style, None, rest


def _hints(hint: str, name: str) -> str:
    """What is wrong, and for an old key what it is called today."""
    today = modern_name(name)
    renamed = "" if today == name else f"{name} is called {today} today"
    return "; ".join(part for part in (hint, renamed) if part)


def modern_name(name: str, number: str = "N") -> str:
    """The key as it is written today; a key of a 0.9 block of networks gets *number*."""
    parts = _net_parts(name)
    if parts is None:
        return keys.modern(name)
    sub = NET_KEYS.get(parts[2])
    if sub is None:
        return "lxc.net" if name == "lxc.network" else name
    return f"lxc.net.{parts[1] or number}.{sub.name}"


def _unsupported(entry: Entry) -> ConfigError:
    """LXC's own sentence, with its place and the nearest key."""
    from difflib import get_close_matches  # only a mistake pays for it

    known: Sequence[str] = [*keys.BY_NAME, *keys.SUCCESSORS, *(f"lxc.net.0.{name}" for name in NET_KEYS)]
    near = get_close_matches(entry.key, known, 1, 0.75)
    hint = f"did you mean {near[0]}?" if near else "lxc.container.conf(5) lists them"
    return entry.error(f'unsupported config key "{entry.key}"', hint)
