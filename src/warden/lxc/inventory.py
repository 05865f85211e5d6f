"""The containers below a lxcpath: those that are defined, those that are active, and what a list of them says."""

from __future__ import annotations

import os

from warden.errors import WardenError
from warden.light import TYPE_CHECKING
from warden.lxc import states
from warden.lxc.place import Running, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warden.lxc.settings import LxcConfig


_LOOPBACK = bytes(15) + b"\1"


class Item:
    """One container; *running* None for one that is stopped."""

    def __init__(self, lxcpath: str, name: str, seen: states.Seen | None, *, is_defined: bool) -> None:
        self.lxcpath, self.name, self.is_defined = lxcpath, name, is_defined
        self.state = seen.state if seen else "STOPPED"
        self.running: Running | None = seen.running if seen else None
        self._config: LxcConfig | None = None

    @property
    def config(self) -> LxcConfig:
        """Raises ConfigError."""
        if self._config is None:
            from warden.lxc.reading import load

            self._config = load(f"{self.lxcpath}/{self.name}/config")
        return self._config

    def readable(self) -> WardenError | None:
        """Why its configuration cannot be read; None when it can, or there is none."""
        if not self.is_defined:
            return None
        try:
            _ = self.config
        except WardenError as error:
            return error
        return None


def defined(lxcpath: str) -> list[str]:
    """Names of those with a configuration, sorted; a lxcpath that is not there has none."""
    try:
        names = os.listdir(lxcpath)
    except OSError:
        return []
    return sorted(name for name in names if os.path.exists(f"{lxcpath}/{name}/config"))


def items(site: Site, lxcpath: str) -> Iterator[Item]:
    """All of them by name."""
    active = {seen.running.name: seen for seen in states.every(site) if seen.running.lxcpath == lxcpath}
    known = set(defined(lxcpath))
    for name in sorted({*known, *active}):
        yield Item(lxcpath, name, active.get(name), is_defined=name in known)


def addresses(pid: int) -> tuple[list[str], list[str]]:
    """IPv4 and IPv6 of a process's network namespace, without loopback and link-local ones."""
    from warden.kernel.procnet import local_addresses
    from warden.kernel.sockets import AF_INET6, inet_ntop

    four = [text for text in local_addresses(_net(pid, "fib_trie")) if not text.startswith("127.")]
    rows = (line.split() for line in _net(pid, "if_inet6").splitlines())
    found = [bytes.fromhex(row[0].decode()) for row in rows if len(row) == 6]
    # fe80::/10 is of the link, RFC 4291
    six = [inet_ntop(AF_INET6, item) for item in found if item != _LOOPBACK and item[0] << 8 | item[1] & 0xC0 != 0xFE80]
    return four, six


def _net(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/net/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""
