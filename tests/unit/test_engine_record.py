"""What cannot be written of a container is behind until it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from warden.depot.depot import ContainerDirectory
from warden.depot.snapshot import Snapshot
from warden.engine.record import ContainerRecord
from warden.model.info import State
from warden.model.spec import ContainerSpec

PLAIN = Snapshot("i", "h", State.ACTIVE, ContainerSpec(), 1.0, 5, None, "h", "/bin/sh")


@pytest.mark.parametrize("name", ["snapshot.json", "past.json"])
def test_it_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    record = ContainerRecord(ContainerDirectory(str(tmp_path)), PLAIN)
    record.save(PLAIN)
    (tmp_path / f"{name}.new").mkdir()  # in the way, for root too
    if name == "snapshot.json":
        record.save(PLAIN.with_state(State.STOPPED))
    for kills in (1, 2):
        record.table_writer((), lambda kills=kills: {"oom_kills": kills})()  # type: ignore[misc]
        assert record.behind
    assert len(caplog.records) == 1
    (tmp_path / f"{name}.new").rmdir()
    record.table_writer((), lambda: {"oom_kills": 2})()
    assert not record.behind
    assert json.loads((tmp_path / "past.json").read_text()) == {"oom_kills": 2}
    assert json.loads((tmp_path / "snapshot.json").read_text())["state"] == record.snapshot.state.value
