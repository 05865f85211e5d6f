"""`warden network`, and how --network, --ip and --mac-address become what the client is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cli_fakes import FakeClient, World

from warden.cli import connect
from warden.cli.main import main


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(connect, "open_client", lambda *_, **__: FakeClient(made))
    yield made
    assert made.open_clients == 0, "every client is closed"


def test_a_network_is_created_listed_inspected_and_removed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "create", "web", "--subnet", "10.252.0.0/24", "--ipv6", "auto", "--internal"]) == 0
    given = {"subnet": "10.252.0.0/24", "ipv6": "auto", "internal": True, "mtu": None}
    assert world.calls == [("create_network", "web", given)]
    assert capsys.readouterr().out == "web\n"
    assert main(["network", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["web", "10.252.0.0/24", "fd00::/64", "w-br-web", "1"]
    assert main(["network", "inspect", "web"]) == 0
    out = capsys.readouterr().out
    assert "10.252.0.0/24, the host is 10.252.0.1" in out and "10.252.0.2/24, fd00::2/64" in out
    assert main(["network", "list", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["containers"][0] == {
        "handle": "box", "interface": "eth0", "addresses": ["10.252.0.2/24", "fd00::2/64"], "mac": "02:00:00:00:00:01",
        "aliases": ["db"],
    }  # fmt: skip
    assert main(["network", "remove", "web"]) == 0
    assert world.networks == {}


def test_every_network_is_tried(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    main(["network", "create", "web"])
    assert main(["network", "remove", "none", "web"]) == 14
    assert world.networks == {}
    assert "network none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["network", "list", "web"], "takes no names"),
        (["network", "inspect"], "which one"),
        (["network", "create", "a", "b"], "one at a time"),
        (["network", "list", "--internal"], "takes no options"),
        (["create", "--network", "warden", "--network", "host"], "warden and host exclude each other"),
        (["create", "--ip", "10.0.0.2"], "go with one interface"),
        (["create", "--network", "bridge:a", "--network", "bridge:b", "--ip", "10.0.0.2"], "go with one interface"),
        (["create", "--network", "host", "--network", "bridge:a", "--ip", "10.0.0.x"], "address: '10.0.0.x'"),
        (["create", "--network", "vlan:eth0"], "vlan:PARENT:ID"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
    assert not world.created


@pytest.mark.parametrize(
    ("words", "network", "interfaces"),
    [
        ([], "warden", []),
        (["--network", "container:a:b"], "container:a:b", []),
        (["--network", "bridge"], "bridge", []),
        (["--network", "bridge:web", "--network", "macvlan:eth0"], "bridge:web", ["macvlan:eth0"]),
        (["--network", "bridge:web", "--network", "warden"], "warden", ["bridge:web"]),
        (
            ["--network", "bridge:web", "--ip", "10.0.0.2", "--ip6", "fd00::2", "--mac-address", "02:00:00:00:00:01"],
            "bridge:web,ip=10.0.0.2,ip=fd00::2,mac=02:00:00:00:00:01",
            [],
        ),
    ],
)
def test_a_new_container_is_asked_for_with(world: World, words: list[str], network: str, interfaces: list[str]) -> None:
    assert main(["create", *words]) == 0
    wanted: dict[str, Any] = world.created[0][1]
    assert (wanted["network"], wanted["interfaces"]) == (network, interfaces)
