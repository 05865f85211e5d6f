"""What conntrack has of a container ends with it, and what no rule admitted ends with the repair: real packets."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address

import pytest
from firewall_scene import daemon_in, eventually, inside
from netns import HOST, OTHER, OUTSIDE, THIRD, Namespace, World, icmp

from warden.client.blocking import Client
from warden.model.interfaces import Interface, LinkKind
from warden.network.conntrack import Conntrack
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root

FOLLOWS = "chain follow { type filter hook forward priority 0; ct state new accept; };"
OPEN = ("deny_networks: []", "release_delay: 0")


@pytest.fixture
def opened(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    with daemon_in(place, *OPEN) as pair:
        yield pair


def entries(at: Namespace, address: str) -> int:
    """How many connections conntrack has in which *address* sends, either way."""
    packed = ip_address(address).packed
    table = at.call(Conntrack)
    try:
        found = table._dump((4, 6), packed.__eq__, lambda _entry: True)
    finally:
        table.close()
    return len(found)


def answered(sock: socket.socket, wait_s: float = 10) -> str:
    sock.settimeout(wait_s)
    with suppress(OSError):
        sock.send(b"again")
        return sock.recv(100).decode()
    return ""


@pytest.mark.parametrize(("network", "family"), [("warden", 4), ("bridge:past", 4), ("bridge:past", 6)])
def test_nothing_is_left_of_a_container(
    place: World, opened: tuple[PrivateDaemon, Client], network: str, family: int
) -> None:
    client = opened[1]
    with ExitStack() as stack:
        if network != "warden":
            client.create_network("past", ipv6="auto")
        made = client.create(network=network, publish=["9053:9053/udp", "9080:9080"])
        at = inside(made)
        if family == 6:
            words = at.run("ip", "-6", "-o", "address", "show", "scope", "global")
            mine = words.split(" inet6 ")[1].split("/")[0]
            there = at.run("ip", "-6", "route", "show", "default").split(" via ")[1].split()[0]
            sock = stack.enter_context(at.call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)))
            sock.connect((there, 53))
            sock.send(b"\0")
        else:
            mine = at.run("ip", "-4", "-o", "address", "show", "scope", "global").split(" inet ")[1].split("/")[0]
            sock = stack.enter_context(at.socket(socket.SOCK_DGRAM))
            sock.connect((OUTSIDE, 53))
            assert answered(sock) == HOST
            listener = stack.enter_context(at.socket(socket.SOCK_DGRAM))
            listener.bind(("0.0.0.0", 9053))
            asker = stack.enter_context(place.outside.socket(socket.SOCK_DGRAM))
            asker.connect((HOST, 9053))
            asker.send(b"hello")
            assert listener.recv(100) == b"hello"
        assert entries(place.host, mine)
        made.destroy()

        eventually(lambda: entries(place.host, mine) == 0)
    if network != "warden":
        client.remove_network("past")


def test_the_next_one_of_that_address_gets_nothing_of_the_one_before(
    place: World, opened: tuple[PrivateDaemon, Client]
) -> None:
    """A peer goes on to answer, and the connection would lead to whoever has the address."""
    client = opened[1]
    client.create_network("heirs", subnet="10.99.7.0/24")
    with ExitStack() as stack:
        stack.callback(client.remove_network, "heirs")
        heirs = Interface(LinkKind.BRIDGE, "heirs", addresses=("10.99.7.7",))
        first = client.create(network="none", interfaces=[heirs])
        sock = stack.enter_context(inside(first).socket(socket.SOCK_DGRAM))
        sock.bind(("0.0.0.0", 4444))
        peer = stack.enter_context(place.outside.socket(socket.SOCK_DGRAM))
        peer.bind((OUTSIDE, 4455))
        sock.sendto(b"hello", (OUTSIDE, 4455))
        _, whom = peer.recvfrom(100)
        sock.close()
        first.destroy()
        second = stack.enter_context(client.create(network="none", interfaces=[heirs]))
        heir = stack.enter_context(inside(second).socket(socket.SOCK_DGRAM))
        heir.bind(("0.0.0.0", 4444))
        assert icmp(inside(second), HOST) == "answered"  # and so the host knows whose the address is now
        heir.settimeout(0.5)
        peer.sendto(b"a secret", whom)

        with pytest.raises(TimeoutError):
            heir.recv(100)


def test_what_a_killed_daemon_left_is_forgotten_at_the_start(place: World) -> None:
    with daemon_in(place, *OPEN) as (daemon, client), ExitStack() as stack:
        made, other = client.create(), client.create()
        gone, stays = (one.info().container_ip for one in (made, other))
        handle = other.handle
        socks = [stack.enter_context(inside(one).socket(socket.SOCK_DGRAM)) for one in (made, other)]
        for sock in socks:
            sock.connect((OUTSIDE, 53))
            assert answered(sock) == HOST
        pid = made.info().pid
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        assert entries(place.host, gone)
        daemon.start()

        assert entries(place.host, gone) == 0
        assert entries(place.host, stays) == 1
        with Client(daemon.socket) as again:
            again.container(handle).destroy()


def restart(daemon: PrivateDaemon) -> None:
    daemon.kill()
    daemon.start()


def answer(listener: socket.socket, whom: tuple[str, int], caller: socket.socket) -> bytes:
    """What *caller* hears of *listener*, in a flow that it has begun."""
    listener.sendto(b"and back", whom)
    caller.settimeout(10)
    return caller.recv(100)


@pytest.mark.parametrize("network", ["warden", "bridge:kept"])
def test_what_the_host_began_goes_on_over_a_restart(place: World, network: str) -> None:
    """The host's own address lies in a network of containers too, and no container has it."""
    with daemon_in(place, *OPEN) as (daemon, client), ExitStack() as stack:
        made = client.create(network=network)
        handle, words = made.handle, inside(made).run("ip", "-4", "-o", "address", "show", "scope", "global")
        listener = stack.enter_context(inside(made).socket(socket.SOCK_DGRAM))
        listener.bind(("0.0.0.0", 9053))
        caller = stack.enter_context(place.host.socket(socket.SOCK_DGRAM))
        caller.connect((words.split(" inet ")[1].split("/")[0], 9053))
        caller.send(b"hello")
        _, whom = listener.recvfrom(100)
        restart(daemon)

        assert answer(listener, whom, caller) == b"and back"
        with Client(daemon.socket) as again:
            again.container(handle).destroy()


