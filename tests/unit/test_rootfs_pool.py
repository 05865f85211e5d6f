"""The pool's file: its size, and that a failure leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from warden.errors import BadInput, EngineFault
from warden.model.limits import DiskLimits
from warden.rootfs import pool
from warden.rootfs.disk import NoDisk


@pytest.mark.parametrize(
    ("free", "size"), [(0, 300 << 20), (1 << 30, (1 << 30) * 4 // 5), (1 << 44, 1 << 40), (1 << 20, 300 << 20)]
)
def test_default_size(monkeypatch: pytest.MonkeyPatch, free: int, size: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    assert pool.default_size("/x") == size


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.shutil, "which", lambda program, path: None)
    with pytest.raises(EngineFault, match=r"mkfs\.xfs is not installed .install the package xfsprogs"):
        pool.open_pool(str(tmp_path), 1 << 30)
    assert os.listdir(tmp_path / ".disk") == ["mnt"]


def test_a_failed_program_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.shutil, "which", lambda program, path: "/bin/false")
    with pytest.raises(EngineFault, match="disk pool: mkfs"):
        pool.open_pool(str(tmp_path), 1 << 30)
    assert os.listdir(tmp_path / ".disk") == ["mnt"]


def test_a_directory_is_not_a_mount(tmp_path: Path) -> None:
    assert not pool.is_mounted(str(tmp_path))
    assert pool.is_mounted("/proc")


def test_without_a_backend_layers_lie_with_their_container(tmp_path: Path) -> None:
    disk = NoDisk()
    layer = disk.place(str(tmp_path))
    assert layer == str(tmp_path)
    disk.make(layer, 0, None)
    assert sorted(os.listdir(layer)) == ["upper", "work"]
    with pytest.raises(BadInput, match="no way to limit disks"):
        disk.limit(1, DiskLimits())
