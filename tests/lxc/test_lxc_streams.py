"""Standard streams that are closed, full or read by nobody: one sentence or none, and a status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def run(tool: str, *words: str, script: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = ["bash", "-c", script, "bash", BIN / f"lxc-{tool}", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)


@pytest.fixture
def lxcpath(tmp_path: Path) -> str:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/config").write_text("lxc.uts.name = c\n")
    return str(tmp_path)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("ls",), ("ls", "-1"), ("ls", "-f"), ("info", "c")], ids=" ".join)
def test_nobody_can_be_told(words: tuple[str, ...], unbuffered: str, lxcpath: str) -> None:
    tool, *rest = words
    full = run(tool, "-P", lxcpath, *rest, script='exec "$@" > /dev/full', unbuffered=unbuffered)
    assert (full.returncode, full.stderr) == (1, f"lxc-{tool}: No space left on device\n")
    gone = run(tool, "-P", lxcpath, *rest, script='"$@" | true; exit ${PIPESTATUS[0]}', unbuffered=unbuffered)
    assert gone.returncode in (0, 1) and gone.stderr == ""
    closed = run(tool, "-P", lxcpath, *rest, script='exec "$@" >&- <&-', unbuffered=unbuffered)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_tools_without_a_container(lxcpath: str) -> None:
    for words in (("config", "-l"), ("checkconfig",)):
        full = run(*words, script='exec "$@" > /dev/full')
        assert (full.returncode, full.stderr) == (1, f"lxc-{words[0]}: No space left on device\n")


def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from warden.lxc import streams

    seen: list[object] = []
    keep: Callable[..., object] = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", keep)
    monkeypatch.setattr(sys, "__excepthook__", lambda kind, error, trace: seen.append(error))
    streams.settle("lxc-x")
    error = ValueError("x")
    sys.excepthook(ValueError, error, None)
    assert seen == [error]
