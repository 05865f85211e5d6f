"""Ending a container that runs: signals to its first process, and waiting until its monitor has cleaned up."""

from __future__ import annotations

import os
import select
import time

from warden.errors import WrongState
from warden.light import signal, suppress
from warden.lxc import states
from warden.lxc.place import Running, Site, claim

_SYSTEMD_HALT = 37  # SIGRTMIN+3, systemd(1)
_PAUSE_S = 0.01


class Target:
    """A running container by descriptors: numbers that are taken again mean nobody else. Raises WrongState when it does
    not run."""

    def __init__(self, site: Site, lxcpath: str, name: str) -> None:
        self._site, self._name = site, name
        self.seen = _settled(site, lxcpath, name)
        self.running: Running = self.seen.running
        self._init = _open(self.running.pid)
        self._monitor = _open(self.running.monitor)
        again = states.find(site, lxcpath, name)  # both were its own when they were opened
        if again is None or again.running.container_id != self.running.container_id:
            raise WrongState(f"{name} is not running")
        if self._init >= 0 and not is_its_own(again):
            os.close(self._init)
            self._init = -1

    def signal(self, number: int) -> None:
        if self._init >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, number)

    def halt(self) -> None:
        self.thaw()
        self.signal(self.running.signals[0] or _usual_halt(self.running.pid))

    def reboot(self) -> None:
        self.thaw()
        self.signal(self.running.signals[1] or signal.SIGINT)

    def kill(self) -> None:
        """A first process that is not alone in its pid namespace leaves others behind: the monitor ends these."""
        self.signal(self.running.signals[2] or signal.SIGKILL)
        self.thaw()

    def thaw(self) -> None:
        """A signal reaches what stands still only when it goes on (v1)."""
        if self.seen.state in ("FROZEN", "FREEZING"):
            from warden.lxc.freezing import thaw

            thaw(self._site, self.running)

    def wait(self, timeout_s: float | None) -> bool:
        """Until its monitor is gone, or has begun its next life: whether that came in time; None waits for ever."""
        if self._monitor >= 0:
            poll = select.poll()
            poll.register(self._monitor, select.POLLIN)
            return bool(poll.poll(None if timeout_s is None else max(0, int(timeout_s * 1000))))
        return True

    def is_taken(self) -> bool:
        """Whether the name is still, or again, in use."""
        with suppress(WrongState):
            claim(self.running.lxcpath, self._name).close()
            return False
        return True


def _settled(site: Site, lxcpath: str, name: str) -> states.Seen:
    """One that is being started is waited for."""
    while True:
        seen = states.find(site, lxcpath, name)
        if seen is None:
            raise WrongState(f"{name} is not running")
        if seen.state != "STARTING" and seen.running.pid and seen.running.monitor:
            return seen
        time.sleep(_PAUSE_S)


def is_its_own(seen: states.Seen) -> bool:
    """Whether the number of its first process is that one's still. At its end it is gone before what has to be undone is,
    which takes a hook's time, and the number may be another's by then: that is no child of its monitor."""
    if seen.state not in ("STOPPING", "ABORTING"):
        return True
    with suppress(OSError, IndexError), open(f"/proc/{seen.running.pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1]) == seen.running.monitor
    return False


def _open(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return -1


def _usual_halt(pid: int) -> int:
    """SIGPWR, unless its first process waits for systemd's."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("SigBlk:") and int(line.split()[1], 16) >> (_SYSTEMD_HALT - 1) & 1:
                return _SYSTEMD_HALT
    return signal.SIGPWR
