"""Names in containers: resolv.conf, hosts, and the resolver of a bridge."""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import ClassVar

import pytest
from firewall_scene import daemon_in, inside
from netns import ANSWER_S, HOST, SILENCE_S, Namespace, World, tcp, world

from warden.client.blocking import Client, Container
from warden.errors import BadInput
from warden.network import dns
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture
def client(shared_daemon: PrivateDaemon) -> Iterator[Client]:
    with Client(shared_daemon.socket) as client:
        yield client


def test_nothing_asked_nothing_changed(client: Client) -> None:
    with open("/etc/resolv.conf") as file:
        ours = file.read()
    with client.create("plain") as box:
        info = box.info()
        expected = f"nameserver {info.host_ip}\n" if ours.split() == ["nameserver", "127.0.0.1"] else ours
        assert box.run(["cat", "/etc/resolv.conf"]).text == expected
        assert box.run(["cat", "/etc/hosts"]).text.splitlines()[2:] == [f"{info.container_ip} {info.id}"]


def test_servers_search_options_and_hosts(client: Client) -> None:
    asked = {"dns": ["192.0.2.1", "2001:db8::1"], "dns_search": ["a.example", "b.example"], "dns_options": "ndots:2"}
    hosts = {"db": "10.1.2.3", "six": "fd00::7", "here": "host-gateway"}
    with client.create(add_hosts=hosts, **asked) as box:  # type: ignore[arg-type]
        text = box.run(["cat", "/etc/resolv.conf"]).text
        assert text == "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example b.example\noptions ndots:2\n"
        lines = box.run(["cat", "/etc/hosts"]).text.splitlines()
        assert lines[3:] == ["10.1.2.3 db", "fd00::7 six", f"{box.info().host_ip} here"]
        assert box.run(["getent", "ahostsv4", "db"]).text.split()[0] == "10.1.2.3"


def test_by_the_command(shared_daemon: PrivateDaemon) -> None:
    options = ["--dns", "192.0.2.1", "--dns-search", ".", "--dns-opt", "rotate", "--add-host", "db:10.1.2.3"]
    words = [sys.executable, "-m", "warden.cli.main", "run", "--socket", shared_daemon.socket, *options]
    command = [*words, "--", "cat", "/etc/resolv.conf", "/etc/hosts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nameserver 192.0.2.1\noptions rotate\n127.0.0.1 localhost\n")
    assert done.stdout.endswith("\n10.1.2.3 db\n")


def test_what_is_refused_leaves_nothing(client: Client) -> None:
    before = client.list()
    for given, message in (
        ({"dns": "nowhere"}, "dns: 'nowhere' is not an address"),
        ({"add_hosts": ["db"]}, "add_host: 'db' is not NAME:ADDRESS"),
        ({"network": "none", "add_hosts": ["here:host-gateway"]}, "add_host: host-gateway: this container has no link"),
    ):
        with pytest.raises(BadInput, match=message):
            client.create(**given)  # type: ignore[arg-type]
    assert client.list() == before


# ---- the resolver of a bridge


UPSTREAM, SECOND = "198.18.0.9", "198.18.0.10"
RESOLVER_PORT = 53


class Upstream:
    """A server outside: some names, over UDP and TCP. *asked*: the names that it was asked for, with the port of who did."""

    NAMES: ClassVar = {b"outside.example": ["203.0.113.7"], b"big.example": [f"203.0.113.{n}" for n in range(1, 90)]}

    def __init__(self, where: Namespace, address: str) -> None:
        self.asked: list[tuple[bytes, int, int]] = []
        self._sockets = [where.socket(socket.SOCK_DGRAM), where.socket(socket.SOCK_STREAM)]
        for sock in self._sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, RESOLVER_PORT))
        self._sockets[1].listen()
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([*self._sockets, self._stop], [], [])
            if self._stop in ready:
                return
            if self._sockets[0] in ready:
                data, peer = self._sockets[0].recvfrom(4096)
                if (found := self._answer(data, peer[1])) is not None:
                    self._sockets[0].sendto(b"\xff" * 12 + found, peer)  # rubbish, and then an answer
                    self._sockets[0].sendto(found, peer)
            if self._sockets[1] in ready:
                connection, peer = self._sockets[1].accept()
                with connection:
                    [length] = struct.unpack("!H", connection.recv(2))
                    if (found := self._answer(connection.recv(length), peer[1])) is not None:
                        connection.sendall(struct.pack("!H", len(found)) + found)

    def _answer(self, data: bytes, port: int) -> bytes | None:
        query = dns.parse_query(data)
        self.asked.append((query.name, port, query.id))
        if query.name == b"silent.example":
            return None
        found = self.NAMES.get(query.name)
        if found is None:
            return dns.answer(query, dns.NXDOMAIN, own=False)
        return dns.answer(query, 0, [(dns.A, socket.inet_aton(address)) for address in found], ttl=60, own=False)

    def close(self) -> None:
        os.close(self._wake)
        self._thread.join()
        os.close(self._stop)
        for sock in self._sockets:
            sock.close()


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world(local_udp=()) as made:
        for address in (UPSTREAM, SECOND):
            made.outside.run("ip", "address", "add", f"{address}/24", "dev", "outer")
        yield made


