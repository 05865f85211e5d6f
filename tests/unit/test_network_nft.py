"""The firewall as text: what a change of one container asks of nft, and never of any other table."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from warden.errors import EngineFault
from warden.model.net import NetRule, PortMap, Protocol
from warden.network import libnft, nft
from warden.network.elements import elements
from warden.network.firewall import Firewall, settle
from warden.network.nft import Guest, GuestLink, Policy

POLICY = Policy("t", IPv4Network("10.254.0.0/16"), denied=(IPv4Network("0.0.0.0/0"),))
ONE = Guest("aaaaaaaaaaa", (GuestLink("w-aaaaaaaaaaa-0", (IPv4Address("10.254.0.2"),)),))
TWO = Guest("bbbbbbbbbbb", (GuestLink("w-bbbbbbbbbbb-0", (IPv4Address("10.254.0.6"),)),))
ANY = "ip daddr != 10.254.0.0/16"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (NetRule("1.2.3.4"), "ip daddr 1.2.3.4 meta l4proto tcp accept"),
        (NetRule("1.2.3.4", "80"), "ip daddr 1.2.3.4 tcp dport 80 accept"),
        (NetRule(None, "80"), f"{ANY} tcp dport 80 accept"),
        (NetRule("1.2.3.4/30", "1:9", Protocol.UDP), "ip daddr 1.2.3.4-1.2.3.7 udp dport 1-9 accept"),
        (NetRule("1.2.3.4-1.2.4.1", protocol=Protocol.ALL), "ip daddr 1.2.3.4-1.2.4.1 accept"),
        (NetRule("10.254.0.6"), "ip daddr 10.254.0.6 meta l4proto tcp accept"),
        (NetRule("10.0.0.0/8"), f"ip daddr 10.0.0.0-10.255.255.255 {ANY} meta l4proto tcp accept"),
        (NetRule("10.253.0.0-10.254.0.9"), f"ip daddr 10.253.0.0-10.254.0.9 {ANY} meta l4proto tcp accept"),
        (NetRule("1.1.1.1", protocol=Protocol.ICMP), "ip daddr 1.1.1.1 meta l4proto icmp accept"),
        (
            NetRule("1.1.1.1", protocol=Protocol.ICMP, icmp_type=-1, icmp_code=3),
            "ip daddr 1.1.1.1 meta l4proto icmp accept",
        ),
        (NetRule("1.1.1.1", protocol=Protocol.ICMP, icmp_type=8), "ip daddr 1.1.1.1 icmp type 8 accept"),
        (
            NetRule("1.1.1.1", protocol=Protocol.ICMP, icmp_type=3, icmp_code=0),
            "ip daddr 1.1.1.1 icmp type 3 icmp code 0 accept",
        ),
        (
            NetRule("1.1.1.1", protocol=Protocol.ALL, log=True),
            'ip daddr 1.1.1.1 log prefix "warden-i-aaaaaaaaaaa " accept',
        ),
    ],
)
def test_a_rule_as_text(rule: NetRule, text: str) -> None:
    assert nft.rule_text(POLICY, rule, ONE) == text


def test_a_container_without_rules_costs_two_elements() -> None:
    elements = ['links { "w-aaaaaaaaaaa-0" }', 'guests { "w-aaaaaaaaaaa-0" . 10.254.0.2 }']
    assert nft.change(POLICY, None, ONE) == [f"add element inet t {element}" for element in elements]
    assert nft.change(POLICY, ONE, None) == [f"delete element inet t {element}" for element in elements]
    assert nft.change(POLICY, ONE, ONE) == []


def test_the_first_rule_makes_the_chain_and_later_ones_go_in_front() -> None:
    first = replace(ONE, rules=(NetRule("1.1.1.1"),))
    second = replace(ONE, rules=(*first.rules, NetRule("2.2.2.2")))
    chain = "inet t warden-i-aaaaaaaaaaa"
    assert nft.change(POLICY, ONE, first) == [
        f"add chain {chain}",
        f"add rule {chain} goto to_network",
        'add element inet t rules { "w-aaaaaaaaaaa-0" : goto warden-i-aaaaaaaaaaa }',
        f"insert rule {chain} ip daddr 1.1.1.1 meta l4proto tcp accept",
    ]
    assert nft.change(POLICY, first, second) == [f"insert rule {chain} ip daddr 2.2.2.2 meta l4proto tcp accept"]
    assert nft.change(POLICY, second, first) == [
        f"flush chain {chain}",
        f"add rule {chain} goto to_network",
        f"insert rule {chain} ip daddr 1.1.1.1 meta l4proto tcp accept",
    ]
    assert nft.change(POLICY, first, None)[:2] == [
        'delete element inet t rules { "w-aaaaaaaaaaa-0" }',
        f"delete chain {chain}",
    ]


def test_the_whole_table_names_no_other() -> None:
    text = nft.whole(POLICY, [replace(ONE, rules=(NetRule("1.1.1.1"),)), TWO], {80: (TWO.addresses[0], 8080)})
    assert set(re.findall(r"\b(?:table|element|chain|rule) (?:inet|ip|ip6|arp|bridge|netdev) (\S+)", text)) == {"t"}
    assert "flush" not in text
    assert "add element inet t ports { 80 : 10.254.0.6 . 8080 }" in text


def test_networks_of_the_pool_are_kept_apart_and_overlaps_are_merged() -> None:
    names = ("0.0.0.0/0", "10.0.0.0/8", "10.254.1.0/24", "10.254.1.4/30")
    text = nft.whole(replace(POLICY, allowed=tuple(map(IPv4Network, names))), [], {})
    assert "set peers { type ipv4_addr; flags interval; elements = { 10.254.1.0/24 } }" in text
    assert "set allowed { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 } }" in text


def test_ports_go_to_the_first_and_then_to_the_next() -> None:
    one, two = replace(ONE, ports=(PortMap(None, 80, 1), PortMap(None, 81, 2))), replace(TWO, ports=(PortMap(None, 80, 3),))
    forwards = settle({}, {one.container_id: one}, None, one)
    both = settle(forwards, {one.container_id: one, two.container_id: two}, None, two)
    assert both == {80: (ONE.addresses[0], 1), 81: (ONE.addresses[0], 2)}
    left = settle(both, {two.container_id: two}, one, None)
    assert left == {80: (TWO.addresses[0], 3)}
    assert nft.reroute(POLICY, both, left) == [
        "delete element inet t ports { 80 }",
        "delete element inet t ports { 81 }",
        "add element inet t ports { 80 : 10.254.0.6 . 3 }",
    ]


class Recorder:
    """Remembers what it is to run; refuses what contains *refuse*."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.refuse = ""
        self.closed = False

    def run(self, commands: str, /) -> None:
        if self.refuse and re.search(self.refuse, commands):
            raise EngineFault("nft: refused")
        self.ran.append(commands)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def runner() -> Recorder:
    return Recorder()


