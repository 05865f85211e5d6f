"""Ports of the host that lead into containers, with real packets, between namespaces that the test made."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from firewall_scene import daemon_in, inside, table
from netns import HOST, OUTSIDE, SILENCE_S, Namespace, Server, World, icmp, tcp, udp, world

from warden import errors
from warden.client.blocking import Client, Container
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

SECOND = "198.18.0.9"  # another address of the daemon's host


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        made.host.run("ip", "address", "add", f"{SECOND}/24", "dev", "outer")
        yield made


@pytest.fixture(scope="module")
def closed(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    with daemon_in(place) as pair:
        yield pair


@contextmanager
def served(container: Container, tcp_ports: tuple[int, ...] = (), udp_ports: tuple[int, ...] = ()) -> Iterator[Server]:
    address = container.info().container_ip
    with Server(inside(container), tcp_ports, udp_ports, (address,)).running() as server:
        yield server


@contextmanager
def bound(place: World, port: int, kind: int = socket.SOCK_STREAM, address: str = "0.0.0.0") -> Iterator[None]:
    """A program of the host that has the port."""
    with closing(place.host.socket(kind)) as sock:
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield


def test_published_ports_are_reached_from_everywhere(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create(publish=["8180:80", "8181:81/udp"]) as one, served(one, (80,), (81,)):
        for where, address, seen in (
            (place.outside, HOST, OUTSIDE),
            (place.outside, SECOND, OUTSIDE),
            (place.host, HOST, HOST),
            (place.host, one.info().host_ip, one.info().host_ip),
            (place.host, "127.0.0.1", one.info().host_ip),
            (place.host, "127.1.2.3", one.info().host_ip),
            (inside(one), HOST, one.info().host_ip),
        ):
            assert (tcp(where, address, 8180), udp(where, address, 8181)) == (seen, seen), address
            assert (tcp(where, address, 8181), udp(where, address, 8180)) == ("refused", "refused"), address
        with closed[1].create() as other:
            assert (tcp(inside(other), HOST, 8180), udp(inside(other), HOST, 8181)) == ("refused", "refused")
            other.net_out(HOST, port=8180)
            assert tcp(inside(other), HOST, 8180) == one.info().host_ip
            other.net_out(SECOND, protocol="udp")
            assert udp(inside(other), SECOND, 8181) == one.info().host_ip
            assert tcp(inside(other), one.info().container_ip, 80) == "refused"
            assert tcp(inside(other), "127.0.0.1", 8180) == "refused", "its own loopback"


def test_the_hosts_loopback_stays_shut(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    """A container with a published port has a link that takes 127.0.0.0/8, which must not mean that it gets there."""
    with closed[1].create(publish="8182:80") as one, closed[1].create() as other:
        secret = Server(place.host, (7777,), (7778,), ("127.0.0.1",))
        with secret.running(), served(one, (80,)):
            assert tcp(place.host, "127.0.0.1", 7777) == "127.0.0.1"
            for container in (one, other):
                at = inside(container)
                gateway = container.info().host_ip
                at.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
                at.run("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
                at.run("ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local", check=False)
                at.run("ip", "route", "add", "127.0.0.0/8", "via", gateway)
                assert tcp(at, "127.0.0.1", 7777, wait_s=SILENCE_S) == "silent"
                assert udp(at, "127.0.0.1", 7778, wait_s=SILENCE_S) == "silent"
            place.outside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
            place.outside.run("ip", "route", "add", "127.0.9.0/24", "via", HOST)
            assert tcp(place.outside, "127.0.9.1", 8182, wait_s=SILENCE_S) == "silent"
            assert secret.datagrams == []


def test_one_address_of_the_host(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    publish = [f"{SECOND}:8183:80", "127.0.0.1:8184:80"]
    with closed[1].create(publish=publish) as one, served(one, (80,)):
        assert tcp(place.outside, SECOND, 8183) == OUTSIDE
        assert tcp(place.outside, HOST, 8183) == "refused"
        assert tcp(place.host, "127.0.0.1", 8183) == "refused"
        assert tcp(place.host, "127.0.0.1", 8184) == one.info().host_ip
        assert tcp(place.outside, HOST, 8184) == "refused"
        with pytest.raises(errors.BadInput, match=rf"port {SECOND}:8183/tcp leads to container {one.handle} already"):
            closed[1].create(publish=f"{SECOND}:8183:1")
        with pytest.raises(errors.BadInput, match=f"port 8183/tcp leads to container {one.handle} already"):
            closed[1].create(publish="8183:1")
        with closed[1].create(publish=f"{HOST}:8183:1"):
            pass
    with pytest.raises(errors.BadInput, match=r"port 198\.18\.0\.77:80/tcp: that is no address of this host"):
        closed[1].create(publish="198.18.0.77:80:80")


def test_a_chosen_port_of_all_addresses_or_of_one(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    place.host.run("ip", "address", "replace", "2001:db8::1/64", "dev", "outer", "nodad")
    closed[1].create_network("both", ipv6="auto")
    try:
        with closed[1].create(network="bridge:both", publish=["0.0.0.0::80", "[::]::80"]) as one:
            for given, kept in (("0.0.0.0", "0.0.0.0"), ("::", "::"), ("2001:DB8:0::1", "2001:db8::1")):
                number, _ = one.net_in(None, 80, host_ip=given, protocol="tcp")
                assert one.net_state().ports[-1].host_ip == kept
                one.remove_port(number, host_ip=given)
            assert len(one.net_state().ports) == 2
    finally:
        closed[1].remove_network("both")


def test_what_cannot_be_chosen_costs_no_other_port(place: World) -> None:
    with daemon_in(place) as (daemon, _):
        with open(daemon.config) as file:
            text = file.read()
        with open(daemon.config, "w") as file:
            file.write(text + "port:\n  pool_start_port: 62000\n  pool_size: 1000\n")
        daemon.stop()
        daemon.start()
        with (
            Client(daemon.socket) as client,
            client.create(publish="8201:80") as one,
            client.create(publish="1-1000"),
        ):
            with pytest.raises(errors.PoolExhausted):
                one.net_in()
            with pytest.raises(OSError, match="in use"), bound(place, 8201):
                pass


def test_ports_leave_descriptors_for_the_rest(place: World) -> None:
    with daemon_in(place) as (daemon, client):
        subprocess.run(["prlimit", "--pid", str(daemon.pid), "--nofile=300"], check=True)
        for publish in ("20000-20299:1-300", "1-300"):
            with pytest.raises(errors.PoolExhausted, match="publish: 150 ports are held, and no more can be"):
                client.create(publish=publish)
        with client.create(publish="20000-20149:1-150") as one:
            with pytest.raises(errors.PoolExhausted):
                one.net_in(8210, 80, protocol="tcp")
            one.net_in(8210, 80)
            assert "port 8210/tcp leads to container" in daemon.log_tail(), "the original's is not refused, but not held"
            assert client.create().run(["true"]).exit_status == 0


@pytest.mark.parametrize("network", ["warden", "bridge:looped"])
def test_a_later_port_is_reached_through_the_loopback_too(
    place: World, closed: tuple[PrivateDaemon, Client], network: str
) -> None:
    daemon, client = closed
    if network != "warden":
        client.create_network("looped")
    with client.create(network=network, publish=f"{SECOND}:8202:80") as one:
        info = one.info()
        address = info.container_ip or info.links[0].addresses[0].partition("/")[0]
        with Server(inside(one), (80,), (), (address,)).running():
            one.net_in(8203, 80, protocol="tcp")
            assert tcp(place.host, "127.0.0.1", 8203) not in ("silent", "refused")
            if network != "warden":  # somebody takes the bridge away
                daemon.stop()
                place.host.run("ip", "link", "delete", "w-br-looped")
                daemon.start()
                assert tcp(place.host, "127.0.0.1", 8203) not in ("silent", "refused")
                assert tcp(inside(one), HOST, 8203) not in ("silent", "refused"), "from inside"
    if network != "warden":
        client.remove_network("looped")


def test_a_thousand_ports(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    before = table(place.host, closed[0])
    with closed[1].create(publish="20000-20999:10000-10999") as one, served(one, (10000, 10999)):
        assert len(one.net_state().ports) == 1000
        assert (tcp(place.outside, HOST, 20000), tcp(place.outside, HOST, 20999)) == (OUTSIDE, OUTSIDE)
        assert tcp(place.outside, HOST, 21000) == "refused"
        with pytest.raises(errors.BadInput, match=f"port 20500/tcp leads to container {one.handle} already"):
            closed[1].create(publish="20500-20600:1-101")
    assert table(place.host, closed[0]) == before


def test_conflicts_are_refused_by_name_and_change_nothing(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    client = closed[1]
    with client.create("has-it", publish="8185:80") as one, client.create() as two:
        before = table(place.host, closed[0])
        with pytest.raises(errors.BadInput, match="port 8185/tcp leads to container has-it already"):
            two.net_in(8185, 1, protocol="tcp")
        with pytest.raises(errors.BadInput, match="port 8185/tcp leads to container has-it already"):
            client.create(publish=["8186:1", "8185:1"])
        with pytest.raises(errors.BadInput, match="port 8185/tcp leads to container has-it already"):
            one.net_in(8185, 81, protocol="tcp")
        with pytest.raises(errors.BadInput, match="port 9/tcp is asked for twice"):
            client.create(publish=["9:1", "9:2"])
        assert two.net_in(8185, 1, protocol="udp") == (8185, 1)
        two.remove_port(8185, "udp")
        assert two.net_in(8186, 1, protocol="tcp") == (8186, 1), "what a refused create asked for is free"
        two.remove_port(8186)
        assert table(place.host, closed[0]) == before
    assert client.list() == []


def test_ports_are_held_against_other_programs(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    client = closed[1]
    with bound(place, 8187), bound(place, 8188, socket.SOCK_DGRAM, HOST):
        for publish in ("8187:80", "8188:80/udp"):
            with pytest.raises(errors.BadInput, match=r"is in use by a program of this host \(ss -tulpn"):
                client.create(publish=publish)
        with client.create(publish=["8187:80/udp", "8188:80"]):
            pass
    with client.create(publish=["8187:80", "8188:80/udp"]) as one:
        for port, kind in ((8187, socket.SOCK_STREAM), (8188, socket.SOCK_DGRAM)):
            with pytest.raises(OSError, match="in use"), bound(place, port, kind):
                pass
        one.remove_port(8187)
        with bound(place, 8187):
            pass
    with bound(place, 8188, socket.SOCK_DGRAM):
        pass


def test_a_chosen_port_is_one_that_nobody_has(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create(publish="80") as one:
        first = one.net_state().ports[0].host_port
    with bound(place, first + 1), closed[1].create(publish=["80", "81/udp"]) as two, served(two, (80,), (81,)):
        tcp_port, udp_port = (port.host_port for port in two.net_state().ports)
        assert len({first + 1, tcp_port, udp_port}) == 3
        assert (tcp(place.outside, HOST, tcp_port), udp(place.outside, HOST, udp_port)) == (OUTSIDE, OUTSIDE)


def test_a_port_that_is_taken_back_leads_nowhere(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create(publish=["8190:80", "8191:80"]) as one, served(one, (80,)):
        one.net_in(8192, 80)
        for port in (8190, 8192):
            assert tcp(place.outside, HOST, port) == OUTSIDE
            one.remove_port(port)
            assert tcp(place.outside, HOST, port) == "refused"
            with pytest.raises(errors.BadInput, match=f"port {port}/tcp does not lead to container {one.handle}"):
                one.remove_port(port)
        assert tcp(place.outside, HOST, 8191) == OUTSIDE


def test_icmp_errors_come_through(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    """A published datagram port without a program answers as a host would, and the host itself still answers echo."""
    with closed[1].create(publish="8193:9/udp"):
        assert udp(place.outside, HOST, 8193) == "refused"
        assert icmp(place.outside, HOST) == "answered"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_ports_hold_after_a_restart(place: World, end: str) -> None:
    with daemon_in(place) as (daemon, client):
        made = client.create(publish=["8194:80", f"{SECOND}:8195:81/udp", "82"])
        chosen = made.net_state().ports[2].host_port
        before, ports = table(place.host, daemon), made.net_state().ports
        with served(made, (80, 82), (81,)):
            getattr(daemon, end)()
            assert tcp(place.outside, HOST, 8194) == OUTSIDE, "while no daemon runs"
            with bound(place, 8194):
                daemon.start()
            assert "port 8194/tcp leads to container" in daemon.log_tail()
            assert table(place.host, daemon) == before
            again = Client(daemon.socket)
            made = again.container(made.handle)
            assert made.net_state().ports == ports
            assert (tcp(place.outside, HOST, 8194), udp(place.outside, SECOND, 8195)) == (OUTSIDE, OUTSIDE)
            assert tcp(place.host, "127.0.0.1", chosen) == made.info().host_ip
            with pytest.raises(errors.BadInput, match="8195/udp leads to container"):
                again.create(publish="8195:1/udp")
            with pytest.raises(OSError, match="in use"), bound(place, chosen):
                pass
            made.remove_port(chosen)
            assert tcp(place.outside, HOST, chosen) == "refused"
        again.close()


def warden(daemon: PrivateDaemon, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_the_command(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    daemon, client = closed
    handle = warden(daemon, "create", "-p", "8196:80", "-p", "81/udp").strip()
    with client.container(handle) as box:
        chosen = box.net_state().ports[1].host_port
        assert warden(daemon, "port", handle) == f"80/tcp -> 0.0.0.0:8196\n81/udp -> 0.0.0.0:{chosen}\n"
        warden(daemon, "port", "--remove", "8196", "--remove", f"{chosen}/udp", "--add", "[::1]:80:80", handle, code=2)
        assert len(box.net_state().ports) == 2
        warden(daemon, "port", "--add", f"{HOST}:8197:80", "--remove", "8196", handle)
        found = json.loads(warden(daemon, "port", "--json", handle))
        assert [one["host_port"] for one in found] == [chosen, 8197]
        with served(box, (80,)):
            assert tcp(place.outside, HOST, 8197) == OUTSIDE
    out = warden(daemon, "run", "-p", "8197:80", "--", "true", code=2)
    assert re.search(rf"port 8197/tcp leads to container {handle} already", out)
    client.container(handle).destroy()
    warden(daemon, "run", "-p", "8197:80", "--", "true")
    assert "publish: a container with network none has no address of its own" in warden(
        daemon, "run", "--network", "none", "-p", "8197:80", "--", "true", code=2
    )


def route_localnet(host: Namespace, container: Container) -> str:
    link = f"w-{container.info().id}-0"
    return host.run("cat", f"/proc/sys/net/ipv4/conf/{link}/route_localnet").strip()


def test_only_links_with_ports_take_the_loopback(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create() as one:
        assert route_localnet(place.host, one) == "0"
        one.net_in()
        assert route_localnet(place.host, one) == "1"