@pytest.fixture
def upstream(place: World) -> Iterator[Upstream]:
    made = Upstream(place.outside, UPSTREAM)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bridged(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    with daemon_in(place, f"dns_servers: [{UPSTREAM}]") as made:
        yield made


@pytest.fixture
def there(bridged: tuple[PrivateDaemon, Client]) -> Client:
    return bridged[1]


def server_of(box: Container) -> str:
    [line] = [line for line in box.run(["cat", "/etc/resolv.conf"]).text.splitlines() if line.startswith("nameserver")]
    return line.split()[1]


def message(name: str, kind: int = dns.A, *, size: int = 0) -> bytes:
    encoded = dns.encode_name(name)
    assert encoded is not None
    head = struct.pack("!HHHHHH", 4242, dns.RD, 1, 0, 0, bool(size)) + encoded + struct.pack("!HH", kind, 1)
    return head + (b"\0" + struct.pack("!HHIH", dns.OPT, size, 0, 0) if size else b"")


def send(box: Container, data: bytes, server: str = "", *, wait_s: float = ANSWER_S) -> bytes | None:
    """The answer over UDP; None: none came."""
    return send_from(inside(box), data, server or server_of(box), wait_s=wait_s)


def send_from(where: Namespace, data: bytes, server: str, *, wait_s: float) -> bytes | None:
    with where.socket(socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait_s)
        sock.connect((server, RESOLVER_PORT))
        sock.send(data)
        try:
            return sock.recv(65535)
        except (TimeoutError, ConnectionRefusedError):
            return None


def send_tcp(box: Container, data: bytes) -> bytes:
    with inside(box).socket(socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect((server_of(box), RESOLVER_PORT))
        sock.sendall(struct.pack("!H", len(data)) + data)
        [length] = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))
        return sock.recv(length, socket.MSG_WAITALL)


def code(found: bytes | None) -> int:
    assert found is not None, "silence"
    return dns.rcode_of(found)


def getent(box: Container, *words: str) -> str:
    return box.run(["getent", *words]).text


def test_containers_on_a_bridge_know_each_other_by_name(there: Client) -> None:
    with (
        there.create("web", network="bridge:names,alias=www", hostname="web-host") as web,
        there.create("db", network="bridge:names,alias=www") as db,
    ):
        address = db.info().links[0].addresses[0].partition("/")[0]
        assert getent(web, "ahostsv4", "db").split()[0] == address
        assert getent(web, "hosts", address).split() == [address, "db"]
        assert {line.split()[0] for line in getent(db, "ahostsv4", "www").splitlines()} == {
            address,
            web.info().links[0].addresses[0].partition("/")[0],
        }
        assert getent(db, "ahostsv4", "web-host")
        assert getent(db, "ahostsv4", web.info().id) == "", "its id is not its handle"
        assert code(send(web, message("db", dns.AAAA))) == dns.NOERROR
    with there.create("alone", network="bridge:names") as alone:
        assert getent(alone, "ahostsv4", "web") == "", "who is gone has no name"


def test_a_container_that_is_renamed_has_the_new_name(there: Client) -> None:
    with there.create("asks", network="bridge:names") as asks, there.create("old", network="bridge:names") as box:
        assert getent(asks, "ahostsv4", "old")
        box.rename("new")
        assert getent(asks, "ahostsv4", "new") and not getent(asks, "ahostsv4", "old")


