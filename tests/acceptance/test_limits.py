"""Limits changed while a container lives: in force at once, answered as the kernel has them, there after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import client_of

from warden.client.blocking import Client
from warden.errors import UnknownHandle
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def client(daemon: PrivateDaemon) -> Iterator[Client]:
    with client_of(daemon) as client:
        yield client


def shares_files(daemon: PrivateDaemon, container_id: str) -> list[Path]:
    trees = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir())
    groups = [tree / daemon.cgroup_parent / f"instance-{container_id}" for tree in trees]
    return [path for group in groups for name in ("cpu.shares", "cpu.weight") if (path := group / name).exists()]


def test_cpu_shares_are_clamped_and_set_again_after_a_crash(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        assert container.limit_cpu() == 1024
        assert container.limit_cpu(1) == 2
        assert container.limit_cpu(512) == 512
        [file] = shares_files(daemon, container.info().id)
        set_by_us = file.read_text()
        daemon.kill()
        file.write_text("100")
        daemon.start()
        assert file.read_text() == set_by_us
        assert container.limit_cpu() == 512
        container.stop()
        assert container.limit_cpu(2048) == 2048
    with pytest.raises(UnknownHandle):
        container.limit_cpu()
