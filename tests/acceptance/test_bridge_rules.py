"""What the firewall makes of bridges: neighbours reach each other, nobody claims to be another, the rest as for all.

The "containers" are namespaces with a port on a bridge, so that the test is root there and can send any frame.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from netns import (
    ANSWER_S,
    HOST,
    OUTSIDE,
    SILENCE_S,
    Namespace,
    Server,
    World,
    icmp,
    namespace,
    tcp,
    udp,
    world,
)
from packets import arp, datagram, frame, icmp6

from warden.engine import ports
from warden.model.net import NetRule, PortMap, Protocol
from warden.network import forwarding
from warden.network.firewall import Firewall, open_firewall
from warden.network.nft import BridgeNet, Guest, GuestLink, Policy

pytestmark = pytest.mark.root

HOST6, OUTSIDE6 = "2001:db8:198::1", "2001:db8:198::2"
NET4, NET6 = IPv4Network("10.77.0.0/24"), IPv6Network("fd77::/64")
ETH_P_ALL = 3


@dataclass
class Box:
    """A namespace on a bridge."""

    at: Namespace
    guest: Guest
    bridge: str
    received: list[bytes] = field(default_factory=list)

    @property
    def ip(self) -> str:
        return str(self.guest.addresses[0])

    @property
    def ip6(self) -> str:
        return str(self.guest.addresses[1])

    @property
    def mac(self) -> bytes:
        mac = self.guest.links[0].mac
        assert mac is not None
        return bytes.fromhex(mac.replace(":", ""))

    @property
    def port(self) -> str:
        return self.guest.links[0].name


@dataclass
class Scene:
    place: World
    firewall: Firewall
    one: Box
    two: Box
    stranger: Box  # on another bridge
    lonely: Box  # on an internal bridge


@contextmanager
def bridge(place: World, firewall: Firewall, number: int, *, internal: bool = False) -> Iterator[BridgeNet]:
    device = f"w-br-{number}"
    nets = (IPv4Network(f"10.77.{number}.0/24"), IPv6Network(f"fd77:{number}::/64"))
    made = BridgeNet(device, nets, internal=internal, services=((nets[0][1], "udp", 53),))
    firewall.put_bridge(made)
    place.host.run("ip", "link", "add", device, "type", "bridge", "forward_delay", "0")
    for address in (f"{nets[0][1]}/24", f"{nets[1][1]}/64"):
        place.host.run("ip", "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
    place.host.run("ip", "link", "set", device, "up")
    place.host.run("sysctl", "-qw", f"net.ipv4.conf.{device}.forwarding=1")
    try:
        yield made
    finally:
        place.host.run("ip", "link", "delete", device)
        firewall.drop_bridge(device)


@contextmanager
def box(place: World, firewall: Firewall, on: BridgeNet, number: int) -> Iterator[Box]:
    name, mac = f"{on.device[-1]}{number:010d}", f"02:00:00:00:0{on.device[-1]}:{number:02x}"
    addresses = (IPv4Address(int(on.networks[0][number])), IPv6Address(int(on.networks[1][number])))
    guest = Guest(name, (GuestLink(f"w-{name}-1", addresses, mac, on.device),))
    firewall.put(guest)
    with namespace() as at:
        holder = at.path.split("/")[2]
        port = guest.links[0].name
        place.host.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", holder)
        place.host.run("ip", "link", "set", port, "master", on.device, "up")
        at.run("ip", "link", "set", "eth0", "address", mac)
        at.run("ip", "address", "add", f"{addresses[0]}/24", "dev", "eth0")
        at.run("ip", "address", "add", f"{addresses[1]}/64", "dev", "eth0", "nodad")
        at.run("ip", "link", "set", "eth0", "up")
        at.run("ip", "route", "add", "default", "via", str(on.networks[0][1]))
        at.run("ip", "-6", "route", "add", "default", "via", str(on.networks[1][1]))
        try:
            yield Box(at, guest, on.device)
        finally:
            firewall.drop(guest.container_id)


@pytest.fixture(scope="module", params=["br_netfilter off", "br_netfilter on"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with world() as place, ExitStack() as stack:
        for one, address in ((place.host, HOST6), (place.outside, OUTSIDE6)):
            one.run("ip", "address", "add", f"{address}/64", "dev", "outer", "nodad")
        place.host.run("ip", "-6", "route", "add", "default", "via", OUTSIDE6)
        on = int("on" in request.param)
        for name in ("iptables", "ip6tables", "arptables"):
            if Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}").exists():
                place.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}={on}")
            elif on:
                pytest.skip("br_netfilter is not there")
        denied = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
        policy = Policy("bridges", IPv4Network("10.254.0.0/16"), denied=denied, loopback6=not on)
        firewall = place.host.call(lambda: open_firewall(policy))
        firewall._lock._directory = str(tmp_path_factory.mktemp("locks"))
        firewall.start([])
        stack.callback(firewall.close, remove=True)
        first = stack.enter_context(bridge(place, firewall, 1))
        second = stack.enter_context(bridge(place, firewall, 2))
        third = stack.enter_context(bridge(place, firewall, 3, internal=True))
        place.host.call(lambda: forwarding.open_ipv6([first.device, second.device, third.device]))
        place.host.run("sysctl", "-qw", "net.ipv4.conf.outer.forwarding=1")
        boxes = [(first, 2), (first, 3), (second, 2), (third, 2)]
        made = [stack.enter_context(box(place, firewall, on, number)) for on, number in boxes]
        assert firewall.faults() == []
        yield Scene(place, firewall, *made)


@contextmanager
def allowed(scene: Scene, who: Box, *rules: NetRule, ports: tuple[PortMap, ...] = ()) -> Iterator[None]:
    scene.firewall.put(replace(who.guest, rules=rules, ports=ports))
    try:
        yield
    finally:
        scene.firewall.put(who.guest)


def tcp6(source: Namespace, address: str, port: int, *, wait_s: float = ANSWER_S) -> str:
    """As netns.tcp; the answer of `serve6` is the address that it saw."""
    with closing(source.call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM))) as sock:
        sock.settimeout(wait_s)
        try:
            sock.connect((address, port))
            return sock.recv(100).decode()
        except ConnectionRefusedError:
            return "refused"
        except (TimeoutError, OSError) as error:
            return "silent" if isinstance(error, TimeoutError) else error.strerror


@contextmanager
def serve6(where: Namespace, port: int) -> Iterator[None]:
    def make() -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::", port))
        sock.listen()
        return sock

    server = Server(where)
    sock = where.call(make)
    server._bound = lambda _kind, _port, _address="": sock  # type: ignore[method-assign]
    server.tcp = (port,)
    with server.running():
        yield


# ---- who reaches whom


def test_neighbours_reach_each_other(scene: Scene) -> None:
    one, two = scene.one, scene.two
    with Server(two.at, (7000,), (7001,), (two.ip,)).running(), serve6(two.at, 7002):
        assert (tcp(one.at, two.ip, 7000), udp(one.at, two.ip, 7001)) == (one.ip, one.ip)
        assert icmp(one.at, two.ip) == "answered"
        assert tcp6(one.at, two.ip6, 7002) == one.ip6


def test_nobody_else_is_reached_unless_allowed(scene: Scene) -> None:
    one, stranger = scene.one, scene.stranger
    gateway = "10.77.1.1"
    with Server(stranger.at, (7000,)).running(), serve6(stranger.at, 7002), serve6(scene.place.outside, 7003):
        for address, port in ((stranger.ip, 7000), (OUTSIDE, 80), (HOST, 80), (gateway, 80)):
            assert tcp(one.at, address, port) == "refused", address
        assert (tcp6(one.at, stranger.ip6, 7002), tcp6(one.at, OUTSIDE6, 7003)) == ("refused", "refused")
        assert icmp(one.at, gateway) == "answered"
        rules = (NetRule(stranger.ip), NetRule(OUTSIDE), NetRule(OUTSIDE6), NetRule(stranger.ip6))
        with allowed(scene, one, *rules):
            assert tcp(one.at, stranger.ip, 7000) == one.ip
            assert tcp(one.at, OUTSIDE, 80) == HOST
            assert tcp6(one.at, stranger.ip6, 7002) == one.ip6
            assert tcp6(one.at, OUTSIDE6, 7003) == HOST6
            assert tcp(scene.two.at, OUTSIDE, 80) == "refused", "a rule is one container's, not its bridge's"
        with allowed(scene, one, NetRule("0.0.0.0/0"), NetRule("::/0", None, Protocol.ALL)):
            assert tcp(one.at, stranger.ip, 7000) == "refused"
            assert tcp6(one.at, stranger.ip6, 7002) == "refused"


def test_an_internal_bridge_leads_nowhere(scene: Scene) -> None:
    lonely = scene.lonely
    with allowed(scene, lonely, NetRule("0.0.0.0/0"), NetRule(OUTSIDE), NetRule(scene.one.ip), NetRule(OUTSIDE6)):
        for address, port in ((OUTSIDE, 80), (HOST, 80), (scene.one.ip, 7000)):
            assert tcp(lonely.at, address, port) == "refused"
        assert tcp6(lonely.at, OUTSIDE6, 7003) == "refused"


def test_services_of_the_host_are_reached_from_their_bridge(scene: Scene) -> None:
    with Server(scene.place.host, udp=(54,), addresses=("10.77.1.1",)).running():
        assert udp(scene.one.at, "10.77.1.1", 54) == "refused"
    scene.place.local.datagrams.clear()
    udp(scene.one.at, "10.77.1.1", 53, wait_s=SILENCE_S)
    assert scene.place.local.datagrams == [b"hello"]
    udp(scene.stranger.at, "10.77.1.1", 53, wait_s=SILENCE_S)
    assert scene.place.local.datagrams == [b"hello"]


def test_ports_lead_to_bridges_from_everywhere(scene: Scene) -> None:
    one, two, place = scene.one, scene.two, scene.place
    published = (PortMap(None, 8400, 80), PortMap(None, 8401, 81, "udp"), PortMap(None, 8402, 82))
    with (
        Server(one.at, (80,), (81,), (one.ip,)).running(),
        serve6(one.at, 82),
        allowed(scene, one, NetRule(HOST), ports=published),
    ):
        place.host.call(lambda: ports.open_links(replace(one.guest, ports=published)))
        assert (tcp(place.outside, HOST, 8400), udp(place.outside, HOST, 8401)) == (OUTSIDE, OUTSIDE)
        assert tcp(place.host, HOST, 8400) == HOST
        assert tcp(place.host, "127.0.0.1", 8400) == "10.77.1.1"
        assert tcp6(place.outside, HOST6, 8402) == OUTSIDE6
        assert tcp6(place.host, HOST6, 8402) == HOST6
        assert tcp(one.at, HOST, 8400) == "10.77.1.1", "itself"
        assert tcp(two.at, HOST, 8400) == "10.77.1.1", "a neighbour, who reaches it anyway"
        with allowed(scene, scene.stranger, NetRule(HOST), NetRule(HOST6)):
            assert tcp(scene.stranger.at, HOST, 8400) == "10.77.1.1"
            assert tcp6(scene.stranger.at, HOST6, 8402) == "fd77:1::1"


def test_the_loopback_of_ipv6_leads_to_ports_too(scene: Scene) -> None:
    one, place, published = scene.one, scene.place, (PortMap(None, 8402, 82),)
    with serve6(one.at, 82), allowed(scene, one, ports=published):
        place.host.call(lambda: ports.open_links(replace(one.guest, ports=published)))
        if not scene.firewall.policy.loopback6:
            assert tcp6(place.host, "::1", 8402) == "refused"
            return
        assert tcp6(place.host, "::1", 8402) == "fd77:1::1"
        with allowed(scene, scene.stranger, ports=(PortMap("::1", 8403, 82),)), serve6(scene.stranger.at, 82):
            for _ in range(2):  # as after a restart
                place.host.call(lambda: ports.open_links(replace(scene.stranger.guest, ports=(PortMap("::1", 8403, 82),))))
            assert tcp6(place.host, "::1", 8403) == "fd77:2::1"
            assert tcp6(place.host, HOST6, 8403) == "refused"
            assert tcp6(place.host, "::1", 8402) == "fd77:1::1", "the other bridge's too"
        with serve6(place.host, 7777):
            assert tcp6(place.host, "::1", 7777) == "::1", "what is the host's own stays so"
            one.at.run("ip", "-6", "route", "delete", "local", "::1", "dev", "lo", "table", "local")
            one.at.run("ip", "-6", "route", "add", "::1", "via", "fd77:1::1")
            assert tcp6(one.at, "::1", 7777, wait_s=SILENCE_S) == "silent"
            one.at.run("ip", "-6", "route", "delete", "::1", "via", "fd77:1::1")
            one.at.run("ip", "-6", "route", "add", "local", "::1", "dev", "lo", "table", "local")


def test_refusals_are_counted_for_the_one_who_asked(scene: Scene) -> None:
    before = scene.firewall.refusals(scene.two.guest.container_id).destinations
    assert (tcp(scene.one.at, OUTSIDE, 4444), tcp6(scene.one.at, OUTSIDE6, 4445)) == ("refused", "refused")
    found = {(one.address, one.port) for one in scene.firewall.refusals(scene.one.guest.container_id).destinations}
    assert {(OUTSIDE, 4444), (OUTSIDE6, 4445)} <= found
    assert scene.firewall.refusals(scene.two.guest.container_id).destinations == before


# ---- what nobody may send


def send(who: Box, *frames: bytes) -> None:
    with closing(who.at.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))) as sock:
        sock.bind(("eth0", 0))
        for one in frames:
            sock.send(one)


def heard(who: Box, act_and_marker: tuple[list[bytes], Box]) -> list[bytes]:
    """The frames that come to *who* when another sends those, and then one that is allowed."""
    frames, sender = act_and_marker
    marker = frame(who.mac, sender.mac, 0x0800, datagram(sender.ip, who.ip, 4000, b"the end"))
    with closing(
        who.at.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
    ) as sock:
        sock.bind(("eth0", ETH_P_ALL))
        sock.settimeout(ANSWER_S)
        send(sender, *frames, marker)
        found: list[bytes] = []
        deadline = time.monotonic() + ANSWER_S
        while not found or b"the end" not in found[-1]:
            assert time.monotonic() < deadline
            found.append(sock.recv(2048))
        return found[:-1]


def test_lies_do_not_reach_the_neighbour(scene: Scene) -> None:
    one, two = scene.one, scene.two
    everybody, other = b"\xff" * 6, bytes.fromhex("020000000099")
    gateway, gateway6, free = "10.77.1.1", "fd77:1::1", "10.77.1.200"
    target6 = socket.inet_pton(socket.AF_INET6, gateway6)
    theirs = socket.inet_pton(socket.AF_INET6, two.ip6)
    link_layer = b"\x02\x01" + one.mac
    advert = struct.pack("!I", 0xE0000000)
    lies = {
        "arp: another's address": frame(everybody, one.mac, 0x0806, arp(one.mac, gateway, two.ip)),
        "arp: a free address": frame(everybody, one.mac, 0x0806, arp(one.mac, free, two.ip)),
        "arp: another's mac inside": frame(two.mac, one.mac, 0x0806, arp(other, one.ip, two.ip)),
        "arp: a request with a lie": frame(everybody, one.mac, 0x0806, arp(one.mac, gateway, two.ip, operation=1)),
        "arp: no ethernet": frame(two.mac, one.mac, 0x0806, arp(one.mac, one.ip, two.ip, hardware=6)),
        "mac: another's": frame(two.mac, other, 0x0800, datagram(one.ip, two.ip, 5, b"lie")),
        "ip: another's": frame(two.mac, one.mac, 0x0800, datagram(gateway, two.ip, 5, b"lie")),
        "ip: an outsider's": frame(two.mac, one.mac, 0x0800, datagram(OUTSIDE, two.ip, 5, b"lie")),
        "ip: none": frame(two.mac, one.mac, 0x0800, datagram("0.0.0.0", two.ip, 5, b"lie")),
        "dhcp: an offer": frame(two.mac, one.mac, 0x0800, datagram(one.ip, two.ip, 68, b"lie", from_port=67)),
        "vlan: a tag": frame(two.mac, one.mac, 0x8100, b"\x00\x05\x08\x00" + datagram(one.ip, two.ip, 5, b"lie")),
        "vlan: no number": frame(two.mac, one.mac, 0x8100, b"\x00\x00\x08\x00" + datagram(one.ip, two.ip, 5, b"lie")),
        "vlan: an outer tag": frame(
            two.mac, one.mac, 0x88A8, b"\x00\x05\x08\x00" + datagram(one.ip, two.ip, 5, b"lie")
        ),
        "bridge: a spanning tree": bytes.fromhex("0180c2000000") + one.mac + b"\x00\x26\x42\x42\x03" + bytes(35),
        "another protocol": frame(two.mac, one.mac, 0x88B5, b"lie" * 20),
        "ip6: another's": frame(two.mac, one.mac, 0x86DD, icmp6(gateway6, two.ip6, 128, bytes(8))),
        "ip6: another's link-local": frame(two.mac, one.mac, 0x86DD, icmp6("fe80::99", two.ip6, 128, bytes(8))),
        "nd: another's address": frame(
            two.mac, one.mac, 0x86DD, icmp6(one.ip6, two.ip6, 136, advert + target6 + link_layer)
        ),
        "nd: as another": frame(two.mac, one.mac, 0x86DD, icmp6(gateway6, two.ip6, 136, advert + target6 + link_layer)),
        # Whoever looks whether its address is free hears that another looks too, and does without (RFC 4862 §5.4.3).
        "nd: somebody takes the neighbour's": frame(
            two.mac, one.mac, 0x86DD, icmp6("::", two.ip6, 135, bytes(4) + theirs)
        ),
        "ra": frame(two.mac, one.mac, 0x86DD, icmp6(one.ip6, two.ip6, 134, bytes(12))),
        "redirect": frame(two.mac, one.mac, 0x86DD, icmp6(one.ip6, two.ip6, 137, bytes(4) + target6 + target6)),
    }
    came = heard(two, (list(lies.values()), one))
    assert [name for name, lie in lies.items() if came_through(lie, came)] == []
    scene.place.host.run("nft", "delete", "table", "bridge", "bridges")
    came = heard(two, (list(lies.values()), one))
    unhindered = [name for name, lie in lies.items() if came_through(lie, came)]
    assert len(unhindered) > len(lies) / 2, "it is the table that holds them back"
    scene.firewall.look()
    assert scene.firewall.faults() == []
    for deceived in (two.at, scene.place.host):
        deceived.run("ip", "neighbour", "flush", "all")
    came = heard(two, (list(lies.values()), one))
    assert [name for name, lie in lies.items() if came_through(lie, came)] == []


def came_through(lie: bytes, came: list[bytes]) -> bool:
    return any(lie[14:40] in got for got in came)


def test_the_truth_does(scene: Scene) -> None:
    one, two = scene.one, scene.two
    own = socket.inet_pton(socket.AF_INET6, one.ip6)
    truths = [
        frame(two.mac, one.mac, 0x0806, arp(one.mac, one.ip, two.ip)),
        frame(two.mac, one.mac, 0x0800, datagram(one.ip, two.ip, 5, b"truth")),
        frame(two.mac, one.mac, 0x86DD, icmp6(one.ip6, two.ip6, 136, struct.pack("!I", 0x60000000) + own + bytes(8))),
        frame(two.mac, one.mac, 0x86DD, icmp6(one.ip6, two.ip6, 128, bytes(8))),
        frame(two.mac, one.mac, 0x86DD, icmp6("::", "ff02::1:ff00:2", 135, bytes(4) + own)),
    ]
    came = heard(two, (truths, one))
    assert [any(got.startswith(truth[:40]) for got in came) for truth in truths] == [True] * 5


def test_lies_do_not_reach_the_host_or_the_world(scene: Scene) -> None:
    one, place = scene.one, scene.place
    mac = place.host.run("cat", "/proc/net/arp") and place.host.run("ip", "-o", "link", "show", one.bridge)
    gateway = bytes.fromhex(mac.partition("link/ether ")[2].split()[0].replace(":", ""))
    place.local.datagrams.clear()
    place.server.datagrams.clear()
    with allowed(scene, one, NetRule(OUTSIDE, None, Protocol.ALL)):
        send(
            one,
            frame(b"\xff" * 6, one.mac, 0x0806, arp(one.mac, scene.two.ip, "10.77.1.1")),
            frame(gateway, one.mac, 0x0800, datagram(scene.two.ip, OUTSIDE, 53, b"as my neighbour")),
            frame(gateway, one.mac, 0x0800, datagram("198.18.0.99", OUTSIDE, 53, b"as an outsider")),
            frame(gateway, one.mac, 0x0800, datagram(one.ip, "127.0.0.1", 53, b"to the loopback")),
            frame(gateway, one.mac, 0x0800, datagram("127.0.0.1", "10.77.1.1", 53, b"from the loopback")),
            frame(gateway, one.mac, 0x8100, b"\x00\x05\x08\x00" + datagram(one.ip, OUTSIDE, 53, b"tagged")),
            frame(gateway, one.mac, 0x0800, datagram(one.ip, OUTSIDE, 53, b"true")),
        )
        deadline = time.monotonic() + ANSWER_S
        while b"true" not in place.server.datagrams:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    time.sleep(SILENCE_S)
    assert (place.server.datagrams, place.local.datagrams) == ([b"true"], [])
    with Server(scene.two.at, (7000,)).running():
        assert tcp(place.host, scene.two.ip, 7000) == "10.77.1.1", "the host still knows whose address it is"
