"""Rules that change while a container runs, what it was refused, and tables that somebody else broke: real packets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress

import pytest
from firewall_scene import PROBES, TCP_OUTSIDE, daemon_in, eventually, inside, opened, table
from netns import HOST, OTHER, OUTSIDE, THIRD, Server, World, icmp, tcp, udp

from warden import errors
from warden.client.blocking import Client, Container
from warden.model.net import NetPolicy, NetRule, Protocol, Refused
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


# ---- rules


def test_rules_are_listed_removed_and_replaced(container: Container) -> None:
    container.net_out(OUTSIDE, port=80)
    container.net_out(OUTSIDE, protocol="udp", port=53)
    container.net_out(OTHER, log=True)
    rules = container.net_state().rules
    assert rules == (NetRule(OUTSIDE, "80"), NetRule(OUTSIDE, "53", Protocol.UDP), NetRule(OTHER, log=True))
    at = inside(container)
    assert opened(at) == {"tcp 80", "udp 53", "tcp 80 other"}
    container.net_remove(1)
    assert opened(at) == {"udp 53", "tcp 80 other"}
    container.net_remove(f"tcp {OTHER} log")
    assert (opened(at), container.net_state().rules) == ({"udp 53"}, rules[1:2])
    container.net_replace([f"tcp {OUTSIDE} 80:81", NetRule(THIRD, None, Protocol.ALL)])
    assert opened(at) == {"tcp 80", "tcp 81", "tcp 80 third", "udp 53 third", "echo third"}
    container.net_replace([])
    assert (opened(at), container.net_state().rules) == (set(), ())


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda box: box.net_remove(3), "there is no rule 3, but 1 in all"),
        (lambda box: box.net_remove(0), "rules are numbered from 1 up"),
        (lambda box: box.net_remove("tcp 1.1.1.1 81"), "the container has no such rule"),
        (lambda box: box.net_replace(["tcp 1.1.1.1 80", "tcp 1.1.1.1/33"]), "is not an IPv4 or IPv6 network"),
        (lambda box: box.net_replace(["sctp 1.1.1.1"]), "'sctp' is neither a protocol nor a network"),
        (lambda box: box.net_replace(deny=["everything"]), "'everything' is not an IPv4 or IPv6 network"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    place: World,
    closed: tuple[PrivateDaemon, Client],
    container: Container,
    act: Callable[[Container], None],
    text: str,
) -> None:
    container.net_out("1.1.1.1", port=80)
    before = table(place.host, closed[0])
    with pytest.raises(errors.BadInput, match=text):
        act(container)
    assert table(place.host, closed[0]) == before
    assert container.net_state().rules == (NetRule("1.1.1.1", "80"),)


def test_an_established_connection_outlives_its_rule(container: Container, place: World) -> None:
    container.net_out(OUTSIDE, port=9000)
    with closing(place.outside.socket(socket.SOCK_STREAM)) as listener:
        listener.bind((OUTSIDE, 9000))
        listener.listen()
        with closing(inside(container).socket(socket.SOCK_STREAM)) as near:
            near.settimeout(60)
            near.connect((OUTSIDE, 9000))
            far, _ = listener.accept()
            with closing(far):
                container.net_replace([])
                far.sendall(b"still here")
                assert near.recv(20) == b"still here"
                assert tcp(inside(container), OUTSIDE, 9000) == "refused"


def test_a_container_has_a_policy_of_its_own(closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    with closed[1].create(net_deny=[OTHER], net_allow=["198.18.0.0/30"]) as one:
        at = inside(one)
        assert one.net_state().policy == NetPolicy(("198.18.0.0/30",), (OTHER,))
        assert {"tcp 80", "tcp 80 third", "udp 53", "tcp 80 other", "echo"} <= opened(at), "what is allowed wins"
        one.net_replace(deny=[OTHER])
        assert "tcp 80 other" not in opened(at)
        assert tcp(at, HOST, 80) == "refused", "the host is another matter"
        with Server(inside(container), tcp=(7000,)).running():
            assert tcp(at, container.info().container_ip, 7000) == "refused"
            one.net_replace(allow=[container.info().container_ip])
            assert tcp(at, container.info().container_ip, 7000) == one.info().container_ip
        one.net_replace(deny=["0.0.0.0/0"])
        assert opened(at) == set()
        one.net_out(OUTSIDE, port=80)
        assert opened(at) == {"tcp 80"}
        one.net_replace(deny=[THIRD])
        assert one.net_state().rules == (NetRule(OUTSIDE, "80"),)
        one.net_replace(usual=True)
        assert (opened(at), one.net_state().policy) == ({"tcp 80"}, None)
    assert opened(inside(container)) == set()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_rules_and_policy_hold_after_a_restart(place: World, end: str) -> None:
    with daemon_in(place) as (daemon, client):
        made = client.create(net_allow=[THIRD], net_deny=["0.0.0.0/0"])
        for rule in ((OUTSIDE, 80), (OUTSIDE, 81), (OUTSIDE, 8080)):
            made.net_out(rule[0], port=rule[1])
        made.net_remove(2)
        at, state, before = inside(made), made.net_state(), table(place.host, daemon)
        getattr(daemon, end)()
        expected = {"tcp 80", "tcp 8080", "tcp 80 third", "udp 53 third", "echo third"}
        assert opened(at) == expected, "while no daemon runs"
        daemon.start()
        assert table(place.host, daemon) == before
        again = Client(daemon.socket)
        made = again.container(made.handle)
        assert (opened(at), made.net_state()) == (expected, state)
        made.net_remove(1)
        made.net_replace(usual=True)
        assert opened(at) == {"tcp 8080"}
        again.close()


# ---- what was refused


def test_refused_connections_are_counted(closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    at = inside(container)
    assert container.refusals().destinations == ()
    for _ in range(3):
        assert tcp(at, OUTSIDE, 443) == "refused"
    for _ in range(2):
        assert udp(at, OTHER, 53) == "refused"
    assert icmp(at, THIRD) == "refused"
    assert tcp(at, HOST, 80) == "refused"
    found = container.refusals()
    assert found.further == 0
    assert found.destinations == (
        Refused(OUTSIDE, "tcp", 443, 3),
        Refused(OTHER, "udp", 53, 2),
        Refused(HOST, "tcp", 80, 1),
        Refused(THIRD, "icmp", None, 1),
    )
    with closed[1].create() as other:
        assert other.refusals().destinations == ()
        other.net_in(8300, 80, protocol="tcp")
        assert tcp(at, HOST, 8300) == "refused"
        assert Refused(HOST, "tcp", 8300, 1) in container.refusals().destinations, "as it was dialled"


def test_a_flood_of_destinations_stays_within_bounds(container: Container) -> None:
    with closing(inside(container).socket(socket.SOCK_DGRAM)) as sock:
        for number in range(4000):
            with suppress(OSError):
                sock.sendto(b"x", (f"198.18.{number // 200 + 1}.{number % 200 + 1}", 1000 + number))
    found = container.refusals()
    assert 400 <= len(found.destinations) <= 600
    assert found.further + sum(one.packets for one in found.destinations) >= 3900


# ---- tables that others break


def test_a_flushed_ruleset_is_noticed_by_itself(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    container.net_out(OUTSIDE, port=80)
    before = table(place.host, closed[0])
    place.host.run("nft", "flush", "ruleset")
    eventually(lambda: closed[0].nft_table in place.host.run("nft", "list", "tables"))
    assert table(place.host, closed[0]) == before
    assert opened(inside(container)) == {"tcp 80"}
    place.host.run("nft", "flush", "chain", "inet", closed[0].nft_table, "leaving")
    eventually(lambda: table(place.host, closed[0]) == before)


def test_tables_of_others_are_never_touched(
    place: World, closed: tuple[PrivateDaemon, Client], container: Container
) -> None:
    place.host.run("nft", "add table ip foreign; add chain ip foreign kept; add rule ip foreign kept counter accept")
    try:
        before = place.host.run("nft", "list", "table", "ip", "foreign")
        place.host.run("nft", "delete", "table", "inet", closed[0].nft_table)
        container.net_out(OUTSIDE, port=80)
        for number in range(30):  # somebody else is busy with their own meanwhile
            place.host.run("nft", f"add rule ip foreign kept ip daddr 198.18.1.{number}")
            container.net_replace([f"tcp {OUTSIDE} {80 + number % 2}"])
        assert opened(inside(container)) == {"tcp 81"}
        assert place.host.run("nft", "list", "table", "ip", "foreign").startswith(before.rstrip("}\n\t ")[:60])
    finally:
        place.host.run("nft", "delete", "table", "ip", "foreign")


def test_a_connection_survives_the_repair(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    with closed[1].create(publish="8301:80") as one, closing(inside(one).socket(socket.SOCK_STREAM)) as listener:
        listener.bind((one.info().container_ip, 80))
        listener.listen()
        with closing(place.outside.socket(socket.SOCK_STREAM)) as far:
            far.settimeout(60)
            far.connect((HOST, 8301))
            near, _ = listener.accept()
            with closing(near):
                place.host.run("nft", "delete", "element", "inet", closed[0].nft_table, "ports", "{ tcp . 8301 }")
                faults = closed[1].firewall_faults(repair=True)
                assert any("ports: 1 elements are missing" in fault for fault in faults), faults
                near.sendall(b"hello")
                assert far.recv(10) == b"hello"
        assert closed[1].firewall_faults() == []


def warden(daemon: PrivateDaemon, *words: str, code: int | None = 0) -> str:
    command = [sys.executable, "-m", "warden.cli.main", "--socket", daemon.socket, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout + done.stderr


def doctor(daemon: PrivateDaemon, *words: str) -> dict[str, object]:
    text = warden(daemon, "doctor", "--json", "--depot", daemon.depot, *words, code=None)
    found: list[dict[str, object]] = json.loads(text)
    return next(one for one in found if one["name"] == "firewall of the daemon")


def test_the_doctor_finds_and_repairs(place: World, closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    daemon, link = closed[0], f"w-{container.info().id}-0"
    assert doctor(daemon)["ok"] is True
    place.host.run("nft", "delete", "element", "inet", daemon.nft_table, "links", f'{{ "{link}" }}')
    found = doctor(daemon)
    assert (found["ok"], found["remedy"]) == (False, "warden doctor --repair")
    assert "links: 1 elements are missing" in str(found["detail"])
    repaired = doctor(daemon, "--repair")
    assert repaired["ok"] is True
    assert "repaired: " in str(repaired["detail"])
    assert doctor(daemon)["detail"] == ""


def test_the_command(place: World, closed: tuple[PrivateDaemon, Client], container: Container) -> None:
    daemon, name, at = closed[0], container.handle, inside(container)
    warden(daemon, "net", name, "allow", OUTSIDE, "80")
    warden(daemon, "net", name, "allow", "udp", "any", "53", "log")
    assert "tcp 80" in opened(at)
    text = warden(daemon, "net", name)
    assert text.splitlines()[:3] == [
        "RULE  PROTOCOL  NETWORK     PORTS",
        f"1     tcp       {OUTSIDE}  80",
        "2     udp       any         53 log",
    ]
    assert f"{OUTSIDE}  tcp       81    1" in text
    warden(daemon, "net", name, "remove", "1")
    warden(daemon, "net", name, "remove", "udp any 53 log")
    assert warden(daemon, "net", name, "remove", "1", code=2).startswith(
        "warden: net_remove: index: there is no rule 1"
    )
    warden(daemon, "net", name, "replace", f"tcp {OUTSIDE} 81", f"icmp {THIRD} 8")
    warden(daemon, "net", name, "policy", "--deny", "0.0.0.0/0", "--allow", f"{THIRD}/32")
    shown = json.loads(warden(daemon, "net", "--json", name))
    assert shown["rules"] == [f"tcp {OUTSIDE} 81", f"icmp {THIRD} 8"]
    assert shown["policy"] == {"allow": [f"{THIRD}/32"], "deny": ["0.0.0.0/0"]}
    assert {"address": OUTSIDE, "protocol": "tcp", "port": 8090, "packets": 1} in shown["refused"]
    assert opened(at) == {"tcp 81", "echo third", "tcp 80 third", "udp 53 third"}
    warden(daemon, "net", name, "policy", "--usual")
    assert opened(at) == {"tcp 81", "echo third"}
    for words in (("deny", "1.1.1.1"), ("policy",), ("policy", "--usual", "--deny", "::/0"), ("allow",)):
        warden(daemon, "net", name, *words, code=2)
    assert TCP_OUTSIDE & set(PROBES)


def test_an_unknown_container_and_a_stopped_one(closed: tuple[PrivateDaemon, Client]) -> None:
    with pytest.raises(errors.UnknownHandle):
        closed[1].container("nobody").refusals()
    with closed[1].create(network="none") as lonely:
        assert lonely.net_state().rules == ()
        with pytest.raises(errors.WrongState, match="has no network of its own"):
            lonely.net_replace([])
    with closed[1].create() as stopped:
        stopped.net_out(OUTSIDE)
        stopped.stop(kill=True)
        assert len(stopped.net_state().rules) == 1
        with pytest.raises(errors.WrongState, match="Container state must be one of 'active'"):
            stopped.net_remove(1)


# ---- what a hostile container sends


VLAN_FRAME = """
import socket, struct, sys
mac, ip, target, port = bytes.fromhex(sys.argv[1]), socket.inet_aton(sys.argv[2]), socket.inet_aton(sys.argv[3]), 54
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
def datagram(source, text):
    payload = struct.pack("!HHHH", 4242, port, 8 + len(text), 0) + text
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
name = [name for _, name in socket.if_nameindex() if name != "lo"][0]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind((name, 0))
    own = sock.getsockname()[4]
    sock.send(mac + own + b"\\x08\\x00" + datagram(ip, b"plain"))
    sock.send(mac + own + b"\\x81\\x00\\x00\\x05\\x08\\x00" + datagram(ip, b"tagged"))
    sock.send(mac + own + b"\\x81\\x00\\x00\\x00\\x08\\x00" + datagram(ip, b"priority tagged"))
    sock.send(mac + own + b"\\x08\\x00" + datagram(socket.inet_aton("198.18.0.99"), b"spoofed"))
    sock.send(mac + own + b"\\x08\\x00" + datagram(socket.inet_aton("127.0.0.1"), b"loopback"))
    sock.send(mac + own + b"\\x86\\xdd" + datagram(ip, b"mislabelled"))
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + own + socket.inet_aton(sys.argv[4]) + mac + target
    sock.send(b"\\xff" * 6 + own + b"\\x08\\x06" + arp)