def test_what_began_while_the_tables_were_gone_ends_and_the_rest_goes_on(place: World) -> None:
    """Another program flushes the ruleset: for some milliseconds everything passes."""
    with daemon_in(place, "deny_networks: [198.18.0.3/32]") as (daemon, client), ExitStack() as stack:
        made = stack.enter_context(client.create(publish=["9053:9053/udp"]))
        at = inside(made)
        good = stack.enter_context(at.socket(socket.SOCK_DGRAM))
        good.bind(("0.0.0.0", 4001))
        good.connect((OUTSIDE, 53))
        assert answered(good) == HOST
        listener = stack.enter_context(at.socket(socket.SOCK_DGRAM))
        listener.bind(("0.0.0.0", 9053))
        callers = []
        for where in (place.outside, place.host):
            caller = stack.enter_context(where.socket(socket.SOCK_DGRAM))
            caller.connect((HOST, 9053))
            caller.send(b"hello")
            callers.append((caller, listener.recvfrom(100)[1]))
        place.outside.run("ip", "route", "replace", "10.0.0.0/8", "via", HOST)
        stack.callback(place.outside.run, "ip", "route", "del", "10.0.0.0/8")
        bad = stack.enter_context(at.socket(socket.SOCK_DGRAM))
        bad.connect((OTHER, 53))
        with stopped(daemon):
            place.host.run("nft", "delete", "table", "inet", daemon.nft_table)
            # Without any rule about them, the kernel would follow no connections (nf_ct_netns_get).
            place.host.run("nft", f"table inet others {{ {FOLLOWS} }}")
            stack.callback(place.host.run, "nft", "delete", "table", "inet", "others")
            assert answered(bad) != ""  # nothing forbids it, for the moment
        eventually(lambda: daemon.nft_table in place.host.run("nft", "list", "tables"))
        eventually(lambda: not client.firewall_faults())
        assert answered(bad, 0.5) == ""
        before = entries(place.host, HOST)

        assert answered(good) == HOST
        for caller, whom in callers:
            listener.sendto(b"and back", whom)
            caller.settimeout(10)
            assert caller.recv(100) == b"and back"
        assert entries(place.host, HOST) == before, "they are the same connections as before"


