"""Loop devices: one for a file however often it is asked for, and none once nobody holds it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from warden.kernel.loop import find_loop, open_loop

pytestmark = pytest.mark.root


def test_attached_found_again_and_freed(tmp_path: Path) -> None:
    path = tmp_path / "file with a blank"
    path.write_bytes(b"warden" + bytes(1 << 20))
    assert find_loop(str(path)) is None
    fd, device = open_loop(str(path))
    again, same = open_loop(str(path))
    assert (same, find_loop(str(path))) == (device, device)
    assert os.pread(fd, 6, 0) == b"warden"
    os.close(fd)
    assert find_loop(str(path)) == device
    os.close(again)
    deadline = time.monotonic() + 30
    while find_loop(str(path)) is not None:
        assert time.monotonic() < deadline, "the device was not freed"
        time.sleep(0.01)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_loop(str(tmp_path / "absent"))
