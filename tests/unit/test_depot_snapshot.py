"""The record of a container: what is written can be read again, and so can what earlier versions wrote."""

from __future__ import annotations

import json
from dataclasses import replace

from warden.depot.snapshot import Snapshot
from warden.model.info import State
from warden.model.spec import Bandwidth, ContainerSpec, DiskLimits, Limits

SNAPSHOT = Snapshot(
    container_id="1j0nrro9v3k",
    handle="h",
    state=State.ACTIVE,
    spec=ContainerSpec(handle="h", limits=Limits(memory_bytes=4096)),
    created=1.5,
    uid=10000,
    id_base=65536,
    hostname="n",
    shell="/bin/bash",
    network="10.254.0.0",
    memory_limit=4096,
    grace_time=5.0,
)


def with_limits(limits: Limits) -> Snapshot:
    return replace(SNAPSHOT, spec=replace(SNAPSHOT.spec, limits=limits))


def test_shares_stand_where_the_original_has_them() -> None:
    snapshot = with_limits(Limits(cpu_shares=77))
    assert json.loads(snapshot.to_json())["resources"]["limit_cpu"] == 77
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    assert "limit_cpu" not in json.loads(SNAPSHOT.to_json())["resources"]


def test_the_newer_limits_are_kept() -> None:
    limited = with_limits(Limits(bandwidth=Bandwidth(5, 6), disk=DiskLimits(1, 2, 3, 4)))
    snapshot = replace(limited, layer="/pool/x", project=77)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_a_record_without_the_newer_limits_is_read() -> None:
    data = json.loads(SNAPSHOT.to_json())
    del data["warden"]["layer"], data["warden"]["project"]
    data["warden"]["spec"]["limits"] = {"memory_bytes": 4096, "oom_policy": "kill_job"}
    assert Snapshot.from_json(json.dumps(data)) == SNAPSHOT
