"""Disk limits that a container is created with, by the engine itself: in force before its first job, or refused before
anything is made."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from disk_scene import FULL, MIB, needs_btrfs, needs_xfs_quota

from warden.engine.container import Container
from warden.engine.engine import Engine
from warden.errors import BadInput, NotSupported
from warden.model.job import JobSpec
from warden.model.limits import DiskChange, DiskLimits, Limits
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, NetworkMode
from warden.testing import leaks

pytestmark = pytest.mark.root

SPEC = ContainerSpec(network=NetworkMode.NONE)
FILL = b"head -c 32M /dev/zero > /big; echo status $?"


@asynccontextmanager
async def engine_with(backend: str, tmp_path: Path) -> AsyncIterator[Engine]:
    name = f"warden-private-{os.getpid()}"
    settings = EngineSettings(
        depot=str(tmp_path / "depot"), images=str(tmp_path / "images"), cgroup_parent=name, nft_table=name,
        forwarding=False, disk_backend=backend, disk_pool_size=400 * MIB, disk_loop_size=400 * MIB,
    )  # fmt: skip
    before = leaks.look(name, str(tmp_path))
    engine = Engine(settings)
    await engine.start()
    try:
        yield engine
    finally:
        for handle in engine.handles():
            await engine.get(handle).destroy()
        await engine.close()
    found = await asyncio.to_thread(leaks.leaks, before, name, str(tmp_path))
    assert not found, f"left behind: {found}"


def run(scene: Callable[[Engine], Awaitable[None]], backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with engine_with(backend, tmp_path) as engine:
            await scene(engine)

    asyncio.run(main())


async def output(container: Container, script: bytes) -> str:
    job = await container.spawn(JobSpec(script=script, privileged=True))
    result = await job.wait()
    stdout, stderr = await job.output()
    return f"{stdout.decode()}{stderr.decode()} {result.exit_status}"


def limited(limits: DiskLimits) -> ContainerSpec:
    return replace(SPEC, limits=Limits(disk=limits))


@pytest.mark.parametrize(
    ("backend", "inodes"),
    [
        ("loop", 300),
        ("tmpfs", 300),
        pytest.param("btrfs-pool", 0, marks=needs_btrfs),
        pytest.param("pool", 300, marks=needs_xfs_quota),
    ],
)
def test_in_force_before_the_first_job(backend: str, inodes: int, tmp_path: Path) -> None:
    async def scene(engine: Engine) -> None:
        container = await engine.create(limited(DiskLimits(block_hard=8192, inode_hard=inodes)))
        assert await container.limit_disk(DiskChange()) == DiskLimits(block_hard=8192, inode_hard=inodes)
        said = await output(container, FILL)
        assert any(word in said for word in FULL)
        if inodes:
            made = await output(container, b"rm /big; mkdir /d; for i in $(seq 400); do : > /d/$i || exit 1; done")
            assert made.endswith(" 1")
            info = await container.info()
            assert info.disk is not None
            assert info.disk.inodes_used == inodes
            await container.limit_disk(DiskChange(inode_hard=600))
            assert (await output(container, b"for i in $(seq 400); do : > /d/$i || exit 1; done")).endswith(" 0")
        await container.limit_disk(DiskChange(block_hard=0))
        assert "status 0" in await output(container, FILL)

    run(scene, backend, tmp_path)


def test_more_than_a_layer_usually_has(tmp_path: Path) -> None:
    async def scene(engine: Engine) -> None:
        container = await engine.create(limited(DiskLimits(block_hard=1 << 20)))
        assert (await output(container, b"df -k / | tail -1")).split()[1] > str(1 << 20)

    run(scene, "loop", tmp_path)


@pytest.mark.parametrize(
    ("backend", "wanted", "reason"),
    [
        ("none", DiskLimits(block_hard=1), "no way to limit disks is in use"),
        ("loop", DiskLimits(block_soft=5), "block_soft: the disk backend loop has hard limits alone"),
        ("loop", DiskLimits(inode_hard=1), "inode_hard: 1 is below what is used"),
        pytest.param("btrfs-pool", DiskLimits(inode_hard=100), "cannot limit inodes", marks=needs_btrfs),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_made(
    backend: str, wanted: DiskLimits, reason: str, tmp_path: Path
) -> None:
    async def scene(engine: Engine) -> None:
        await engine.create(SPEC)
        with pytest.raises((BadInput, NotSupported), match=reason):
            await engine.create(limited(wanted))
        assert len(engine.handles()) == 1
        names = [name for name in os.listdir(tmp_path / "depot") if not name.startswith(".")]
        assert len(names) == 1
        if backend != "none":
            place = tmp_path / "depot" / ".disk" / {"btrfs-pool": "btrfs-mnt"}.get(backend, backend)
            assert len([name for name in os.listdir(place) if "." not in name]) == 1

    run(scene, backend, tmp_path)
