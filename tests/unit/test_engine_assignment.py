"""What interfaces become: names, indices, addresses, gateways; and what cannot be beside what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.engine import assignment
from warden.errors import BadInput, PoolExhausted, WardenError, WrongState
from warden.model.interfaces import Bridge, Interface, Link, LinkKind
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network.addresses import AddressPool, next_subnet, overlapping
from warden.network.hostlink import HostLink

ID = "18jn0aqmdbo"
WEB = Bridge("web", "10.0.0.0/24", "fd00::/64")
PORT, PHYS = Interface(LinkKind.BRIDGE, "web"), Interface(LinkKind.PHYSICAL, "eth1")
MACVLAN = Interface(LinkKind.MACVLAN, "eth0")


def links(network: NetworkMode, *pairs: tuple[Interface, Bridge | HostLink]) -> Sequence[Link]:
    spec = ContainerSpec(network=network, interfaces=tuple(item for item, _ in pairs))
    return assignment.links_of(ID, spec, [parent for _, parent in pairs], 1500)


def test_the_first_port_has_the_first_names_unless_mode_warden_s_link_has() -> None:
    (first, second) = links(NetworkMode.NONE, (PORT, WEB), (PORT, WEB))
    assert (first.host_name, second.host_name) == (f"w-{ID}-0", f"w-{ID}-4")
    assert (first.name, second.name, first.index, second.index) == ("eth0", "eth1", 2, 3)
    (beside,) = links(NetworkMode.WARDEN, (PORT, WEB))
    assert (beside.host_name, beside.index) == (f"w-{ID}-3", 3)


def test_a_lent_link_keeps_its_number_where_it_is_free() -> None:
    one, two, three = links(NetworkMode.NONE, (PORT, WEB), (PHYS, HostLink("eth1", 2)), (MACVLAN, HostLink("eth0", 7)))
    assert (one.index, two.index) == (3, 2)
    assert three.index > 0x4000_0000, "the host has no link of that number"
    (moved,) = links(NetworkMode.WARDEN, (PHYS, HostLink("eth1", 2, mac="02:00:00:00:00:09")))
    assert (moved.index, moved.host_index, moved.host_name, moved.mac) == (3, 2, "eth1", "02:00:00:00:00:09")


def test_links_have_macs_of_their_own_where_they_can() -> None:
    port, macvlan, passthru = links(
        NetworkMode.NONE,
        (PORT, WEB),
        (MACVLAN, HostLink("eth0", 7)),
        (replace(MACVLAN, mode="passthru"), HostLink("eth0", 7)),
    )
    assert port.mac != macvlan.mac and passthru.mac is None
    assert port.mac is not None and port.mac.startswith("02:")
    assert (macvlan.mode, macvlan.mtu, port.mtu) == ("bridge", None, 1500)


@pytest.mark.parametrize(
    ("network", "gateways", "offered", "expected"),
    [
        (NetworkMode.NONE, (), ("10.0.0.1", "fd00::1"), ("10.0.0.1", "fd00::1")),
        (NetworkMode.NONE, ("10.0.0.9",), ("10.0.0.1", "fd00::1"), ("10.0.0.9", "fd00::1")),
        (NetworkMode.WARDEN, (), ("10.0.0.1", "fd00::1"), ("fd00::1",)),
    ],
)
def test_each_family_has_one_way_out(
    network: NetworkMode, gateways: tuple[str, ...], offered: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    spec = ContainerSpec(network=network, interfaces=(replace(PORT, gateways=gateways),))
    link = Link(LinkKind.BRIDGE, "web", "eth0", 2, addresses=("10.0.0.2/24", "fd00::2/64"))
    assert assignment.with_gateways([link], spec, [offered])[0].gateways == expected


@pytest.mark.parametrize(
    ("network", "gateways", "named"),
    [
        (NetworkMode.WARDEN, ("10.0.0.1",), "another default route of IPv4"),
        (NetworkMode.NONE, ("10.0.1.1",), "in no network of eth0"),
        (NetworkMode.NONE, ("fd01::1",), "in no network of eth0"),
    ],
)
def test_a_gateway_that_cannot_be_is_named(network: NetworkMode, gateways: tuple[str, ...], named: str) -> None:
    spec = ContainerSpec(network=network, interfaces=(replace(PORT, gateways=gateways),))
    link = Link(LinkKind.BRIDGE, "web", "eth0", 2, addresses=("10.0.0.2/24",))
    with pytest.raises(BadInput, match=named):
        assignment.with_gateways([link], spec, [()])


LINK = Link(LinkKind.MACVLAN, "eth0", "lan", 2, mode="bridge", mac="02:00:00:00:00:01")


@pytest.mark.parametrize(
    ("other", "error", "named"),
    [
        (LINK, BadInput, "mac: 02:00:00:00:00:01"),
        (replace(LINK, mac=None, mode="passthru"), WrongState, "passthru suffers no other"),
        (replace(LINK, mac=None, kind=LinkKind.IPVLAN), WrongState, "an ipvlan on eth0"),
    ],
)
def test_what_cannot_be_beside_another_is_named(other: Link, error: type[WardenError], named: str) -> None:
    with pytest.raises(error, match=named):
        assignment.check_beside([LINK], [other])
    assignment.check_beside([LINK], [replace(other, parent="eth1")])


def test_one_vlan_is_one_container_s() -> None:
    vlan = Link(LinkKind.VLAN, "eth0", "lan", 2, vlan_id=7)
    assignment.check_beside([vlan], [replace(vlan, vlan_id=8)])
    with pytest.raises(WrongState, match="vlan_id: 7 is in use on eth0"):
        assignment.check_beside([vlan, vlan], [])


def test_an_address_rests_as_long_as_it_can() -> None:
    pool = AddressPool(ip_network("10.0.0.0/29"))
    got = [str(pool.acquire()) for _ in range(5)]
    assert got == [f"10.0.0.{host}" for host in range(2, 7)]
    with pytest.raises(PoolExhausted, match=r"10\.0\.0\.0/29"):
        pool.acquire()
    for address in ("10.0.0.5", "10.0.0.3"):
        pool.release(ip_address(address))
    assert [str(pool.acquire()) for _ in range(2)] == ["10.0.0.3", "10.0.0.5"]


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.0.8", "10.0.0.2"])
def test_an_address_that_cannot_be_had_is_named(address: str) -> None:
    pool = AddressPool(ip_network("10.0.0.0/29"))
    pool.take(ip_address("10.0.0.2"))
    with pytest.raises(BadInput, match=f"interface address: {address}"):
        pool.take(ip_address(address))


@given(st.lists(st.integers(0, 5), max_size=60))
def test_no_address_is_had_twice(steps: list[int]) -> None:
    pool, held = AddressPool(ip_network("fd00::/125")), []
    for step in steps:
        if step and len(held) < 6:
            held.append(pool.acquire())
        elif held:
            pool.release(held.pop(step % len(held)))
        assert len(set(held)) == len(held)


def test_addresses_taken_before_a_refusal_are_given_back() -> None:
    pools = (AddressPool(ip_network("10.0.0.0/30")), AddressPool(ip_network("fd00::/64")))
    (link,) = links(NetworkMode.NONE, (PORT, WEB))
    with pytest.raises(BadInput, match="fd00::1"):
        assignment.with_addresses(link, replace(PORT, addresses=("10.0.0.2/30", "fd00::1/64")), pools)
    assert assignment.with_addresses(link, PORT, pools).addresses == ("10.0.0.2/30", "fd00::2/64")


def test_the_next_network_overlaps_none() -> None:
    taken = [ip_network(text) for text in ("10.252.0.0/24", "10.252.1.128/25", "fd00::/8", "0.0.0.0/32")]
    assert next_subnet("10.252.0.0/16", 24, taken, "pool") == "10.252.2.0/24"
    assert overlapping(ip_network("10.252.1.0/24"), taken) == taken[1]
    with pytest.raises(PoolExhausted, match="pool: no network is left"):
        next_subnet("10.252.0.0/24", 24, taken, "pool")


def test_a_plan_is_shown_without_a_host() -> None:
    spec = ContainerSpec(network=NetworkMode.NONE, interfaces=(PORT, MACVLAN))
    port, macvlan = assignment.preview(ID, spec, EngineSettings())
    assert (port.addresses, port.gateways) == (("10.252.0.2/24",), ("10.252.0.1",))
    assert macvlan.addresses == ()
