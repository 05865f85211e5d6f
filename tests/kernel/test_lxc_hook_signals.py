"""A hook that has just been begun when a signal comes: it is ended with what it started, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, signal, subprocess, sys
from warden.lxc import hooks
begin = subprocess.Popen.__init__
def begun(self, *args, **options):
    begin(self, *args, **options)
    with open(sys.argv[1], "w") as file:
        file.write(str(self.pid))
    if int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[2]))
subprocess.Popen.__init__ = begun
def ended(number, frame):
    sys.exit(number)
for number in (1, 2, 3, 15):
    signal.signal(number, ended)
print(hooks._run(("sh", "-c", sys.argv[3]), dict(os.environ)))
"""


def run(mark: Path, number: int, script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(mark), str(number), script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_while_a_hook_is_begun_ends_it(tmp_path: Path, number: int) -> None:
    done = run(tmp_path / "pid", number, "exec sleep 1000")
    assert (done.returncode, done.stdout) == (number, "")
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text()}")


def test_a_hook_has_no_signal_blocked(tmp_path: Path) -> None:
    done = run(tmp_path / "pid", 0, "grep SigBlk /proc/self/status")
    assert (done.returncode, done.stdout) == (0, "(0, b'SigBlk:\\t0000000000000000\\n')\n")
