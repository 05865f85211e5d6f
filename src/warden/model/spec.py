"""ContainerSpec and its parts: what every door translates its input into."""

from __future__ import annotations

from warden.errors import BadInput
from warden.light import TYPE_CHECKING, Enum, late
from warden.model.interfaces import Interface, check_together, parse_interface, usage_error
from warden.model.job import JobSpec
from warden.model.life import RestartMode, RestartPolicy, VolumesFrom, check_label
from warden.model.limits import Limits
from warden.model.mounts import Mount as Mount
from warden.model.mounts import in_order
from warden.model.names import Names, is_host_name
from warden.model.net import NetPolicy, PortMap
from warden.model.system import System
from warden.records import dataclass, field

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable
    from typing import Any
else:
    re = late("re")


class NetworkMode(Enum):
    """How a container is connected."""

    WARDEN = "warden"  # a veth pair and a /30 of its own from the pool
    NONE = "none"  # a network namespace with lo only
    HOST = "host"  # the host's own network namespace
    CONTAINER = "container"  # another container's network namespace


InterfaceLike = Interface | str


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything a door can ask of a new container. Values are checked here, against the machine by the engine.

    *handle* None: the container's id. *image*: a name in the image store; *rootfs*: a directory used instead.
    *grace_time*: seconds without a connection after which the container is destroyed, None never.
    *publish*: ports of the host that lead to it; *net_policy*: where it may go, None: as all;
    *net_connections*: begun at once by each of its addresses, 0: as many as it likes, None: as all.
    *network_address*: ask for this /30 of the pool. *best_effort*: limits that the machine cannot do are left out.
    *interfaces*: more of them, or with mode none the only ones. *network_of*: whose network mode container shares.
    *names*: more for its /etc/hosts and /etc/resolv.conf.
    *system*: it has a root file system and a first process of its own, *rootfs* as it is.
    *main*: the job that the container is made for; `start` begins it, *restart* begins it again, and *auto_remove* ends
    the container with it. *stop_signal*, *stop_timeout*: how a stop asks, and for how many seconds; None as configured.
    *read_only*: nothing but mounts and /dev/shm can be written. *shm_size*: bytes of /dev/shm.
    """

    handle: str | None = None
    image: str = "host"
    rootfs: str | None = None
    hostname: str | None = None
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    network: NetworkMode = NetworkMode.WARDEN
    network_address: str | None = None
    grace_time: float | None = None
    user_namespace: bool = True
    best_effort: bool = False
    interfaces: tuple[Interface, ...] = ()
    network_of: str | None = None
    publish: tuple[PortMap, ...] = ()
    net_policy: NetPolicy | None = None
    net_connections: int | None = None
    names: Names = field(default_factory=Names)
    system: System | None = None
    volumes_from: tuple[VolumesFrom, ...] = ()
    read_only: bool = False
    shm_size: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    main: JobSpec | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    auto_remove: bool = False
    stop_signal: int | None = None
    stop_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.handle is not None:
            check_handle(self.handle)
        if self.hostname is not None and not is_host_name(self.hostname):
            hint = "1 to 64 letters, digits, dots and dashes"
            raise BadInput(f"hostname: {self.hostname!r} is not usable", hint=hint)
        if self.rootfs is not None and (not self.rootfs.startswith("/") or "\0" in self.rootfs):
            raise BadInput(f"rootfs: {self.rootfs!r} is not an absolute path")
        if self.grace_time is not None and not self.grace_time >= 0:  # also refuses "not a number"
            raise BadInput(f"grace_time: {self.grace_time} is not a number of seconds")
        self._check_network()
        self._check_life()
        in_order(self.mounts)

    def _check_life(self) -> None:
        for name, value in self.labels:
            check_label(name, value)
        if self.shm_size is not None and self.shm_size <= 0:
            raise BadInput(f"shm_size: {self.shm_size} is not a size", hint="more than 0 bytes")
        if self.auto_remove and self.restart.mode is not RestartMode.NO:
            raise BadInput("restart: one that is removed at its end cannot be started again", hint="leave one out")
        if self.stop_signal is not None and not 0 < self.stop_signal < 65:
            raise BadInput(f"stop_signal: {self.stop_signal} is not a signal", hint="1 to 64")
        if self.stop_timeout is not None and not 0 <= self.stop_timeout < 1e9:
            raise BadInput(f"stop_timeout: {self.stop_timeout} is not a number of seconds")

    def _check_network(self) -> None:
        if (self.network is NetworkMode.CONTAINER) != bool(self.network_of):
            raise BadInput("network_of: goes with the network mode container alone", hint="container:HANDLE")
        if self.interfaces and self.network not in (NetworkMode.WARDEN, NetworkMode.NONE):
            hint = "interfaces go with the modes warden and none"
            raise BadInput(f"interfaces: the network mode {self.network.value} has none of its own", hint=hint)
        check_together(self.interfaces)
        if self.names and self.network is NetworkMode.CONTAINER:
            field = next(name for name, given in self.names.by_option().items() if given)
            raise BadInput(f"{field}: the network mode container has the other's", hint="ask for it there")


def check_handle(handle: str) -> None:
    """Raises BadInput for what no container can be called."""
    if not handle or "\0" in handle or len(handle) > 1024:
        raise BadInput(f"handle: {handle!r} is not usable", hint="1 to 1024 characters without NUL")


def network_fields(network: str, more: Iterable[InterfaceLike] = ()) -> dict[str, Any]:
    """The fields of a ContainerSpec that *network*, as people write it, and further interfaces mean; raises BadInput."""
    interfaces = tuple(item if isinstance(item, Interface) else _interface(item) for item in more)
    word, _, rest = network.partition(":")
    if word == NetworkMode.CONTAINER.value and rest:
        return {"network": NetworkMode.CONTAINER, "network_of": rest, "interfaces": interfaces}
    if network in (NetworkMode.WARDEN.value, NetworkMode.NONE.value, NetworkMode.HOST.value):
        return {"network": NetworkMode(network), "interfaces": interfaces}
    return {"network": NetworkMode.NONE, "interfaces": (_interface(network), *interfaces)}


def _interface(text: str) -> Interface:
    found = parse_interface(text)
    if found is None:
        raise usage_error(text)
    return found
