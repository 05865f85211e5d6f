"""Bandwidth limits on the running kernel, in a network namespace of each test's own."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network

import pytest

from warden.errors import KernelRefused
from warden.kernel import mounts
from warden.model.info import BandwidthStat
from warden.model.limits import Bandwidth, Shaping
from warden.network import shaping
from warden.network.links import Attachment

pytestmark = pytest.mark.root

LINK = Attachment("shapetest01", IPv4Network("198.18.7.0/30"), 1400)
SLOW, FAST = Bandwidth(100_000, 20_000), Bandwidth(5_000_000_000, 20_000_000)
UNLIMITED = BandwidthStat()


NOTHING = Shaping()


def each(limit: Bandwidth) -> Shaping:
    return Shaping(limit, limit)


def both(limit: Bandwidth) -> BandwidthStat:
    return BandwidthStat(limit.rate, limit.burst, limit.rate, limit.burst)


def run(command: str) -> str:
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def in_namespace(test: Callable[[], None]) -> Callable[[], None]:
    """Runs *test* in a thread with a network namespace of its own, in which the link is; it goes with the thread."""

    def work() -> None:
        mounts.unshare(mounts.CLONE_NEWNET)
        run(f"ip link add {LINK.host_name} index {LINK.host_index} type veth peer name {LINK.container_name}")
        run(f"ip link set {LINK.host_name} up")
        test()

    def wrapper() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper


@in_namespace
def test_set_changed_in_place_and_lifted() -> None:
    assert shaping.read(LINK, NOTHING) == UNLIMITED
    shaping.limit(LINK, each(SLOW), NOTHING)
    assert shaping.read(LINK, NOTHING) == both(SLOW)
    [ifb] = json.loads(run(f"ip -j link show {LINK.ifb_name}"))
    assert (ifb["mtu"], "UP" in ifb["flags"], ifb["ifindex"]) == (1400, True, LINK.ifb_index)
    shaping.limit(LINK, each(FAST), each(SLOW))
    assert shaping.read(LINK, each(FAST)) == both(FAST)
    kinds = [item["kind"] for item in json.loads(run(f"tc -j qdisc show dev {LINK.host_name}"))]
    assert sorted(kinds) == ["ingress", "tbf"]
    assert "mirred (Egress Redirect to device " + LINK.ifb_name in run(f"tc filter show dev {LINK.host_name} ingress")
    shaping.lift(LINK)
    shaping.lift(LINK)
    assert shaping.read(LINK, each(FAST)) == UNLIMITED
    assert not shaping.have_link(LINK.ifb_name)
    assert run(f"tc filter show dev {LINK.host_name} ingress") == ""


@in_namespace
def test_a_change_keeps_the_same_queue() -> None:
    """A queue that is replaced by another starts to count anew."""
    shaping.limit(LINK, each(SLOW), NOTHING)
    run(f"ip link set {LINK.container_name} up")
    run(f"ip address add 198.18.7.1/30 broadcast 198.18.7.3 dev {LINK.host_name}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(3):
            sock.sendto(b"x", ("198.18.7.3", 9))

    def sent() -> int:
        queues = json.loads(run(f"tc -s -j qdisc show dev {LINK.host_name} root"))
        return int(queues[0]["packets"])

    before = sent()
    assert before > 0
    shaping.limit(LINK, each(FAST), each(SLOW))
    assert sent() >= before


@in_namespace
def test_what_is_missing_is_made_again() -> None:
    shaping.limit(LINK, each(SLOW), NOTHING)
    run(f"ip link delete {LINK.ifb_name}")
    run(f"tc qdisc delete dev {LINK.host_name} root")
    shaping.limit(LINK, each(SLOW), each(SLOW))
    assert shaping.read(LINK, NOTHING) == both(SLOW)


@in_namespace
def test_a_refused_limit_leaves_nothing() -> None:
    run(f"ip link delete {LINK.host_name}")
    with pytest.raises(KernelRefused, match=f"tc qdisc replace dev {LINK.host_name} ingress") as caught:
        shaping.limit(LINK, each(SLOW), NOTHING)
    assert caught.value.errno == errno.ENODEV
    assert not shaping.have_link(LINK.ifb_name)


@in_namespace
def test_a_refused_change_leaves_the_limit_before() -> None:
    shaping.limit(LINK, each(SLOW), NOTHING)
    run(f"ip link delete {LINK.host_name}")
    with pytest.raises(KernelRefused):
        shaping.limit(LINK, each(FAST), each(SLOW))
    found = shaping.read(LINK, NOTHING)
    assert (found.out_rate, found.out_burst) == (SLOW.rate, SLOW.burst)


@in_namespace
def test_the_device_goes_even_after_its_link() -> None:
    shaping.limit(LINK, each(SLOW), NOTHING)
    run(f"ip link delete {LINK.host_name}")
    shaping.remove_ifbs([LINK.ifb_name])
    shaping.remove_ifbs([LINK.ifb_name])
    assert not shaping.have_link(LINK.ifb_name)


@in_namespace
def test_each_direction_by_itself() -> None:
    shaping.limit(LINK, Shaping(into=SLOW), NOTHING)
    assert shaping.read(LINK, NOTHING) == BandwidthStat(in_rate=SLOW.rate, in_burst=SLOW.burst)
    assert not shaping.have_link(LINK.ifb_name)
    shaping.limit(LINK, Shaping(out=FAST), Shaping(into=SLOW))
    assert shaping.read(LINK, each(FAST)) == BandwidthStat(out_rate=FAST.rate, out_burst=FAST.burst)
    shaping.limit(LINK, Shaping(SLOW, FAST), Shaping(out=FAST))
    assert shaping.read(LINK, each(FAST)) == BandwidthStat(SLOW.rate, SLOW.burst, FAST.rate, FAST.burst)
    shaping.limit(LINK, Shaping(into=SLOW), Shaping(SLOW, FAST))
    assert not shaping.have_link(LINK.ifb_name)
    assert run(f"tc filter show dev {LINK.host_name} ingress") == ""
    shaping.limit(LINK, NOTHING, Shaping(into=SLOW))
    assert shaping.read(LINK, NOTHING) == UNLIMITED


@in_namespace
def test_what_a_crash_left_of_another_limit_is_taken_away() -> None:
    shaping.limit(LINK, each(SLOW), NOTHING)
    shaping.restore(LINK, Shaping(out=FAST))
    assert shaping.read(LINK, each(FAST)) == BandwidthStat(out_rate=FAST.rate, out_burst=FAST.burst)
    shaping.restore(LINK, Shaping(into=SLOW))
    assert shaping.read(LINK, NOTHING) == BandwidthStat(in_rate=SLOW.rate, in_burst=SLOW.burst)
    shaping.restore(LINK, NOTHING)
    assert shaping.read(LINK, NOTHING) == UNLIMITED


@in_namespace
def test_a_burst_that_could_not_work_is_told_as_it_was_asked() -> None:
    tiny = each(Bandwidth(125_000_000, 3000))
    shaping.limit(LINK, tiny, NOTHING)
    assert shaping.read(LINK, tiny) == both(Bandwidth(125_000_000, 3000))
    found = shaping.read(LINK, NOTHING).in_burst
    assert found is not None
    assert abs(found - 250_000) < 10, "the kernel has a bucket of 2 ms"


@in_namespace
def test_a_smaller_bucket_begins_with_an_empty_queue_and_the_limit_stays() -> None:
    smaller = Bandwidth(SLOW.rate, SLOW.burst // 2)
    shaping.limit(LINK, each(SLOW), NOTHING)
    for wanted, before in ((smaller, SLOW), (SLOW, smaller), (smaller, SLOW), (smaller, smaller)):
        shaping.limit(LINK, each(wanted), each(before))
        assert shaping.read(LINK, each(wanted)) == both(wanted)
        for name in (LINK.host_name, LINK.ifb_name):
            queues = json.loads(run(f"tc -s -j qdisc show dev {name}"))
            [queue] = [item for item in queues if item["kind"] == "bfifo"] or [None]
            if wanted == smaller:
                assert queue is not None
                assert (queue["handle"], queue["parent"], queue["packets"]) == ("3:", "1:1", 0)
