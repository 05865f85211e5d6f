"""The generated profile as the parser understands it, without a kernel that has AppArmor."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from warden.lxc import apparmor
from warden.lxc.settings import LxcConfig

ABI = "/etc/apparmor.d/abi/3.0"


def matcher(patterns: list[str]) -> re.Pattern[str]:
    """As apparmor.d(5) has it: `*` and `?` stop at a slash, `**` does not."""
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", ",": "|", "}": ")"}
    found = []
    for pattern in patterns:
        pieces = re.findall(r"\[.*?\]|\*\*|.", pattern)
        found.append("".join(words.get(piece, piece if piece.startswith("[") else re.escape(piece)) for piece in pieces))
    return re.compile("|".join(found))


def test_all_but_some_names() -> None:
    denied = matcher(list(apparmor.everything_but("/proc/sys", ("kernel/shm*", "kernel/hostname", "net"))))
    for path in ("vm", "vm/drop_caches", "k", "kern", "kernel2", "kernel/core_pattern", "kernel/host", "kernel/hostname2",
                 "kernel/h/x", "ne", "net2/x", "kernel/sh"):  # fmt: skip
        assert denied.fullmatch(f"/proc/sys/{path}"), path
    for path in ("", "kernel", "kernel/", "kernel/shmmax", "kernel/hostname", "net", "net/", "net/ipv4/ip_forward"):
        assert not denied.fullmatch(f"/proc/sys/{path}"), path


def test_what_may_be_bound() -> None:
    allowed = matcher(list(apparmor.everything_but("", ("proc", "sys", "dev"))))
    assert all(allowed.fullmatch(path) for path in ("/etc/", "/p", "/processes/", "/srv/proc/", "/devices"))
    assert not any(allowed.fullmatch(path) for path in ("/", "/proc/", "/proc/sys/", "/sys", "/dev/"))


@pytest.mark.skipif(not shutil.which("apparmor_parser") or not Path(ABI).exists(), reason="the package apparmor is not installed")
def test_no_mount_of_any_kind_of_file_system() -> None:
    text = apparmor.text(LxcConfig(), "box")
    done = subprocess.run(
        ["apparmor_parser", "-QTK", "-M", ABI, "-D", "rule-exprs"], input=text, capture_output=True, text=True, check=True
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("rule: \\x07") and "(0x2" in line]
    assert lines
    for line in lines:  # target, source, type, flags: what names no type is a bind, a move, or changes propagation
        flags, kind = line.partition("  ->")[0].rsplit("\\x00", 1)[1], line.partition("  ->")[0].rsplit("\\x00", 2)[1]
        if kind == "[^\\000]*":
            assert re.fullmatch(r"\\x0d|\\x0e|(\\x0f)?\\x1[2345]", flags), line
