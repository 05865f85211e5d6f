"""What the tests of disk limits share: daemons with a way to limit, and writers that try to exceed it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scene import configured_daemon

from warden.client.blocking import Container
from warden.model.info import DiskStat
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

MIB = 1 << 20
FILL = "dd if=/dev/zero of={path} bs=64k count={blocks} 2>&1; echo status $?"
FULL = ("No space left", "quota exceeded")


def have_xfs_quota() -> bool:
    """The kernel's XFS tells of its quotas in /proc once it is loaded."""
    subprocess.run(["modprobe", "-q", "xfs"], check=False)
    return os.path.exists("/proc/fs/xfs/xqm")


def have_btrfs() -> bool:
    subprocess.run(["modprobe", "-q", "btrfs"], check=False)
    with open("/proc/filesystems") as file:
        return "btrfs" in file.read() and shutil.which("mkfs.btrfs", path="/usr/sbin:/sbin") is not None


HAVE_XFS_QUOTA, HAVE_BTRFS = have_xfs_quota(), have_btrfs()
needs_xfs_quota = pytest.mark.skipif(not HAVE_XFS_QUOTA, reason="this kernel's XFS has no quotas; see scripts/test-vm")
needs_btrfs = pytest.mark.skipif(not HAVE_BTRFS, reason="no btrfs here")


@contextmanager
def daemon_with_disk(backend: str, **more: object) -> Iterator[PrivateDaemon]:
    with configured_daemon(
        disk={"backend": backend, "pool_size": 400 * MIB, "loop_size": 400 * MIB, **more}
    ) as private:
        yield private


def fill(container: Container, name: str, mebibytes: int, *, privileged: bool = True) -> str:
    path = f"/{name}" if privileged else f"/home/vcap/{name}"
    return container.run(FILL.format(path=path, blocks=16 * mebibytes), privileged=privileged).text


def usage(container: Container) -> DiskStat:
    container.run("sync", privileged=True)
    found = container.info().disk
    assert found is not None
    return found


def is_full(output: str) -> bool:
    return "status 1" in output and any(word in output for word in FULL)


def layers(private: PrivateDaemon) -> list[str]:
    """What lies outside the containers' own directories."""
    found = []
    for place in ("mnt", "btrfs-mnt", "btrfs", "loop", "tmpfs"):
        if os.path.isdir(directory := f"{private.depot}/.disk/{place}"):
            found += [f"{place}/{name}" for name in os.listdir(directory) if not name.startswith(".")]
    return found


@contextmanager
def depot_on(make: str, options: str, disk: str, *, size: int = 400 * MIB) -> Iterator[PrivateDaemon]:
    """A daemon whose depot is a file system of its own."""
    private = PrivateDaemon(disk=disk)
    before = leaks.look(private.cgroup_parent, private.root)
    file = f"{private.root}/depot.image"
    os.mkdir(private.depot)
    with open(file, "wb") as made:
        made.truncate(size)
    subprocess.run([*make.split(), file], check=True)
    subprocess.run(["mount", "-o", f"loop{options}", file, private.depot], check=True)
    try:
        with private:
            yield private
    finally:
        subprocess.run(["umount", private.depot], check=True)
        shutil.rmtree(private.root)
    assert not leaks.leaks(before, private.cgroup_parent, private.root)
