"""docs/limits.md names every resource and every short word."""

from __future__ import annotations

from pathlib import Path

import pytest

from warden.cli.options import LIMIT_ARGUMENTS
from warden.model import resources

TEXT = Path(__file__, "../../../docs/limits.md").resolve().read_text()


@pytest.mark.parametrize("name", [*resources.BY_NAME, *resources.WORDS])
def test_named(name: str) -> None:
    assert f"`{name}`" in TEXT or f"`{name}," in TEXT or f"{name}`" in TEXT


def test_every_short_word_is_a_flag() -> None:
    assert set(LIMIT_ARGUMENTS) == set(resources.WORDS)
