"""Bandwidth limits of each direction apart, measured with TCP between a container and a host outside."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from firewall_scene import daemon_in, inside
from netns import HOST, OUTSIDE, Namespace, World, world

from warden.client.blocking import Client, Container
from warden.errors import BadInput
from warden.model.info import BandwidthStat
from warden.model.stats import ShapingDrops
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

PORT = 5001
WITHIN = 0.1  # of the rate; TCP's own bytes are 4.4 % less than what a limit counts
TRIES = 3  # this machine may have been busy with something else


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def pair(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    with daemon_in(place, "allow_networks: [198.18.0.0/24]") as made:
        yield made


@pytest.fixture
def container(pair: tuple[PrivateDaemon, Client]) -> Iterator[Container]:
    with pair[1].create() as made:
        yield made


@contextlib.contextmanager
def stream(source: Namespace, target: Namespace, address: str, port: int = PORT) -> Iterator[socket.socket]:
    """The receiving end of a connection over which *source* sends all it can."""
    with target.socket(socket.SOCK_STREAM) as server, source.socket(socket.SOCK_STREAM) as sender:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", PORT))
        server.listen()
        sender.settimeout(60)
        # What is not sent goes with the socket, or it would keep the container's network after its end.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.connect((address, port))
        thread = threading.Thread(target=_send, args=(sender,))
        receiver, _ = server.accept()
        with receiver:
            thread.start()
            try:
                yield receiver
            finally:
                sender.shutdown(socket.SHUT_RDWR)
                thread.join()


def _send(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.send(bytes(1 << 18))


def rate(receiver: socket.socket, seconds: float) -> float:
    """Bytes a second of what arrives."""
    receiver.settimeout(60)
    buffer, count = bytearray(1 << 20), 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        count += receiver.recv_into(buffer)
    return count / passed


def measure(stream: Callable[[], AbstractContextManager[socket.socket]], seconds: float, wanted: float) -> float:
    """Relative to *wanted*, of several tries the nearest."""
    found = 0.0
    for _ in range(TRIES):
        with stream() as receiver:
            rate(receiver, 0.2)
            again = rate(receiver, seconds) / wanted
        found = min(found, again, key=lambda value: abs(value - 1))
        if abs(found - 1) <= WITHIN:
            break
    return found


@pytest.mark.parametrize(
    ("into", "out", "seconds"),
    [("1mbit", "10mbit", 4), ("10mbit", "1mbit", 4), ("100mbit", "1gbit", 2), ("1gbit", "100mbit", 2)],
)
def test_each_direction_has_its_rate(place: World, container: Container, into: str, out: str, seconds: float) -> None:
    box = inside(container)
    host_port, _ = container.net_in(None, PORT)
    container.limit(bandwidth_in=into, bandwidth_out=out)
    stat = container.info().bandwidth
    assert stat.in_rate is not None and stat.out_rate is not None
    found = {
        "out": measure(lambda: stream(box, place.outside, OUTSIDE), seconds, stat.out_rate),
        "in": measure(lambda: stream(place.outside, box, HOST, host_port), seconds, stat.in_rate),
    }
    assert all(abs(value - 1) <= WITHIN for value in found.values()), found


def test_one_direction_leaves_the_other_alone(place: World, container: Container) -> None:
    container.limit(bandwidth_out="2mbit")
    stat = container.info().bandwidth
    assert (stat.in_rate, stat.out_rate) == (None, 250_000)
    box, address = inside(container), container.info().container_ip
    assert abs(measure(lambda: stream(box, place.outside, OUTSIDE), 2, 250_000) - 1) <= WITHIN
    with stream(place.host, box, address) as receiver:
        assert rate(receiver, 0.5) > 2_500_000
    container.limit(bandwidth_in="1M 64K", bandwidth_out="max")
    assert container.info().bandwidth == BandwidthStat(in_rate=1 << 20, in_burst=64 << 10)
    container.limit_bandwidth(500_000, 50_000)
    assert container.info().bandwidth == BandwidthStat(500_000, 50_000, 500_000, 50_000)
    report = container.limit()
    assert (report.in_force["bandwidth.in"], report.in_force["bandwidth.out"]) == ("500000 50000", "500000 50000")


def test_a_change_while_data_runs_never_lets_it_run_free(place: World, container: Container) -> None:
    """What arrives over the whole time is no more than the largest of the rates allows, with each one's burst."""
    box = inside(container)
    container.limit(bandwidth_out="1M 64K")
    with stream(box, place.outside, OUTSIDE) as receiver:
        rate(receiver, 0.3)
        stop, done = threading.Event(), []

        def count() -> None:
            began, total, buffer = time.monotonic(), 0, bytearray(1 << 20)
            while not stop.is_set():
                total += receiver.recv_into(buffer)
            done.append((total, time.monotonic() - began))

        thread = threading.Thread(target=count)
        thread.start()
        changes = 40
        for number in range(changes):
            container.limit(bandwidth_out=("1M 64K", "900K 4K", "1000K 32K")[number % 3])
            time.sleep(0.05)
        stop.set()
        thread.join()
    [(total, passed)] = done
    assert total <= 1.1 * (1 << 20) * passed + 64 * 1024 * 2 + changes * 64 * 1024 / 4


