"""Values of one key as a configuration has them, for tools that show them."""

from __future__ import annotations

from warden.lxc import configfile, keys
from warden.lxc.keys import Kind
from warden.lxc.reading import modern_name
from warden.lxc.values import has_kind

_ZERO = """tty.max pty.max console.buffer.size console.size console.rotate cgroup.relative autodev.tmpfs.size no_new_privs
apparmor.allow_incomplete apparmor.allow_nesting keyring.session seccomp.allow_nesting init.uid init.gid
signal.halt signal.reboot signal.stop sched.core hook.version start.auto start.delay start.order ephemeral
monitor.unshare"""
#: What LXC's lxc-info says of keys that nobody has set; of others it says nothing.
UNSET = {f"lxc.{name}": "0" for name in _ZERO.split()} | {
    "lxc.rootfs.managed": "1",
    "lxc.autodev": "1",
    "lxc.time.offset.boot": "0 ns",
    "lxc.time.offset.monotonic": "0ns",
    "lxc.monitor.signal.pdeath": "9",
    "lxc.log.level": "NOTSET",
}


def values_of(path: str, name: str) -> tuple[list[str], bool] | None:
    """The values that count, as they are written, and whether the key is a list; None for a key that does not exist.
    Raises ConfigError."""
    wanted = modern_name(name)
    found = keys.find(wanted)
    is_net = wanted.startswith("lxc.net.")
    if found is None and not is_net:
        return None
    many = found is not None and found[0].kind in (Kind.MANY, Kind.BELOW)
    values: list[str] = []
    number = -1
    for entry in configfile.entries_of(configfile.read(path), (), []):
        number += entry.key == "lxc.network.type"
        if modern_name(entry.key, str(number)) == wanted:
            values = [*values, entry.value] if many and entry.value else [entry.value] if entry.value else []
    if not values and wanted in UNSET:
        values = [UNSET[wanted]]
    if wanted == "lxc.rootfs.path":
        values = [text.partition(":")[2] if has_kind(text) else text for text in values]
    if wanted == "lxc.mount.auto" and values:
        return [" ".join(values)], False  # words of one line, however they were written
    return values, many
