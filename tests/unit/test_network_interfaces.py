"""The netlink batches of interfaces of every kind, read by a parser of the tests' own."""

from __future__ import annotations

import socket
import struct

import pytest
from netlink_parser import NEST, Parsed, attributes, number, parse, text

from warden.engine.ids import encode
from warden.model.further import Further, Outside
from warden.model.interfaces import Link, LinkKind
from warden.network import further, netlink
from warden.network.interfaces import container_part, extra_index, extra_name, host_part
from warden.network.links import batch_of, host_index

ADDRESS, IFNAME, MTU, LINK, MASTER, LINKINFO, AF_SPEC, NET_NS_FD, NEW_IFINDEX = 1, 3, 4, 5, 10, 18, 26, 28, 49
ID = "18jn0aqmdbo"
MAC = "02:00:00:00:00:01"


def outside(link: Link, **parents: int) -> list[Parsed]:
    return parse(batch_of(host_part([link], parents, 1500)).messages)


def test_a_port_is_born_on_its_bridge_and_its_peer_in_the_child() -> None:
    link = Link(
        LinkKind.BRIDGE, "web", "eth0", 3, mac=MAC, mtu=1400, host_name="w-x-0", host_index=77, bridge="w-br-web"
    )
    pair, up = outside(link, **{"w-br-web": 9})
    assert (pair.head["index"], number(pair.attributes[MASTER]), text(pair.attributes[IFNAME])) == (77, 9, "w-x-0")
    data = attributes(attributes(pair.attributes[LINKINFO | NEST])[2 | NEST])[1 | NEST]
    peer = attributes(data[16:])
    assert struct.unpack_from("<BBHiII", data)[3] == 3
    assert (text(peer[IFNAME]), number(peer[MTU]), number(peer[NET_NS_FD])) == ("eth0", 1400, 100)
    assert peer[ADDRESS] == bytes.fromhex("020000000001")
    assert (up.head["index"], up.head["flags"]) == (77, 1)
    # IFLA_AF_SPEC holding AF_INET6 holding IFLA_INET6_ADDR_GEN_MODE = none
    assert up.attributes == {AF_SPEC | NEST: bytes.fromhex("0c000a80" "05000800" "01000000")}


@pytest.mark.parametrize(
    ("kind", "changes", "data"),
    [
        (LinkKind.MACVLAN, {"mode": "private"}, struct.pack("<I", 1)),
        (LinkKind.MACVLAN, {"mode": "vepa"}, struct.pack("<I", 2)),
        (LinkKind.MACVLAN, {"mode": "bridge"}, struct.pack("<I", 4)),
        (LinkKind.MACVLAN, {"mode": "passthru"}, struct.pack("<I", 8)),
        (LinkKind.IPVLAN, {"mode": "l2"}, struct.pack("<H", 0)),
        (LinkKind.IPVLAN, {"mode": "l3"}, struct.pack("<H", 1)),
        (LinkKind.IPVLAN, {"mode": "l3s"}, struct.pack("<H", 2)),
        (LinkKind.VLAN, {"vlan_id": 7}, struct.pack("<H", 7)),
    ],
)
def test_a_link_on_a_link_is_born_in_the_child(kind: LinkKind, changes: dict[str, str], data: bytes) -> None:
    link = Link(kind, "eth0", "lan", 0x4000_0005, mtu=1400, **changes)  # type: ignore[arg-type]
    (made,) = outside(link, eth0=2)
    assert (made.kind, made.flags, made.head["index"]) == (16, 0x605, 0x4000_0005)
    assert (text(made.attributes[IFNAME]), number(made.attributes[LINK])) == ("w-40000005", 2)
    assert (number(made.attributes[NET_NS_FD]), number(made.attributes[MTU])) == (100, 1400)
    info = attributes(made.attributes[LINKINFO | NEST])
    assert text(info[1]) == kind.value
    assert attributes(info[2 | NEST]) == {1: data}


@pytest.mark.parametrize(("index", "asked"), [(12, None), (4, 4)])
def test_a_lent_link_is_moved_and_named(index: int, asked: int | None) -> None:
    link = Link(LinkKind.PHYSICAL, "eth1", "lan", index, mac=MAC, host_name="eth1", host_index=12)
    (moved,) = outside(link)
    assert (moved.kind, moved.flags, moved.head["index"]) == (16, 5, 12)
    assert (text(moved.attributes[IFNAME]), number(moved.attributes[NET_NS_FD])) == ("lan", 100)
    assert moved.attributes[ADDRESS] == bytes.fromhex("020000000001")
    found = moved.attributes.get(NEW_IFINDEX)
    assert (None if found is None else number(found)) == asked


