"""How host and containers are connected, told from what the kernel has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from firewall_scene import daemon_in, inside
from netns import World, world

from warden.client.blocking import Client
from warden.model.topology import Node, Space, Topology
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world(local_udp=()) as made:
        yield made


@pytest.fixture(scope="module")
def pair(place: World) -> Iterator[tuple[PrivateDaemon, Client]]:
    with daemon_in(place) as made:
        yield made


def inode(path: str) -> int:
    return os.stat(path).st_ino


def space(topology: Topology, handle: str) -> Space:
    [found] = [one for one in topology.spaces if handle in one.handles]
    return found


def link(one: Space, name: str) -> Node:
    [found] = [node for node in one.links if node.name == name]
    return found


def test_what_there_is(place: World, pair: tuple[PrivateDaemon, Client]) -> None:
    client = pair[1]
    with (
        client.create("box", bandwidth_in="1M 64K") as box,
        client.create("port", network="bridge:topo", interfaces=["bridge:topo2"]) as port,
        client.create("guest", network="container:port"),
        client.create("alone", network="none"),
    ):
        box.net_out("198.18.0.2", port=80)
        host_port, _ = box.net_in(None, 80)
        found = client.topology()
        host = found.spaces[0]
        assert (host.host, host.inode, found.gone) == (True, inode(place.host.path), ())
        assert link(host, "outer").addresses[0] == "198.18.0.1/24"
        info = box.info()
        own = space(found, "box")
        assert own.inode == inode(inside(box).path)
        assert own.rules == ("tcp 198.18.0.2 80",) and own.ports == (f"80/tcp -> 0.0.0.0:{host_port}",)
        assert f"default via {info.host_ip} dev w-{info.id}-1" in own.routes
        outer, inner = link(host, f"w-{info.id}-0"), link(own, f"w-{info.id}-1")
        assert (outer.other, outer.other_space) == (inner.index, own.inode)
        assert (inner.other, inner.other_space) == (outer.index, host.inode)
        assert (outer.bandwidth_in, outer.bandwidth_out) == ("1048576 65536", "")
        assert inner.addresses[0] == f"{info.container_ip}/30"
        bridge, both = link(host, "w-br-topo"), space(found, "port")
        assert (bridge.kind, bridge.network, both.handles) == ("bridge", "topo", ("port", "guest"))
        first, second = port.info().links
        assert link(host, first.host_name).master == bridge.index
        assert link(host, second.host_name).master == link(host, "w-br-topo2").index
        assert link(both, "eth1").other == second.host_index
        assert [node.name for node in space(found, "alone").links] == ["lo"]


def test_a_container_cannot_pretend_to_be_connected_to_another(pair: tuple[PrivateDaemon, Client]) -> None:
    """Root inside makes links whose numbers are those of another container's pair."""
    client = pair[1]
    with client.create("victim") as victim, client.create("liar") as liar:
        theirs = space(client.topology(), "victim")
        end = link(theirs, f"w-{victim.info().id}-1")
        at = inside(liar)
        name = f"w-{liar.info().id}-1"
        at.run("ip", "link", "set", name, "down")
        at.run("ip", "link", "add", "fake", "index", str(end.other), "type", "veth", "peer", "name", "fake2")
        at.run("ip", "link", "add", 'x"];\\n', "type", "bridge")
        found = client.topology()
        assert {node.other for node in space(found, "liar").links} <= {0, link(space(found, "liar"), name).other}
        assert link(found.spaces[0], f"w-{victim.info().id}-0").other_space == theirs.inode


def test_a_container_cannot_make_it_long(pair: tuple[PrivateDaemon, Client], tmp_path: Path) -> None:
    """Root inside may have any number of addresses and routes."""
    commands = tmp_path / "commands"
    lines = [f"route add 10.9.{n >> 8}.{n & 255}/32 dev lo\n" for n in range(3000)]
    lines += [f"address add 11.9.{n >> 8}.{n & 255}/32 dev lo\n" for n in range(3000)]
    commands.write_text("".join(lines))
    with pair[1].create("boaster") as box, pair[1].create("modest"):
        inside(box).run("ip", "-batch", str(commands))
        found = pair[1].topology()
        theirs = space(found, "boaster")
        assert 900 < len(theirs.routes) <= 1000
        assert sum(len(node.addresses) for node in theirs.links) <= 1000
        assert space(found, "modest").routes


def test_the_command_and_dot(pair: tuple[PrivateDaemon, Client]) -> None:
    daemon, client = pair
    with client.create("strange \x1b[31m\n name"), client.create("box", network="bridge:topo"):
        command = [sys.executable, "-m", "warden.cli.main", "net", "--socket", daemon.socket]
        shown = subprocess.run([*command, "--graph"], capture_output=True, text=True, timeout=60, check=True).stdout
        assert "strange \\x1b[31m\\n name net:[" in shown
        assert "\x1b" not in shown
        assert re.search(r"├─ w-br-topo \(bridge\) network topo .*\n│  └─ w-\w+-0 \(veth\).*\n│     └─ box net:\[", shown)
        drawn = subprocess.run([*command, "--dot"], capture_output=True, timeout=60, check=True).stdout
        if shutil.which("dot"):
            subprocess.run(["dot", "-Tsvg"], input=drawn, capture_output=True, timeout=60, check=True)
        assert subprocess.run([*command, "--json"], capture_output=True, timeout=60, check=True).stdout.startswith(b"{")
