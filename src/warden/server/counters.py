"""What the daemon itself has done, counted for its metrics: requests, containers, jobs. In memory, from its start."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Mapping

import warden
from warden.engine.events import ContainerCreated, ContainerDestroyed, Event, JobEnded, JobStarted, OutOfMemory
from warden.model.info import State
from warden.server.exposition import Family, Histogram, block, histogram_block, labels

OK, CUT_OFF = "ok", "cut_off"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

BUILD = Family("warden_build_info", "gauge", "Versions, as labels.")
CONNECTIONS = Family("warden_connections", "gauge", "Open connections of clients.")
CONTAINERS = Family("warden_containers", "gauge", "Containers by state.")
CREATED = Family("warden_containers_created_total", "counter", "Containers made.")
DESTROYED = Family("warden_containers_destroyed_total", "counter", "Containers destroyed.")
STARTED = Family("warden_jobs_started_total", "counter", "Jobs started.")
ENDED = Family("warden_jobs_ended_total", "counter", "Jobs ended, by verdict.")
OOM = Family("warden_out_of_memory_total", "counter", "Times that a container ran out of memory.")
MENDED = Family(
    "warden_firewall_mended_total", "counter", "Times that what other programs did to the firewall was put right."
)
REQUESTS = Family("warden_requests_total", "counter", "Requests by outcome: ok, cut_off, or the code of the error.")
DURATIONS = Family(
    "warden_request_duration_seconds", "histogram", "Time of requests; some wait for a job, streams for their end."
)
_EVENTS = {ContainerCreated: CREATED, ContainerDestroyed: DESTROYED, JobStarted: STARTED, OutOfMemory: OOM}


class Counters:
    """`on_event` is given to the engine's events, `request` is called after each request."""

    def __init__(self) -> None:
        self._events: Counter[Family] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}

    def request(self, name: str, code: str, seconds: float) -> None:
        """*name* as the command is called, *code* of the outcome: both are of a small, fixed set."""
        self._requests[name, code] += 1
        if name not in self._durations:
            self._durations[name] = Histogram.empty(BOUNDS)
        self._durations[name].observe(seconds)

    def on_event(self, event: Event) -> None:
        if isinstance(event, JobEnded):
            self._verdicts[event.result.verdict.value] += 1
        elif (family := _EVENTS.get(type(event))) is not None:
            self._events[family] += 1

    def blocks(self, connections: int, states: Mapping[State, int], mended: int = 0) -> Iterator[str]:
        """The families of the daemon; what it does not count itself is given."""
        versions = labels(version=warden.__version__, python=platform.python_version())
        yield block(BUILD, [(versions, 1)])
        yield block(CONNECTIONS, [("", connections)])
        known = (State.ACTIVE, State.STOPPED)
        yield block(CONTAINERS, ((labels(state=state.value), states.get(state, 0)) for state in known))
        for family in _EVENTS.values():
            yield block(family, [("", self._events[family])])
        yield block(MENDED, [("", mended)])
        yield block(ENDED, ((labels(verdict=name), count) for name, count in sorted(self._verdicts.items())))
        outcomes = sorted(self._requests.items())
        yield block(REQUESTS, ((labels(request=name, code=code), count) for (name, code), count in outcomes))
        durations = sorted(self._durations.items())
        yield histogram_block(DURATIONS, ((labels(request=name), found) for name, found in durations))
