"""What happens to containers and jobs, as typed events given to whoever listens inside this process.

Synchronous and after the fact: a listener cannot change or delay what has happened, and its error goes to the log. What
an operator may run on an event is hooks.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import ClassVar

from warden.model.job import JobResult
from warden.records import dataclass

log = logging.getLogger("warden.events")


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """A container at the moment of an event. *pid*: its PID 1 as the host numbers it, 0 when it is gone; addresses are
    empty without a network of its own; *created*: seconds since the epoch."""

    handle: str
    id: str
    state: str
    path: str
    pid: int
    host_ip: str
    container_ip: str
    image: str
    created: float


#: For events that concern no container.
NOBODY = ContainerFacts("", "", "", "", 0, "", "", "", 0.0)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened to *container*. Outside it is called *action* of *type*, and its other fields are its
    attributes."""

    type: ClassVar[str] = "container"
    action: ClassVar[str] = "other"

    container: ContainerFacts


@dataclass(frozen=True, slots=True)
class ContainerCreated(Event):
    """It serves, and has its handle."""

    action = "create"


@dataclass(frozen=True, slots=True)
class ContainerStopped(Event):
    """All its processes have ended, by a stop or with its PID 1."""

    action = "stop"


@dataclass(frozen=True, slots=True)
class ContainerDestroyed(Event):
    """Nothing of it is left but files on their way out; also after a create that was undone."""

    action = "destroy"


@dataclass(frozen=True, slots=True)
class ContainerRenamed(Event):
    """It has another handle than *old*."""

    action = "rename"
    old: str


@dataclass(frozen=True, slots=True)
class OutOfMemory(Event):
    """The kernel has killed for want of memory."""

    action = "oom"


@dataclass(frozen=True, slots=True)
class ContainerPaused(Event):
    """Its processes stand still."""

    action = "pause"


@dataclass(frozen=True, slots=True)
class ContainerResumed(Event):
    """They go on."""

    action = "unpause"


@dataclass(frozen=True, slots=True)
class LimitsChanged(Event):
    """Limits by name, as they are asked now."""

    action = "update"
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    """A job runs its program."""

    type = "job"
    action = "start"
    job_id: int
    command: str


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """A job was judged."""

    type = "job"
    action = "die"
    job_id: int
    command: str
    result: JobResult


@dataclass(frozen=True, slots=True)
class NetworkCreated(Event):
    """A bridge of ours is there, made explicitly or at its first use. *subnets*: with commas between them."""

    type = "network"
    action = "create"
    name: str
    subnets: str


@dataclass(frozen=True, slots=True)
class NetworkDestroyed(Event):
    """It is gone, removed or with its last user."""

    type = "network"
    action = "destroy"
    name: str


@dataclass(frozen=True, slots=True)
class NetworkConnected(Event):
    """The container is on it from now on, with *interface*, as it is called inside. *addresses*: with commas."""

    type = "network"
    action = "connect"
    name: str
    interface: str
    addresses: str


@dataclass(frozen=True, slots=True)
class NetworkDisconnected(Event):
    """The container is not on it any more."""

    type = "network"
    action = "disconnect"
    name: str
    interface: str


@dataclass(frozen=True, slots=True)
class VolumeCreated(Event):
    """It is there, and empty."""

    type = "volume"
    action = "create"
    name: str


@dataclass(frozen=True, slots=True)
class VolumeDestroyed(Event):
    """It is gone with its files."""

    type = "volume"
    action = "destroy"
    name: str


@dataclass(frozen=True, slots=True)
class VolumeMounted(Event):
    """The container has it at *destination*."""

    type = "volume"
    action = "mount"
    name: str
    destination: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class VolumeUnmounted(Event):
    """The container has it no more."""

    type = "volume"
    action = "unmount"
    name: str
    destination: str


Listener = Callable[[Event], None]


class Emitter:
    """False while nobody listens: then an event need not be made. An engine's history always does."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls *listener* with every event from now on; the function returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed on %s", type(event).__name__)
