"""Disk limits: every writer in the container meets them, root too; usage is exact; a crash loses and leaves nothing.

Most need a kernel whose XFS has quotas: scripts/test-vm runs them where this machine's has not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scene import client_of, wait_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, EngineFault
from warden.kernel.loop import find_loop
from warden.model.info import DiskStat
from warden.model.limits import DiskLimits
from warden.protocol import warden_pb2 as pb
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

MIB = 1 << 20
FILL = "dd if=/dev/zero of=/{name} bs=64k count={blocks} 2>&1; echo status $?"


def have_xfs_quota() -> bool:
    """The kernel's XFS tells of its quotas in /proc once it is loaded."""
    subprocess.run(["modprobe", "-q", "xfs"], check=False)
    return os.path.exists("/proc/fs/xfs/xqm")


needs_xfs_quota = pytest.mark.skipif(not have_xfs_quota(), reason="this kernel's XFS has no quotas; see scripts/test-vm")


@contextmanager
def daemon_with_disk(lines: str) -> Iterator[PrivateDaemon]:
    private = PrivateDaemon()
    with open(private.config, "a") as file:
        file.write(lines)
    before = leaks.look(private.cgroup_parent, private.root)
    with private:
        yield private
    found = leaks.leaks(before, private.cgroup_parent, private.root)
    assert not found, f"left behind: {found}"


@pytest.fixture
def pooled() -> Iterator[PrivateDaemon]:
    with daemon_with_disk(f"disk:\n  backend: pool\n  pool_size: {400 * MIB}\n") as private:
        yield private


@pytest.fixture
def client(pooled: PrivateDaemon) -> Iterator[Client]:
    with client_of(pooled) as client:
        yield client


def fill(container: Container, name: str, mebibytes: int, *, privileged: bool = True) -> str:
    path = name if privileged else f"home/vcap/{name}"
    return container.run(FILL.format(name=path, blocks=16 * mebibytes), privileged=privileged).text


def usage(container: Container) -> DiskStat:
    found = container.info().disk
    assert found is not None
    return found


@needs_xfs_quota
def test_everybody_meets_the_limit_and_the_container_goes_on(client: Client) -> None:
    with client.create() as container, client.create() as other:
        assert container.limit_disk(byte_limit="8M") == DiskLimits(block_hard=8192)
        for privileged in (True, False):
            output = fill(container, "big", 16, privileged=privileged)
            assert "status 1" in output
            assert "No space left" in output or "quota exceeded" in output
            assert usage(container).bytes_used <= 8 * MIB
        assert "status 0" in fill(other, "big", 16)
        container.run("rm /big", privileged=True, check=True)
        assert "status 0" in fill(container, "small", 4)
        assert "status 1" in fill(container, "again", 8)
        container.limit_disk(byte_limit=0)
        assert "status 0" in fill(container, "again", 16)


@needs_xfs_quota
def test_usage_is_exact_and_inodes_are_limited(client: Client) -> None:
    with client.create() as container:
        before = usage(container)
        container.run("mkdir /d; for i in $(seq 10); do : > /d/$i; done; head -c 1M /dev/zero > /d/data; sync",
                      privileged=True, check=True)  # fmt: skip
        after = usage(container)
        assert after.inodes_used == before.inodes_used + 12
        assert 0 <= after.bytes_used - before.bytes_used - MIB <= 16384
        assert container.limit_disk(inode=after.inodes_used + 5) == DiskLimits(inode_hard=after.inodes_used + 5)
        made = container.run("for i in $(seq 20); do : > /d/new$i || exit 1; done", privileged=True)
        assert made.exit_status == 1
        assert usage(container).inodes_used == after.inodes_used + 5


