"""Values of one key as a configuration has them, for tools that show them."""

from __future__ import annotations

from warden.lxc import configfile, keys
from warden.lxc.keys import Key, Kind
from warden.lxc.reading import modern_name
from warden.lxc.values import has_kind

_UNSET = {
    "lxc.log.level": ["NOTSET"],
    "lxc.monitor.signal.pdeath": ["9"],
    **{f"lxc.signal.{name}": ["0"] for name in ("halt", "reboot", "stop")},
    **{f"lxc.time.offset.{clock}": ["0 ns\n"] for clock in ("boot", "monotonic")},
}


def values_of(path: str, name: str) -> tuple[list[str], bool] | None:
    """The values that count, as they are written, and whether the key is a list; None for a key that does not exist.
    Raises ConfigError."""
    wanted = modern_name(name)
    found = keys.find(wanted)
    is_net = wanted == "lxc.net" or wanted.startswith("lxc.net.")
    if (found is None and not is_net) or wanted == "lxc.hook":
        return None
    many = found is not None and found[0].kind in (Kind.MANY, Kind.BELOW)
    values: list[str] = []
    number = -1
    for entry in configfile.entries_of(configfile.read(path), (), []):
        number += entry.key == "lxc.network.type"
        if modern_name(entry.key, str(number)) == wanted:
            values = [*values, entry.value] if many and entry.value else [entry.value] if entry.value else []
    if wanted == "lxc.net":
        return _types(path), True
    if found is not None and not values:
        values = _usual(found[0], wanted)
    if wanted == "lxc.mount.auto":
        values, many = [" ".join(values)] if values else [], False
    if wanted == "lxc.rootfs.path":
        values = [text.partition(":")[2] if has_kind(text) else text for text in values]
    return values, many


def _types(path: str) -> list[str]:
    """Of the interfaces."""
    from warden.lxc.reading import load

    return [net.type for net in load(path).net]


def _usual(key: Key, wanted: str) -> list[str]:
    """What a number or a switch is that nobody has set, as LXC says it."""
    from warden.lxc.settings import LxcConfig

    if key.name in _UNSET or key.name != wanted or key.kind is not Kind.ONE:
        return _UNSET.get(key.name, [])
    value = getattr(LxcConfig(), key.field)
    return [str(int(value))] if isinstance(value, int) else []