def test_with_ipv6(there: Client) -> None:
    there.create_network("six", ipv6="auto")
    try:
        with there.create("one6", network="bridge:six") as one, there.create("two6", network="bridge:six") as two:
            expected = {address.partition("/")[0] for address in two.info().links[0].addresses}
            assert len(expected) == 2
            found = getent(one, "ahosts", "two6")
            assert {line.split()[0] for line in found.splitlines()} == expected
            [six] = [address for address in expected if ":" in address]
            assert getent(one, "hosts", six).split() == [six, "two6"]
    finally:
        there.remove_network("six")


def test_other_names_are_asked_outside(there: Client, upstream: Upstream) -> None:
    with there.create("asks", network="bridge:names") as box:
        assert getent(box, "ahostsv4", "outside.example").split()[0] == "203.0.113.7"
        assert code(send(box, message("nothing.example"))) == dns.NXDOMAIN
        for number in range(8):
            assert code(send(box, message("outside.example"))) == 0, number
        found = [item for item in upstream.asked if item[0] == b"outside.example"]
        assert len({port for _, port, _ in found}) > 4, "from ports by chance"
        assert len({number for _, _, number in found} - {4242}) > 4, "under ids by chance"
        assert b"asks" not in {name for name, _, _ in upstream.asked}
        short = send(box, message("big.example"))
        assert short is not None and len(short) <= 512 and short[2] & 2, "too much for a datagram: ask over TCP"
        wide = send(box, message("big.example", size=4096))
        assert wide is not None and len(wide) > 1232 and not wide[2] & 2
        assert len(send_tcp(box, message("big.example"))) > 1232
        assert dns.rcode_of(send_tcp(box, message("asks"))) == 0


def test_its_own_servers_are_asked_instead(there: Client, place: World, upstream: Upstream) -> None:
    second = Upstream(place.outside, SECOND)
    try:
        with there.create("own", network="bridge:names", dns=SECOND) as box:
            assert server_of(box) not in (SECOND, UPSTREAM)
            assert getent(box, "ahostsv4", "outside.example")
            assert second.asked and not upstream.asked
    finally:
        second.close()


def test_the_next_server_is_asked_when_one_is_silent(there: Client, place: World) -> None:
    second = Upstream(place.outside, SECOND)
    try:
        with there.create("two", network="bridge:names", dns=["198.18.0.77", SECOND]) as box:
            assert code(send(box, message("outside.example"))) == 0
    finally:
        second.close()
    with there.create("none", network="bridge:names", dns=SECOND) as box:
        assert code(send(box, message("outside.example"))) == dns.SERVFAIL


