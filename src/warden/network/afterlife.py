"""The end of links whose container is gone.

Mostly the kernel takes them away in its own time, with their network namespace. But whoever has a socket of that keeps it,
and a container may hand one to another (unix(7), SCM_RIGHTS). Blocking.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection

from warden.errors import WardenError
from warden.network.bridges import remove_link

log = logging.getLogger("warden.network")


def still_there(names: Collection[str]) -> list[str]:
    """Those of *names* that are links."""
    found = []
    for name in names:
        try:
            socket.if_nametoindex(name)
        except OSError:
            continue
        found.append(name)
    return found


def cut(names: Collection[str]) -> None:
    """They are no more; what cannot be deleted is logged."""
    for name in names:
        try:
            remove_link(name)
        except WardenError as error:
            log.error("%s", error)
