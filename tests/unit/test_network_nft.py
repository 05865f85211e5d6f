"""The firewall as text and bytes: what a change of one container asks of the kernel, and never of any other table."""

from __future__ import annotations

import errno
import re
import struct
import threading
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from warden.errors import EngineFault
from warden.model.net import NetPolicy, NetRule, PortMap, Protocol
from warden.network import libnft, nft, table
from warden.network.claims import PortTaken
from warden.network.firewall import Firewall
from warden.network.nfnetlink import ANY_GENERATION, Change, transaction
from warden.network.nft import BridgeNet, Guest, GuestLink, Policy

POLICY = Policy("t", IPv4Network("10.254.0.0/16"), denied=(IPv4Network("0.0.0.0/0"),), connections=9)
INNER: list[nft.Network] = [POLICY.pool]
ONE = Guest("aaaaaaaaaaa", (GuestLink("w-aaaaaaaaaaa-0", (IPv4Address("10.254.0.2"),)),), connections=9)
TWO = Guest("bbbbbbbbbbb", (GuestLink("w-bbbbbbbbbbb-0", (IPv4Address("10.254.0.6"),)),), connections=9)
BRIDGE = BridgeNet(
    "w-br-x",
    (IPv4Network("10.9.0.0/24"), IPv6Network("fd00:9::/64")),
    internal=True,
    services=((IPv4Address("10.9.0.1"), "udp", 53),),
)
BRIDGED = Guest(
    "ccccccccccc",
    (
        GuestLink(
            "w-ccccccccccc-1", (IPv4Address("10.9.0.2"), IPv6Address("fd00:9::2")), "02:00:00:00:00:0a", "w-br-x"
        ),
    ),
    connections=9,
)
OUTSIDE = "ct original ip daddr != @inner"
#: Where an address lies, and what its element carries.
SETS = (("guests", ""), ("flows", " ct count over 9"))


def texts(guest: Guest) -> list[str]:
    return [f"{one.family} {one.where} {one.text(whole=True)}" for one in nft.guest_elements(guest)]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (NetRule("1.2.3.4"), f"ct original ip daddr 1.2.3.4 {OUTSIDE} meta l4proto tcp accept"),
        (
            NetRule("1.2.3.4", "80"),
            f"ct original ip daddr 1.2.3.4 {OUTSIDE} meta l4proto tcp ct original proto-dst 80 accept",
        ),
        (NetRule(None, "80"), f"{OUTSIDE} meta l4proto tcp ct original proto-dst 80 accept"),
        (
            NetRule("1.2.3.4/30", "1:9", Protocol.UDP),
            f"ct original ip daddr 1.2.3.4-1.2.3.7 {OUTSIDE} meta l4proto udp ct original proto-dst 1-9 accept",
        ),
        (
            NetRule("1.2.3.4-1.2.4.1", protocol=Protocol.ALL),
            f"ct original ip daddr 1.2.3.4-1.2.4.1 {OUTSIDE} accept",
        ),
        (NetRule("10.254.0.6"), "ct original ip daddr 10.254.0.6 meta l4proto tcp accept"),
        (NetRule("10.0.0.0/8"), f"ct original ip daddr 10.0.0.0-10.255.255.255 {OUTSIDE} meta l4proto tcp accept"),
        (
            NetRule("1.1.1.1", protocol=Protocol.ICMP, icmp_type=-1, icmp_code=3),
            f"ct original ip daddr 1.1.1.1 {OUTSIDE} meta l4proto icmp accept",
        ),
        (
            NetRule("1.1.1.1", protocol=Protocol.ICMP, icmp_type=3, icmp_code=0),
            f"ct original ip daddr 1.1.1.1 {OUTSIDE} icmp type 3 icmp code 0 accept",
        ),
    ],
)
def test_a_rule_as_text(rule: NetRule, text: str) -> None:
    assert [piece.text for piece in nft.rule_pieces(INNER, rule, ONE)] == [text]


def test_what_is_logged_is_paced_and_accepted_all_the_same() -> None:
    where = f"ct original ip daddr 1.1.1.1 {OUTSIDE}"
    assert [rule.text for rule in nft.rule_pieces(INNER, NetRule("1.1.1.1", None, Protocol.ALL, log=True), ONE)] == [
        f'{where} iifname . ip saddr @logs log prefix "warden-i-aaaaaaaaaaa "',
        f"{where} accept",
    ]
    assert [one.where for one in nft.guest_elements(replace(ONE, rules=(NetRule("1.1.1.1", log=True),)))] == [
        "links", "guests", "flows", "logs",
    ]  # fmt: skip


