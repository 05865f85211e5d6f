"""A running container made to stand still, and to go on: its cgroup, and what its journal says of it."""

from __future__ import annotations

import os

from warden.errors import NotSupported
from warden.light import TYPE_CHECKING
from warden.lxc import states
from warden.lxc.place import Running, Site

if TYPE_CHECKING:
    from warden.cgroup.freezer import Freezer


def _freezer(running: Running) -> Freezer:
    from warden.cgroup.freezer import Freezer

    v1, v2 = running.groups.get("freezer"), running.groups.get("")
    if v1 is None and v2 is None:
        raise NotSupported("freeze: this machine has no freezer")
    return Freezer(v1 or v2, is_v2=v1 is None)


def _tell(site: Site, running: Running, word: str) -> None:
    journal = states.open_journal(f"{site.state}/{running.container_id}")
    try:
        states.write(journal, word)
    finally:
        os.close(journal)


def freeze(site: Site, running: Running) -> None:
    """Returns when every process stands still. Raises KernelRefused, and then it goes on."""
    _tell(site, running, "FREEZING")
    try:
        _freezer(running).freeze()
    except BaseException:
        _tell(site, running, "RUNNING")
        raise
    _tell(site, running, "FROZEN")


def thaw(site: Site, running: Running) -> None:
    _freezer(running).thaw()
    _tell(site, running, "THAWED\nRUNNING")  # one write: nobody else's word comes between


def is_frozen(running: Running) -> bool:
    """Also by somebody who told nobody."""
    for controller, name, word in (("freezer", "freezer.state", "FROZEN"), ("", "cgroup.freeze", "1")):
        try:
            with open(f"{running.groups[controller]}/{name}", encoding="utf-8") as file:
                if file.read().strip() == word:
                    return True
        except (KeyError, OSError):
            continue
    return False
