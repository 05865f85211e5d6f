"""Rules, ports and refusals over the wire: both clients against a real server with the fake engine, and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from warden import errors
from warden.cli import connect
from warden.cli.main import main
from warden.client.aio import AsyncClient
from warden.client.blocking import Client, Container
from warden.depot.snapshot import Snapshot
from warden.model.info import State
from warden.model.net import NetPolicy, NetRule, NetState, PortMap, Protocol, Refusals, Refused
from warden.model.spec import ContainerSpec
from warden.protocol import warden_pb2 as pb
from warden.testing.fake_engine import FakeEngine
from warden.testing.serving import serving, serving_in_thread

REFUSED = Refusals((Refused("192.0.2.1", "tcp", 443, 7), Refused("192.0.2.2", "icmp", None, 1)), 3)


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "w.sock")


@pytest.fixture
def engine(socket: str) -> Iterator[FakeEngine]:
    with serving_in_thread(socket) as engine:
        yield engine


@pytest.fixture
def client(socket: str, engine: FakeEngine) -> Iterator[Client]:
    with Client(socket, timeout=60) as client:
        yield client


@pytest.fixture
def container(client: Client) -> Iterator[Container]:
    with client.create("c") as container:
        yield container


def test_ports_and_a_policy_at_creation(client: Client, engine: FakeEngine) -> None:
    with client.create("p", publish=["8080:80/udp", 81, PortMap("::1", 1, 2)], net_allow=["1.1.1.1"], net_deny=[]):
        spec = engine.containers["p"].spec
    assert spec.publish == (PortMap(None, 8080, 80, "udp"), PortMap(None, 0, 81), PortMap("::1", 1, 2))
    assert spec.net_policy == NetPolicy(("1.1.1.1",), ())
    with client.create("q", publish="80"):
        assert engine.containers["q"].spec.net_policy is None
    with pytest.raises(errors.BadInput, match="publish: 'x' is not a port"):
        client.create(publish="x")


def test_ports(container: Container, engine: FakeEngine) -> None:
    assert container.net_in(8080, 80, protocol="udp") == (8080, 80)
    chosen, inside = container.net_in(container_port=81, host_ip="127.0.0.1")
    assert inside == 81
    fake = engine.containers["c"]
    assert fake.published == [PortMap(None, 8080, 80, "udp"), PortMap("127.0.0.1", chosen, 81)]
    assert container.net_in(6001) == (6001, 6001)
    assert container.net_state().ports == (PortMap(None, 6001, 6001), *fake.published)
    container.remove_port(8080, "udp")
    container.remove_port(chosen, host_ip="127.0.0.1")
    assert fake.published == []
    for act in (
        lambda: container.remove_port(0),
        lambda: container.remove_port(9),
        lambda: container.net_in(1, 1, protocol="sctp"),
        lambda: container.net_in(1, 1, host_ip="everywhere"),
    ):
        with pytest.raises(errors.BadInput):
            act()


def test_rules(container: Container, engine: FakeEngine) -> None:
    fake = engine.containers["c"]
    rules = [
        NetRule("10.0.0.0/8", "1:9", Protocol.UDP, log=True),
        NetRule("1.1.1.1", None, Protocol.ICMP, 8, -1),
        NetRule(None, "80"),
    ]
    container.net_replace(rules)
    assert container.net_state() == NetState(tuple(rules))
    container.net_replace(deny=["10.0.0.0/8"])
    assert (fake.net_out_rules, fake.net_policy) == (rules, NetPolicy((), ("10.0.0.0/8",)))
    assert container.net_state().policy == fake.net_policy
    container.net_replace(["tcp any 81"])
    assert (fake.net_out_rules, fake.net_policy) == ([NetRule(None, "81")], NetPolicy((), ("10.0.0.0/8",)))
    container.net_replace(rules, usual=True)
    assert (fake.net_out_rules, fake.net_policy) == (rules, None)
    container.net_remove(2)
    container.net_remove("tcp any 80")
    assert fake.net_out_rules == rules[:1]
    for which in (0, 2, 2**32, "tcp"):
        with pytest.raises(errors.BadInput):
            container.net_remove(which)


def test_requests_that_say_too_much_or_too_little(client: Client, container: Container) -> None:
    for request in (
        pb.NetRemoveRequest(handle=b"c"),
        pb.NetRemoveRequest(handle=b"c", index=1, rule=pb.NetRule(ports=b"1")),
        pb.NetReplaceRequest(handle=b"c", policy=pb.NetPolicy(), usual_policy=True),
        pb.NetReplaceRequest(handle=b"c", rules=[pb.NetRule()]),
        pb.NetReplaceRequest(handle=b"c", policy=pb.NetPolicy(deny=[b"\xff"])),
        pb.PortRemoveRequest(handle=b"c", host_port=99),
        pb.CreateRequest(publish=[pb.PortMap(host_port=70000)]),
        pb.CreateRequest(publish=[pb.PortMap(container_port=1, protocol=b"x; drop")]),
        pb.CreateRequest(publish=[pb.PortMap(container_port=1, host_ip=b"x")]),
        pb.NetInRequest(handle=b"c", host_ip=b"1.1.1.1 }"),
    ):
        with pytest.raises(errors.BadInput):
            client.call(request)


def test_refusals_and_faults(client: Client, container: Container, engine: FakeEngine) -> None:
    assert container.refusals() == Refusals()
    engine.containers["c"].refused = REFUSED
    assert container.refusals() == REFUSED
    assert client.firewall_faults() == []
    engine.faults = ["table inet warden: it is missing"]
    assert client.firewall_faults() == client.firewall_faults(repair=True) == ["table inet warden: it is missing"]
    assert client.firewall_faults() == []


async def test_the_same_with_asyncio(tmp_path: Path) -> None:
    socket = str(tmp_path / "a.sock")
    async with serving(socket) as engine, AsyncClient(socket, timeout=60) as client:
        async with await client.create("c", publish="80") as container:
            fake = engine.containers["c"]
            fake.refused = REFUSED
            assert await container.net_in(8080, 80, protocol="udp") == (8080, 80)
            await container.remove_port(8080, "udp")
            await container.net_replace(["tcp any 80", "udp any 53"], allow=["1.1.1.1"])
            await container.net_remove(1)
            state = await container.net_state()
            assert state == NetState(
                (NetRule(None, "53", Protocol.UDP),), NetPolicy(("1.1.1.1",)), fake.net_state().ports
            )
            assert await container.refusals() == REFUSED
        engine.faults = ["x"]
        assert await client.firewall_faults(repair=True) == ["x"]


def test_a_snapshot_keeps_ports_and_policy() -> None:
    publish = (PortMap("::1", 0, 80, "udp"),)
    spec = ContainerSpec(publish=publish, net_policy=NetPolicy(("1.1.1.1",), ("::/0",)))
    snapshot = Snapshot(
        "aaaaaaaaaaa", "h", State.ACTIVE, spec, 1.0, 1, None, "h", "/bin/sh", "10.254.0.0",
        published=(PortMap("::1", 8080, 80, "udp"),), net_policy=NetPolicy(),
    )  # fmt: skip
    data = json.loads(snapshot.to_json())
    assert Snapshot.from_json(json.dumps(data)) == snapshot
    for name in ("published", "net_policy"):
        del data["warden"][name]
    for name in ("publish", "net_policy"):
        del data["warden"]["spec"][name]
    older = Snapshot.from_json(json.dumps(data))
    assert (older.published, older.net_policy, older.spec) == ((), None, ContainerSpec())


@pytest.fixture
def command(socket: str, container: Container, monkeypatch: pytest.MonkeyPatch) -> str:
    """The handle of a container that the command reaches."""
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: Client(socket, timeout=60))
    return container.handle


def test_net_shows_and_changes(command: str, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    fake = engine.containers[command]
    assert main(["net", command]) == 0
    assert capsys.readouterr().out == "RULE  PROTOCOL  NETWORK  PORTS\n"
    for words in (
        ["allow", "10.0.0.0/8", "80"],
        ["allow", "icmp any 8"],
        ["policy", "--deny", "10.0.0.0/8", "--deny", "1.1.1.1"],
    ):
        if words[1] == "icmp any 8":
            assert main(["net", command, *words]) == 2  # the protocol needs a network or ports
        else:
            assert main(["net", command, *words]) == 0
    fake.refused = REFUSED
    fake.published.append(PortMap(None, 8080, 80))
    capsys.readouterr()
    main(["net", command])
    assert capsys.readouterr().out == (
        "RULE  PROTOCOL  NETWORK     PORTS\n"
        "1     tcp       10.0.0.0/8  80\n"
        "allowed: -\n"
        "denied: 10.0.0.0/8, 1.1.1.1\n"
        "port 80/tcp -> 0.0.0.0:8080\n"
        "REFUSED    PROTOCOL  PORT  PACKETS\n"
        "192.0.2.1  tcp       443   7\n"
        "192.0.2.2  icmp      -     1\n"
        "and 3 packets to further destinations\n"
    )
    main(["net", command, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["rules"] == ["tcp 10.0.0.0/8 80"]
    assert (found["refused_further"], found["refused"][1]["port"]) == (3, None)
    main(["net", command, "replace", "udp any 53", "all 1.1.1.1"])
    main(["net", command, "remove", "1"])
    main(["net", command, "policy", "--usual"])
    assert (fake.net_out_rules, fake.net_policy) == ([NetRule("1.1.1.1", None, Protocol.ALL)], None)


@pytest.mark.parametrize(
    "words",
    [
        ["forbid", "1.1.1.1"],
        ["allow"],
        ["remove", "7"],
        ["policy"],
        ["policy", "--usual", "--deny", "::/0"],
        ["show", "--deny", "::/0"],
    ],
)
def test_net_refuses(command: str, words: list[str]) -> None:
    assert main(["net", command, *words]) == 2


def test_port_shows_and_changes(command: str, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    fake = engine.containers[command]
    assert main(["port", "--add", "8080:80", "--add", "81/udp", command]) == 0
    chosen = int(capsys.readouterr().out)
    assert fake.published == [PortMap(None, 8080, 80), PortMap(None, chosen, 81, "udp")]
    assert main(["port", "--add", "9:9", "--remove", "99", command]) == 3 - 1
    assert main(["port", "--remove", "9", "--remove", f"{chosen}/udp", command]) == 0
    assert main(["port", command]) == 0
    assert capsys.readouterr().out == "80/tcp -> 0.0.0.0:8080\n"
    main(["port", "--json", command])
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown == {"host_ip": None, "host_port": 8080, "container_port": 80, "protocol": "tcp"}
    assert main(["port", "--remove", "x", command]) == 2


def test_doctor_asks_the_daemon(
    socket: str, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WARDEN_SOCKET", socket)
    monkeypatch.setattr("warden.kernel.features.probe", lambda _depot: [])
    assert main(["doctor"]) == 0
    engine.faults = ["table inet warden: it is missing"]
    assert main(["doctor"]) == 1
    assert "→ warden doctor --repair" in capsys.readouterr().out
    assert main(["doctor", "--repair"]) == 0
    assert "repaired: table inet warden: it is missing" in capsys.readouterr().out
    assert engine.faults == []
    with closing(Client(socket)) as client:
        client.ping()
    monkeypatch.setenv("WARDEN_SOCKET", socket + ".none")
    assert main(["doctor"]) == 0
    assert main(["doctor", "--repair"]) != 0
