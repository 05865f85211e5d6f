"""Which container has a port of the host when several asked for it: the first keeps it, the next one inherits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warden.network.expressions import Element
from warden.network.nft import Guest, PortKey, Target, port_element, port_routes
from warden.records import dataclass, field


class PortTaken(Exception):
    """A port that is wanted alone has another container already: *holder*, by its id."""

    def __init__(self, key: PortKey, holder: str) -> None:
        super().__init__(f"port {port_name(key)} is container {holder}'s")
        self.key, self.holder = key, holder


def port_name(key: PortKey) -> str:
    """ "8080/tcp", or "192.0.2.1:8080/tcp"."""
    version, at, protocol, number = key
    where = "" if at is None else f"[{at}]:" if version == 6 else f"{at}:"
    return f"{where}{number}/{protocol}"


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
        self._at_one: dict[tuple[int, str, int], set[PortKey]] = {}  # of those that name an address of the host

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
            if key[1] is not None:
                self._index(key, there=bool(queue))
        return before

    def _index(self, key: PortKey, *, there: bool) -> None:
        short = key[0], key[2], key[3]
        known = self._at_one.setdefault(short, set())
        (known.add if there else known.discard)(key)
        if not known:
            del self._at_one[short]

    def elements(self) -> Iterator[Element]:
        """All that are in force."""
        for key, queue in self._queues.items():
            yield port_element(key, queue[0][1])

    def require_alone(self, container_id: str, keys: Iterable[PortKey]) -> None:
        """Raises PortTaken when another container has one of them: also where one of the two means all addresses of the
        host and the other only one."""
        for key in keys:
            version, at, protocol, number = key
            rivals = [key, (version, None, protocol, number)]
            if at is None:
                rivals += self._at_one.get((version, protocol, number), ())
            for rival in rivals:
                for holder, _ in self._queues.get(rival, ()):
                    if holder != container_id:
                        raise PortTaken(key, holder)
