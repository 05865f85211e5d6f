"""Bridges that nobody has any more and whose devices are there still: the kernel takes 30 ms to end one.

Owns which those are. Whoever wants such a name or network again waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from warden.errors import WardenError, WrongState
from warden.model.interfaces import Bridge
from warden.network.addresses import overlapping

log = logging.getLogger("warden.network")

WAIT_S = 10.0


class Departing:
    """Blocking, for any thread. *take_away*: device, rules and file of one."""

    def __init__(self, take_away: Callable[[Bridge], None]) -> None:
        self._take_away = take_away
        self._changed = threading.Condition()
        self._due: dict[str, Bridge] = {}
        self._leaving: dict[str, Bridge] = {}  # somebody takes them away just now

    def add(self, bridge: Bridge) -> None:
        """`bury` follows."""
        with self._changed:
            self._due[bridge.name] = bridge

    def bridges(self) -> list[Bridge]:
        """All that are there still."""
        with self._changed:
            return [*self._due.values(), *self._leaving.values()]

    def bury(self) -> None:
        """Takes away those that nobody takes away yet; what fails is logged, and tried again at the next start."""
        while (bridge := self._next()) is not None:
            try:
                self._take_away(bridge)
            except (WardenError, OSError) as error:
                log.error("network %s: %s", bridge.name, error)
            finally:
                with self._changed:
                    del self._leaving[bridge.name]
                    self._changed.notify_all()

    def _next(self) -> Bridge | None:
        with self._changed:
            if not self._due:
                return None
            name, bridge = self._due.popitem()
            self._leaving[name] = bridge
            return bridge

    def wait_for(self, wanted: Bridge) -> None:
        """Its name and networks are free of those that go. Raises WrongState when the kernel does not let go of one."""
        if not self._blocks(wanted):
            return
        self.bury()  # or those who wait could keep busy the very threads that it is for
        with self._changed:
            if not self._changed.wait_for(lambda: not self._blocks(wanted), WAIT_S):
                raise WrongState(f"network {wanted.name}: the kernel still has the one that was removed", hint="try again")

    def _blocks(self, wanted: Bridge) -> bool:
        others = self.bridges()
        networks = [network for other in others for network in _networks(other)]
        return any(other.name == wanted.name for other in others) or any(
            overlapping(network, networks) is not None for network in _networks(wanted)
        )


def _networks(bridge: Bridge) -> Iterable[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in (bridge.subnet4, bridge.subnet6) if text]
