"""How many connections one container may have begun at once: real ones."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
from firewall_scene import daemon_in, inside
from netns import HOST, OUTSIDE, Namespace, World, tcp, udp

from warden import errors
from warden.client.blocking import Client
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


def begin(at: Namespace, stack: ExitStack, count: int) -> int:
    """How many of so many exchanges of datagrams, each of a port of its own, were answered."""
    answered = 0
    for _ in range(count):
        sock = stack.enter_context(at.socket(socket.SOCK_DGRAM))
        sock.settimeout(10)
        sock.connect((OUTSIDE, 53))
        sock.send(b"hello")
        try:
            answered += sock.recv(100).decode() == HOST
        except ConnectionRefusedError:
            continue
    return answered


def test_connections_are_followed_however_many_containers_there_were(place: World) -> None:
    """The kernel takes one who needs conntrack off its list for each element that has its bound from its set, and follows
    nothing any more when nobody is left: no answer is let in then."""
    with daemon_in(place, "deny_networks: []", "max_connections: 100") as (_, client), ExitStack() as stack:
        for _ in range(120):
            client.create().destroy()
        box = stack.enter_context(client.create())
        assert [tcp(inside(box), OUTSIDE, 80, wait_s=10) for _ in range(3)] == [HOST] * 3


@pytest.mark.parametrize("usual", [0, 5])
@pytest.mark.parametrize("network", ["warden", "bridge"])
def test_a_bound_of_its_own_changed_while_it_runs(place: World, usual: int, network: str) -> None:
    with daemon_in(place, "deny_networks: []", f"max_connections: {usual}") as (daemon, client), ExitStack() as stack:
        box, beside = (stack.enter_context(client.create(network=network, net_connections=n)) for n in (3, None))
        assert begin(inside(box), stack, 8) == 3
        assert begin(inside(beside), stack, 8) == (usual or 8)
        assert box.net_state().connections == 3
        assert box.refusals().over == 5

        box.net_replace(connections=6)
        assert begin(inside(box), stack, 8) == 6
        box.net_replace(connections=0)
        assert begin(inside(box), stack, 9) == 9
        box.net_replace(connections=2)
        daemon.kill()
        daemon.start()
        with Client(daemon.socket) as again:
            assert again.container(box.handle).net_state().connections == 2
            assert begin(inside(again.container(box.handle)), stack, 8) == 2
            assert again.firewall_faults() == []
            place.host.run("nft", "delete", "table", "inet", daemon.nft_table)
            again.firewall_faults(repair=True)
            assert begin(inside(again.container(box.handle)), stack, 8) == 2
            again.container(box.handle).net_replace(usual=True)
            assert again.container(box.handle).net_state().connections is None
        assert begin(inside(box), stack, 8) == (usual or 8)


def test_a_bound_that_cannot_be_is_refused_by_name(closed: tuple[PrivateDaemon, Client]) -> None:
    client = closed[1]
    for wrong in (-1, 2**31 + 1):
        with pytest.raises(errors.BadInput, match="net_connections"):
            client.create(net_connections=wrong)
    with pytest.raises(errors.BadInput, match="net_connections: a container with network none"):
        client.create(network="none", net_connections=5)
    with client.create() as box:
        for wrong in (-1, 2**31 + 1):
            with pytest.raises(errors.BadInput, match="connections"):
                box.net_replace(connections=wrong)
        assert box.net_state().connections is None
        assert udp(inside(box), OUTSIDE, 53) == "refused"