def test_a_lost_table_is_made_anew_with_everything(runner: Recorder, tmp_path: Path) -> None:
    firewall = Firewall(POLICY, runner, locks=str(tmp_path))
    firewall.start([ONE])
    runner.refuse = "^add element"
    firewall.put(TWO)
    assert runner.ran[-1] == nft.whole(POLICY, [ONE, TWO], {})
    firewall.close(remove=True)
    assert runner.ran[-1] == "add table inet t\ndelete table inet t"
    assert runner.closed


def test_a_refused_change_is_forgotten(runner: Recorder, tmp_path: Path) -> None:
    firewall = Firewall(POLICY, runner, locks=str(tmp_path))
    firewall.start([])
    runner.refuse = "."
    with pytest.raises(EngineFault):
        firewall.put(replace(ONE, ports=(PortMap(None, 80, 80),)))
    runner.refuse = ""
    firewall.drop(ONE.container_id)
    assert len(runner.ran) == 1
    firewall.put(replace(TWO, ports=(PortMap(None, 80, 8080),)))
    assert "ports { 80 : 10.254.0.6 . 8080 }" in runner.ran[-1]
    firewall.close(remove=False)
    assert len(runner.ran) == 2


def test_start_goes_on_without_nft_and_refuses_a_shared_table(runner: Recorder, tmp_path: Path) -> None:
    runner.refuse = "."
    first, second = Firewall(POLICY, runner, locks=str(tmp_path)), Firewall(POLICY, runner, locks=str(tmp_path))
    first.start([])
    with pytest.raises(EngineFault, match="another daemon has the table inet t"):
        second.start([])
    second.close(remove=True)
    first.close(remove=False)
    second.start([])
    second.close(remove=False)
    assert list(tmp_path.iterdir()) == []


def test_two_elements_as_one_transaction_of_nfnetlink() -> None:
    data = elements("t", ONE, add=True)
    kinds, position = [], 0
    while position < len(data):
        length, kind, flags = struct.unpack_from("=IHH", data, position)
        kinds.append((kind, flags))
        position += length
    assert position == len(data)
    assert kinds == [(0x10, 1), (10 << 8 | 12, 0x605), (10 << 8 | 12, 0x605), (0x11, 1)]
    assert b"w-aaaaaaaaaaa-0\0" + bytes((10, 254, 0, 2)) in data
    removal = elements("t", ONE, add=False)
    assert struct.unpack_from("=HH", removal, 24) == (10 << 8 | 14, 5)


def test_nfts_complaint_in_one_line() -> None:
    text = (
        "/dev/stdin:1:1-40: Error: Could not process rule: No such file or directory\nadd element inet t x { 1 }\n^^^"
    )
    message = "nft: Could not process rule: No such file or directory: add element inet t x { 1 }"
    assert str(libnft.refusal(text)) == message
    assert str(libnft.refusal("")) == "nft: refused without a word"


def test_without_nft_the_error_says_what_to_install() -> None:
    with pytest.raises(EngineFault, match="install the package nftables"):
        libnft.Missing().run("list tables")
    with pytest.raises(EngineFault, match="No such file"):
        libnft.Program("/nowhere/nft").run("list tables")
