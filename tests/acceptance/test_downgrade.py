"""A daemon that meets a container of a newer version refuses to start; it destroys nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


def test_a_newer_snapshot_stops_the_start_and_nothing_is_lost(daemon: PrivateDaemon) -> None:
    with Client(daemon.socket) as client:
        container = client.create("kept", memory="64M")
        path = f"{container.info().path}/snapshot.json"
        daemon.stop()
        with open(path) as file:
            ours = file.read()
        newer = json.loads(ours)
        newer["warden"]["version"] += 1
        with open(path, "w") as file:
            json.dump(newer, file)
        command = [sys.executable, "-m", "warden.cli.wardend", daemon.config]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode == 8
        assert "is from a newer warden" in refused.stderr
        with open(path, "w") as file:
            file.write(ours)
        daemon.start()
        assert client.container("kept").run(["true"]).exit_status == 0
