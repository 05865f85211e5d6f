"""A container's directory that was renamed, or copied, while no daemon ran (spec/warden.md §8, Recovery)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from scene import nothing_new, processes_of, read_until, wait_until

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


def test_a_renamed_directory_is_taken_up_with_all_it_has(daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(daemon):
        box = client.create("box", memory="64M")
        box.limit_bandwidth(1 << 20, 1 << 16)
        ports = box.net_in()
        job = box.spawn("echo before; until [ -e /tmp/go ]; do sleep 0.01; done; echo after; exit 3")
        read_until(job, b"before\n")
        before = box.info()
        daemon.kill()
        os.rename(before.path, f"{daemon.depot}/foo")
        daemon.start()
        after = box.info()
        assert after.path == f"{daemon.depot}/foo"
        assert (after.id, after.pid, after.container_ip) == (before.id, before.pid, before.container_ip)
        assert (after.memory.limit, after.bandwidth) == (before.memory.limit, before.bandwidth)
        box.run("touch /tmp/go", privileged=True)
        assert job.wait().exit_status == 3
        assert box.run("echo new").stdout == b"new\n"
        assert box.net_in() != ports  # what it had is still its own
        with client.create() as other:
            assert other.info().container_ip != before.container_ip
        daemon.kill()
        daemon.start()  # and again from there
        assert box.info().path == f"{daemon.depot}/foo"
        box.destroy()
        assert client.list() == []


def test_a_renamed_one_whose_pid_1_is_gone_is_removed_with_all_it_had(daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(daemon):
        box = client.create()
        box.limit_bandwidth(1 << 20, 1 << 16)
        info = box.info()
        daemon.kill()
        os.rename(info.path, f"{daemon.depot}/foo")
        os.kill(info.pid, 9)
        wait_until(lambda: not processes_of(daemon))
        daemon.start()
        assert client.list() == []


@pytest.mark.parametrize("renamed", [False, True])
def test_a_copy_is_not_taken_for_the_container_and_not_touched(
    daemon: PrivateDaemon, client: Client, renamed: bool
) -> None:
    with client.create("box") as box:
        info = box.info()
        daemon.kill()
        place, copy = Path(info.path), Path(daemon.depot, "copy")
        shutil.copytree(place, copy, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "mnt", "upper", "work"))
        if renamed:  # the copy has the container's own name
            place.rename(place := Path(daemon.depot, "box"))
            copy.rename(copy := Path(info.path))
        daemon.start()
        assert box.info().path == str(place)
        assert box.run("echo works").stdout == b"works\n"
        assert f"{copy}: container {info.id} lives in {place}; this one is not touched" in Path(daemon.log).read_text()
        assert (copy / "snapshot.json").exists()
    assert copy.exists()
    daemon.stop()
    daemon.start()  # now it is like any other whose PID 1 is gone
    wait_until(lambda: not copy.exists())


def test_a_directory_without_a_record_costs_nobody_his_cgroups(daemon: PrivateDaemon, client: Client) -> None:
    with client.create("box") as box:
        info = box.info()
        job = box.spawn("echo begun; sleep 1000")
        read_until(job, b"begun\n")
        daemon.kill()
        os.rename(info.path, f"{daemon.depot}/foo")
        os.mkdir(info.path)
        daemon.start()
        assert box.info().path == f"{daemon.depot}/foo"
        assert [one.running for one in box.info().jobs] == [True]
        os.rmdir(info.path)