def test_a_smaller_burst_does_not_stop_what_waits(place: World, container: Container) -> None:
    """A packet in the queue that is larger than the new bucket would never leave, and nothing behind it."""
    box = inside(container)
    container.limit(bandwidth_out="200K 64K")
    with stream(box, place.outside, OUTSIDE) as receiver:
        for _ in range(5):
            rate(receiver, 0.3)
            container.limit(bandwidth_out="200K 2K")
            assert rate(receiver, 1) > 0
            container.limit(bandwidth_out="200K 64K")


def test_what_is_dropped_and_held_back_is_told(place: World, container: Container) -> None:
    container.limit(bandwidth_out="1mbit")
    assert container.stats().shaping == ShapingDrops(None, 0, None, 0)
    with stream(inside(container), place.outside, OUTSIDE) as receiver:
        rate(receiver, 1.5)
    found = container.stats().shaping
    assert found is not None
    assert found.tx and found.tx_overlimits
    assert (found.rx, found.rx_overlimits) == (None, None)


def test_each_direction_is_kept_through_a_crash(place: World, pair: tuple[PrivateDaemon, Client]) -> None:
    daemon, client = pair
    expected = BandwidthStat(in_rate=1 << 20, in_burst=64 << 10)
    with client.create(bandwidth_in="1M 64K") as box, client.create(bandwidth_out="2M 64K") as other:
        assert box.info().bandwidth == expected
        daemon.kill()
        daemon.start()
        assert box.info().bandwidth == expected
        assert other.info().bandwidth == BandwidthStat(out_rate=2 << 20, out_burst=64 << 10)


@pytest.mark.parametrize("name", ["bandwidth", "bandwidth_in", "bandwidth_out"])
def test_a_link_is_needed(pair: tuple[PrivateDaemon, Client], name: str) -> None:
    with pair[1].create(network="none") as box, pytest.raises(BadInput, match="no link of its own"):
        box.limit(**{name: "1M"})  # type: ignore[arg-type]


def test_ports_of_bridges_are_limited_each_by_itself(place: World, pair: tuple[PrivateDaemon, Client]) -> None:
    _, client = pair
    options = {"network": "bridge:shape1", "interfaces": ["bridge:shape2"]}
    with client.create(bandwidth_out="2mbit", **options) as box, client.create(network="bridge:shape1") as other:  # type: ignore[arg-type]
        first, _ = box.info().links
        assert box.info().bandwidth.out_rate == 250_000
        names = {item["ifname"] for item in json.loads(place.host.run("ip", "-j", "link", "show", "type", "ifb"))}
        assert len(names) == 2
        address = other.info().links[0].addresses[0].partition("/")[0]
        assert abs(measure(lambda: stream(inside(box), inside(other), address), 2, 250_000) - 1) <= WITHIN
        found = box.stats()
        assert {link.name for link in found.network} == {"eth0", "eth1"}
        assert found.shaping is not None and found.shaping.tx_overlimits
        assert first.name == "eth0"
        box.limit(bandwidth="max")
        assert json.loads(place.host.run("ip", "-j", "link", "show", "type", "ifb")) == []
        box.limit(bandwidth="1M")
    assert json.loads(place.host.run("ip", "-j", "link", "show", "type", "ifb")) == []
