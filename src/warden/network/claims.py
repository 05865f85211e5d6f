"""Which container has a port of the host when several asked for it: the first keeps it, the next one inherits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from warden.network.expressions import Element
from warden.network.nft import Guest, PortKey, Target, port_element, port_routes

#: Of one port: who asked for it and where it would lead, first come first.
Queue = tuple[tuple[str, Target], ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """What a change of one container means for ports: elements that go and come, and the queues afterwards."""

    gone: tuple[Element, ...] = ()
    come: tuple[Element, ...] = ()
    queues: dict[PortKey, Queue] = field(default_factory=dict)


class Claims:
    """The ports of all containers. The cost of a change grows with the ports of that container alone."""

    def __init__(self) -> None:
        self._queues: dict[PortKey, Queue] = {}

    def shift(self, old: Guest | None, new: Guest | None) -> Shift:
        """What would change; nothing does yet."""
        one = new or old
        before = [] if old is None else list(port_routes(old))
        after = [] if new is None else list(port_routes(new))
        if one is None or before == after:
            return Shift()
        gone, come, queues = [], [], {}
        for key in dict.fromkeys(key for key, _ in (*before, *after)):
            queue = self._queues.get(key, ())
            wanted = [(one.container_id, target) for at, target in after if at == key]
            kept = [entry for entry in queue if entry[0] != one.container_id or entry in wanted]
            then = (*kept, *(entry for entry in wanted if entry not in kept))
            queues[key] = then
            if queue[:1] != then[:1]:
                gone += [port_element(key, target) for _, target in queue[:1]]
                come += [port_element(key, target) for _, target in then[:1]]
        return Shift(tuple(gone), tuple(come), queues)

    def settle(self, shift: Shift) -> Shift:
        """It has happened; answers what would undo it."""
        before = Shift(queues={key: self._queues.get(key, ()) for key in shift.queues})
        for key, queue in shift.queues.items():
            if queue:
                self._queues[key] = queue
            else:
                self._queues.pop(key, None)
        return before

    def elements(self) -> Iterator[Element]:
        """All that are in force."""
        for key, queue in self._queues.items():
            yield port_element(key, queue[0][1])

    def others(self, guest: Guest) -> Iterator[tuple[PortKey, str]]:
        """Ports that *guest* asks for and another container has, and whose they are: also where one of the two means all
        addresses of the host and the other only one."""
        wanted = {key for key, _ in port_routes(guest)}
        for version, at, protocol, number in sorted(wanted, key=str):
            for key in self._overlapping(version, at, protocol, number):
                for holder, _ in self._queues.get(key, ()):
                    if holder != guest.container_id:
                        yield (version, at, protocol, number), holder

    def _overlapping(self, version: int, at: str | None, protocol: str, number: int) -> Iterator[PortKey]:
        if at is not None:
            yield version, at, protocol, number
            yield version, None, protocol, number
            return
        yield version, None, protocol, number
        for key in self._queues:
            if key[1] is not None and (key[0], *key[2:]) == (version, protocol, number):
                yield key
