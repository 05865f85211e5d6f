"""`lxc-start -F`: the container's console on the caller's streams, over reboots, until it has stopped.

Signals of the caller's go to the container's first process. Should this process be killed, the container goes on in the
background.
"""

from __future__ import annotations

import os
import socket
import time

from warden.light import TYPE_CHECKING, contextmanager, signal, suppress
from warden.lxc import states, terminals
from warden.lxc.console import Session
from warden.lxc.life import TAKEN, Order, start
from warden.lxc.options import Given
from warden.lxc.pidfile import write_pidfile
from warden.lxc.place import Running, recalled
from warden.lxc.running import FORWARDED, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE_S = 0.01


class _Console:
    """Taken before the first process runs, so that no word of it is missed."""

    def __init__(self) -> None:
        self.held: tuple[socket.socket, int] | None = None
        self.running: Running | None = None  # whose it is

    def take(self, directory: str) -> None:
        from warden.errors import WrongState

        with suppress(WrongState):  # it has none, or none that is a pseudo terminal
            sock, master, _ = terminals.connect(directory, 0)
            try:
                self.running = _numbered(directory)
                with open(f"{directory}/{TAKEN}", "wb"):
                    pass
            except (FileNotFoundError, WrongState):  # it could not be started again, and is gone
                sock.close()
                os.close(master)
            else:
                self.held = sock, master

    def follow(self) -> None:
        """Until the other side is gone."""
        if self.held is None:
            return
        sock, master = self.held
        self.held = None
        try:
            Session(master, sock).run(0, 1)
        finally:
            sock.close()
            os.close(master)


def _numbered(directory: str) -> Running:
    """The record of a container whose monitor serves: its starter writes the first process's number meanwhile, and waits
    until its console is taken. Raises FileNotFoundError when it is gone, and WrongState when its starter is."""
    from warden.errors import WrongState

    while not (found := recalled(directory)).pid:
        if states.state_of(directory) == "STOPPED":
            raise WrongState("its starter was killed")
        time.sleep(_PAUSE_S)
    return found


def run_in_foreground(order: Start, given: Given) -> int:
    console = _Console()
    first = start(Order(order, given, console.take))
    write_pidfile(given.last("pidfile"), first.monitor)
    found: Running | None = first
    while found is not None:
        with _forwarding(found.pid):
            console.follow()
            found = _next(order, found, console)
    return 0


def _next(order: Start, before: Running, console: _Console) -> Running | None:
    """What it is after *before*: another life of it after a reboot, or nothing."""
    while True:
        seen = states.find(order.site, before.lxcpath, before.name)
        if seen is None and not _is_claimed(before):
            return None
        if seen is not None and seen.running.container_id != before.container_id:
            directory = f"{order.site.state}/{seen.running.container_id}"
            console.take(directory)
            if console.held is not None:
                return console.running
            if seen.state == "RUNNING":
                return seen.running
        time.sleep(_PAUSE_S)


def _is_claimed(before: Running) -> bool:
    from warden.errors import WrongState
    from warden.lxc.place import claim

    try:
        claim(before.lxcpath, before.name).close()
    except WrongState:
        return True
    return False


@contextmanager
def _forwarding(pid: int) -> Iterator[None]:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # it was quick
        yield
        return

    def forward(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(pidfd)
