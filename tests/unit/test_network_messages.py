"""The netlink batches of a container, read by a parser of the tests' own."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlink_parser import NEST, Parsed, attributes, number, parse, text

from warden.engine.ids import encode
from warden.network import netlink
from warden.network.links import LOOPBACK, Attachment, Batch, batch_of

NEWLINK, NEWADDR, NEWROUTE = 16, 20, 24
REQUEST_ACK, CREATE_EXCL = 0x1 | 0x4, 0x400 | 0x200
IFNAME, MTU, LINKINFO, NET_NS_FD = 3, 4, 18, 28
UP = 1
ID = "18jn0aqmdbo"
LINK = Attachment(ID, IPv4Network("10.254.0.4/30"), 1400)
HOST_PART, CONTAINER_PART = batch_of(LINK.host_part()), batch_of(LOOPBACK, LINK.container_part())
LOOPBACK_PART = batch_of(LOOPBACK)


#: IFLA_AF_SPEC holding AF_INET holding IFLA_INET_CONF holding IPV4_DEVCONF_FORWARDING = 1 and RP_FILTER = 1, each with its length.
FORWARDING = {26 | NEST: bytes.fromhex("18000280" "14000180" "0800010001000000" "0800080001000000")}


def check_set_up(message: Parsed, index: int, attributes: dict[int, bytes] | None = None) -> None:
    assert (message.kind, message.flags) == (NEWLINK, REQUEST_ACK)
    assert message.head == {"family": 0, "pad": 0, "type": 0, "index": index, "flags": UP, "change": UP}
    assert message.attributes == (attributes or {})


def check_address(message: Parsed, index: int, address: str, prefix: int) -> None:
    assert (message.kind, message.flags) == (NEWADDR, REQUEST_ACK | CREATE_EXCL)
    assert message.head == {"family": socket.AF_INET, "prefixlen": prefix, "flags": 0, "scope": 0, "index": index}
    packed = socket.inet_aton(address)
    assert message.attributes == {2: packed, 1: packed}  # IFA_LOCAL, IFA_ADDRESS


def test_the_host_s_batch_makes_the_pair_and_the_host_s_end() -> None:
    pair, address, up = parse(HOST_PART.messages)
    assert (pair.kind, pair.flags) == (NEWLINK, REQUEST_ACK | CREATE_EXCL)
    assert pair.head["index"] == LINK.host_index
    assert set(pair.attributes) == {IFNAME, MTU, LINKINFO | NEST}
    assert (text(pair.attributes[IFNAME]), number(pair.attributes[MTU])) == (f"w-{ID}-0", 1400)
    check_address(address, LINK.host_index, "10.254.0.5", 30)
    check_set_up(up, LINK.host_index, FORWARDING)


def test_the_peer_is_born_in_the_child_s_namespace() -> None:
    pair = parse(HOST_PART.messages)[0]
    info = attributes(pair.attributes[LINKINFO | NEST])
    assert text(info[1]) == "veth"  # IFLA_INFO_KIND
    (kind, data), *rest = attributes(info[2 | NEST]).items()  # IFLA_INFO_DATA
    assert (kind, rest) == (1 | NEST, [])  # VETH_INFO_PEER
    head = struct.unpack_from("<BBHiII", data)
    assert head == (0, 0, 0, 2, 0, 0)  # index 2: the first behind lo
    peer = attributes(data[16:])
    assert set(peer) == {IFNAME, MTU, NET_NS_FD}
    assert (text(peer[IFNAME]), number(peer[MTU])) == (f"w-{ID}-1", 1400)
    assert number(peer[NET_NS_FD]) == 100  # docs/plan-format.md: the child's network namespace after clone


def test_the_container_s_batch_sets_up_lo_its_end_and_the_way_out() -> None:
    lo, address, up, route = parse(CONTAINER_PART.messages)
    check_set_up(lo, 1)
    check_address(address, 2, "10.254.0.6", 30)
    check_set_up(up, 2)
    assert (route.kind, route.flags) == (NEWROUTE, REQUEST_ACK | CREATE_EXCL)
    assert route.head == {
        "family": socket.AF_INET, "dst_len": 0, "src_len": 0, "tos": 0, "table": 254, "protocol": 3, "scope": 0, "type": 1,
        "flags": 0,
    }  # fmt: skip
    assert route.attributes == {5: socket.inet_aton("10.254.0.5"), 4: struct.pack("<I", 2)}  # RTA_GATEWAY, RTA_OIF


def test_without_a_network_lo_alone_is_set_up() -> None:
    (lo,) = parse(LOOPBACK_PART.messages)
    check_set_up(lo, 1)


@pytest.mark.parametrize("batch", [HOST_PART, CONTAINER_PART, LOOPBACK_PART], ids=lambda b: b.text[:20])
def test_every_message_is_numbered_and_asks_for_its_acknowledgement(batch: Batch) -> None:
    messages = parse(batch.messages)
    assert [message.sequence for message in messages] == list(range(1, len(messages) + 1))
    assert all(message.flags & 5 == 5 and message.port == 0 for message in messages)


def test_batches_read_as_a_shell_would_write_them() -> None:
    assert HOST_PART.text == (
        f"ip link add w-{ID}-0 type veth peer name w-{ID}-1 netns CHILD; "
        f"ip address add 10.254.0.5/30 dev w-{ID}-0; ip link set w-{ID}-0 up; "
        f"sysctl -w net.ipv4.conf.w-{ID}-0.forwarding=1"
    )
    assert CONTAINER_PART.text == (
        f"ip link set lo up; ip address add 10.254.0.6/30 dev w-{ID}-1; ip link set w-{ID}-1 up; "
        "ip route add default via 10.254.0.5"
    )
    assert LOOPBACK_PART.text == "ip link set lo up"


@given(st.integers(0, 2**55 - 1))
def test_names_fit_and_indices_are_the_kernel_s_to_take(id_number: int) -> None:
    link = Attachment(encode(id_number), IPv4Network("10.0.0.0/30"), 1500)
    assert len(link.host_name) <= 15 and len(link.container_name) <= 15  # IFNAMSIZ with its NUL
    assert 1_000_000 < link.host_index < 2**31


def test_neighbouring_ids_have_indices_of_their_own() -> None:
    start = 1_700_000_000_000_000
    indices = {Attachment(encode(start + n), IPv4Network("10.0.0.0/30"), 1500).host_index for n in range(5000)}
    assert len(indices) == 5000


@given(st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_an_attribute_is_padded_and_says_its_own_length(kind: int, value: bytes) -> None:
    data = netlink.attribute(kind, value)
    assert len(data) % 4 == 0
    assert attributes(data) == {kind: value}


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_messages_of_any_length_begin_at_multiples_of_four(bodies: list[bytes]) -> None:
    batch = netlink.batch([(16, 0x400, body) for body in bodies])
    place = 0
    for sequence, body in enumerate(bodies, 1):
        assert struct.unpack_from("<IHHII", batch, place) == (16 + len(body), 16, 0x405, sequence, 0)
        assert batch[place + 16 : place + 16 + len(body)] == body
        place += (16 + len(body) + 3) // 4 * 4
    assert place == len(batch)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.integers(1, 2**31 - 1))
def test_any_address_comes_through(address: IPv4Address, prefix: int, index: int) -> None:
    (message,) = parse(netlink.batch([netlink.add_address(index, IPv4Interface(f"{address}/{prefix}"))]))
    check_address(message, index, str(address), prefix)
