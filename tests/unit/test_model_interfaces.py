"""Interfaces as people write them, and what is refused by name before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from warden.errors import BadInput
from warden.model.interfaces import Bridge, Interface, LinkKind, bridge_device, parse_interface
from warden.model.spec import ContainerSpec, NetworkMode, network_fields


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bridge", Interface(LinkKind.BRIDGE, "default")),
        ("bridge:web,alias=db,alias=sql", Interface(LinkKind.BRIDGE, "web", aliases=("db", "sql"))),
        ("macvlan:eth0", Interface(LinkKind.MACVLAN, "eth0")),
        ("macvlan:eth0:vepa,mac=02:00:00:00:00:0A", Interface(LinkKind.MACVLAN, "eth0", mode="vepa", mac="02:00:00:00:00:0a")),
        ("ipvlan:eth0:l3s,ip=10.1.2.3/24", Interface(LinkKind.IPVLAN, "eth0", mode="l3s", addresses=("10.1.2.3/24",))),
        ("vlan:eth0:7,name=lan,mtu=1400", Interface(LinkKind.VLAN, "eth0", name="lan", vlan_id=7, mtu=1400)),
        (
            "phys:eth1,ip=10.1.2.3/24,ip=fd00::3/64,gateway=10.1.2.1,gateway=fd00::1",
            Interface(
                LinkKind.PHYSICAL, "eth1", addresses=("10.1.2.3/24", "fd00::3/64"), gateways=("10.1.2.1", "fd00::1")
            ),
        ),
    ],
)  # fmt: skip
def test_one_word_says_one_interface(text: str, expected: Interface) -> None:
    assert parse_interface(text) == expected


def test_a_word_of_another_kind_is_none() -> None:
    assert parse_interface("warden") is parse_interface("token-ring") is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("macvlan", "macvlan:PARENT"),
        ("vlan:eth0", "vlan:PARENT:ID"),
        ("vlan:eth0:4095", "vlan_id: 4095"),
        ("vlan:eth0:x", "vlan_id: 'x'"),
        ("macvlan:eth0:token", "mode: 'token'"),
        ("macvlan:a/b", "parent: 'a/b'"),
        ("phys:averyveryverylongname", "parent"),
        ("bridge:we b", "parent: 'we b'"),
        ("bridge,name=lo", "'lo' is taken"),
        ("bridge,ip=10.0.0.300", "address: '10.0.0.300'"),
        ("bridge,ip=224.0.0.1", "address: '224.0.0.1'"),
        ("bridge,ip=10.0.0.1/24,ip=10.0.0.1/16", "10.0.0.1 is given twice"),
        ("bridge,gateway=10.0.0.0/8", "gateway: '10.0.0.0/8'"),
        ("bridge,gateway=10.0.0.1,gateway=10.0.0.2", "one of IPv4"),
        ("bridge,mac=01:00:00:00:00:00", "mac: '01:00:00:00:00:00'"),
        ("bridge,mac=x", "mac: 'x'"),
        ("ipvlan:eth0,mac=02:00:00:00:00:01", "mac: an ipvlan"),
        ("bridge,mtu=67", "mtu: 67"),
        ("bridge,mtu=1000,ip=fd00::2/64", "1280 to 65535 for IPv6"),
        ("bridge,mtu=1500,mtu=1500", "mtu is given twice"),
        ("macvlan:eth0,alias=db", "alias: macvlan"),
        ("bridge,alias=a b", "alias: 'a b'"),
        ("bridge,speed=9", "'speed=9' is not an option"),
        ("bridge,name", "'name' is not an option"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_interface(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("network", "more", "expected"),
    [
        ("warden", (), {"network": NetworkMode.WARDEN, "interfaces": ()}),
        ("bridge:web", (), {"network": NetworkMode.NONE, "interfaces": (Interface(LinkKind.BRIDGE, "web"),)}),
        ("container:a:b", (), {"network": NetworkMode.CONTAINER, "network_of": "a:b", "interfaces": ()}),
        ("warden", ("bridge",), {"network": NetworkMode.WARDEN, "interfaces": (Interface(LinkKind.BRIDGE, "default"),)}),
    ],
)
def test_a_network_is_a_mode_and_interfaces(network: str, more: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert network_fields(network, more) == expected


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"network": NetworkMode.CONTAINER}, "network_of"),
        ({"network_of": "box"}, "network_of"),
        ({"network": NetworkMode.HOST, "interfaces": (Interface(LinkKind.BRIDGE, "web"),)}, "host has none"),
        ({"interfaces": (Interface(LinkKind.PHYSICAL, "eth1"), Interface(LinkKind.PHYSICAL, "eth1"))}, "parent: eth1"),
        (
            {"interfaces": (Interface(LinkKind.BRIDGE, "a"), Interface(LinkKind.BRIDGE, "b", name="eth0"))},
            "name: eth0 is given twice",
        ),
        ({"interfaces": (Interface(LinkKind.BRIDGE, "a"),) * 17}, "17 are too many"),
    ],
)
def test_what_does_not_go_together_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        ContainerSpec(**fields)
    assert named in str(caught.value)


def test_a_bridge_has_a_device_that_fits() -> None:
    assert bridge_device("web") == "w-br-web"
    assert len(bridge_device("x" * 63)) == 15
    assert bridge_device("x" * 62) != bridge_device("x" * 63)


@pytest.mark.parametrize("name", ["eth%d", "a%", "all", "default", "é" * 8, "\udcff" * 16, ".", "..", "a b", ""])
def test_what_no_link_can_be_called_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=r"interface name: .* is no name of a link"):
        Interface(LinkKind.BRIDGE, "web", name=name)
    with pytest.raises(BadInput, match=r"interface parent: .* is no name of a link"):
        Interface(LinkKind.MACVLAN, name)


@pytest.mark.parametrize("name", ["é" * 7, "all0", "defaults", "-x", "..."])
def test_what_a_link_can_be_called(name: str) -> None:
    assert Interface(LinkKind.BRIDGE, "web", name=name).name == name


NOT_OF_IPV4 = ("10.0.0.0/33", "10.0.0.0/31", "0.0.0.0/0", "0.0.0.0/8", "224.0.0.0/8", "224.0.0.0/3", "240.0.0.0/8")


@pytest.mark.parametrize("subnet", [*NOT_OF_IPV4, "126.0.0.0/7", "169.254.7.0/24", "fd00::/64", "x"])
def test_a_subnet_that_is_none_is_named(subnet: str) -> None:
    with pytest.raises(BadInput, match="network subnet: "):
        Bridge("web", subnet4=subnet)


@pytest.mark.parametrize("subnet", ["::/1", "fe80::/64", "ff00::/7", "fd00::/127", "10.0.0.0/24"])
def test_a_subnet_that_is_none_of_ipv6_is_named(subnet: str) -> None:
    with pytest.raises(BadInput, match="network subnet: "):
        Bridge("web", subnet6=subnet)


def test_a_bridges_own_address_is_the_first() -> None:
    bridge = Bridge("web", subnet4="10.1.2.7/24", subnet6="fd00::/64")
    assert (bridge.subnet4, bridge.gateway4, bridge.gateway6) == ("10.1.2.0/24", "10.1.2.1/24", "fd00::1/64")
