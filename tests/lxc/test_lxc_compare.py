"""The comparison with LXC's own tools, where these are installed: a part of it, and that it says when they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "scripts/compare-lxc"


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/usr/bin/lxc-start"), reason="apt-get install lxc")
def test_no_difference_is_unexplained() -> None:
    argv = [sys.executable, str(PROGRAM), "--only", "configs"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unexplained: 0" in done.stdout


@pytest.mark.skipif(os.path.exists("/usr/bin/lxc-start"), reason="LXC is installed")
def test_it_says_what_it_needs() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 77)
    assert "need" in done.stderr or "apt-get install lxc" in done.stderr