def test_rules_of_a_family_that_the_container_lacks_are_none() -> None:
    assert nft.rule_pieces(INNER, NetRule("2001:db8::1"), ONE) == []
    (rule,) = nft.rule_pieces(INNER, NetRule("2001:db8::1", protocol=Protocol.ICMP, icmp_type=128), BRIDGED)
    outside = "ct original ip6 daddr != @inner6"
    assert rule.text == f"ct original ip6 daddr 2001:db8::1 {outside} icmpv6 type 128 accept"
    both = nft.rule_pieces(INNER, NetRule(None, "80"), BRIDGED)
    assert [piece.text.split()[2] for piece in both] == ["ip", "ip6"]


def test_a_container_without_rules_costs_three_elements() -> None:
    assert texts(ONE) == [
        'inet links "w-aaaaaaaaaaa-0"',
        'inet guests "w-aaaaaaaaaaa-0" . 10.254.0.2',
        'inet flows "w-aaaaaaaaaaa-0" . 10.254.0.2 ct count over 9',
    ]


def test_a_container_on_a_bridge_is_known_by_the_bridge_and_held_to_its_port() -> None:
    port, mac = '"w-ccccccccccc-1"', "02:00:00:00:00:0a"
    assert texts(BRIDGED) == [
        f"bridge ports {port}",
        f"bridge macs {port} . {mac}",
        f"bridge senders {port} . {mac} . 10.9.0.2",
        f"bridge senders6 {port} . {mac} . fd00:9::2",
        f"bridge senders6 {port} . {mac} . fe80::ff:fe00:a",
        'inet guests "w-br-x" . 10.9.0.2',
        'inet flows "w-br-x" . 10.9.0.2 ct count over 9',
        'inet guests6 "w-br-x" . fd00:9::2',
        'inet flows6 "w-br-x" . fd00:9::2 ct count over 9',
    ]
    assert [f"{one.where} {one.text(whole=True)}" for one in nft.bridge_elements(BRIDGE)] == [
        'links "w-br-x"',
        'same "w-br-x" . "w-br-x"',
        'links6 "w-br-x"',
        'closed "w-br-x"',
        'services "w-br-x" . 10.9.0.1 . udp . 53',
    ]


def boxes(*rules: NetRule) -> tuple[list[str], int]:
    """The elements of its set, FIRST … LAST, and how many rules its chain has beside the look into the set."""
    made = nft.own(INNER, replace(ONE, rules=rules))
    ends = [(one.text(whole=True), replace(one, key=one.end).text(whole=True)) for one in made.boxes]
    return [" … ".join(pair) for pair in ends], len(made.rules) - 1


def test_usual_rules_are_elements_of_one_set() -> None:
    found = boxes(
        NetRule("1.2.3.4/30", "80"),
        NetRule("1.2.3.4", "1:9", Protocol.UDP),
        NetRule(None, "443"),
        NetRule("2.2.2.2-2.2.2.9", None, Protocol.ALL),
        NetRule("3.3.3.3", None, Protocol.ICMP),
        NetRule("4.4.4.4", None, Protocol.ICMP, 8),
        NetRule("4.4.4.4", None, Protocol.ICMP, 3, 1),
    )
    assert found == (
        [
            "1.2.3.4 . 6 . 80 … 1.2.3.7 . 6 . 80",
            "1.2.3.4 . 17 . 1 … 1.2.3.4 . 17 . 9",
            "0.0.0.0 . 6 . 443 … 255.255.255.255 . 6 . 443",
            "2.2.2.2 . 0 . 0 … 2.2.2.9 . 255 . 65535",
            "3.3.3.3 . 1 . 0 … 3.3.3.3 . 1 . 65535",
            "4.4.4.4 . 1 . 2048 … 4.4.4.4 . 1 . 2303",
            "4.4.4.4 . 1 . 769 … 4.4.4.4 . 1 . 769",
        ],
        0,
    )


