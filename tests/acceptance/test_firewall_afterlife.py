"""What outlives a container, and what is said of others' connections: real packets."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import ExitStack, suppress

import pytest
from firewall_scene import daemon_in, eventually, inside
from netns import HOST, OUTSIDE, Namespace, World, checksum, icmp, udp

from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("network", ["warden", "bridge"])
def test_a_network_that_somebody_keeps_reaches_nothing_once_its_container_is_gone(
    place: World, closed: tuple[PrivateDaemon, Client], network: str
) -> None:
    """A socket that was handed to another container keeps its network namespace (unix(7), SCM_RIGHTS)."""
    with ExitStack() as stack:
        other = stack.enter_context(closed[1].create(network=network))  # so that a bridge stays
        made = closed[1].create(network=network)
        at = inside(made)
        kept = [stack.enter_context(at.socket(socket.SOCK_DGRAM)) for _ in range(2)]
        made.destroy()
        for sock, target in zip(kept, (HOST, OUTSIDE), strict=True):
            sock.settimeout(0.5)
            answer = ""
            with suppress(OSError):
                sock.sendto(b"kept", (target, 53))
                answer = sock.recv(100).decode()

            assert answer == ""
        assert b"kept" not in place.local.datagrams + place.server.datagrams
        eventually(lambda: made.handle not in place.host.run("ip", "-br", "link"))
        assert icmp(inside(other), HOST) == "answered"


def test_nor_does_one_whose_daemon_died_in_between(place: World) -> None:
    with daemon_in(place, "deny_networks: []") as (daemon, client), ExitStack() as stack:
        made = client.create()
        kept = stack.enter_context(inside(made).socket(socket.SOCK_DGRAM))
        pid, name = made.info().pid, f"w-{made.info().id}-0"
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        daemon.start()
        assert name not in place.host.run("ip", "-br", "link")
        with suppress(OSError):
            kept.sendto(b"still", (HOST, 53))
        assert b"still" not in place.local.datagrams


def test_nor_does_one_whose_daemon_died_after_it(place: World) -> None:
    with daemon_in(place, "deny_networks: []") as (daemon, client), ExitStack() as stack:
        made, other = client.create(network="bridge:left"), client.create()
        kept = stack.enter_context(inside(made).socket(socket.SOCK_DGRAM))
        name = f"w-{made.info().id}-0"
        handle = other.handle
        made.destroy()
        daemon.kill()
        assert name in place.host.run("ip", "-br", "link")
        with suppress(OSError):
            kept.sendto(b"still", (HOST, 53))
        daemon.start()
        assert name not in place.host.run("ip", "-br", "link")
        assert b"still" not in place.local.datagrams
        with Client(daemon.socket) as again:
            assert again.firewall_faults() == []
            again.container(handle).destroy()


# ---- ICMP errors: conntrack asks nobody who says them whether the packet was his


def udp_packet(source: str, port: int) -> bytes:
    """The begin of a datagram to OUTSIDE, port 53."""
    addresses = socket.inet_aton(source) + socket.inet_aton(OUTSIDE)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0)
    head = head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses
    return head + struct.pack("!HHHH", port, 53, 8, 0)


def complain(who: Namespace, about: bytes, code: int) -> None:
    """To the host: port unreachable (3), or too large for a link of 600 bytes (4)."""
    with who.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        head, rest = struct.pack("!BB", 3, code), struct.pack("!HH", 0, 600 if code == 4 else 0) + about
        sock.sendto(head + struct.pack("!H", checksum(head + b"\0\0" + rest)) + rest, (HOST, 0))


def test_a_container_spoils_nobody_elses_connections(place: World) -> None:
    with daemon_in(place, "deny_networks: []") as (_, client), ExitStack() as stack:
        victim, liar = (inside(stack.enter_context(client.create())) for _ in range(2))
        for number, at in enumerate((victim, place.host)):
            port = 5555 + number
            sock = stack.enter_context(at.socket(socket.SOCK_DGRAM))
            sock.settimeout(60)
            sock.bind(("0.0.0.0", port))
            sock.connect((OUTSIDE, 53))
            for code in (3, 4):
                sock.send(b"a question")
                assert sock.recv(100).decode() == HOST
                complain(liar, udp_packet(HOST, port), code)
            assert icmp(liar, HOST) == "answered"  # what was sent before has arrived
            sock.send(b"another")
            assert sock.recv(100).decode() == HOST
            assert "mtu 600" not in at.run("ip", "route", "get", OUTSIDE)


def test_errors_of_its_own_reach_who_asked(place: World) -> None:
    with daemon_in(place) as (_, client), client.create(publish=["9053:9053/udp"]):
        assert udp(place.outside, HOST, 9053) == "refused"
        assert udp(place.host, HOST, 9053) == "refused"