@contextmanager
def stopped(daemon: PrivateDaemon) -> Iterator[None]:
    """It cannot look meanwhile."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def test_what_comes_through_a_port_goes_on_whoever_else_translates_it(place: World) -> None:
    """Another program may give everything the host's address before our chain of the same hook is asked."""
    others = "table ip others { chain first { type nat hook postrouting priority 90; ip daddr 10.0.0.0/8 masquerade; }; }"
    with daemon_in(place, *OPEN) as (daemon, client), ExitStack() as stack:
        place.host.run("nft", others)
        stack.callback(place.host.run, "nft", "delete", "table", "ip", "others")
        made = client.create(publish=["9053:9053/udp"])
        handle = made.handle
        listener = stack.enter_context(inside(made).socket(socket.SOCK_DGRAM))
        listener.bind(("0.0.0.0", 9053))
        caller = stack.enter_context(place.outside.socket(socket.SOCK_DGRAM))
        caller.connect((HOST, 9053))
        caller.send(b"hello")
        _, whom = listener.recvfrom(100)
        assert whom[0] != OUTSIDE
        restart(daemon)

        assert answer(listener, whom, caller) == b"and back"
        with Client(daemon.socket) as again:
            again.container(handle).destroy()


def test_whatever_way_is_let_through_is_labelled(place: World) -> None:
    """Or a restart would cut it: from outside, from the host, from its loopback, by hairpin, between networks."""
    with daemon_in(place, "deny_networks: []", "allow_host_access: true") as (_, client), ExitStack() as stack:
        client.create_network("ways", ipv6="auto")
        stack.callback(client.remove_network, "ways")
        one = stack.enter_context(client.create(publish=["9053:9053/udp"]))
        two = stack.enter_context(client.create(network="bridge:ways", publish=["9054:9053/udp"]))
        three = stack.enter_context(client.create(network="bridge:ways"))
        there = {}
        for made in (one, two):
            listener = stack.enter_context(
                inside(made).call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            )
            listener.bind(("::", 9053))
            listener.settimeout(10)
            there[made] = listener
        own = {made: inside(made).run("ip", "-o", "address", "show", "scope", "global") for made in (one, two, three)}
        first = {made: words.split(" inet ")[1].split("/")[0] for made, words in own.items()}
        second = own[two].split(" inet6 ")[1].split("/")[0]
        ways = [
            (place.outside, HOST, 9053, one), (place.outside, HOST, 9054, two),
            (place.host, HOST, 9053, one), (place.host, "127.0.0.1", 9053, one), (place.host, "127.0.0.1", 9054, two),
            (place.host, first[one], 9053, one), (place.host, second, 9053, two),
            (inside(two), HOST, 9053, one), (inside(one), HOST, 9054, two), (inside(three), HOST, 9054, two),
            (inside(three), first[two], 9053, two), (inside(three), second, 9053, two),
        ]  # fmt: skip
        for where, address, port, made in ways:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            caller = stack.enter_context(where.call(lambda family=family: socket.socket(family, socket.SOCK_DGRAM)))
            caller.connect((address, port))
            caller.send(b"hello")
            assert there[made].recv(100) == b"hello", (where, address)
        for made in (one, three):
            assert icmp(inside(made), OUTSIDE) == "answered"
            assert icmp(inside(made), HOST) == "answered"
        table = place.host.call(Conntrack)
        stack.callback(table.close)
        ours = {ip_address(text).packed for text in (*first.values(), second)}
        found = table._dump((4, 6), ours.__contains__, lambda _entry: True)
        assert len(found) >= len(ways) + 4 - 2, "between neighbours conntrack looks on only with br_netfilter"
        assert [one for one in found if not one.labels or not one.labels[13] & 0x20] == []


def test_zones_are_seen_and_what_lies_there_can_be_named(place: World) -> None:
    """Also one of a single direction, which the kernel tells within the tuple."""
    marks = "udp dport 4567 ct zone set 7; udp dport 4568 ct original zone set 8; udp dport 4569 ct reply zone set 9;"
    with ExitStack() as stack:
        others = f"table inet others {{ chain zones {{ type filter hook output priority -300; {marks} }}; {FOLLOWS} }}"
        place.host.run("nft", others)
        stack.callback(place.host.run, "nft", "delete", "table", "inet", "others")
        for port in (4566, 4567, 4568, 4569):
            with place.host.socket(socket.SOCK_DGRAM) as sock:
                sock.sendto(b"hello", (THIRD, port))
        table = place.host.call(Conntrack)
        stack.callback(table.close)
        third = {ip_address(THIRD)}
        assert table.forget(third, lambda entry: not entry.zoned) == 1
        assert entries(place.host, THIRD) == 3
        assert table.forget(third, lambda entry: entry.zoned) == 3

        assert entries(place.host, THIRD) == 0
