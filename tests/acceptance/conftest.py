"""Fixtures that several modules here share; a module with one of its own by that name has its own."""

from __future__ import annotations

import pytest
from firewall_scene import closed, container, place

__all__ = ["closed", "container", "place"]


@pytest.fixture(autouse=True)
def no_containers_of_lxc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LXC's tools run on this machine is none of these tests' business, but of those that are about them."""
    if "lxc" not in request.module.__name__:
        monkeypatch.setenv("WARDEN_LXC_STATE", "/nonexistent")
