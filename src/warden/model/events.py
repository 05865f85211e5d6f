"""What has happened to containers, jobs, networks and volumes, as people and programs outside are told it."""

from __future__ import annotations

from collections.abc import Mapping

from warden.records import dataclass, field


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that has happened. *seq* counts up, over restarts of the daemon too, and not every number is used; *time*:
    seconds since the epoch. *type*: "container", "job", "network", "volume"; *event*: such as "start". *container* is the
    handle and *id* the container's id, both "" where it concerns none. *attributes*: what else is known, by name."""

    seq: int
    time: float
    type: str
    event: str
    container: str = ""
    id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events are wanted. *since*, *until*: seconds since the epoch, both included; without *since* those to come,
    without *until* without end. *after*: instead of *since*, those with a higher number. Of each kind of filter one must
    match, none given is all; *containers* are handles or ids, *networks* and
    *volumes* names of what the event itself is about."""

    since: float | None = None
    until: float | None = None
    after: int | None = None
    types: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()

    def wants(self, record: EventRecord) -> bool:
        """Whether it is one of them, as far as the filters go."""
        return (
            (not self.types or record.type in self.types)
            and (not self.events or record.event in self.events)
            and (not self.containers or record.container in self.containers or record.id in self.containers)
            and (not self.networks or _is_about("network", self.networks, record))
            and (not self.volumes or _is_about("volume", self.volumes, record))
        )


def _is_about(kind: str, names: frozenset[str], record: EventRecord) -> bool:
    return record.type == kind and record.attributes.get("name") in names
