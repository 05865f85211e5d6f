"""A container's snapshot: Warden's JSON (spec/warden.md §8) with our own additions under "warden". Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from warden.depot.jobdata import job_from_data, job_to_data
from warden.errors import BadInput, EngineFault, NotBuilt
from warden.model.info import State
from warden.model.interfaces import Interface, Link, LinkKind
from warden.model.life import Phase, RestartMode, RestartPolicy, VolumesFrom
from warden.model.limits import Bandwidth, CpuQuota, DeviceRule, DiskLimits, IoLimit, Limits, OomPolicy, RdmaLimit
from warden.model.mounts import MountKind
from warden.model.names import Names
from warden.model.net import NetPolicy, NetRule, PortMap, Protocol
from warden.model.spec import ContainerSpec, Mount, NetworkMode
from warden.model.system import System
from warden.records import asdict, dataclass, fields, replace

L = TypeVar("L", Interface, Link)
VERSION = 1
#: Under "warden". What is not among them, a newer version has written, and who does not know it must not write it anew.
OURS = frozenset(
    "version created id_base hostname shell layer project disk paused vcap phase restarts asked links network_owner"
    " published net_policy net_connections spec".split()
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What must be known to take a container up again. *network*: the address of its /30, "" without one.
    *memory_limit*: bytes as last requested. *ports*: of net_in and taken from the pool; *net_in*: (host, container);
    *net_out*: oldest first; *published*: ports that no other container may share; *net_policy*: None: as all. *disk*:
    the way in which their size can be limited (a value of disk.backend); *layer*: where its writable files lie, "" in
    its own directory; *project*: the number that their quota has, 0 none. *paused*: its processes stand still. *links*:
    what the interfaces of its spec became. *network_owner*: the id of the container whose network it shares. *vcap*: the
    number of vcap where it is not *uid*. *phase*, *restarts*: of its main job; *asked*: somebody restarts it, and it was
    not started again as long as there is no main job with a higher number; None: nobody does."""

    container_id: str
    handle: str
    state: State
    spec: ContainerSpec
    created: float
    uid: int
    id_base: int | None
    hostname: str
    shell: str
    network: str = ""
    events: tuple[str, ...] = ()
    memory_limit: int | None = None
    grace_time: float | None = None
    ports: tuple[int, ...] = ()
    net_in: tuple[tuple[int, int], ...] = ()
    net_out: tuple[NetRule, ...] = ()
    layer: str = ""
    project: int = 0
    disk: str = "none"
    paused: bool = False
    links: tuple[Link, ...] = ()
    network_owner: str = ""
    published: tuple[PortMap, ...] = ()
    net_policy: NetPolicy | None = None
    net_connections: int | None = None
    vcap: int | None = None
    phase: Phase = Phase.NEW
    restarts: int = 0
    asked: int | None = None

    @property
    def vcap_uid(self) -> int:
        """The number of vcap inside; *uid* is only what it takes from the pool."""
        return self.uid if self.vcap is None else self.vcap

    def with_state(self, state: State) -> Snapshot:
        return replace(self, state=state)

    def to_json(self, jobs: Mapping[str, Any] = MappingProxyType({})) -> str:
        """The text of snapshot.json. *jobs*: the original's table, which is not read again."""
        resources: dict[str, object] = {
            "ports": list(self.ports),
            "container_id": self.container_id,
            "handle": self.handle,
            "network": self.network,
            "uid": self.uid,
            "net_in": [list(pair) for pair in self.net_in],
            "net_out": [_rule_to_row(rule) for rule in self.net_out],
        }
        if self.memory_limit is not None:
            resources["limit_memory"] = self.memory_limit
        if self.spec.limits.cpu_shares is not None:
            resources["limit_cpu"] = self.spec.limits.cpu_shares
        ours = {
            "version": VERSION,
            "created": self.created,
            "id_base": self.id_base,
            "hostname": self.hostname,
            "shell": self.shell,
            "layer": self.layer,
            "project": self.project,
            "disk": self.disk,
            "paused": self.paused,
            "vcap": self.vcap,
            "phase": self.phase.value,
            "restarts": self.restarts,
            "asked": self.asked,
            "links": [asdict(link) | {"kind": link.kind.value} for link in self.links],
            "network_owner": self.network_owner,
            "published": [asdict(port) for port in self.published],
            "net_policy": None if self.net_policy is None else asdict(self.net_policy),
            "net_connections": self.net_connections,
            "spec": _spec_to_data(self.spec),
        }
        return json.dumps(
            {
                "events": list(self.events),
                "jobs": dict(jobs),
                "limits": {},
                "grace_time": self.grace_time,
                "resources": resources,
                "state": self.state.value,
                "warden": ours,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Raises EngineFault when the text is no snapshot, NotBuilt when it is a newer version's."""
        try:
            data: dict[str, Any] = json.loads(text)
            resources, ours = data["resources"], data["warden"]
            if ours["version"] > VERSION:
                raise NotBuilt(f"snapshot: version {ours['version']} is from a newer warden", hint="run that one")
            _check_known("warden", ours, OURS)
            _check_known("warden.spec", ours["spec"], _SPEC)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineFault(f"snapshot: not readable: {error!r}") from error
        try:
            return cls._from_data(data, resources, ours)
        except (KeyError, AttributeError) as error:
            raise EngineFault(f"snapshot: not readable: {error!r}") from error
        except (ValueError, TypeError, BadInput) as error:  # a word, a field or a value that is not known here
            hint = "run that one, or remove the file: then the container is destroyed"
            raise NotBuilt(f"snapshot: not understood, from a newer warden? {error}", hint=hint) from error

    @classmethod
    def _from_data(cls, data: dict[str, Any], resources: dict[str, Any], ours: dict[str, Any]) -> Snapshot:
        return cls(
            container_id=resources["container_id"],
            handle=resources["handle"],
            state=State(data["state"]),
            spec=_spec_from_data(ours["spec"]),
            created=ours["created"],
            uid=resources["uid"],
            id_base=ours["id_base"],
            hostname=ours["hostname"],
            shell=ours["shell"],
            network=resources["network"],
            events=tuple(data["events"]),
            memory_limit=resources.get("limit_memory"),
            grace_time=data["grace_time"],
            ports=tuple(resources["ports"]),
            net_in=tuple((host, inside) for host, inside in resources["net_in"]),
            net_out=tuple(map(_rule_from_row, resources["net_out"])),
            layer=ours.get("layer", ""),
            project=ours.get("project", 0),
            disk=ours.get("disk") or _disk_before(ours.get("layer", ""), ours.get("project", 0)),
            paused=ours.get("paused", False),
            vcap=ours.get("vcap"),
            phase=Phase(ours.get("phase", "new")),
            restarts=ours.get("restarts", 0),
            asked=ours.get("asked"),
            network_owner=ours.get("network_owner", ""),
            links=tuple(_link_from_data(Link, item) for item in ours.get("links", ())),
            published=_ports_from_data(ours.get("published", ())),
            net_policy=_policy_from_data(ours.get("net_policy")),
            net_connections=ours.get("net_connections"),
        )


_SPEC = frozenset(field.name for field in fields(ContainerSpec))


def _check_known(where: str, data: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := sorted(name for name in data if name not in known):
        raise NotBuilt(f"snapshot: {where}.{unknown[0]} is from a newer warden", hint="run that one")


def _disk_before(layer: str, project: int) -> str:
    """What a version that knew fewer ways had."""
    if not project:
        return "none"
    return "pool" if layer else "project"


def _rule_to_row(rule: NetRule) -> list[object]:
    return [rule.network, rule.ports, rule.protocol.value, rule.icmp_type, rule.icmp_code, rule.log]


def _rule_from_row(row: list[Any]) -> NetRule:
    network, ports, protocol, icmp_type, icmp_code, log = row
    return NetRule(network, ports, Protocol(protocol), icmp_type, icmp_code, log)


def _spec_to_data(spec: ContainerSpec) -> dict[str, object]:
    data = asdict(replace(spec, main=None))
    data["network"] = spec.network.value
    data["limits"]["oom_policy"] = spec.limits.oom_policy.value
    data["main"] = None if spec.main is None else job_to_data(spec.main)
    data["restart"] = {"mode": spec.restart.mode.value, "retries": spec.restart.retries}
    for mount, written in zip(spec.mounts, data["mounts"], strict=True):
        written["kind"] = mount.kind.value
    data["interfaces"] = [asdict(item) | {"kind": item.kind.value} for item in spec.interfaces]
    return data


def _spec_from_data(data: dict[str, Any]) -> ContainerSpec:
    """What an earlier version did not know of is as usual."""
    found: dict[str, Any] = {
        **data,
        "network": NetworkMode(data["network"]),
        "limits": _limits_from_data(data["limits"]),
        "mounts": tuple(map(_mount_from_data, data["mounts"])),
        "labels": _as_tuples(data.get("labels", [])),
        "volumes_from": tuple(VolumesFrom(**item) for item in data.get("volumes_from", [])),
        "interfaces": tuple(_link_from_data(Interface, item) for item in data.get("interfaces", ())),
        "publish": _ports_from_data(data.get("publish", ())),
        "net_policy": _policy_from_data(data.get("net_policy")),
        "system": _system_from_data(data.get("system")),
        "names": Names(**{name: _as_tuples(value) for name, value in data.get("names", {}).items()}),
    }
    if data.get("main") is not None:
        found["main"] = job_from_data(data["main"])
    if data.get("restart") is not None:
        found["restart"] = RestartPolicy(RestartMode(data["restart"]["mode"]), data["restart"]["retries"])
    return ContainerSpec(**found)


def _mount_from_data(data: dict[str, Any]) -> Mount:
    kind, options = MountKind(data.get("kind", "bind")), _as_tuples(data.get("options", []))
    return Mount(**{**data, "kind": kind, "options": options})


def _system_from_data(data: dict[str, Any] | None) -> System | None:
    if data is None:
        return None
    import msgspec  # few containers have one

    return msgspec.convert(data, System)


def _link_from_data(kind: type[L], data: dict[str, Any]) -> L:
    """An Interface or a Link."""
    found = {name: _as_tuples(value) for name, value in data.items()}
    return kind(**{**found, "kind": LinkKind(data["kind"])})


def _ports_from_data(data: Iterable[dict[str, Any]]) -> tuple[PortMap, ...]:
    return tuple(PortMap(**item) for item in data)


def _policy_from_data(data: dict[str, list[str]] | None) -> NetPolicy | None:
    return None if data is None else NetPolicy(tuple(data["allow"]), tuple(data["deny"]))


def _limits_from_data(data: dict[str, Any]) -> Limits:
    """What an earlier version did not know of is as usual; its bandwidth was for both directions. JSON has lists where
    Limits has tuples."""
    both = data.get("bandwidth")
    data = {"bandwidth_in": both, "bandwidth_out": both} | {k: v for k, v in data.items() if k != "bandwidth"}
    found: dict[str, Any] = {name: _as_tuples(value) for name, value in data.items()}
    found["oom_policy"] = OomPolicy(data["oom_policy"])
    kind: Any
    band: Any = Bandwidth
    for name, kind in (("bandwidth_in", band), ("bandwidth_out", band), ("disk", DiskLimits), ("cpu_quota", CpuQuota)):
        if data.get(name) is not None:
            found[name] = kind(**data[name])
    for name, kind in (("io_max", IoLimit), ("devices", DeviceRule), ("rdma", RdmaLimit)):
        if data.get(name) is not None:
            found[name] = tuple(kind(**item) for item in data[name])
    return Limits(**found)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
