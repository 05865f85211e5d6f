"""`warden net --graph`: the tree, the text for dot, JSON; and that no name reaches a terminal or dot as more than a name."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cli_fakes import FakeClient, World
from hypothesis import given
from hypothesis import strategies as st

from warden.cli import connect
from warden.cli.main import main
from warden.cli.topology import dot, tree
from warden.model.topology import Node, Space, Topology
from warden.protocol.convert_topology import response_to_topology, topology_to_response

HOST = Space(
    1,
    (),
    (
        Node("lo", 1, mtu=65536, up=True, addresses=("127.0.0.1/8",)),
        Node("w-br-web", 5, "bridge", mtu=1500, up=True, addresses=("10.1.0.1/24",), network="web"),
        Node("w-a-0", 6, "veth", mtu=1500, up=True, master=5, other=2, other_space=7, bandwidth_out="1048576 65536"),
        Node("w-b-0", 8, "veth", mtu=1500, up=True, addresses=("10.2.0.1/30",), other=2, other_space=9),
    ),
    ("default via 192.0.2.1 dev eth0",),
    host=True,
)
A = Space(
    7,
    ("web", "helper"),
    (Node("lo", 1, mtu=65536, up=True), Node("eth0", 2, "veth", mtu=1500, up=True, addresses=("10.1.0.2/24",), other=6, other_space=1)),
    ("default via 10.1.0.1 dev eth0",),
    ("tcp 192.0.2.7 80",),
    ("8080 to 80/tcp",),
)
B = Space(9, ("box",), (Node("w-b-1", 2, "veth", mtu=1500, up=False, other=8, other_space=1),))
M = Space(11, ("mac",), (Node("eth0", 4, "macvlan", mtu=1500, up=True, other=1, other_space=1),))
N = Space(12, ("alone",), (Node("lo", 1, mtu=65536, up=True),))
TOPOLOGY = Topology((HOST, A, B, M, N), ("lost",))

EXPECTED = """\
host net:[1]
├─ lo 127.0.0.1/8 mtu 65536 up
│  └─ mac net:[11]
│     └─ eth0 (macvlan) mtu 1500 up
├─ w-br-web (bridge) network web 10.1.0.1/24 mtu 1500 up
│  └─ w-a-0 (veth) mtu 1500 up out 1.0 MiB/s, burst 64.0 KiB
│     └─ web, helper net:[7]
│        ├─ lo mtu 65536 up
│        ├─ eth0 (veth) 10.1.0.2/24 mtu 1500 up
│        ├─ route default via 10.1.0.1 dev eth0
│        ├─ rule tcp 192.0.2.7 80
│        └─ port 8080 to 80/tcp
├─ w-b-0 (veth) 10.2.0.1/30 mtu 1500 up
│  └─ box net:[9]
│     └─ w-b-1 (veth) mtu 1500 down
└─ route default via 192.0.2.1 dev eth0
alone net:[12]
└─ lo mtu 65536 up
lost: could not be looked into
"""


def test_the_tree() -> None:
    assert tree(TOPOLOGY) == EXPECTED


def test_for_dot() -> None:
    text = dot(TOPOLOGY)
    assert text.startswith("graph warden {\n") and text.endswith("}\n")
    assert '    label="web, helper net:[7]";' in text
    assert '    n1_6 [label="w-a-0 (veth)\\nout 1.0 MiB/s"];' in text
    edges = [line.strip() for line in text.splitlines() if " -- " in line]
    assert edges == ["n1_1 -- n11_4;", "n1_5 -- n1_6;", "n1_6 -- n7_2;", "n1_8 -- n9_2;"]


@given(st.text(min_size=1, max_size=20))
def test_a_name_stays_a_name(name: str) -> None:
    strange = Space(3, (name,), (Node(name, 2, mtu=1, up=True),))
    shown = tree(Topology((HOST, strange)))
    assert shown.replace("\n", "").isprintable()
    assert len(shown.splitlines()) == len(tree(Topology((HOST, N))).splitlines())
    for line in dot(Topology((HOST, strange))).splitlines():
        text = line.replace("\\\\", "").replace('\\"', "")
        assert text.count('"') in (0, 2)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(topology=TOPOLOGY)
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


def test_the_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "--graph"]) == 0
    assert capsys.readouterr().out == EXPECTED
    assert main(["net"]) == 0
    assert capsys.readouterr().out == EXPECTED
    assert main(["net", "--dot"]) == 0
    assert capsys.readouterr().out == dot(TOPOLOGY)
    assert main(["net", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["spaces"][1]["links"][1]["addresses"] == ["10.1.0.2/24"]
    assert main(["net", "--json", "--dot"]) != 0
    assert main(["net", "--graph", "box"]) != 0


def test_over_the_wire() -> None:
    assert response_to_topology(topology_to_response(TOPOLOGY)) == TOPOLOGY