def test_what_a_set_cannot_hold_is_a_rule() -> None:
    wide, inside = NetRule("1.1.0.0/16"), NetRule("1.1.1.1", "80")
    assert boxes(wide, inside, inside) == (["1.1.0.0 . 6 . 0 … 1.1.255.255 . 6 . 65535"], 0), "it is allowed anyway"
    assert boxes(inside, wide)[1] == 0
    across = NetRule("1.1.255.0-1.2.0.0")
    assert boxes(wide, across) == (boxes(wide)[0], 1), "the kernel takes no element that begins within another"
    assert (boxes(NetRule("10.254.0.6")), boxes(NetRule("1.1.1.1", log=True))) == (([], 1), ([], 2))
    many = [NetRule(str(IPv4Address(0x01000000 + number))) for number in range(300)]
    assert (len(boxes(*many)[0]), boxes(*many)[1]) == (256, 44)


def test_a_policy_of_its_own_stands_at_the_end_of_its_chain() -> None:
    own = replace(ONE, rules=(NetRule("1.1.1.1"),), policy=NetPolicy(("10.1.0.0/16", "10.254.0.6"), ("10.0.0.0/8",)))
    look = f"{OUTSIDE} ct original ip daddr . meta l4proto . ct original proto-dst @warden-o-aaaaaaaaaaa accept"
    assert [rule.text for rule in nft.own(INNER, own).rules] == [
        look,
        f"ct original ip daddr 10.1.0.0-10.1.255.255 {OUTSIDE} accept",
        "ct original ip daddr 10.254.0.6 accept",
        "ct original ip daddr @inner goto refuse",
        "ct original ip daddr 10.0.0.0-10.255.255.255 goto refuse",
        "accept",
    ]
    assert [rule.text for rule in nft.own(INNER, replace(own, policy=None)).rules] == [look]


def test_ports_of_each_family_and_address() -> None:
    maps = (
        PortMap(None, 80, 8080),
        PortMap("192.0.2.1", 53, 53, "udp"),
        PortMap("2001:db8::1", 80, 80),
        PortMap("0.0.0.0", 81, 81),
    )
    found = [nft.port_element(*route) for route in nft.port_routes(replace(BRIDGED, ports=maps))]
    assert [f"{one.where} {one.text(whole=True)}" for one in found] == [
        "ports tcp . 80 : 10.9.0.2 . 8080",
        "ports6 tcp . 80 : fd00:9::2 . 8080",
        "ports_at 192.0.2.1 . udp . 53 : 10.9.0.2 . 53",
        "ports6_at 2001:db8::1 . tcp . 80 : fd00:9::2 . 80",
        "ports tcp . 81 : 10.9.0.2 . 81",
    ]


def test_the_whole_table_names_no_other() -> None:
    text = table.whole(POLICY, [BRIDGE], [*nft.guest_elements(ONE), *nft.guest_elements(BRIDGED)])
    assert set(re.findall(r"\b(?:table|element|chain|rule) (?:inet|ip|ip6|arp|bridge|netdev) (\S+)", text)) == {"t"}
    assert "flush" not in text
    assert 'add element inet t guests { "w-aaaaaaaaaaa-0" . 10.254.0.2, "w-br-x" . 10.9.0.2 }' in text


def test_networks_of_the_pool_are_kept_apart_and_overlaps_are_merged() -> None:
    names = ("0.0.0.0/0", "10.0.0.0/8", "10.254.1.0/24", "10.254.1.4/30")
    text = table.whole(replace(POLICY, allowed=tuple(map(IPv4Network, names))), [], [])
    assert "set peers { type ipv4_addr; flags interval; elements = { 10.254.1.0/24 } }" in text
    assert "set allowed { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 } }" in text
    assert "table bridge t {" not in text


class Recorder:
    """Both ways to the kernel: remembers what is run; refuses text that contains *refuse*, and changes with *fails*."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.changes: list[list[Change]] = []
        self.refuse = ""
        self.fails: list[int] = []
        self.closed = False
        self.now = 7
        self.busy = 0  # so many changes others make just after each look
        self.chain = b"as it was"
        self.gone = False  # the table, until it is made

    def run(self, commands: str, /) -> None:
        if self.refuse and re.search(self.refuse, commands):
            raise EngineFault("nft: refused")
        self.ran.append(commands)
        self.now += 1
        self.gone = False

    def close(self) -> None:
        self.closed = True


class Kernel:
    """As Wire, over a Recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def run(self, table: str, changes: Iterable[Change], generation: int) -> None:
        recorder = self._recorder
        if recorder.fails:
            raise OSError(recorder.fails.pop(0), "refused")
        if generation not in (ANY_GENERATION, recorder.now):
            raise OSError(errno.ERESTART, "changed")
        recorder.changes.append(list(changes))
        recorder.now += 1

    def generation(self) -> int:
        self._recorder.now += self._recorder.busy
        return self._recorder.now - self._recorder.busy

    def rules(self, family: str, table: str, chain: str) -> list[bytes]:
        return [self._recorder.chain]

    def elements(self, family: str, table: str, where: str) -> list[dict[int, bytes]]:
        if self._recorder.gone:
            raise OSError(errno.ENOENT, "no such table")
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def firewall(recorder: Recorder, tmp_path: Path) -> Firewall:
    return Firewall(POLICY, recorder, Kernel(recorder), str(tmp_path))


