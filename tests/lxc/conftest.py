"""Where the configuration files lie that the tests of this folder read; an lxcpath for those that write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_fixtures import Store, new_store

HERE = Path(__file__).parent


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of configuration files, made the working directory: relative includes count from there, as in LXC."""
    monkeypatch.chdir(HERE / "configs")
    return HERE / "configs"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as found:
        yield found
