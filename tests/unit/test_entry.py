"""entry.py ends a process as the interpreter would: with its code, and with everything written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(tmp_path: Path, body: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """A program whose main() has *body*, with its output in a pipe, so that it is kept until somebody flushes it."""
    (tmp_path / "tool_of_a_test.py").write_text(f"import sys\n{more}\ndef main():\n    {body}\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from warden.entry import run; run('tool_of_a_test')"
    return subprocess.run([sys.executable, "-E", "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "code", "out", "err"),
    [
        ("print('said'); return 3", 3, "said\n", ""),
        ("print('said')", 0, "said\n", ""),
        ("sys.exit(4)", 4, "", ""),
        ("sys.exit()", 0, "", ""),
        ("return 256 + 5", 5, "", ""),
        ("return -1", 255, "", ""),
        ("sys.exit('a reason')", 1, "", "a reason\n"),
    ],
)
def test_code_and_output(tmp_path: Path, body: str, code: int, out: str, err: str) -> None:
    done = run(tmp_path, body)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_an_error_is_shown(tmp_path: Path) -> None:
    done = run(tmp_path, "raise ValueError('x')")
    assert done.returncode == 1 and done.stderr.endswith("ValueError: x\n")


def test_threads_and_what_is_registered_for_the_end_are_waited_for(tmp_path: Path) -> None:
    later = "import atexit, threading, time\natexit.register(lambda: print('at the end'))"
    work = "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start(); return 2"
    done = run(tmp_path, work, later)
    assert (done.returncode, done.stdout) == (2, "thread\nat the end\n")


def test_nobody_reads(tmp_path: Path) -> None:
    """As the interpreter has it: a message, and status 120."""
    (tmp_path / "tool_of_a_test.py").write_text("def main():\n    print('said')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from warden.entry import run; run('tool_of_a_test')"
    program = subprocess.Popen([sys.executable, "-E", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.close()
    _, said = program.communicate()
    assert program.returncode == 120 and b"BrokenPipeError" in said