def verbs(changes: list[Change]) -> list[str]:
    return [change.verb for change in changes]


def keys(change: Change) -> list[str]:
    return [f"{one.where} {one.text(whole=change.verb == 'add')}" for one in change.elements]


def test_the_first_rule_makes_the_chain_and_later_ones_change_as_little_as_can_be(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([ONE])
    usual, logged = NetRule("1.1.1.1"), NetRule("2.2.2.2", log=True)
    for rules in ((usual,), (usual, NetRule("3.3.3.3")), (usual, logged), (usual, logged, logged), (logged,), ()):
        firewall.put(replace(ONE, rules=rules))
    assert [verbs(changes) for changes in recorder.changes] == [
        ["add set", "add chain", "add", "append", "add"],
        ["add"],
        ["delete", "insert", "insert", "add"],
        ["insert", "insert"],
        ["delete", "flush chain", "append", "append", "append"],
        ["delete", "flush chain", "delete chain", "delete set"],
    ]
    assert keys(recorder.changes[0][4]) == ['rules "w-aaaaaaaaaaa-0" . 10.254.0.2 : jump warden-i-aaaaaaaaaaa']
    assert keys(recorder.changes[2][0]) == ["warden-o-aaaaaaaaaaa 3.3.3.3 . 6 . 0"]


def test_a_container_with_a_chain_is_shut_until_it_is_there_again(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([replace(ONE, policy=NetPolicy()), TWO])
    assert 'add element inet t closed { "w-aaaaaaaaaaa-0" }' in recorder.ran[-1]
    (changes,) = recorder.changes
    assert verbs(changes) == ["add set", "add chain", "append", "append", "append", "add", "delete"]
    assert keys(changes[-1]) == ['closed "w-aaaaaaaaaaa-0"']


def test_ports_go_to_the_first_and_then_to_the_next(firewall: Firewall, recorder: Recorder) -> None:
    one = replace(ONE, ports=(PortMap(None, 80, 1), PortMap(None, 81, 2)))
    firewall.start([])
    firewall.put(one)
    firewall.put(replace(TWO, ports=(PortMap(None, 80, 3),)))
    firewall.put(ONE)
    first, second, third = recorder.changes
    assert keys(first[0])[3:] == ["ports tcp . 80 : 10.254.0.2 . 1", "ports tcp . 81 : 10.254.0.2 . 2"]
    assert [keys(change) for change in second] == [
        ['links "w-bbbbbbbbbbb-0"', *(f'{where} "w-bbbbbbbbbbb-0" . 10.254.0.6{most}' for where, most in SETS)]
    ]
    assert [keys(change) for change in third] == [
        ["ports tcp . 80", "ports tcp . 81"],
        ["ports tcp . 80 : 10.254.0.6 . 3"],
    ]


def test_a_port_at_one_address_and_at_all_are_in_each_others_way(firewall: Firewall, recorder: Recorder) -> None:
    all_, one = replace(ONE, ports=(PortMap(None, 80, 1),)), replace(TWO, ports=(PortMap("192.0.2.1", 80, 1),))

    def put_alone(guest: Guest) -> None:
        firewall.put(guest, [key for key, _ in nft.port_routes(guest)])

    firewall.start([all_])
    with pytest.raises(PortTaken, match=r"port 192\.0\.2\.1:80/tcp is container aaaaaaaaaaa's"):
        put_alone(one)
    assert recorder.changes == []
    put_alone(all_)
    firewall.put(ONE)
    put_alone(one)
    with pytest.raises(PortTaken, match="port 80/tcp is container bbbbbbbbbbb's"):
        put_alone(all_)
    put_alone(replace(ONE, ports=(PortMap(None, 80, 1, "udp"), PortMap("192.0.2.2", 80, 1))))


def test_a_lost_table_is_made_anew_with_everything(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([ONE])
    recorder.fails, recorder.gone = [errno.ENOENT], True
    firewall.put(TWO)
    elements = nft.guest_elements(ONE) + nft.guest_elements(TWO)
    gates = [element for element in elements if element.where == "links"]
    assert recorder.ran[-1] == table.whole(POLICY, [], gates), "what shuts them in comes first"
    (change,) = recorder.changes[-1]
    assert (change.verb, {*change.elements, *gates}) == ("add", set(elements))
    assert firewall.mended == 1
    firewall.close(remove=True)
    assert recorder.ran[-1].splitlines()[1] == "delete table inet t"
    assert recorder.closed


def test_what_others_change_elsewhere_is_no_reason_to_make_anything_anew(
    firewall: Firewall, recorder: Recorder
) -> None:
    firewall.start([ONE])
    recorder.now += 5
    firewall.put(TWO)
    assert (len(recorder.ran), len(recorder.changes)) == (1, 1)
    recorder.now += 1
    firewall.look()
    assert len(recorder.ran) == 1
    recorder.chain = b"something else"
    firewall.look()
    assert len(recorder.ran) == 1, "the same generation: nothing happened"
    recorder.now += 1
    firewall.look()
    assert len(recorder.ran) == 2


def test_whatever_others_do_meanwhile_the_tables_are_made(firewall: Firewall, recorder: Recorder) -> None:
    """With many containers it takes a third of a second, and another daemon changes its own all the time."""
    recorder.busy = 1
    firewall.start([replace(ONE, rules=(NetRule("1.1.1.1"),))])
    firewall.put_bridge(BRIDGE)
    assert "table bridge t {" in recorder.ran[-1]
    recorder.fails, recorder.gone = [errno.ENOENT, errno.ENOENT], True  # somebody flushes the ruleset
    firewall.drop_bridge(BRIDGE.device)
    assert "table bridge t {" not in recorder.ran[-1]
    assert verbs(recorder.changes[-1]) == ["add set", "add chain", "add", "append", "add", "add"]
    recorder.fails = [errno.ENOMEM] * 99
    with pytest.raises(EngineFault, match="firewall: table t: refused"):
        firewall.put_bridge(BRIDGE)


def test_a_refused_change_is_forgotten(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([])
    recorder.refuse, recorder.fails = ".", [errno.ENOMEM] * 2
    with pytest.raises(EngineFault):
        firewall.put(replace(ONE, ports=(PortMap(None, 80, 80),)))
    recorder.refuse = ""
    firewall.drop(ONE.container_id)
    assert (len(recorder.ran), recorder.changes) == (1, [])
    firewall.put(replace(TWO, ports=(PortMap(None, 80, 8080),)))
    assert "ports tcp . 80 : 10.254.0.6 . 8080" in keys(recorder.changes[-1][0])
    firewall.close(remove=False)
    assert len(recorder.ran) == 1


def test_what_could_not_be_made_anew_is_tried_again(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([ONE])
    recorder.refuse, recorder.chain = ".", b"something else"
    recorder.now += 1
    for _ in range(2):
        with pytest.raises(EngineFault):
            firewall.look()
    recorder.refuse = ""
    firewall.look()
    firewall.look()
    assert len(recorder.ran) == 2


def test_start_goes_on_without_nft_and_refuses_a_shared_table(recorder: Recorder, tmp_path: Path) -> None:
    recorder.refuse = "."
    first, second = (Firewall(POLICY, recorder, Kernel(recorder), str(tmp_path)) for _ in range(2))
    first.start([])
    with pytest.raises(EngineFault, match="another daemon has the table inet t"):
        second.start([])
    second.close(remove=True)
    first.close(remove=False)
    second.start([])
    second.close(remove=False)
    assert list(tmp_path.iterdir()) == []


def test_a_bridge_makes_its_own_table_and_takes_it_away(firewall: Firewall, recorder: Recorder) -> None:
    firewall.start([])
    firewall.put_bridge(BRIDGE)
    assert "table inet t {" not in recorder.ran[-1]
    assert "table bridge t {" in recorder.ran[-1]
    (advert,), (come, inner) = recorder.changes
    assert (advert.verb, advert.family) == ("insert", "bridge")
    assert "same" in keys(come)[1]
    assert keys(inner)[:2] == ["inner 10.9.0.0", "inner 10.9.1.0"]
    firewall.put_bridge(BRIDGE)
    firewall.drop_bridge("w-br-x")
    firewall.drop_bridge("w-br-x")
    assert (len(recorder.ran), len(recorder.changes)) == (2, 3)
    assert verbs(recorder.changes[-1]) == ["delete", "delete", "delete table"]


def test_a_bridge_costs_the_same_with_any_number_of_others(firewall: Firewall, recorder: Recorder) -> None:
    """But for who names something within it: what is refused otherwise."""
    rules = (NetRule("10.8.0.0/24"), NetRule("10.9.0.7"), NetRule("10.0.0.0/8"))
    named = replace(ONE, rules=rules)
    firewall.start([named, replace(TWO, rules=rules[:1])], [replace(BRIDGE, device="w-br-y", networks=(INNER[0],))])
    before = len(recorder.changes)
    firewall.put_bridge(BRIDGE)
    assert len(recorder.ran) == 1
    (changes,) = recorder.changes[before:]
    assert {change.chain for change in changes if change.chain} == {named.chain}
    assert verbs(changes) == ["add", "delete", "insert", "add"]
    firewall.drop_bridge(BRIDGE.device)
    # 10.9.0.7 goes before 10.0.0.0/8, in which it lies.
    assert verbs(recorder.changes[-1]) == ["delete", "delete", "add", "flush chain", "append", "delete"]


def packets(data: bytes) -> list[tuple[int, int, int]]:
    found, position = [], 0
    while position < len(data):
        length, kind, flags, sequence = struct.unpack_from("=IHHI", data, position)
        found.append((kind, flags, sequence))
        position += length
    assert position == len(data)
    return found


def test_a_transaction_is_bound_to_a_generation_and_answers_once() -> None:
    data = transaction("t", [Change("add", elements=tuple(nft.guest_elements(ONE)))], 258)
    assert packets(data) == [(0x10, 1, 0), *[(10 << 8 | 12, 0x601, 0)] * 2, (10 << 8 | 12, 0x605, 1), (0x11, 1, 2)]
    assert data[20:28] == struct.pack("=HHBBBB", 8, 1, 0, 0, 1, 2)
    assert b"w-aaaaaaaaaaa-0\0" + bytes((10, 254, 0, 2)) in data
    removal = transaction("t", [Change("delete", elements=tuple(nft.guest_elements(ONE)))], 1)
    assert packets(removal)[3] == (10 << 8 | 14, 5, 1)


def test_a_range_of_ports_is_as_many_messages_as_attributes_need() -> None:
    ports = tuple(PortMap(None, number, number) for number in range(1000, 2000))
    elements = tuple(nft.port_element(*route) for route in nft.port_routes(replace(ONE, ports=ports)))
    assert len(packets(transaction("t", [Change("add", elements=elements)], 1))) == 2 + 3


def test_nfts_complaint_in_one_line() -> None:
    text = (
        "/dev/stdin:1:1-40: Error: Could not process rule: No such file or directory\nadd element inet t x { 1 }\n^^^"
    )
    message = "nft: Could not process rule: No such file or directory: add element inet t x { 1 }"
    assert libnft.refusal(text).message == message
    assert "doctor" in libnft.refusal(text).hint
    assert str(libnft.refusal("")) == "nft: refused without a word"


def test_without_nft_the_error_says_what_to_install() -> None:
    with pytest.raises(EngineFault, match="install the package nftables"):
        libnft.Missing().run("list tables")
    with pytest.raises(EngineFault, match="No such file"):
        libnft.Program("/nowhere/nft").run("list tables")


@pytest.mark.parametrize(
    ("lacking", "has", "has_not"),
    [("ct count", "ct label", "ct count"), ("ct label", "ct count", "ct label"), ("ct (count|label)", "links", "ct label")],
)
def test_what_a_kernel_may_lack_is_left_out_and_said(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, tmp_path: Path, lacking: str, has: str, has_not: str
) -> None:
    recorder.refuse = lacking
    firewall = Firewall(replace(POLICY, connections=5), recorder, Kernel(recorder), str(tmp_path))
    firewall.start([])
    firewall.close(remove=False)
    assert has in recorder.ran[-1]
    assert has_not not in recorder.ran[-1]
    assert "the kernel cannot" in caplog.text


def test_who_asks_for_shut_links_does_not_wait_for_a_change(firewall: Firewall) -> None:
    """The event loop does, and a change may have much of conntrack to go through."""
    firewall.start([ONE])
    firewall.shut(ONE.container_id)
    found: list[tuple[str, ...]] = []
    asker = threading.Thread(target=lambda: found.append(firewall.links_of(ONE.container_id)), daemon=True)
    with firewall._mutex:
        asker.start()
        asker.join(30)
        assert found == [("w-aaaaaaaaaaa-0",)]
