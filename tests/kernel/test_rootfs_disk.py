"""Which file systems hold a writer above an overlay to a project's limit: the ground of rootfs/disk.py's choice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from warden.kernel import quota
from warden.kernel.quota import Quota
from warden.rootfs.quotadisk import has_quota

pytestmark = pytest.mark.root

MIB = 1 << 20
MAKE = {"xfs": ["-q"], "ext4": ["-q", "-O", "project,quota", "-E", "quotatype=prjquota"]}


@contextmanager
def mounted(kind: str, directory: Path) -> Iterator[Path]:
    """A file system of *kind* that enforces project quotas, if this kernel has them."""
    if not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"no mkfs.{kind}")
    file, point = directory / "file", directory / "point"
    point.mkdir()
    with open(file, "wb") as made:
        made.truncate(400 * MIB)
    subprocess.run([f"mkfs.{kind}", *MAKE[kind], str(file)], check=True, capture_output=True)
    command = ["mount", "-o", "loop,prjquota", str(file), str(point)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip(f"this kernel's {kind} has no project quotas; see scripts/test-vm")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-R", str(point)], check=True)


def written_through_overlay(point: Path) -> int:
    """Bytes that a user without any right could write into an overlay whose layer has a limit of 4 MiB."""
    for name in ("lower", "upper", "work", "merged"):
        (point / name).mkdir()
    (point / "upper").chmod(0o777)
    fd = os.open(point, os.O_RDONLY)
    try:
        quota.set_quota(fd, 7, Quota(block_hard=4096))
        for name in ("upper", "work"):
            quota.set_project(str(point / name), 7)
        options = ",".join(f"{key}dir={point / key}" for key in ("lower", "upper", "work"))
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(point / "merged")], check=True)
        subprocess.run(["dd", "if=/dev/zero", "of=x", "bs=64k", "count=256"], cwd=point / "merged",
                       user=1000, check=False, capture_output=True)  # fmt: skip
        assert quota.get_quota(fd, 7).block_hard == 4096
        return quota.get_quota(fd, 7).space
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", MAKE)
def test_the_limit_holds_for_what_overlay_writes(kind: str, tmp_path: Path) -> None:
    """The overlay's mounter has CAP_SYS_RESOURCE, with which one passes ext4's limits otherwise."""
    with mounted(kind, tmp_path) as point:
        assert has_quota(str(point))
        assert 3 * MIB <= written_through_overlay(point) <= 4 * MIB


def test_a_file_system_without_quotas(tmp_path: Path) -> None:
    assert not has_quota(str(tmp_path))
