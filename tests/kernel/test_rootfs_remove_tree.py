"""Removing hostile trees: what only root can make."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from warden.errors import KernelRefused
from warden.kernel.paths import remove_tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_fifty_thousand_levels_without_permissions(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for level in range(50_000):
        name = "x" * 255 if level % 64 == 0 else "d"
        os.mkdir(name, 0, dir_fd=fd)
        os.chown(name, 4242, 4242, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(str(top))
    assert os.listdir(tmp_path) == []


def test_device_nodes_go(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mknod(tree / "null", 0o000 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(tree / "whiteout", 0o000 | stat.S_IFCHR, os.makedev(0, 0))
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["tmpfs", "bind", "bind-file"])
def test_a_mount_is_never_entered(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    point = tmp_path / "tree" / "below" / "point"
    point.parent.mkdir(parents=True)
    source = outside / "precious" if kind == "bind-file" else outside
    if kind == "bind-file":
        point.touch()
    else:
        point.mkdir()
    mount = ["mount", "-t", "tmpfs", "none"] if kind == "tmpfs" else ["mount", "--bind", str(source)]
    subprocess.run([*mount, str(point)], check=True)
    try:
        with pytest.raises(KernelRefused) as caught:
            remove_tree(str(tmp_path / "tree"))
    finally:
        subprocess.run(["umount", str(point)], check=True)
    assert caught.value.errno == errno.EBUSY
    assert caught.value.target == str(point)
    assert "umount" in caught.value.hint
    assert (outside / "precious").read_text() == "kept"
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["outside"]


def test_an_immutable_file_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "tree" / "file"
    file.parent.mkdir()
    file.touch()
    if subprocess.run(["chattr", "+i", str(file)], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(KernelRefused) as caught:
            remove_tree(str(file.parent))
    finally:
        subprocess.run(["chattr", "-i", str(file)], check=True)
    assert (caught.value.errno, caught.value.target) == (errno.EPERM, str(file))
    assert "chattr" in caught.value.hint
