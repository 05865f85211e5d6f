"""NAT, policy, net_in and net_out with real packets, between namespaces that the test made. Names are promises."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from firewall_scene import PROBES, TCP_OUTSIDE, daemon_in, inside, opened, table
from netns import (
    HOST,
    OTHER,
    OUTSIDE,
    SILENCE_S,
    THIRD,
    Server,
    World,
    icmp,
    send_as,
    tcp,
    udp,
)

from warden import errors
from warden.client.blocking import Client, Container
from warden.testing.daemon import PrivateDaemon, private_pool

pytestmark = pytest.mark.root


def test_by_default_nothing_is_reached(container: Container) -> None:
    assert opened(inside(container)) == set()


@pytest.mark.parametrize(
    ("network", "options", "expected"),
    [
        (OUTSIDE, {}, TCP_OUTSIDE),
        (OUTSIDE, {"port": 80}, {"tcp 80"}),
        (OUTSIDE, {"port_range": "8080:8090"}, {"tcp 8080", "tcp 8090"}),
        (OUTSIDE, {"port": 80, "port_range": "8090:8091"}, {"tcp 8090", "tcp 8091"}),
        (None, {"port": 80}, {"tcp 80", "tcp 80 other", "tcp 80 third"}),
        ("198.18.0.2/31", {"port": 80}, {"tcp 80", "tcp 80 other"}),
        (f"{OTHER}-{THIRD}", {"port": 80}, {"tcp 80 other", "tcp 80 third"}),
        (OUTSIDE, {"protocol": "udp"}, {"udp 53", "udp 54"}),
        (OUTSIDE, {"protocol": "udp", "port": 53}, {"udp 53"}),
        (OUTSIDE, {"protocol": "icmp"}, {"echo", "timestamp"}),
        (OUTSIDE, {"protocol": "icmp", "icmp_type": -1, "icmp_code": -1}, {"echo", "timestamp"}),
        (OUTSIDE, {"protocol": "icmp", "icmp_type": 8}, {"echo"}),
        (OUTSIDE, {"protocol": "icmp", "icmp_type": 13, "icmp_code": 0}, {"timestamp"}),
        (OUTSIDE, {"protocol": "icmp", "icmp_type": 13, "icmp_code": 1}, set()),
        (THIRD, {"protocol": "all"}, {"tcp 80 third", "udp 53 third", "echo third"}),
        (OUTSIDE, {"port": 81, "log": True}, {"tcp 81"}),
    ],
)
def test_net_out_opens_exactly_what_it_says(
    container: Container, network: str | None, options: dict[str, Any], expected: set[str]
) -> None:
    container.net_out(network, **options)
    assert opened(inside(container)) == expected


def test_rules_add_up_and_hold_for_one_container_alone(
    closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    container.net_out(OUTSIDE, port=80)
    container.net_out(OUTSIDE, protocol="udp", port=54)
    assert opened(inside(container)) == {"tcp 80", "udp 54"}
    with closed[1].create() as other:
        assert opened(inside(other)) == set()


def test_a_logged_rule_has_the_containers_prefix(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    container.net_out(OUTSIDE, port=80, log=True)
    prefix = f'log prefix "warden-i-{container.info().id} "'
    assert prefix in table(place.host, closed[0])


def test_the_host_is_refused_but_reaches_the_container(place: World, container: Container) -> None:
    info, at = container.info(), inside(container)
    for address in (info.host_ip, HOST):
        assert (tcp(at, address, 80), udp(at, address, 53)) == ("refused", "refused")
        assert icmp(at, address) == "answered"
    with Server(at, tcp=(7000,)).running():
        assert tcp(place.host, info.container_ip, 7000) == info.host_ip


def test_containers_do_not_reach_one_another(closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    container.net_out("0.0.0.0/0", protocol="all")
    container.net_out(port=7000)
    with closed[1].create() as other, Server(inside(other), tcp=(7000,)).running():
        address = other.info().container_ip
        assert tcp(inside(container), address, 7000) == "refused"
        assert icmp(inside(container), address) == "refused"
        container.net_out(address, port=7000)
        assert tcp(inside(container), address, 7000) == container.info().container_ip


def test_what_was_not_forwarded_does_not_come_in(place: World, container: Container) -> None:
    info, at = container.info(), inside(container)
    place.outside.run("ip", "route", "replace", f"{info.container_ip}/32", "via", HOST)
    try:
        with Server(at, tcp=(7000,)).running():
            assert tcp(place.outside, info.container_ip, 7000, wait_s=SILENCE_S) == "silent"
    finally:
        place.outside.run("ip", "route", "delete", f"{info.container_ip}/32")


def test_net_in_forwards_a_port(place: World, closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    chosen, same = container.net_in()
    assert chosen == same
    assert container.net_in(6001, 7001) == (6001, 7001)
    with Server(inside(container), tcp=(chosen, 7001)).running():
        for port in (chosen, 6001):
            assert tcp(place.outside, HOST, port) == OUTSIDE
            assert tcp(place.host, HOST, port) == HOST
        assert tcp(place.outside, HOST, 7001) == "refused"
        with closed[1].create() as other:
            assert tcp(inside(other), HOST, chosen) == "refused"
            other.net_out(HOST, port=chosen)
            assert tcp(inside(other), HOST, chosen) != "refused"
            assert tcp(inside(other), HOST, 6001) == "refused"


def test_ports_are_different_and_come_back(closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create() as one, closed[1].create() as two:
        ports = [one.net_in()[0], two.net_in()[0], one.net_in(container_port=80)[0]]
    assert len(set(ports)) == 3


def test_the_first_keeps_a_port_and_the_next_inherits_it(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    with closed[1].create() as first, Server(inside(first), tcp=(7001,)).running():
        first.net_in(6002, 7001)
        container.net_in(6002, 7002)
        assert tcp(place.outside, HOST, 6002) == OUTSIDE
        with Server(inside(container), tcp=(7002,)).running():
            assert "tcp . 6002 : " + first.info().container_ip in table(place.host, closed[0])
            first.destroy()
            assert tcp(place.outside, HOST, 6002) == OUTSIDE


@pytest.mark.parametrize(
    ("network", "options", "text"),
    [
        (None, {}, "Please specify network, port, and/or port_range."),
        (None, {"protocol": "icmp"}, "Please specify network, port, and/or port_range."),
        (OUTSIDE, {"port_range": "80:80"}, "Port range maximum must be greater than minimum"),
        (OUTSIDE, {"port": 1, "protocol": "icmp"}, "a port has no meaning for icmp"),
        ("10.0.0.0/33", {}, "is not an IPv4 or IPv6 network"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    place: World,
    closed: tuple[PrivateDaemon, Client],
    container: Container,
    network: str | None,
    options: dict[str, Any],
    text: str,
) -> None:
    before = table(place.host, closed[0])
    with pytest.raises(errors.BadInput, match=re.escape(text)):
        container.net_out(network, **options)
    assert table(place.host, closed[0]) == before


def test_only_an_active_container_with_a_network_takes_rules(closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create(network="none") as lonely:
        with pytest.raises(errors.WrongState, match="has no network of its own"):
            lonely.net_in()
        with pytest.raises(errors.WrongState, match="has no network of its own"):
            lonely.net_out(OUTSIDE)
    with closed[1].create() as stopped:
        stopped.stop(kill=True)
        with pytest.raises(errors.WrongState, match="Container state must be one of 'active'"):
            stopped.net_in()


def test_destroy_leaves_the_table_as_it_was(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    before = table(place.host, closed[0])
    with closed[1].create() as made:
        made.net_in()
        made.net_in(6003, 80)
        made.net_out(OUTSIDE, port=80)
        assert table(place.host, closed[0]) != before
    assert table(place.host, closed[0]) == before


def test_a_table_that_somebody_flushed_comes_back_with_the_next_change(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    container.net_out(OUTSIDE, port=80)
    place.host.run("nft", "delete", "table", "inet", closed[0].nft_table)
    container.net_out(OUTSIDE, port=81)
    assert opened(inside(container)) == {"tcp 80", "tcp 81"}


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_everything_holds_after_a_restart(place: World, end: str) -> None:
    with daemon_in(place) as (daemon, client):
        made = client.create()
        made.net_out(OUTSIDE, port=80)
        made.net_out(OTHER, protocol="udp", port=53, log=True)
        port, _ = made.net_in(container_port=7003)
        before, at = table(place.host, daemon), inside(made)
        getattr(daemon, end)()
        assert table(place.host, daemon) == before, "the rules hold while no daemon runs"
        daemon.start()
        assert table(place.host, daemon) == before
        again = Client(daemon.socket)
        made = again.container(made.handle)
        assert opened(at) == {"tcp 80"}
        with Server(at, tcp=(7003,)).running():
            assert tcp(place.outside, HOST, port) == OUTSIDE
        assert made.net_in()[0] != port
        made.net_out(OUTSIDE, port=81)
        assert opened(at) == {"tcp 80", "tcp 81"}
        again.close()


def test_open_networks_and_the_host(place: World) -> None:
    settings = ("deny_networks: [198.18.0.3/32]", "allow_networks: [198.18.0.4/32]", "allow_host_access: true")
    with daemon_in(place, *settings) as (_, client), client.create() as one, client.create() as two:
        at = inside(one)
        reached = opened(at)
        assert "tcp 80 other" not in reached
        assert {"tcp 80", "tcp 80 third", "udp 53", "echo"} <= reached
        assert tcp(at, HOST, 80) == one.info().container_ip
        with Server(inside(two), tcp=(7000,)).running():
            assert tcp(at, two.info().container_ip, 7000) == "refused"


def test_allow_wins_over_deny_and_opens_the_pool_only_by_name(place: World) -> None:
    with daemon_in(place, "allow_networks: [0.0.0.0/0]") as (_, client), client.create() as one:
        assert opened(inside(one)) == set(PROBES)
        with client.create() as two, Server(inside(two), tcp=(7000,)).running():
            assert tcp(inside(one), two.info().container_ip, 7000) == "refused"


def test_the_pool_can_be_allowed(place: World) -> None:
    with daemon_in(place, f"allow_networks: [{private_pool()}]") as (_, client):
        one, two = client.create(), client.create()
        with Server(inside(two), tcp=(7000,)).running():
            assert tcp(inside(one), two.info().container_ip, 7000) == one.info().container_ip


def test_a_false_source_address_is_dropped(place: World) -> None:
    with daemon_in(place, "allow_networks: [0.0.0.0/0]") as (_, client), client.create() as one:
        at, info = inside(one), one.info()
        send_as(at, "198.18.0.77", OUTSIDE, 53, b"false")
        send_as(at, "198.18.0.77", info.host_ip, 53, b"false to the host")
        send_as(at, info.container_ip, OUTSIDE, 53, b"true")
        deadline = time.monotonic() + 30
        while b"true" not in place.server.datagrams:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(SILENCE_S)
        assert b"false" not in place.server.datagrams
        assert b"false to the host" not in place.local.datagrams


def test_only_the_outer_interface_is_opened(place: World) -> None:
    with daemon_in(place):

        def forwarding(name: str) -> str:
            return place.host.run("cat", f"/proc/sys/net/ipv4/conf/{name}/forwarding").strip()

        assert (forwarding("outer"), forwarding("lo")) == ("1", "0")
        assert place.host.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "0"


def test_two_daemons_never_share_a_table(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    other = PrivateDaemon(netns=place.host.path, network=())
    try:
        with open(other.config) as file:
            text = file.read()
        with open(other.config, "w") as file:
            file.write(text.replace(other.nft_table + "\n  forwarding", closed[0].nft_table + "\n  forwarding"))
        with pytest.raises(errors.EngineFault, match="another daemon has the table"):
            other.start()
    finally:
        other._clean()


def test_ipv6_goes_nowhere(place: World) -> None:
    with daemon_in(place) as (daemon, client):
        made = client.create()
        at, link = inside(made), f"w-{made.info().id}-0"
        address = re.findall(r"fe80\S+(?=/)", place.host.run("ip", "-6", "-o", "address", "show", "dev", link))[0]
        receiver = place.host.call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        sender = at.call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        with receiver, sender:
            receiver.bind(("::", 55))
            receiver.settimeout(0.1)

            def arrives(data: bytes, seconds: float) -> bool:
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    with suppress(OSError):  # before its own address is settled, or nothing came
                        sender.sendto(data, (address, 55, 0, 2))
                        if receiver.recv(10) == data:
                            return True
                return False

            # Long enough for an address to be settled, or nothing would leave the container anyway.
            assert not arrives(b"one", 2.5)
            daemon.kill()  # or it would bring the table back by itself
            place.host.run("nft", "delete", "table", "inet", daemon.nft_table)
            assert arrives(b"two", 20)
            daemon.start()
            assert not arrives(b"three", 0.5)


def test_many_at_once(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    before = table(place.host, closed[0])

    def life(number: int) -> int:
        with closed[1].create() as made:
            port, _ = made.net_in()
            made.net_out(OUTSIDE, port=80 if number % 2 else 81)
            at = inside(made)
            answers = [PROBES[name](at) for name in ("tcp 80", "tcp 81")]
            assert answers == ([HOST, "refused"] if number % 2 else ["refused", HOST])
            return port

    with ThreadPoolExecutor(8) as threads:
        ports = list(threads.map(life, range(24)))
    assert len(ports) == 24
    assert table(place.host, closed[0]) == before
