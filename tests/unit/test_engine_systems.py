"""Roots of LXC's containers, as the engine tells them."""

from __future__ import annotations

import pytest

from warden.depot.systems import Record
from warden.engine import systems


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("/srv/root", "/srv/root"),
        ("dir:/srv/root", "/srv/root"),
        ("overlay:/a:/b", "/a:/b"),
        ("zfs:tank/a", None),
        ("", None),
    ],
)
def test_a_root_with_its_kind_before_it(written: str, told: str | None) -> None:
    record = Record("1", "box", "/var/lib/lxc", written, 1, "RUNNING", 1.0)
    assert systems._spec(record).rootfs == told
