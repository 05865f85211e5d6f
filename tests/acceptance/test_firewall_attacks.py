"""What a hostile container does to the host's tables, and other programs to ours: bounded, counted, mended. Real packets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest
from firewall_scene import daemon_in, eventually, inside, table
from netns import HOST, OTHER, OUTSIDE, Namespace, World, icmp, tcp, udp
from packets import arp, frame

from warden.client.blocking import Client, Container
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

MOST = 20


def begun(at: Namespace, kind: int, count: int, stack: ExitStack, *, port: int = 80, address: str = OUTSIDE) -> int:
    """How many of *count* connections could be begun; they stay until *stack* ends."""
    found = 0
    for _ in range(count):
        sock = stack.enter_context(at.socket(kind))
        sock.settimeout(60)
        with suppress(ConnectionRefusedError):
            sock.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                sock.send(b"x")
            sock.recv(100)
            found += 1
    return found


def test_connections_of_a_container_are_bounded(place: World) -> None:
    with daemon_in(place, "deny_networks: []", f"max_connections: {MOST}") as (daemon, client), ExitStack() as stack:
        one, other = (stack.enter_context(client.create()) for _ in range(2))
        assert begun(inside(one), socket.SOCK_DGRAM, 2 * MOST, stack, port=53) == MOST
        assert one.refusals().over >= MOST
        assert tcp(inside(one), OUTSIDE, 80) == "refused"
        assert (udp(inside(one), OTHER, 53), icmp(inside(one), OUTSIDE)) == ("refused", "refused")
        assert (tcp(inside(other), OUTSIDE, 80), icmp(inside(other), HOST)) == (HOST, "answered")
        assert other.refusals().over == 0
        shown = json.loads(warden(daemon, "net", "--json", one.handle))
        assert shown["refused_over"] == one.refusals().over
        assert "packets beyond as many connections" in warden(daemon, "net", one.handle)


def test_what_ended_makes_room_and_pings_of_the_host_count_too(place: World) -> None:
    with daemon_in(place, "deny_networks: []", f"max_connections: {MOST}") as (_, client), client.create() as one:
        at = inside(one)
        for _ in range(3 * MOST):  # which the kernel notices with its next tick (nf_conncount_add)
            eventually(lambda: tcp(at, OUTSIDE, 80) == HOST)
        answers = [icmp(at, HOST) for _ in range(MOST + 5)]
        assert "answered" in answers
        assert "refused" in answers
        assert one.refusals().over > 0


def test_without_a_bound_there_is_none(place: World) -> None:
    with daemon_in(place, "deny_networks: []", "max_connections: 0") as (_, client), client.create() as one:
        with ExitStack() as stack:
            assert begun(inside(one), socket.SOCK_DGRAM, 60, stack, port=53) == 60
        assert one.refusals().over == 0


def test_the_bound_holds_over_a_restart(place: World) -> None:
    with daemon_in(place, "deny_networks: []", f"max_connections: {MOST}") as (daemon, client):
        one, at = (made := client.create()).handle, inside(made)
        daemon.kill()
        with ExitStack() as stack:
            assert begun(at, socket.SOCK_DGRAM, 2 * MOST, stack, port=53) == MOST, "while no daemon runs"
        daemon.start()
        with Client(daemon.socket) as again, ExitStack() as stack:
            assert begun(at, socket.SOCK_DGRAM, 2 * MOST, stack, port=54) == MOST
            assert again.container(one).refusals().over >= MOST
            again.container(one).destroy()


def test_what_is_too_much_for_the_log_is_accepted_all_the_same(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    container.net_out(OUTSIDE, port=80, log=True)
    text = table(place.host, closed[0])
    assert f'iifname . ip saddr @logs log prefix "warden-i-{container.info().id} "' in text
    assert f'"w-{container.info().id}-0" . {container.info().container_ip} limit rate 10/second burst 50' in text
    assert {tcp(inside(container), OUTSIDE, 80) for _ in range(70)} == {HOST}
    container.net_replace([])
    assert f"{container.info().container_ip} limit rate" not in table(place.host, closed[0])


def warden(daemon: PrivateDaemon, *words: str) -> str:
    command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


# ---- neighbours


def arp_requests(at: Namespace, gateway: str, count: int) -> None:
    """For the gateway, each by another address that claims to be on the container's link."""
    with at.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        name = next(name for _, name in at.call(socket.if_nameindex) if name != "lo")
        sock.bind((name, 0))
        mac = sock.getsockname()[4]
        for number in range(count):
            claimed = f"10.{number // 200 % 200}.{number % 200}.77"
            sock.send(frame(b"\xff" * 6, mac, 0x0806, arp(mac, claimed, gateway, operation=1)))


