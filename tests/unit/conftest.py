"""Settings of all unit tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# No assertion about time: a busy machine is not a failure.
# No database: the checkout need not be writable.
settings.register_profile("warden", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("warden")


@pytest.fixture(autouse=True)
def no_containers_of_lxc(monkeypatch: pytest.MonkeyPatch) -> None:
    """What LXC's tools run on this machine is none of these tests' business."""
    monkeypatch.setenv("WARDEN_LXC_STATE", "/nonexistent")
