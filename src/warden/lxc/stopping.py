"""Whether a container runs, keeping it from being started while it is changed, and ending it at once.

Who runs a container holds the abstract name of its command socket (place.py), LXC's own tools as well as these.
"""

from __future__ import annotations

import os
import time

from warden.errors import WrongState
from warden.light import TYPE_CHECKING, contextmanager, suppress
from warden.lxc import place, states
from warden.lxc.home import Home
from warden.lxc.place import Site
from warden.lxc.stoppable import is_its_own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warden.kernel import sockets

_PATIENCE_S = 10.0
_MOMENT_S = 4.0  # longer than who starts a container waits for the lock
_PAUSE_S = 0.02


def running(home: Home) -> bool:
    """Whether somebody runs it, starts it or still cleans up after it."""
    try:
        place.claim(home.lxcpath, home.name).close()
    except WrongState:
        return True
    return False


@contextmanager
def not_running(home: Home, *, shared: bool = False) -> Iterator[None]:
    """Nobody can start it for the `with` block, in which it has to be locked (`Home.locked`). *shared*: as that; who comes
    second leaves the name to the first. Raises WrongState when it runs."""
    claimed = _claimed(home, shared)
    try:
        yield
    finally:
        if claimed is not None:
            claimed.close()


def _claimed(home: Home, shared: bool) -> sockets.socket | None:
    """Who starts a container has it locked until it is known to run. So a name that is taken, and nobody's who runs it, is
    another reader's, or that of somebody who only looks, or will give it up for he does not get the lock."""
    until = time.monotonic() + _MOMENT_S
    while True:
        found = states.find(Site.from_environment(), home.lxcpath, home.name)
        if found is not None:
            raise WrongState(f"{home.name} is running", hint="stop it first")
        try:
            return place.claim(home.lxcpath, home.name)
        except WrongState as error:
            from warden.lxc.holders import is_answered, refuse_stranger  # only who comes second asks

            answered = is_answered(home.lxcpath, home.name)
            if not answered and not shared and time.monotonic() > until - _MOMENT_S + 1:
                refuse_stranger(home.lxcpath, home.name)
            if answered or (not shared and time.monotonic() > until):
                raise WrongState(f"{home.name} is running", hint="stop it first") from error
        if shared:
            return None
        time.sleep(_PAUSE_S)


def stop_now(home: Home, site: Site) -> None:
    """Kills its first process, and so all of them, and waits until whoever ran it has cleaned up. Raises WrongState for
    one that was started by other tools, or does not go."""
    with suppress(WrongState, ProcessLookupError):
        found = place.find(site, home.lxcpath, home.name)
        pidfd = os.pidfd_open(found.pid)
        again = states.find(site, home.lxcpath, home.name)
        if again and again.running == found and is_its_own(again):  # the number was not taken again before it was opened
            place.end(pidfd)
        else:
            os.close(pidfd)
    until = time.monotonic() + _PATIENCE_S
    while running(home):
        if states.find(site, home.lxcpath, home.name) is None:
            from warden.lxc.holders import refuse_stranger

            refuse_stranger(home.lxcpath, home.name)
        if time.monotonic() > until:
            raise WrongState(f"{home.name} is running and does not stop", hint="stop it with what started it")
        time.sleep(_PAUSE_S)