def test_no_more_than_so_many_questions_wait(there: Client, upstream: Upstream) -> None:
    with there.create("many", network="bridge:names") as box, inside(box).socket(socket.SOCK_DGRAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect((server_of(box), RESOLVER_PORT))
        for number in range(300):
            sock.send(struct.pack("!H", number) + message("silent.example")[2:])
        found = (send(box, message("many"), wait_s=5) for _ in range(5))  # one datagram may be lost among so many
        assert any(answer is not None and dns.rcode_of(answer) == 0 for answer in found), "its own names are answered"
        assert len(upstream.asked) <= 64


def test_who_hides_its_link_address_stops_nobody_elses_names(there: Client, place: World) -> None:
    """What is sent to it waits in the kernel, where it counts against the socket's buffer."""
    with there.create("mute", network="bridge:names") as mute, there.create("heard", network="bridge:names") as heard:
        server, at = server_of(mute), inside(mute)
        [device] = [line.split()[0] for line in at.run("ip", "-br", "link").splitlines() if "eth0" in line]
        [bridge] = json.loads(place.host.run("ip", "-j", "link", "show", "w-br-names"))
        at.run("ip", "neigh", "replace", server, "lladdr", bridge["address"], "dev", device.partition("@")[0])
        at.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=8")
        place.host.run("ip", "neigh", "flush", "dev", "w-br-names")
        with at.socket(socket.SOCK_DGRAM) as sock:
            sock.connect((server, RESOLVER_PORT))
            for number in range(1500):
                sock.send(message("heard"))
                if number % 20 == 0:
                    time.sleep(0.005)
        found = [send(heard, message("heard")) for _ in range(5)]
        assert all(found), "another's questions are answered"


def is_held_back(stack: ExitStack, where: Namespace, server: str) -> bool:
    """Whether one that comes after four hundred others has to wait; then *stack* keeps them all."""
    with ExitStack() as mine:
        *crowd, late = where.call(lambda: [mine.enter_context(socket.socket()) for _ in range(401)])
        for sock in crowd:
            sock.setblocking(False)
            with suppress(OSError):
                sock.connect((server, 53))
        late.settimeout(0.3)
        try:
            late.connect((server, 53))
        except TimeoutError:
            stack.enter_context(mine.pop_all())
            return True
        return False


def test_a_flood_of_connections_is_paced(there: Client) -> None:
    """Those beyond do not come to the daemon; its datagrams and the others' connections do."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(there.create(network="bridge")) for _ in range(2))
        server = server_of(one)
        assert any(is_held_back(stack, inside(one), server) for _ in range(10)), "a busy machine may take longer than the pace"
        assert code(send(one, message(other.handle))) == dns.NOERROR
        assert code(send_tcp(other, message(one.handle))) == dns.NOERROR


def test_bridges_do_not_know_each_other(there: Client, place: World, upstream: Upstream) -> None:
    with (
        there.create("here", network="bridge:names") as here,
        there.create("over", network="bridge:other") as over,
        there.create("both", network="bridge:other", interfaces=["bridge:names"]) as both,
    ):
        assert code(send(here, message("over"))) == dns.NXDOMAIN
        assert getent(both, "ahostsv4", "here") and getent(both, "ahostsv4", "over")
        assert send(here, message("over"), server_of(over), wait_s=SILENCE_S) is None, "another bridge's is not for it"
        assert server_of(here) != server_of(over)


def test_nothing_is_asked_outside_for_an_internal_bridge(there: Client, upstream: Upstream) -> None:
    there.create_network("inner", internal=True)
    try:
        with there.create("kept", network="bridge:inner") as box:
            assert code(send(box, message("kept"))) == 0
            assert code(send(box, message("outside.example"))) == dns.REFUSED
            assert not upstream.asked
    finally:
        there.remove_network("inner")


def test_only_the_resolver_of_the_host_is_reached(there: Client) -> None:
    with there.create("probe", network="bridge:names") as box:
        gateway = server_of(box)
        assert tcp(inside(box), gateway, 80) == "refused"
        assert tcp(inside(box), HOST, 53) == "refused"


def test_rubbish_does_no_harm(there: Client) -> None:
    noise = random.Random(7)
    with there.create("noisy", network="bridge:names") as box, inside(box).socket(socket.SOCK_DGRAM) as sock:
        sock.connect((server_of(box), RESOLVER_PORT))
        good = message("noisy", size=1232)
        for _ in range(500):
            data = bytearray(good if noise.random() < 0.7 else noise.randbytes(noise.randrange(0, 1200)))
            for _ in range(noise.randrange(4) if data else 0):
                data[noise.randrange(len(data))] = noise.randrange(256)
            sock.send(bytes(data))
        with inside(box).socket(socket.SOCK_STREAM) as stream:
            stream.connect((server_of(box), RESOLVER_PORT))
            stream.sendall(b"\xff\xff" + noise.randbytes(3000))
        assert code(send(box, message("noisy"))) == 0


def test_names_come_back_with_the_daemon(
    bridged: tuple[PrivateDaemon, Client], place: World, upstream: Upstream
) -> None:
    daemon, client = bridged
    with client.create("stays", network="bridge:names") as box, client.create("too", network="bridge:names"):
        server, where = server_of(box), inside(box)
        daemon.kill()
        try:
            assert send_from(where, message("too"), server, wait_s=SILENCE_S) is None
        finally:
            daemon.start()
        assert server_of(box) == server
        assert getent(box, "ahostsv4", "too")
        assert getent(box, "ahostsv4", "outside.example")


def test_where_another_server_listens_already(place: World) -> None:
    """It is told, and containers are made all the same."""
    with world() as taken, daemon_in(taken) as (daemon, client), client.create(network="bridge:names") as box:
        assert box.run(["true"]).exit_status == 0
        with open(daemon.log) as log:
            assert "network names: names are not answered: Address already in use" in log.read()
