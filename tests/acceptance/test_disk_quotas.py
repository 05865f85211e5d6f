"""Disk limits by quotas of a file system: of projects, of users, and of the pool's.

This machine's kernel may have none: scripts/test-vm runs these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from disk_scene import MIB, daemon_with_disk, depot_on, fill, is_full, layers, needs_xfs_quota, usage
from scene import client_of, wait_until

from warden.kernel.loop import find_loop
from warden.model.limits import DiskLimits
from warden.protocol import warden_pb2 as pb
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def pooled() -> Iterator[PrivateDaemon]:
    with daemon_with_disk("pool") as private:
        yield private


@needs_xfs_quota
def test_every_field_on_the_wire() -> None:
    with daemon_with_disk("pool") as private, client_of(private) as client, client.create() as container:
        request = pb.LimitDiskRequest(handle=container.handle.encode(), byte_limit=100_001, inode_soft=50, inode=90)
        response = client.call(request)
        assert (response.block_hard, response.block, response.block_limit) == (98, 98, 98)
        assert (response.byte_hard, response.byte, response.byte_limit) == (98 * 1024,) * 3
        assert (response.inode_soft, response.inode_hard, response.block_soft) == (50, 90, 0)
        assert all(response.HasField(field.name) for field in response.DESCRIPTOR.fields)
        assert container.limit_disk() == DiskLimits(0, 98, 50, 90)
        container.stop()
        assert container.limit_disk(block_soft=7) == DiskLimits(7, 98, 50, 90)


@needs_xfs_quota
def test_the_pool_outlives_the_daemon_and_costs_nothing_without_containers(pooled: PrivateDaemon) -> None:
    file, point = f"{pooled.depot}/.disk/pool.xfs", f"{pooled.depot}/.disk/mnt"
    assert os.path.ismount(point)
    assert os.stat(file).st_blocks * 512 < 100 * MIB < os.stat(file).st_size
    with client_of(pooled) as client:
        for _ in range(2):
            with client.create() as container:
                container.limit_disk(byte_limit="8M")
                fill(container, "x", 4)
            wait_until(lambda: not layers(pooled), "a layer was left")
    assert pooled.stop() == 0
    assert not os.path.ismount(point)
    wait_until(lambda: find_loop(file) is None, "the loop device is still there")
    made = os.stat(file).st_ino
    pooled.start()
    assert os.stat(file).st_ino == made
    with client_of(pooled) as client, client.create() as container:
        assert container.limit_disk() == DiskLimits()
        assert "status 0" in fill(container, "x", 16)


@needs_xfs_quota
@pytest.mark.parametrize("make", ["mkfs.xfs -q", "mkfs.ext4 -q -O project,quota -E quotatype=prjquota"])
def test_a_depot_with_project_quota_is_used_by_itself(make: str) -> None:
    with (
        depot_on(make, ",prjquota", "auto") as private,
        client_of(private) as client,
        client.create() as container,
        client.create() as other,
    ):
        container.limit_disk(byte_limit="8M", inode=500)
        assert is_full(fill(container, "big", 16))
        assert "status 0" in fill(other, "big", 16)
        assert usage(container).bytes_used <= 8 * MIB
        private.kill()
        private.start()
        assert is_full(fill(container, "more", 16))
        assert not os.path.exists(f"{private.depot}/.disk")


@needs_xfs_quota
@pytest.mark.parametrize("make", ["mkfs.xfs -q", "mkfs.ext4 -q -O quota -E quotatype=usrquota"])
def test_user_quota_limits_vcap_and_root_each_by_itself(make: str) -> None:
    with (
        depot_on(make, ",usrquota", "user") as private,
        client_of(private) as client,
        client.create() as container,
        client.create() as other,
    ):
        container.limit_disk(byte_limit="8M", inode=300)
        for privileged in (False, True):
            assert is_full(fill(container, "big", 16, privileged=privileged))
        assert 14 * MIB <= usage(container).bytes_used <= 16 * MIB
        assert "status 0" in fill(other, "big", 16, privileged=False)
        container.limit_disk(byte_limit="30M")
        made = container.run("for i in $(seq 400); do : > $i || exit 1; done")
        assert made.exit_status == 1
        assert "status 0" in fill(container, "big", 16, privileged=False)
        private.kill()
        private.start()
        assert container.limit_disk() == DiskLimits(block_hard=30720, inode_hard=300)
        # What it does not limit, and why it is never chosen by itself: root inside can give its files away.
        gave = "for i in 1 2 3; do head -c 20M /dev/zero > /f$i && chown $((3000 + i)) /f$i || exit 1; done"
        assert container.run(gave, privileged=True).exit_status == 0
