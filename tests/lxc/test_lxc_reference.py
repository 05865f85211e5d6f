"""The table of keys: complete, named as the settings are, and the same in docs/lxc.md."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from warden.lxc import keys, reference
from warden.lxc.keys import Kind
from warden.lxc.networks import SUB_KEYS, Net
from warden.lxc.settings import LxcConfig

TEXT = Path(__file__, "../../../docs/lxc.md").resolve().read_text()


def test_the_documents_table_is_the_tables() -> None:
    assert TEXT.partition("## Every key\n")[2] == "\n".join(reference.rows()) + "\n"


def test_every_key_has_its_setting_and_every_setting_its_key() -> None:
    named = {key.field for key in keys.KEYS if key.kind is not Kind.DROPPED}
    assert named | {"net", "warnings", "places"} == {field.name for field in fields(LxcConfig)}
    assert {key.field for key in SUB_KEYS} | {"number"} == {field.name for field in fields(Net)}


def test_no_name_means_two_things() -> None:
    assert len(keys.BY_NAME) == len(keys.KEYS)
    old = [name for key in keys.KEYS for name in key.legacy]
    assert len(old) == len(set(old))
    # an old key may be the beginning of today's, never one of them
    assert not set(old) & set(keys.BY_NAME)


@pytest.mark.parametrize("name", [key.name for key in keys.KEYS] + list(keys.SUCCESSORS))
def test_every_name_is_found(name: str) -> None:
    found = keys.find(name)
    assert found is not None
    assert found[0].name == keys.SUCCESSORS.get(name, name)
