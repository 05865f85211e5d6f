"""Limits changed while a container lives: in force at once, answered as the kernel has them, there after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scene import daemon_with, nothing_new, processes_of, wait_until

from warden.client.blocking import Client, Container
from warden.errors import BadInput, UnknownHandle
from warden.model.info import BandwidthStat
from warden.model.limits import Bandwidth
from warden.protocol import warden_pb2 as pb
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def daemon() -> Iterator[PrivateDaemon]:
    """One whose containers may talk to the host, so that rates are measured without a third party."""
    with daemon_with(allow_host_access=True) as private:
        yield private


def shares_files(daemon: PrivateDaemon, container_id: str) -> list[Path]:
    trees = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir())
    groups = [tree / daemon.cgroup_parent / f"instance-{container_id}" for tree in trees]
    return [path for group in groups for name in ("cpu.shares", "cpu.weight") if (path := group / name).exists()]


def test_cpu_shares_are_clamped_and_set_again_after_a_crash(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        assert container.limit_cpu() == 1024
        assert container.limit_cpu(1) == 2
        assert container.limit_cpu(512) == 512
        [file] = shares_files(daemon, container.info().id)
        set_by_us = file.read_text()
        daemon.kill()
        file.write_text("100")
        daemon.start()
        assert file.read_text() == set_by_us
        assert container.limit_cpu() == 512
        container.stop()
        assert container.limit_cpu(2048) == 2048
    with pytest.raises(UnknownHandle):
        container.limit_cpu()


RATE, BURST, SECONDS = 2_000_000, 50_000, 2.5
SENDER = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    until = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < until:
        sock.sendall(bytes(16384))
"""
RECEIVER = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    total = len(sock.recv(65536))
    began = ended = time.monotonic()
    while data := sock.recv(65536):
        total, ended = total + len(data), time.monotonic()
print(total / (ended - began))
"""


def rate_out(container: Container, host_ip: str) -> float:
    """Bytes a second from the container to its host's end."""
    with socket.create_server((host_ip, 0)) as server:
        job = container.spawn(["python3", "-c", SENDER, host_ip, str(server.getsockname()[1]), str(SECONDS)])
        server.settimeout(60)
        peer = server.accept()[0]
        with peer:
            total = len(peer.recv(65536))
            began = ended = time.monotonic()
            while data := peer.recv(65536):
                total, ended = total + len(data), time.monotonic()
        assert job.wait().exit_status == 0
    return total / (ended - began)


def rate_in(container: Container, host_ip: str) -> float:
    """Bytes a second from the host's end to the container."""
    with socket.create_server((host_ip, 0)) as server:
        job = container.spawn(["python3", "-c", RECEIVER, host_ip, str(server.getsockname()[1])])
        server.settimeout(60)
        peer = server.accept()[0]
        with peer:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                peer.sendall(bytes(16384))
        return float(job.wait().stdout)


def holds(container: Container, measure: Callable[[Container, str], float], wanted: float) -> bool:
    """In one of three tries: who is kept from the processor measures nonsense."""
    host_ip = container.info().host_ip
    return any(0.5 * wanted <= measure(container, host_ip) <= 1.25 * wanted for _ in range(3))


def test_bandwidth_is_limited_both_ways_and_changed_at_once(client: Client) -> None:
    with client.create() as container:
        unlimited = container.info()
        assert unlimited.bandwidth == BandwidthStat()
        assert rate_out(container, unlimited.host_ip) > 2 * RATE, "this machine is too slow to show a limit"
        assert container.limit_bandwidth(RATE, BURST) == Bandwidth(RATE, BURST)
        assert container.info().bandwidth == BandwidthStat(RATE, BURST, RATE, BURST)
        for measure in (rate_out, rate_in):
            assert holds(container, measure, RATE)
        container.limit_bandwidth(RATE // 4, BURST)
        for measure in (rate_out, rate_in):
            assert holds(container, measure, RATE / 4)


def test_a_bandwidth_of_nothing_is_refused_by_name(client: Client) -> None:
    with client.create() as container:
        container.limit_bandwidth("1M", "64K")
        for rate, burst, name in ((0, 1, "rate"), (1, 0, "burst")):
            request = pb.LimitBandwidthRequest(handle=container.handle.encode(), rate=rate, burst=burst)
            with pytest.raises(BadInput, match=f"bandwidth: {name}: 0 is out of range"):
                client.call(request)
        assert container.info().bandwidth.in_rate == 1 << 20
    with client.create(network="none") as container, pytest.raises(BadInput, match="no link of its own"):
        container.limit_bandwidth("1M", "64K")


def test_bandwidth_survives_a_crash_and_is_set_again(daemon: PrivateDaemon, client: Client) -> None:
    with client.create() as container:
        info = container.info()
        container.limit_bandwidth(RATE, BURST)
        daemon.kill()
        daemon.start()
        assert container.info().bandwidth == BandwidthStat(RATE, BURST, RATE, BURST)
        daemon.kill()
        subprocess.run(["ip", "link", "delete", f"w-{info.id}-2"], check=True)
        subprocess.run(["tc", "qdisc", "delete", "dev", f"w-{info.id}-0", "root"], check=True)
        daemon.start()
        assert container.info().bandwidth == BandwidthStat(RATE, BURST, RATE, BURST)
        assert rate_out(container, info.host_ip) <= 1.25 * RATE


def test_the_shaping_device_of_a_container_that_died_goes(daemon: PrivateDaemon, client: Client) -> None:
    with nothing_new(daemon):
        container = client.create()
        info = container.info()
        container.limit_bandwidth(RATE, BURST)
        daemon.kill()
        os.kill(info.pid, signal.SIGKILL)
        wait_until(lambda: not processes_of(daemon))
        daemon.start()
        assert client.list() == []
        assert f"w-{info.id}-2" not in os.listdir("/sys/class/net")


def test_a_limit_that_was_never_recorded_is_taken_away(daemon: PrivateDaemon, client: Client) -> None:
    """The daemon died between setting it and writing it down."""
    with client.create() as container:
        path = Path(container.info().path, "snapshot.json")
        before = path.read_text()
        container.limit_bandwidth(1000, 2000)
        daemon.kill()
        path.write_text(before)
        daemon.start()
        info = container.info()
        assert info.bandwidth == BandwidthStat()
        assert f"w-{info.id}-2" not in os.listdir("/sys/class/net")
        assert rate_in(container, info.host_ip) > RATE
