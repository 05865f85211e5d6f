"""The comparison with LXC's own tools, where these are installed: a part of it, and that it says when they are not."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.lxc import manual
from warden.lxc.options import Tool

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


def test_every_option_is_in_a_line_that_is_compared() -> None:
    """Of the tools that LXC has today; what it has not is ours alone."""
    sys.path.insert(0, str(PROGRAM.parents[1] / "tests"))
    from compare.scenarios import SCENARIOS

    lines = [line for text in SCENARIOS.values() for line in text.splitlines() if "lxc-" in line]
    own = {"lxc-console": {"buffer"}, "lxc-destroy": {"remove-rootfs"}}
    old = ("clone", "kill", "netstat", "ps", "restart", "shutdown", "start-ephemeral")
    for name, tool in manual.tools().items():
        if name in [*(f"lxc-{word}" for word in old), *manual._PLAIN, "lxc-usernsexec"]:
            continue
        seen = {long for line in lines for long in _options(tool, line)}
        common = {"logfile", "logpriority", "quiet", "lxcpath", "rcfile"}  # tools that need no name are all alike
        wanted = {option.long for option in tool.all} - own.get(name, set())
        assert wanted - seen <= (set() if tool.named else {*common, "help", "usage", "version"}), name


def _options(tool: Tool, line: str) -> Iterator[str]:
    words = shlex.split(line[line.index("lxc-") :])
    if words[0] != tool.tool:
        return
    for word in words[1:]:
        if word == "--":
            return
        if word.startswith("--"):
            yield from (option.long for option in tool.all if option.long.startswith(word[2:].partition("=")[0]))
        elif word.startswith("-"):
            for letter in word[1:]:
                found = [option for option in tool.all if option.short == letter]
                yield from (option.long for option in found)
                if not found or found[0].value:
                    break