"""


def test_raw_frames_of_a_container_are_contained(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    """Root inside, with CAP_NET_RAW in its own user namespace, sends whatever it likes."""
    with closed[1].create(net_allow=[OUTSIDE]) as one, closed[1].create() as other:
        info, link = one.info(), f"w-{one.info().id}-0"
        mac = json.loads(place.host.run("ip", "-j", "link", "show", link))[0]["address"].replace(":", "")
        place.server.datagrams.clear()
        victim = other.info().container_ip
        words = ["python3", "-c", VLAN_FRAME, mac, info.container_ip, OUTSIDE, victim]
        assert one.run(words, privileged=True).exit_status == 0
        eventually(lambda: b"plain" in place.server.datagrams)
        time.sleep(0.4)
        assert set(place.server.datagrams) <= {b"plain", b"priority tagged"}
        neighbours = place.host.run("ip", "neighbour", "show", victim)
        assert link not in neighbours, "nobody takes its word for another's address"
        with Server(inside(other), tcp=(7000,)).running():
            assert tcp(place.host, victim, 7000) == other.info().host_ip


def test_nothing_is_left_after_many_lives(place: World, closed: tuple[PrivateDaemon, Client]) -> None:
    before = table(place.host, closed[0])
    descriptors = len(os.listdir(f"/proc/{closed[0].pid}/fd"))
    for number in range(20):
        with closed[1].create(publish=["8302:80", "8303:81/udp", "82"], net_deny=["10.0.0.0/8"]) as one:
            one.net_out(OUTSIDE, port=80)
            one.net_replace([f"tcp {OTHER} {number + 1}"])
            one.remove_port(8303, "udp")
    assert table(place.host, closed[0]) == before
    eventually(lambda: len(os.listdir(f"/proc/{closed[0].pid}/fd")) <= descriptors + 2)
