"""Where the configuration files lie that the tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of configuration files, made the working directory: relative includes count from there, as in LXC."""
    monkeypatch.chdir(HERE / "configs")
    return HERE / "configs"