@needs_xfs_quota
def test_every_field_on_the_wire(client: Client) -> None:
    with client.create() as container:
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
def test_a_crash_finds_mount_and_limits_again(pooled: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        container.limit_disk(byte_limit="8M")
        fill(container, "kept", 2)
        pooled.kill()
        pooled.start()
        assert container.limit_disk() == DiskLimits(block_hard=8192)
        assert 2 * MIB <= usage(container).bytes_used <= 3 * MIB
        assert "status 1" in fill(container, "big", 16)
        dead = client.create()
        pid = dead.info().pid
        pooled.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
        pooled.start()
        assert os.listdir(f"{pooled.depot}/.disk/mnt") == [container.info().id]


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
            wait_until(lambda: os.listdir(point) == [], "a layer was left")
    assert pooled.stop() == 0
    assert not os.path.ismount(point)
    wait_until(lambda: find_loop(file) is None, "the loop device is still there")
    made = os.stat(file).st_ino
    pooled.start()
    assert os.stat(file).st_ino == made
    with client_of(pooled) as client, client.create() as container:
        assert container.limit_disk() == DiskLimits()
        assert "status 0" in fill(container, "x", 16)


def test_without_a_backend_limits_say_what_to_do(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, client.create() as container:
        for fields in ({}, {"byte_limit": 1 << 20}):
            with pytest.raises(BadInput, match=r"set disk\.backend to .pool."):
                container.limit_disk(**fields)
        assert container.info().disk is None
        assert not os.path.exists(f"{daemon.depot}/.disk")


def test_quotas_switched_off_answer_nothing() -> None:
    with daemon_with_disk("") as private:
        with open(private.config) as file:
            text = file.read()
        with open(private.config, "w") as file:
            file.write(text.replace("server:\n", "server:\n  quota:\n    disk_quota_enabled: false\n"))
        private.stop()
        private.start()
        with client_of(private) as client, client.create() as container:
            assert container.limit_disk(byte_limit="1M") is None
            request = pb.LimitDiskRequest(handle=container.handle.encode(), block_hard=5)
            assert client.call(request) == pb.LimitDiskResponse()


@pytest.mark.skipif(have_xfs_quota(), reason="this kernel's XFS has quotas")
def test_a_kernel_without_quotas_is_named_and_nothing_stays() -> None:
    private = PrivateDaemon()
    before = leaks.look(private.cgroup_parent, private.root)
    with open(private.config, "a") as file:
        file.write("disk:\n  backend: pool\n")
    with pytest.raises(EngineFault, match="CONFIG_XFS_QUOTA"), private:
        pass
    assert not leaks.leaks(before, private.cgroup_parent, private.root)


def test_a_depot_without_project_quota_is_named(daemon: PrivateDaemon) -> None:
    with open(daemon.config, "a") as file:
        file.write("disk:\n  backend: project\n")
    daemon.stop()
    command = [sys.executable, "-m", "warden.cli.wardend", daemon.config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EngineFault.exit_code
    assert f"disk: the file system of {daemon.depot} enforces no project quota" in done.stderr


@needs_xfs_quota
@pytest.mark.parametrize("make", ["mkfs.xfs -q", "mkfs.ext4 -q -O project,quota -E quotatype=prjquota"])
def test_a_depot_with_project_quota_is_used_by_itself(make: str) -> None:
    private = PrivateDaemon()
    before = leaks.look(private.cgroup_parent, private.root)
    file = f"{private.root}/depot.xfs"
    os.mkdir(private.depot)
    with open(file, "wb") as made:
        made.truncate(400 * MIB)
    subprocess.run([*make.split(), file], check=True)
    subprocess.run(["mount", "-o", "loop,prjquota", file, private.depot], check=True)
    try:
        with private, client_of(private) as client, client.create() as container, client.create() as other:
            container.limit_disk(byte_limit="8M")
            assert "status 1" in fill(container, "big", 16)
            assert "status 0" in fill(other, "big", 16)
            assert usage(container).bytes_used <= 8 * MIB
            private.kill()
            private.start()
            assert "status 1" in fill(container, "more", 16)
            assert not os.path.exists(f"{private.depot}/.disk")
    finally:
        subprocess.run(["umount", private.depot], check=True)
        shutil.rmtree(private.root)
    assert not leaks.leaks(before, private.cgroup_parent, private.root)
