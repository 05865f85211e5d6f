"""Named v1 hierarchies: made, used, refused and ended, by the functions and by the command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warden.cgroup import named
from warden.errors import BadInput, KernelRefused

pytestmark = pytest.mark.root

NAME = f"w-test-{os.getpid()}"


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "hierarchy"
    try:
        named.mount(NAME, str(where))
    except KernelRefused as error:
        pytest.skip(f"no cgroup v1 here: {error}")
    yield where
    if any(item.name == NAME for item in named.mounted()):
        for _, group, _ in reversed([row for row in named.tree(NAME) if row[0] == 1]):
            named.remove(f"{NAME}:/{group}")
        named.umount(NAME)
    deadline = time.monotonic() + 30  # a mount namespace made meanwhile may hold it for a while
    while f"name={NAME}" in Path("/proc/self/cgroup").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def test_groups_hold_processes_and_their_children(point: Path, sleeper: int) -> None:
    assert named.find(NAME).point == str(point)
    assert named.make(f"{NAME}:/students/anna") == f"{point}/students/anna"
    named.move(f"{NAME}:/students/anna", [sleeper])
    assert f"name={NAME}:/students/anna\n" in Path(f"/proc/{sleeper}/cgroup").read_text()
    rows = list(named.tree(NAME))
    assert (1, "students", []) in rows
    assert (2, "anna", [sleeper]) in rows
    with pytest.raises(BadInput, match="1 processes are in it"):
        named.remove(f"{NAME}:/students")
    named.move(f"{NAME}:/", [sleeper])
    named.remove(f"{NAME}:/students")
    assert [depth for depth, _, _ in named.tree(NAME)] == [0]


def test_what_is_refused(point: Path) -> None:
    named.make(f"{NAME}:/a")
    with pytest.raises(BadInput, match="still has groups: a"):
        named.umount(NAME)
    with pytest.raises(BadInput, match="mounted already"):
        named.mount(NAME)
    with pytest.raises(BadInput, match="is not a name"):
        named.mount("a,b")
    for group in ("a", f"{NAME}:a", f"{NAME}:/../x", "no-such:/a"):
        with pytest.raises(BadInput):
            named.make(group)
    with pytest.raises(BadInput, match="does not exist"):
        named.move(f"{NAME}:/b", [os.getpid()])
    with pytest.raises(KernelRefused, match="is there a process 4194000"):
        named.move(f"{NAME}:/a", [4194000])
    for item in named.mounted():
        if item.controllers and item.version == 1:
            with pytest.raises(BadInput, match="not a named hierarchy of yours"):
                named.umount(item.controllers[0])
    named.remove(f"{NAME}:/a")


def test_the_command(point: Path, sleeper: int) -> None:
    def warden(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warden.cli.main", "cgroup", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert str(point) in warden("list").stdout
    assert warden("make", f"{NAME}:/b").stdout == f"{point}/b\n"
    assert warden("move", f"{NAME}:/b", str(sleeper)).returncode == 0
    assert f"  b  {sleeper}\n" in warden("tree", NAME).stdout
    assert warden("umount", "--name", NAME).returncode == 2
    assert warden("move", f"{NAME}:/", str(sleeper)).returncode == 0
    assert warden("remove", f"{NAME}:/b").returncode == 0
    assert warden("umount", NAME).returncode == 0
    assert NAME not in warden("list").stdout
