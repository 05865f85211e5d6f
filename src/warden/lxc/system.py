"""lxc.conf, the configuration of LXC itself (lxc.system.conf(5)): where containers lie, and what new ones begin with."""

from __future__ import annotations

import os

from warden.errors import ConfigError

#: Item → what it is where nobody has set it; None: nothing. In the order in which they are listed.
DEFAULTS: dict[str, str | None] = {
    "lxc.default_config": "/etc/lxc/default.conf",
    "lxc.lxcpath": "/var/lib/lxc",
    "lxc.bdev.lvm.vg": "lxc",
    "lxc.bdev.lvm.thin_pool": "lxc",
    "lxc.bdev.zfs.root": "lxc",
    "lxc.cgroup.use": None,
    "lxc.cgroup.pattern": None,
}
#: Names before 2.1.
_LEGACY = {
    "lvm_vg": "lxc.bdev.lvm.vg",
    "lvm_thin_pool": "lxc.bdev.lvm.thin_pool",
    "zfsroot": "lxc.bdev.zfs.root",
    "lxcpath": "lxc.lxcpath",
    "default_config": "lxc.default_config",
    "cgroup.pattern": "lxc.cgroup.pattern",
    "cgroup.use": "lxc.cgroup.use",
}
GLOBAL = "/etc/lxc"


def directory() -> str:
    """Where lxc.conf and default.conf lie: root's, or a user's own."""
    if os.geteuid() == 0:
        return GLOBAL
    return os.path.join(os.path.expanduser("~"), ".config/lxc")


def items(folder: str | None = None) -> dict[str, str | None]:
    """Every item with its value. A missing file says nothing; raises ConfigError for one that cannot be read."""
    place = directory() if folder is None else folder
    found = dict(DEFAULTS)
    if os.geteuid() != 0:
        found["lxc.lxcpath"] = os.path.join(os.path.expanduser("~"), ".local/share/lxc")
        found["lxc.default_config"] = os.path.join(place, "default.conf")
    path = os.path.join(place, "lxc.conf")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(1 << 20)
    except FileNotFoundError:
        return found
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        name = _LEGACY.get(key.strip(), key.strip())
        if equals and name in found and not line.lstrip().startswith("#"):
            found[name] = value.strip() or DEFAULTS[name]
    found["lxc.lxcpath"] = (found["lxc.lxcpath"] or "").rstrip("/") or "/"
    return found


def default_lxcpath() -> str:
    """Where containers lie unless -P says otherwise."""
    return items()["lxc.lxcpath"] or "/var/lib/lxc"
