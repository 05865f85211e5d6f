"""Fixtures that several modules here share; a module with one of its own by that name has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from firewall_scene import closed, container, place
from scene import client_of

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

__all__ = ["closed", "container", "place"]


@pytest.fixture(autouse=True)
def no_containers_of_lxc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LXC's tools run on this machine is none of these tests' business, but of those that are about them."""
    if "lxc" not in request.module.__name__:
        monkeypatch.setenv("WARDEN_LXC_STATE", "/nonexistent")


@pytest.fixture
def client(daemon: PrivateDaemon) -> Iterator[Client]:
    """Of the test's own daemon."""
    with client_of(daemon) as made:
        yield made


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    """A directory of the host that containers see: a file in it tells a job to go on while no daemon is there, or the
    test what a job has done."""
    directory = tmp_path / "flags"
    directory.mkdir()
    directory.chmod(0o777)
    return directory
