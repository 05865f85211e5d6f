"""The tables of `warden explain` against the files that this kernel really shows, v1 and v2 (also run by scripts/test-vm).

Nothing that is mounted is changed: groups of our own are made and removed, and hierarchies that are not mounted here
are mounted where nobody else sees them, and given back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from warden.explain import groups, lookup
from warden.explain.note import Unit
from warden.kernel.proc import parse_cgroups

pytestmark = [pytest.mark.root, pytest.mark.vm]

GROUP = f"warden-explain-{os.getpid()}"
#: Written since 6.12 (before, only read), and what takes no writes any more on some kernels.
VARIES = frozenset({"memory.peak", "memory.swap.peak"})

#: Mounts v1 hierarchies that nobody has, prints "CONTROLLER MODE FILE" for root and child, and lets the kernel forget
#: them: an umount frees a hierarchy only when its root has no child left, and a removed one lingers for a moment.
PROGRAM = """
import os, subprocess, sys, tempfile, time
place = tempfile.mkdtemp()
subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)

def groups_of(name):
    with open("/proc/cgroups") as file:
        return next(int(line.split()[2]) for line in file if line.split()[0] == name)

def show(name, directory):
    for entry in os.scandir(directory):
        if entry.is_file():
            print(name, oct(entry.stat().st_mode & 0o777), entry.name)

for name in sys.argv[1:]:
    root = f"{place}/{name}"
    os.mkdir(root)
    if subprocess.run(["mount", "-t", "cgroup", "-o", name, "cgroup", root], stderr=subprocess.DEVNULL).returncode:
        continue
    try:
        show(name, root)
        child = f"{root}/warden-explain-{os.getpid()}"
        os.mkdir(child)
        try:
            show(name, child)
        finally:
            os.rmdir(child)
        deadline = time.monotonic() + 60
        while groups_of(name) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        subprocess.run(["umount", root], check=True)
subprocess.run(["umount", place], check=True)
os.rmdir(place)
"""


def hierarchies() -> list[tuple[str, bool]]:
    """Every hierarchy mounted here: its directory, and whether it is v2's."""
    return [(mount.target, mount.fstype == "cgroup2") for mount in groups.own_mounts() if mount.root == "/"]


def unmounted() -> list[str]:
    """v1 controllers that are in no hierarchy, and not in use by v2."""
    used = {name for root, is_v2 in hierarchies() if is_v2 for name in Path(root, "cgroup.controllers").read_text().split()}
    known = parse_cgroups(Path("/proc/cgroups").read_bytes())
    return [one.name for one in known if one.hierarchy == 0 and one.enabled and one.name not in used]


@contextmanager
def group_in(root: str, *, is_v2: bool) -> Iterator[Path]:
    """A group of our own; on pure v2 with all controllers that there are."""
    if is_v2 and len(hierarchies()) == 1:
        names = Path(root, "cgroup.controllers").read_text().split()
        Path(root, "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in names))
    path = Path(root, GROUP)
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def complaints(files: list[tuple[int, str]], *, is_v2: bool) -> list[str]:
    """What the tables do not know, and where they differ from the kernel on what can be written or read."""
    found = []
    for mode, name in files:
        note = lookup.note_of(name, is_v2=is_v2)
        if note is None:
            found.append(f"{name}: not in the table")
        elif (note.change is not None) != bool(mode & 0o222) and name not in VARIES:
            found.append(f"{name}: mode {mode:o}, but the table says {'writable' if note.change else 'read-only'}")
        elif not mode & 0o444 and note.unit is not Unit.NONE:
            found.append(f"{name}: cannot be read, but has a unit")
    return found


def listed(directory: str | Path) -> list[tuple[int, str]]:
    return [(entry.stat().st_mode & 0o777, entry.name) for entry in os.scandir(directory) if entry.is_file()]


@pytest.mark.parametrize(("root", "is_v2"), hierarchies())
def test_every_file_of_a_mounted_hierarchy_has_its_sentence(root: str, is_v2: bool) -> None:
    with group_in(root, is_v2=is_v2) as path:
        files = listed(root) + listed(path)
    assert files
    assert complaints(files, is_v2=is_v2) == []


def test_every_file_of_a_hierarchy_that_is_not_mounted_here() -> None:
    names = unmounted()
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", PROGRAM, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert complaints([(int(mode, 8), name) for _, mode, name in rows], is_v2=False) == []
    shown = {row[0] for row in rows}
    assert {"net_cls", "net_prio", "perf_event"} & set(names) <= shown
    until_free(shown)


def until_free(names: set[str]) -> None:
    """The kernel must have forgotten the hierarchies again."""
    deadline = time.monotonic() + 60
    while still := names - set(unmounted()):
        assert time.monotonic() < deadline, f"hierarchies were left: {still}"
        time.sleep(0.02)


@pytest.mark.parametrize(("root", "is_v2"), hierarchies())
def test_every_file_of_a_group_is_read_or_says_why(root: str, is_v2: bool) -> None:
    with group_in(root, is_v2=is_v2) as path:
        found = groups.fill(groups.Group((), is_v2, f"/{GROUP}", str(path)), lambda _: True)
        names = {name for _, name in listed(path)}
    assert {file.name for file in found.files} == names
    unread = {file.name for file in found.files if file.raw is None and file.note and file.note.unit is not Unit.NONE}
    assert all(file.reason for file in found.files if file.name in unread)
