"""A daemon that meets what it does not know, such as a newer version's record, refuses to start; it destroys nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scene import client_of

from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

Change = Callable[[dict[str, Any]], object]


def refused(daemon: PrivateDaemon) -> str:
    """What a daemon says that does not start."""
    command = [sys.executable, "-m", "warden.cli.wardend", daemon.config]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode not in (0, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@contextmanager
def edited(path: str, change: Change) -> Iterator[None]:
    with open(path) as file:
        ours = file.read()
    newer = json.loads(ours)
    change(newer)
    with open(path, "w") as file:
        json.dump(newer, file)
    try:
        yield
    finally:
        with open(path, "w") as file:
            file.write(ours)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data["warden"].update(version=2), "version 2 is from a newer warden"),
        (lambda data: data["warden"].update(colour="red"), "warden.colour is from a newer warden"),
        (lambda data: data["warden"]["spec"].update(colour="red"), "warden.spec.colour is from a newer warden"),
        (lambda data: data["warden"]["spec"]["mounts"][0].update(kind="image"), "'image' is not a valid MountKind"),
        (lambda data: data["warden"]["spec"]["limits"].update(colour=1), "unexpected keyword argument 'colour'"),
        (lambda data: data["warden"]["spec"]["limits"].update(cpu_weight=20000), "1 to 10000"),
    ],
    ids=["version", "field", "spec", "kind", "limit", "value"],
)
def test_a_snapshot_that_is_not_understood_stops_the_start(daemon: PrivateDaemon, change: Change, sentence: str) -> None:
    with client_of(daemon) as client:
        container = client.create("kept", memory="64M", mounts=[("data", "/data")])
        job = container.spawn("sleep 600")
        path = f"{container.info().path}/snapshot.json"
        daemon.stop()
        with edited(path, change):
            said = refused(daemon)
            assert sentence in said
            assert os.path.dirname(path) in said
        daemon.start()
        assert [one.running for one in container.info().jobs if one.id == job.id] == [True]
        assert container.run(["true"]).exit_status == 0
        assert [volume.name for volume in client.volumes()] == ["data"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("job.json", lambda data: data.update(colour="red")),
        ("result.json", lambda data: data.update(verdict="bored")),
        ("result.json", lambda data: data["usage"].update(colour=1)),
    ],
)
def test_a_job_that_is_not_understood(daemon: PrivateDaemon, name: str, change: Change) -> None:
    with client_of(daemon) as client:
        container = client.create("kept")
        job = container.spawn("echo out")
        container.wait(job.id)
        path = f"{container.info().path}/jobs/{job.id}/{name}"
        daemon.stop()
        with edited(path, change):
            said = refused(daemon)
            assert "from a newer warden" in said
            assert name in said
        daemon.start()
        assert b"".join(chunk.data for chunk in container.logs(job.id)) == b"out\n"


def test_a_network_and_a_volume_of_a_newer_version(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client:
        client.create_network("net1", subnet="198.18.9.0/24")
        volume = client.create_volume()
        with client.create("kept", mounts=[("", "/scratch")]) as container:
            [scratch] = [one.name for one in client.volumes() if one.name != volume.name]
            path = f"{os.path.dirname(client.volume(scratch).path)}/volume.json"
            daemon.stop()
            with edited(f"{daemon.depot}/.network/bridges/net1.json", lambda data: data.update(colour="red")):
                assert "net1.json: from a newer warden" in refused(daemon)
            daemon.start()
            assert [report.bridge.subnet4 for report in client.networks()] == ["198.18.9.0/24"]
            client.remove_network("net1")
            with edited(path, lambda data: data.update(version=2)):
                daemon.kill()
                daemon.start()
                container.destroy()
                assert {one.name for one in client.volumes()} == {volume.name, scratch}, "who does not know it, keeps it"
