"""snapshot.json: Warden's keys, every spec there and back, and nothing but EngineFault for what is no snapshot."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.depot.snapshot import OURS, VERSION, Snapshot
from warden.errors import EngineFault, NotBuilt
from warden.model.info import State
from warden.model.interfaces import Interface, Link, LinkKind
from warden.model.job import JobSpec
from warden.model.life import RestartPolicy, VolumesFrom
from warden.model.limits import Bandwidth, DiskLimits, Limits, OomPolicy
from warden.model.names import Names
from warden.model.spec import ContainerSpec, Mount, NetworkMode

#: What a handle can be: any bytes but NUL, text where they are UTF-8 (PEP 383).
NAMES = st.binary(min_size=1, max_size=60).filter(lambda raw: 0 not in raw).map(os.fsdecode)
PATHS = NAMES.map(lambda name: "/" + name.replace("..", "__"))
MOUNTS = (Mount.volume("data", "/a", no_copy=True), Mount.tmpfs("/b", "size=1m", read_only=True), Mount("/c", "/d"))
JOBS = st.builds(JobSpec, script=st.binary(max_size=20), privileged=st.booleans(), cwd=st.none() | PATHS) | st.builds(
    JobSpec,
    argv=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    env=st.lists(st.tuples(NAMES.filter(lambda name: "=" not in name), NAMES), max_size=2).map(tuple),
    stdin=st.none() | st.binary(max_size=20),
    rlimits=st.just({}) | st.just({"nofile": 9}),
    wall_limit_s=st.none() | st.floats(0.1, 1e6),
)
INTERFACES = st.sampled_from(
    (
        Interface(LinkKind.BRIDGE, "web", aliases=("db", "db.local"), mac="02:00:00:00:00:01"),
        Interface(LinkKind.MACVLAN, "eth0", name="lan", mode="vepa", addresses=("192.0.2.5/24", "2001:db8::5/64")),
        Interface(LinkKind.VLAN, "eth0", vlan_id=0, gateways=("192.0.2.1", "2001:db8::1"), mtu=1400),
        Interface(LinkKind.PHYSICAL, "eth1"),
    )
)
LINK = Link(
    LinkKind.BRIDGE, "web", "eth0", 2, addresses=("10.0.0.2/24",), gateways=("10.0.0.1",), mac="02:00:00:00:00:01",
    aliases=("db",), host_name="w-18jn0aqmdbo-0", host_index=7, bridge="w-br-web",
)  # fmt: skip
SPECS = st.builds(
    ContainerSpec,
    handle=st.none() | NAMES,
    image=NAMES,
    rootfs=st.none() | PATHS,
    hostname=st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    mounts=st.lists(st.builds(Mount, PATHS, PATHS, st.booleans()), max_size=3).map(tuple) | st.just(MOUNTS),
    limits=st.builds(Limits, st.none() | st.integers(0, 2**63 - 1), st.sampled_from(list(OomPolicy))),
    network=st.sampled_from((NetworkMode.WARDEN, NetworkMode.NONE)),
    interfaces=st.just(()) | INTERFACES.map(lambda item: (item,)),
    names=st.sampled_from((Names(), Names(("192.0.2.1",), (".",), ("ndots:1",), (("db", "host-gateway"),)))),
    network_address=st.none() | st.ip_addresses(v=4).map(str),
    grace_time=st.none() | st.floats(0, allow_infinity=False),
    user_namespace=st.booleans(),
    volumes_from=st.lists(st.builds(VolumesFrom, NAMES, st.none() | st.booleans()), max_size=2).map(tuple),
    read_only=st.booleans(),
    shm_size=st.none() | st.integers(1, 2**40),
    labels=st.lists(st.tuples(NAMES.filter(lambda name: "=" not in name), NAMES), max_size=2).map(tuple),
    main=st.none() | JOBS,
    restart=st.sampled_from([RestartPolicy.parse(text) for text in ("no", "always", "on-failure:3")]),
    stop_signal=st.none() | st.integers(1, 64),
    stop_timeout=st.none() | st.floats(0, 1e6),
)
SNAPSHOTS = st.builds(
    Snapshot,
    container_id=st.from_regex(r"[0-9a-v]{11}", fullmatch=True),
    handle=NAMES,
    state=st.sampled_from(list(State)),
    spec=SPECS,
    created=st.floats(0, 1e11),
    uid=st.integers(0, 2**32 - 1),
    id_base=st.none() | st.integers(0, 2**32 - 1),
    hostname=NAMES,
    shell=PATHS,
    network=st.just("") | st.ip_addresses(v=4).map(str),
    events=st.lists(NAMES, max_size=3).map(tuple),
    memory_limit=st.none() | st.integers(0, 2**63),
    grace_time=st.none() | st.floats(0, allow_infinity=False),
    links=st.just(()) | st.just((LINK,)),
)
PLAIN = Snapshot(
    container_id="18jn0aqmdbo", handle="box", state=State.ACTIVE, spec=ContainerSpec(), created=1.5, uid=10000,
    id_base=0x3000_0000, hostname="box", shell="/bin/bash", network="10.254.0.4", events=("out of memory",),
    memory_limit=1 << 20, grace_time=300.0,
)  # fmt: skip


@given(SNAPSHOTS)
def test_every_snapshot_comes_back(snapshot: Snapshot) -> None:
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


@given(SNAPSHOTS)
def test_the_text_can_be_written_in_any_encoding(snapshot: Snapshot) -> None:
    assert snapshot.to_json().isascii()


def test_warden_s_keys_are_as_they_were() -> None:
    """spec/warden.md §8"""
    data = json.loads(PLAIN.to_json())
    ours = data.pop("warden")
    assert data == {
        "events": ["out of memory"],
        "grace_time": 300.0,
        "jobs": {},
        "limits": {},
        "resources": {
            "container_id": "18jn0aqmdbo", "handle": "box", "limit_memory": 1 << 20, "net_in": [], "net_out": [],
            "network": "10.254.0.4", "ports": [], "uid": 10000,
        },
        "state": "active",
    }  # fmt: skip
    assert ours["version"] == VERSION


def test_a_limit_that_was_never_asked_for_is_absent() -> None:
    assert "limit_memory" not in json.loads(replace(PLAIN, memory_limit=None).to_json())["resources"]


def test_the_state_changes_alone() -> None:
    stopped = PLAIN.with_state(State.STOPPED)
    assert stopped == replace(PLAIN, state=State.STOPPED)
    assert PLAIN.state is State.ACTIVE


def changed(path: str, value: Any) -> str:
    data = json.loads(PLAIN.to_json())
    place = data
    *way, last = path.split(".")
    for name in way:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"x"', "{}", '{"resources": {}, "warden": {}}'])
def test_what_is_no_snapshot(text: str) -> None:
    with pytest.raises(EngineFault, match=r"^snapshot: not readable"):
        Snapshot.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("warden", ...), ("resources.handle", ...), ("events", None), ("state", "asleep"), ("state", None),
        ("warden.spec", None), ("warden.spec.limits.oom_policy", "pray"), ("warden.spec.mounts", [{"source": "x"}]),
        ("warden.spec.mounts", [{"source": "relative", "target": "/x"}]), ("warden.spec.hostname", "a b"),
        ("warden.spec.handle", ""), ("warden.version", None),
    ],
    ids=str,
)  # fmt: skip
def test_a_snapshot_that_was_damaged(path: str, value: Any) -> None:
    with pytest.raises((EngineFault, NotBuilt), match=r"^snapshot: not (readable|understood)"):
        Snapshot.from_json(changed(path, value))


def test_a_snapshot_of_a_newer_warden() -> None:
    with pytest.raises(NotBuilt, match=f"^snapshot: version {VERSION + 1} is from a newer warden"):
        Snapshot.from_json(changed("warden.version", VERSION + 1))


@pytest.mark.parametrize("name", ["warden.colour", "warden.spec.colour"])
def test_a_field_of_a_newer_warden(name: str) -> None:
    with pytest.raises(NotBuilt, match=rf"^snapshot: {name} is from a newer warden"):
        Snapshot.from_json(changed(name, "red"))


def test_every_field_that_is_written_is_known() -> None:
    assert json.loads(PLAIN.to_json())["warden"].keys() == OURS


def with_limits(limits: Limits) -> Snapshot:
    return replace(PLAIN, spec=replace(PLAIN.spec, limits=limits))


def test_shares_stand_where_the_original_has_them() -> None:
    snapshot = with_limits(Limits(cpu_shares=77))
    assert json.loads(snapshot.to_json())["resources"]["limit_cpu"] == 77
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    assert "limit_cpu" not in json.loads(PLAIN.to_json())["resources"]


def test_the_newer_limits_are_kept() -> None:
    limited = with_limits(Limits(bandwidth_in=Bandwidth(5, 6), bandwidth_out=Bandwidth(7, 8), disk=DiskLimits(1, 2, 3, 4)))
    snapshot = replace(limited, layer="/pool/x", project=77, paused=True)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_one_bandwidth_of_an_earlier_version_was_for_both_directions() -> None:
    data = json.loads(PLAIN.to_json())
    limits = data["warden"]["spec"]["limits"]
    del limits["bandwidth_in"], limits["bandwidth_out"]
    limits["bandwidth"] = {"rate": 5, "burst": 6}
    read = Snapshot.from_json(json.dumps(data)).spec.limits
    assert (read.bandwidth_in, read.bandwidth_out) == (Bandwidth(5, 6), Bandwidth(5, 6))


def test_a_record_without_the_newer_limits_is_read() -> None:
    data = json.loads(PLAIN.to_json())
    del data["warden"]["layer"], data["warden"]["project"], data["warden"]["paused"]
    data["warden"]["spec"]["limits"] = {"memory_bytes": None, "oom_policy": "kill_job"}
    assert Snapshot.from_json(json.dumps(data)) == PLAIN


def test_what_a_version_before_volumes_wrote() -> None:
    spec = ContainerSpec(mounts=(Mount("/a", "/b"),))
    snapshot = Snapshot("i", "h", State.ACTIVE, spec, 1.0, 5, None, "h", "/bin/sh")
    data = json.loads(snapshot.to_json())
    for name in ("vcap", "phase", "restarts"):
        del data["warden"][name]
    written = data["warden"]["spec"]
    for name in ("volumes_from", "read_only", "shm_size", "labels", "main", "restart", "auto_remove"):
        del written[name]
    for name in ("kind", "no_copy", "options"):
        del written["mounts"][0][name]
    assert Snapshot.from_json(json.dumps(data)) == snapshot
