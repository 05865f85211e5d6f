"""Whether a container runs, keeping it from being started while it is changed, and ending it at once.

Who runs a container holds the abstract name of its command socket (place.py), LXC's own tools as well as these.
"""

from __future__ import annotations

import os
import time

from warden.errors import WrongState
from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.lxc import place
from warden.lxc.home import Home
from warden.lxc.place import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 10.0
_PAUSE_S = 0.02


def running(home: Home) -> bool:
    """Whether somebody runs it, starts it or still cleans up after it."""
    try:
        place.claim(home.lxcpath, home.name).close()
    except WrongState:
        return True
    return False


@contextmanager
def not_running(home: Home) -> Iterator[None]:
    """Nobody can start it for the `with` block. Raises WrongState when somebody has."""
    try:
        claimed = place.claim(home.lxcpath, home.name)
    except WrongState as error:
        raise WrongState(f"{home.name} is running", hint="stop it first") from error
    with claimed:
        yield


def stop_now(home: Home, site: Site) -> None:
    """Kills its first process, and so all of them, and waits until whoever ran it has cleaned up. Raises WrongState for
    one that was started by other tools, or does not go."""
    with suppress(WrongState, ProcessLookupError):
        found = place.find(site, home.lxcpath, home.name)
        pidfd = os.pidfd_open(found.pid)
        try:
            again = place.find(site, home.lxcpath, home.name)
        except WrongState:
            os.close(pidfd)
            raise
        if again == found:  # still its own: the number was not taken again before it was opened
            place.end(pidfd)
        else:
            os.close(pidfd)
    until = time.monotonic() + _PATIENCE_S
    while running(home):
        if time.monotonic() > until:
            raise WrongState(f"{home.name} is running and does not stop", hint="stop it with what started it")
        time.sleep(_PAUSE_S)