def neighbours(place: World) -> list[str]:
    return place.host.run("ip", "neighbour", "show", "nud", "all").splitlines()


@pytest.mark.parametrize("network", ["warden", "bridge"])
def test_a_container_does_not_fill_the_hosts_neighbours(place: World, network: str) -> None:
    """Neither by what it says of itself, nor by what it has the host look for."""
    with daemon_in(place, "deny_networks: []") as (_, client), ExitStack() as stack:
        one, other = (stack.enter_context(client.create(network=network)) for _ in range(2))
        at, before = inside(one), len(neighbours(place))
        gateway = at.run("ip", "route", "show", "default").split()[2]
        arp_requests(at, gateway, 3000)
        assert tcp(at, OUTSIDE, 80) == HOST
        assert len(neighbours(place)) <= before + 4
        if network == "bridge":  # the neighbours of its own network, over the host
            first, _, _ = gateway.rpartition(".")
            at.run("ip", "route", "add", f"{first}.128/25", "via", gateway)
            with at.socket(socket.SOCK_DGRAM) as sock:
                for number in range(126):
                    with suppress(OSError):
                        sock.sendto(b"x", (f"{first}.{number + 129}", 1000))
            assert len(neighbours(place)) <= before + 4 + 110
        assert icmp(inside(other), HOST) == "answered"


# ---- what other programs do to our tables


def test_counters_outlive_bridges_and_repairs(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    daemon, client = closed
    assert tcp(inside(container), OUTSIDE, 443) == "refused"
    counted = container.refusals()
    assert [one.port for one in counted.destinations] == [443]
    with client.create(network="bridge:counted"):
        assert container.refusals() == counted
    eventually(lambda: "bridge" not in place.host.run("nft", "list", "tables"))
    place.host.run("nft", "flush", "chain", "inet", daemon.nft_table, "leaving")
    eventually(lambda: client.firewall_faults() == [])
    key = f'{{ "w-{container.info().id}-0" . {container.info().container_ip} }}'
    place.host.run("nft", "delete", "element", "inet", daemon.nft_table, "guests", key)
    assert [fault.partition(": ")[2] for fault in client.firewall_faults(repair=True)] == [
        "guests: 1 elements are missing"
    ]
    assert client.firewall_faults() == []
    assert container.refusals() == counted
    assert tcp(inside(container), OUTSIDE, 443) == "refused"


def test_a_flush_is_mended_at_once_and_often(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    before = table(place.host, closed[0])
    for _ in range(10):
        place.host.run("nft", "flush", "ruleset")
        eventually(lambda: closed[0].nft_table in place.host.run("nft", "list", "tables"))
    eventually(lambda: closed[1].firewall_faults() == [])
    assert table(place.host, closed[0]) == before
    assert tcp(inside(container), OUTSIDE, 80) == "refused"


GUARDED = """
import asyncio, logging, subprocess, sys
from types import SimpleNamespace
from ipaddress import IPv4Address, IPv4Network
from warden.engine.guarding import guard
from warden.network import libnft, nft
from warden.network.firewall import Firewall
from warden.network.nfnetlink import Wire

looks = 0

async def main():
    policy = nft.Policy("w-a_1", IPv4Network("10.254.0.0/16"))
    firewall = Firewall(policy, libnft.Library(), Wire(), sys.argv[1])
    firewall.start([nft.Guest("a", (nft.GuestLink("w-a-0", (IPv4Address("10.254.0.2"),)),))])
    async def blocking(function):
        global looks
        looks += 1
        return await asyncio.get_running_loop().run_in_executor(None, function)
    task = asyncio.ensure_future(guard(SimpleNamespace(firewall=firewall, blocking=blocking)))
    await asyncio.sleep(0.2)
    for number in range(3, 200):
        firewall.put(nft.Guest(str(number), (nft.GuestLink(f"w-{number}-0", (IPv4Address("10.254.1.0") + number,)),)))
    await asyncio.sleep(0.2)
    assert looks == 0, "what we do ourselves wakes nobody"
    for number in range(5):  # nobody looks but the guard
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        while firewall.mended == number:
            await asyncio.sleep(0.01)
    assert firewall.faults() == []
    before = looks
    theirs = libnft.Library()
    theirs.run("add table inet theirs; add set inet theirs s { type ipv4_addr; }")
    for number in range(2000):
        theirs.run(f"add element inet theirs s {{ 192.0.2.1 }}; delete element inet theirs s {{ 192.0.2.1 }}")
        await asyncio.sleep(0)
    assert 0 < looks - before < 500, looks
    assert firewall.mended == 5
    theirs.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    firewall.close(remove=True)

asyncio.run(main())
"""


def test_the_guard_needs_no_clock(tmp_path: object) -> None:
    command = ["unshare", "--net", sys.executable, "-c", GUARDED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