def test_the_child_s_part_ends_with_the_default_routes() -> None:
    one = Link(LinkKind.BRIDGE, "web", "eth0", 2, addresses=("10.0.0.2/24", "fd00::2/64"), gateways=("10.0.0.1", "fd00::1"))
    two = Link(LinkKind.VLAN, "eth0", "eth1", 3)
    four, six, up, named, up2, route4, route6 = parse(batch_of(container_part([one, two])).messages)
    assert (four.head["family"], four.head["prefixlen"], four.head["flags"]) == (socket.AF_INET, 24, 0)
    assert (six.head["family"], six.head["prefixlen"], six.head["flags"]) == (socket.AF_INET6, 64, 2)  # IFA_F_NODAD
    assert six.attributes[2] == socket.inet_pton(socket.AF_INET6, "fd00::2")
    assert [message.head["index"] for message in (up, named, up2)] == [2, 3, 3]
    assert text(named.attributes[IFNAME]) == "eth1", "the host may have one of that name"
    assert (route4.head["family"], route6.head["family"]) == (socket.AF_INET, socket.AF_INET6)
    assert route6.attributes == {5: socket.inet_pton(socket.AF_INET6, "fd00::1"), 4: struct.pack("<I", 2)}


def test_a_link_is_changed_while_it_is_down_and_a_port_while_it_is_up() -> None:
    (changed,) = parse(netlink.batch([netlink.change_link(5, name="eth1", mac=MAC, mtu=1500)]))
    assert (changed.head["flags"], changed.head["change"]) == (0, 0x301)  # IFF_UP, IFF_PROMISC, IFF_ALLMULTI
    (port,) = parse(netlink.batch([netlink.change_link(5, master=9)]))
    assert (port.head["change"], port.attributes) == (0, {MASTER: struct.pack("<I", 9)})


def test_every_end_of_a_container_has_a_name_and_an_index_of_its_own() -> None:
    places = range(16)
    names = {extra_name(ID, place) for place in places} | {f"w-{ID}-{end}" for end in "012"}
    assert len(names) == 19 and max(map(len, names)) == 15
    ids = [encode(1_700_000_000_000_000 + n) for n in range(1000)]
    indices = {extra_index(one, place) for one in ids for place in places} | {host_index(one) for one in ids}
    assert len(indices) == 17_000 and max(indices) < 2**31


def test_vlans_of_a_port_come_before_it_is_up_and_its_routes_after() -> None:
    link = Link(LinkKind.BRIDGE, "br", "eth0", 3, host_name="w-x-0", host_index=77, bridge="br")
    more = {3: Further(vlan=7, default=1, tagged=(9,), routes=("198.18.1.0/24",), answers=("169.254.1.1",))}
    messages, text = host_part([link], {"br": 9}, 1500, more)
    kinds = [(kind, flags) for kind, flags, _ in messages]
    assert kinds == [(16, 0x600), (17, 0), (19, 0), (19, 0), (16, 0), (16, 0), (24, 0x600)]
    assert [kind for kind, _, _ in further.answering(77, more[3])] == [28]
    # struct bridge_vlan_info {flags, vid}: PVID and untagged are 2 and 4
    assert [body[-4:] for _, _, body in messages[1:4]] == [struct.pack("<HH", *pair) for pair in ((0, 1), (6, 7), (0, 9))]
    assert text.split("; ")[1:] == [
        "bridge vlan delete dev w-x-0 vid 1", "bridge vlan add dev w-x-0 vid 7 pvid untagged",
        "bridge vlan add dev w-x-0 vid 9", "ip link set w-x-0 up addrgenmode none",
        "sysctl -w net.ipv4.conf.w-x-0.forwarding=1", "ip route add 198.18.1.0/24 dev w-x-0",
    ]  # fmt: skip


def test_queues_of_the_peer_are_the_contrary_outside() -> None:
    link = Link(LinkKind.BRIDGE, "free-0", "eth0", 3, host_name="w-x-0", host_index=77, bridge="free-0")
    messages, text = host_part([link], {"free-0": 0}, 1500, {3: Further(queues=(4, 2))})
    pair, _ = parse(batch_of((messages, text)).messages)
    peer = attributes(attributes(attributes(pair.attributes[LINKINFO | NEST])[2 | NEST])[1 | NEST][16:])
    assert [number(found[kind]) for found in (peer, pair.attributes) for kind in (32, 31)] == [4, 2, 2, 4]
    assert MASTER not in pair.attributes and "master" not in text


def test_what_lies_on_other_links_is_taken_back() -> None:
    outside = Outside(5, ("198.18.1.2", "fd00::2"), lo=True)
    assert [kind for kind, _, _ in further.outside(outside)[0]] == [28, 24, 28, 24]
    assert [kind for kind, _, _ in further.taken_back(outside)] == [29, 25, 29, 25]
