"""The lock of a table: one daemon at a time, and nothing stays of those that were killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from warden.errors import EngineFault
from warden.network.tablelock import TableLock

HOLDER = """
import sys, os
from warden.network.tablelock import TableLock
for table in sys.argv[2:]:
    lock = TableLock(table, sys.argv[1])
    lock.take()
    sys.lock = [*getattr(sys, "lock", []), lock]
print("held", flush=True)
os.kill(os.getpid(), 9) if len(sys.argv) > 3 else sys.stdin.read()
"""


def test_a_lock_is_one_daemons_and_its_file_goes_with_it(tmp_path: Path) -> None:
    first, second = TableLock("t", str(tmp_path)), TableLock("t", str(tmp_path))
    first.take()
    with pytest.raises(EngineFault, match="another daemon has the table inet t"):
        second.take()
    first.release()
    second.take()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_daemons_left_is_swept_and_what_is_held_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    subprocess.run([*command, "one", "two"], stdout=subprocess.PIPE, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "other.lock").touch()
    with subprocess.Popen([*command, "three"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        lock = TableLock("four", str(tmp_path))
        lock.take()
        assert {path.name.rpartition("-")[0] for path in tmp_path.iterdir()} == {"", "nft-three", "nft-four"}
        lock.release()
        with pytest.raises(EngineFault):
            TableLock("three", str(tmp_path)).take()
        holder.communicate()
    assert {path.name.rpartition("-")[0] for path in tmp_path.iterdir()} == {"", "nft-three"}
    lock.take()
    lock.release()
    assert [path.name for path in tmp_path.iterdir()] == ["other.lock"]
