"""Disk limits: every writer in the container meets them, root too; usage is what was written; a crash loses and leaves
nothing. The same promises for every way to limit.

What this machine's kernel has not (XFS's quotas, format v2 of quotas) runs in scripts/test-vm.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from disk_scene import (
    HAVE_XFS_QUOTA,
    MIB,
    daemon_with_disk,
    depot_on,
    fill,
    is_full,
    layers,
    needs_btrfs,
    needs_xfs_quota,
    usage,
)
from scene import client_of, configured_daemon, wait_until

from warden.client.blocking import Client
from warden.errors import BadInput, EngineFault, NotSupported, UnknownHandle, WardenError
from warden.model.limits import DiskLimits
from warden.protocol import warden_pb2 as pb
from warden.testing import leaks
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

#: What a way cannot do is left out of the tests for it, and has tests of its own.
WAYS = [
    pytest.param("loop"),
    pytest.param("tmpfs"),
    pytest.param("btrfs-pool", marks=needs_btrfs),
    pytest.param("pool", marks=needs_xfs_quota),
]
COUNTS_INODES = frozenset({"loop", "tmpfs", "pool"})


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[PrivateDaemon]:
    """A daemon for each way, shared by tests that do not disturb it."""
    with daemon_with_disk(request.param) as private:
        yield private


@pytest.fixture
def backend(way: PrivateDaemon) -> str:
    with open(way.config) as file:
        text = file.read()
    return next(name for name in ("btrfs-pool", "loop", "tmpfs", "pool") if f"backend: {name}\n" in text)


@pytest.fixture
def client(way: PrivateDaemon) -> Iterator[Client]:
    with client_of(way) as client:
        yield client


def test_everybody_meets_the_limit_and_the_container_goes_on(client: Client) -> None:
    with client.create() as container, client.create() as other:
        assert container.limit_disk(byte_limit="8M") == DiskLimits(block_hard=8192)
        for privileged in (True, False):
            assert is_full(fill(container, "big", 16, privileged=privileged))
            assert usage(container).bytes_used <= 8 * MIB
        assert "status 0" in fill(other, "big", 16)
        container.run("rm /big", privileged=True, check=True)
        assert "status 0" in fill(container, "small", 4)
        assert is_full(fill(container, "again", 8))
        container.limit_disk(byte_limit=0)
        assert "status 0" in fill(container, "again", 16)


@pytest.mark.parametrize(
    "script",
    [
        "for i in $(seq 500); do head -c 65536 /dev/zero > {d}/f$i || exit 1; done",  # many files
        "for i in $(seq 500); do head -c 65536 /dev/zero >> {d}/f || exit 1; done",  # one that grows
        "for i in $(seq 500); do dd if=/dev/zero of={d}/f bs=64k count=1 seek=$((16 * i)) conv=notrunc || exit 1; done",
        "head -c 1M /dev/zero > {d}/f; for i in $(seq 500); do ln {d}/f {d}/l$i && head -c 1M {d}/f > {d}/c$i || exit 1; done",
        "fallocate -l 32M {d}/f",
        "exec 3<> {d}/f && rm {d}/f && head -c 32M /dev/zero >&3",  # one that has no name
    ],
    ids=["files", "append", "sparse", "links", "fallocate", "nameless"],
)
@pytest.mark.parametrize("privileged", [True, False])
def test_no_way_around_it(client: Client, script: str, privileged: bool) -> None:
    with client.create() as container:
        container.limit_disk(byte_limit="8M")
        directory = "/" if privileged else "/home/vcap"
        done = container.run(f"({script.format(d=directory)}) 2>&1", privileged=privileged)
        assert done.exit_status != 0, done.text
        assert usage(container).bytes_used <= 8 * MIB


def test_a_sparse_file_and_links_cost_nothing(client: Client) -> None:
    with client.create() as container:
        container.limit_disk(byte_limit="8M")
        container.run("truncate -s 1G /sparse && head -c 1M /dev/zero > /f && for i in $(seq 50); do ln /f /l$i; done",
                      privileged=True, check=True)  # fmt: skip
        assert usage(container).bytes_used < 2 * MIB


def test_usage_is_what_was_written(client: Client, backend: str) -> None:
    with client.create() as container:
        before = usage(container)
        container.run("mkdir /d; for i in $(seq 10); do : > /d/$i; done; head -c 1M /dev/zero > /d/data",
                      privileged=True, check=True)  # fmt: skip
        after = usage(container)
        assert 0 <= after.bytes_used - before.bytes_used - MIB <= 2 * 16384
        if backend in COUNTS_INODES:
            assert after.inodes_used == before.inodes_used + 12
        container.run("rm -r /d", privileged=True, check=True)
        after = usage(container)
        assert abs(after.bytes_used - before.bytes_used) <= 2 * 16384
        if backend in COUNTS_INODES:
            assert after.inodes_used == before.inodes_used


@pytest.mark.parametrize("privileged", [True, False])
def test_inodes_are_limited(client: Client, backend: str, privileged: bool) -> None:
    if backend not in COUNTS_INODES:
        pytest.skip(f"{backend} cannot: see the next test")
    directory = "/d" if privileged else "/home/vcap/d"
    with client.create() as container:
        container.run(f"mkdir {directory}", privileged=privileged, check=True)
        used = usage(container).inodes_used
        assert container.limit_disk(inode=used + 5) == DiskLimits(inode_hard=used + 5)
        make = f"for i in $(seq 20); do : > {directory}/$1$i || exit 1; done"
        assert container.run(f"set new; {make}", privileged=privileged).exit_status == 1
        assert usage(container).inodes_used == used + 5
        container.limit_disk(inode=used + 8)
        assert container.run(f"set more; {make}", privileged=privileged).exit_status == 1
        assert usage(container).inodes_used == used + 8
        container.limit_disk(inode=0)
        assert container.run(f"set free; {make}", privileged=privileged).exit_status == 0


@needs_btrfs
def test_btrfs_says_what_can_limit_inodes() -> None:
    with daemon_with_disk("btrfs-pool") as private, client_of(private) as client, client.create() as container:
        with pytest.raises(NotSupported, match=r"btrfs-pool cannot limit inodes .*project, pool, loop or tmpfs"):
            container.limit_disk(byte_limit="8M", inode=100)
        assert container.limit_disk() == DiskLimits()
        assert "status 0" in fill(container, "x", 16)


def test_a_limit_below_what_is_used(client: Client, backend: str) -> None:
    """Quotas stop growth alone; tmpfs cannot."""
    with client.create() as container:
        assert "status 0" in fill(container, "kept", 8)
        if backend == "tmpfs":
            with pytest.raises(BadInput, match="block_hard: 4096 is below what is used"):
                container.limit_disk(byte_limit="4M")
            assert container.limit_disk() == DiskLimits()
            return
        container.limit_disk(byte_limit="4M")
        assert is_full(fill(container, "more", 1))
        assert container.run("cmp -n 8388608 /kept /dev/zero", privileged=True).exit_status == 0
        container.run("rm /kept", privileged=True, check=True)
        assert "status 0" in fill(container, "more", 2)


def test_inodes_below_what_is_used_or_beyond_what_there_are(client: Client, backend: str) -> None:
    if backend != "loop":
        pytest.skip("quotas can")
    with client.create() as container:
        for wanted, reason in ((1, "below what is used"), (1 << 40, "more than its file system has")):
            with pytest.raises(BadInput, match=f"inode_hard: {wanted} (is|are) {reason}"):
                container.limit_disk(byte_limit="8M", inode=wanted)
        assert "status 0" in fill(container, "x", 16), "a refused change changes nothing"


def test_concurrent_creates_and_nothing_is_left(way: PrivateDaemon, client: Client) -> None:
    before = held(way)

    def life(number: int) -> bool:
        with client_of(way) as own, own.create() as container:
            limit = 2 + number % 8
            container.limit_disk(byte_limit=f"{limit}M")
            return is_full(fill(container, "x", 12)) and limit - 1 < usage(container).bytes_used / MIB <= limit

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(life, range(24)))
    wait_until(lambda: held(way) <= before, lambda: f"left: {held(way) - before}")
    wait_until(lambda: not layers(way), lambda: f"layers were left: {layers(way)}")


def held(private: PrivateDaemon) -> set[str]:
    """Mounts and loop devices; of those that are made ahead there are some at any time."""
    seen = leaks.look(private.cgroup_parent, private.root)
    return {name for name in seen.mounts | seen.loops if "/.ready-" not in name}


@pytest.mark.parametrize("name", WAYS)
def test_a_crash_finds_everything_again(name: str) -> None:
    with daemon_with_disk(name) as private, client_of(private) as client, client.create() as container:
        container.limit_disk(byte_limit="8M")
        fill(container, "kept", 2)
        private.kill()
        private.start()
        assert container.limit_disk() == DiskLimits(block_hard=8192)
        assert 2 * MIB <= usage(container).bytes_used <= 3 * MIB
        assert is_full(fill(container, "big", 16))
        container.limit_disk(byte_limit="30M")
        assert "status 0" in fill(container, "big", 16)
        dead = client.create()
        pid = dead.info().pid
        private.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
        private.start()
        kept = container.info().id
        wait_until(lambda: {name.split("/")[1].partition(".")[0] for name in layers(private)} == {kept})


@pytest.mark.parametrize("name", WAYS)
def test_killed_at_any_instant_nothing_is_left(name: str) -> None:
    """SIGKILL while eight containers are made and destroyed; the next start removes what was half done."""
    with daemon_with_disk(name) as private:
        for delay in (0.02, 0.05, 0.09, 0.14):
            with ThreadPoolExecutor(8) as pool:
                for _ in range(8):
                    pool.submit(_lives_until_the_end, private)
                wait_until(lambda: bool(layers(private)))
                time.sleep(delay)
                private.kill()
            private.start()
            private.destroy_all()
            wait_until(lambda: not layers(private), lambda: f"layers were left: {layers(private)}")
            wait_until(lambda: not _mounts(private), lambda: f"mounts were left: {_mounts(private)}")


def _mounts(private: PrivateDaemon) -> list[str]:
    return [point for point in leaks.look(private.cgroup_parent, private.root).mounts if point[-3:] != "mnt"]


def _lives_until_the_end(private: PrivateDaemon) -> None:
    try:
        with client_of(private) as client:
            while True:
                client.create().destroy()
    except WardenError:
        return


@pytest.mark.parametrize("name", ["loop", pytest.param("pool", marks=needs_xfs_quota)])
def test_a_container_keeps_its_way_when_the_configuration_changes(name: str) -> None:
    with daemon_with_disk(name) as private, client_of(private) as client, client.create() as old:
        old.limit_disk(byte_limit="8M")
        _configure(private, name, "tmpfs")
        with client.create() as new:
            new.limit_disk(byte_limit="4M")
            assert is_full(fill(old, "x", 16))
            assert 7 * MIB <= usage(old).bytes_used <= 8 * MIB
            assert is_full(fill(new, "x", 16))
            old.limit_disk(byte_limit="40M")
            assert "status 0" in fill(old, "x", 16)
        _configure(private, "tmpfs", "none")
        old.limit_disk(byte_limit="20M")
        assert is_full(fill(old, "y", 16))
        with client.create() as new, pytest.raises(NotSupported, match="no way to limit disks"):
            new.limit_disk(byte_limit="4M")
        _configure(private, "none", name)


def may_use_reserves() -> bool:
    with open("/proc/self/status") as file:
        effective = next(line for line in file if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) & 1 << 24)  # CAP_SYS_RESOURCE


def test_a_layer_grows_where_the_kernel_lets_us() -> None:
    with daemon_with_disk("loop", loop_size=64 * MIB) as private, client_of(private) as client, client.create() as box:
        box.limit_disk(byte_limit="32M")
        assert is_full(fill(box, "a", 40))
        if not may_use_reserves():
            with pytest.raises(BadInput, match="cannot grow: growing it needs CAP_SYS_RESOURCE"):
                box.limit_disk(byte_limit="160M")
            assert is_full(fill(box, "a", 40))
            return
        box.limit_disk(byte_limit="160M")
        assert "status 0" in fill(box, "a", 120)
        assert is_full(fill(box, "b", 60))
        assert 150 * MIB <= usage(box).bytes_used <= 160 * MIB


def _configure(private: PrivateDaemon, before: str, after: str) -> None:
    with open(private.config) as file:
        text = file.read()
    assert f"backend: {before}\n" in text
    with open(private.config, "w") as file:
        file.write(text.replace(f"backend: {before}\n", f"backend: {after}\n"))
    private.stop()
    private.start()


def test_the_default_limits_on_a_plain_host() -> None:
    """Nothing configured: the first way that works here."""
    with configured_daemon(disk={"backend": "auto"}) as private, client_of(private) as client:
        with client.create() as container:
            container.limit_disk(byte_limit="8M", inode=2000)
            assert is_full(fill(container, "big", 16))
            assert is_full(fill(container, "big", 16, privileged=False))
            assert usage(container).bytes_used <= 8 * MIB
            made = container.run(
                "rm /big; mkdir /d; for i in $(seq 2000); do : > /d/$i || exit 1; done", privileged=True
            )
            assert made.exit_status == 1
            assert usage(container).inodes_used == 2000
        wait_until(lambda: not layers(private))


def test_without_a_backend_limits_say_what_to_do(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, client.create() as container:
        for fields in ({}, {"byte_limit": 1 << 20}):
            with pytest.raises(NotSupported, match=r"no way to limit disks is in use .*warden doctor"):
                container.limit_disk(**fields)
        assert container.info().disk is None
        report = container.limit(disk="1M", pids=10, best_effort=True)
        assert "no way to limit disks" in report.warnings[0]
        assert set(report.asked) == {"pids.max"}
        assert not os.path.exists(f"{daemon.depot}/.disk")
        with client.create(disk="1M", pids=10, best_effort=True) as another:
            assert "no way to limit disks" in another.warnings[0]
            assert set(another.limit().asked) == {"pids.max"}


def test_quotas_switched_off_answer_nothing() -> None:
    with configured_daemon(server={"quota": {"disk_quota_enabled": False}}, disk={"backend": "auto"}) as private:
        with client_of(private) as client, client.create() as container:
            assert container.limit_disk(byte_limit="1M") is None
            request = pb.LimitDiskRequest(handle=container.handle.encode(), block_hard=5)
            assert client.call(request) == pb.LimitDiskResponse()
        assert not os.path.exists(f"{private.depot}/.disk")


@pytest.mark.skipif(HAVE_XFS_QUOTA, reason="this kernel's XFS has quotas")
def test_a_kernel_without_quotas_is_named_and_nothing_stays() -> None:
    private = PrivateDaemon(disk="pool")
    before = leaks.look(private.cgroup_parent, private.root)
    with pytest.raises(EngineFault, match="CONFIG_XFS_QUOTA"), private:
        pass
    assert not leaks.leaks(before, private.cgroup_parent, private.root)


@pytest.mark.parametrize("kind", ["project", "user"])
def test_a_depot_without_quota_is_named(daemon: PrivateDaemon, kind: str) -> None:
    with open(daemon.config) as file:
        text = file.read()
    with open(daemon.config, "w") as file:
        file.write(text.replace("backend: none", f"backend: {kind}"))
    daemon.stop()
    command = [sys.executable, "-m", "warden.cli.wardend", daemon.config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EngineFault.exit_code
    assert f"disk: the file system of {daemon.depot} enforces no {kind} quota" in done.stderr


@needs_btrfs
def test_a_depot_on_btrfs() -> None:
    """By itself only where quota groups are on; configured by name they are switched on."""
    with depot_on("mkfs.btrfs -q", "", "btrfs") as private, client_of(private) as client:
        with client.create() as container, client.create() as other:
            container.limit_disk(byte_limit="8M")
            assert is_full(fill(container, "big", 16))
            assert "status 0" in fill(other, "big", 16)
            private.kill()
            private.start()
            assert is_full(fill(container, "more", 16))
            assert 7 * MIB <= usage(container).bytes_used <= 8 * MIB
        wait_until(lambda: not layers(private))
        _configure(private, "btrfs", "auto")
        with client.create() as container:
            container.limit_disk(byte_limit="8M")
            assert is_full(fill(container, "big", 16))
            assert os.listdir(f"{private.depot}/.disk") == ["btrfs"]
        with pytest.raises(UnknownHandle):
            container.info()


@pytest.mark.parametrize("name", ["loop", pytest.param("pool", marks=needs_xfs_quota)])
def test_a_host_that_fills_up_is_felt_as_a_full_disk(name: str) -> None:
    """Layers in sparse files could promise more than the host has: nothing that was written may be lost for it."""
    intact = (
        "sync; for f in $(find / -xdev -name 'f[0-9]*' -size 10240k); do cmp -n 10485760 $f /dev/zero || exit 1; done"
    )
    with (
        depot_on("mkfs.ext4 -q -m 0", "", name, size=640 * MIB) as private,
        client_of(private) as client,
        client.create() as container,
        client.create() as other,
    ):
        with open(f"{private.depot}/.others", "wb") as others:  # the host's own use grows
            others.write(bytes(380 * MIB))
        time.sleep(2.5)  # the daemon looks every second
        written = 0
        for number in range(30):
            written += not is_full(fill((container, other)[number % 2], f"f{number}", 10))
            time.sleep(0.6)
        assert 4 <= written < 30
        assert os.statvfs(private.depot).f_bavail > 0
        for one in (container, other):
            assert one.run(intact, privileged=True).exit_status == 0
        try:  # what little is left may be enough for some more
            for _ in range(9):
                client.create()
        except WardenError as error:
            assert re.search("No space left on device .*make room", str(error)), error
        client.ping()
        os.unlink(f"{private.depot}/.others")
        wait_until(lambda: "status 0" in fill(container, "new", 10), "room that there is again can be used")
