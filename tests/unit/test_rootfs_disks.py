"""Ways to limit disks, as far as no kernel is asked: sizes, choices, and that a failure leaves nothing."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from warden.errors import EngineFault, NotSupported
from warden.model.limits import DiskLimits
from warden.model.settings import EngineSettings
from warden.rootfs import disks, loopdisk, pool, tmpfsdisk
from warden.rootfs.ballast import Ballast
from warden.rootfs.disk import Disk, Layer, NoDisk
from warden.rootfs.disks import Disks
from warden.rootfs.loopdisk import LoopDisk
from warden.rootfs.stock import Stock
from warden.rootfs.tmpfsdisk import TmpfsDisk


@pytest.mark.parametrize(("free", "size"), [(1 << 30, (1 << 30) * 4 // 5), (1 << 44, 1 << 40), (375 << 20, 300 << 20)])
def test_default_size(monkeypatch: pytest.MonkeyPatch, free: int, size: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    assert pool.default_size("/x") == size


@pytest.mark.parametrize(("default_size", "free"), [(pool.default_size, 370 << 20), (loopdisk.default_size, 70 << 20)])
def test_a_host_without_room_is_named(
    default_size: Callable[[str], int], free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    with pytest.raises(EngineFault, match="too little"):
        default_size("/x")


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_require_kernel", lambda kind: None)
    monkeypatch.setattr(pool.shutil, "which", lambda program, path: None)
    with pytest.raises(EngineFault, match=r"mkfs\.xfs is not installed .install the package xfsprogs"):
        pool.open_pool(str(tmp_path), 1 << 30)
    assert os.listdir(tmp_path / ".disk") == ["mnt"]


def test_a_failed_program_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_require_kernel", lambda kind: None)
    monkeypatch.setattr(pool.shutil, "which", lambda program, path: "/bin/false")
    with pytest.raises(EngineFault, match="disk: false: exit code 1"):
        pool.open_pool(str(tmp_path), 1 << 30)
    assert os.listdir(tmp_path / ".disk") == ["mnt"]


def test_without_a_backend_layers_lie_with_their_container(tmp_path: Path) -> None:
    disk = NoDisk()
    layer = disk.place(str(tmp_path))
    assert layer == str(tmp_path)
    disk.make(Layer(layer), DiskLimits())
    assert sorted(os.listdir(layer)) == ["upper", "work"]
    with pytest.raises(NotSupported, match=r"no way to limit disks is in use \(pool: it is raining\)"):
        NoDisk(["pool: it is raining"]).limit(Layer(layer), DiskLimits(block_hard=1))


@pytest.mark.parametrize("disk", [TmpfsDisk, lambda depot: LoopDisk(depot, None)])
def test_a_soft_limit_is_a_matter_of_quotas(disk: Callable[[str], Disk], tmp_path: Path) -> None:
    made = disk(str(tmp_path))
    made.check(DiskLimits(block_soft=5, block_hard=5, inode_hard=7))
    for wanted in (DiskLimits(block_soft=4, block_hard=5), DiskLimits(inode_soft=1)):
        with pytest.raises(NotSupported, match=r"(block|inode)_soft: the disk backend (tmpfs|loop) has hard limits alone"):
            made.check(wanted)


def test_tmpfs_is_never_without_a_limit() -> None:
    assert tmpfsdisk.options(DiskLimits(block_hard=1, inode_hard=3)) == "size=4096,nr_inodes=3"
    assert "size=0" not in tmpfsdisk.options(DiskLimits())


def test_a_copy_keeps_its_holes(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with open(old, "wb") as file:
        for at in (0, 9 << 20, 64 << 20):
            file.seek(at)
            file.write(b"x" * 5000)
        file.truncate(100 << 20)
    loopdisk.copy_sparse(str(old), str(new))
    assert old.read_bytes() == new.read_bytes()
    assert new.stat().st_blocks <= old.stat().st_blocks
    with pytest.raises(FileExistsError):
        loopdisk.copy_sparse(str(old), str(new))


def test_ballast_takes_and_gives_back(tmp_path: Path) -> None:
    ballast = Ballast(str(tmp_path))
    for inodes in (0, 5, 1, 9, 0):
        ballast.resize(inodes)
        assert ballast.inodes == Ballast(str(tmp_path)).inodes == inodes
    assert os.listdir(tmp_path) == []


def test_auto_takes_the_first_that_works_and_keeps_the_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: EngineSettings) -> Disk:
        raise EngineFault("out of order")

    settings = EngineSettings(depot=str(tmp_path))
    for name in disks.AUTO:
        monkeypatch.setitem(disks._OPENERS, name, broken)
    with pytest.raises(NotSupported, match=r"project: out of order; btrfs: out of order; pool: .*; loop: out of order"):
        Disks(settings).chosen().check(DiskLimits(block_hard=1))
    monkeypatch.setitem(disks._OPENERS, "loop", lambda settings: TmpfsDisk(settings.depot))
    assert Disks(settings).chosen().name == "tmpfs"
    with pytest.raises(EngineFault):
        Disks(replace(settings, disk_backend="pool")).start()


def test_a_way_that_no_longer_works_limits_nothing(tmp_path: Path) -> None:
    disk = Disks(EngineSettings(depot=str(tmp_path))).of("user")
    assert not disk.limits
    with pytest.raises(NotSupported, match="enforces no user quota"):
        disk.check(DiskLimits(block_hard=1))


def test_a_stock_is_kept_full_and_dropped() -> None:
    made, dropped = itertools.count(), []
    stock = Stock(lambda: next(made), dropped.append)
    assert stock.take() is None
    for _ in range(2):
        stock.start()
        deadline = time.monotonic() + 30
        while (taken := stock.take()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    stock.close()
    assert set(range(taken)) - set(dropped) <= {0, 1}
    assert stock.take() is None
