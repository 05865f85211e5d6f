"""Rules and ports as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model.net import NetPolicy, NetRule, PortMap, Protocol
from warden.model.nettext import port_to_text, rule_to_words, text_to_ports, words_to_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.0.0.0/8", NetRule("10.0.0.0/8")),
        ("tcp 10.0.0.0/8 80", NetRule("10.0.0.0/8", "80")),
        ("udp any 53:54 log", NetRule(None, "53:54", Protocol.UDP, log=True)),
        ("icmp 1.1.1.1", NetRule("1.1.1.1", None, Protocol.ICMP)),
        ("icmp 1.1.1.1 8", NetRule("1.1.1.1", None, Protocol.ICMP, 8)),
        ("icmp 1.1.1.1 3/4 log", NetRule("1.1.1.1", None, Protocol.ICMP, 3, 4, log=True)),
        ("all 2001:db8::/32", NetRule("2001:db8::/32", None, Protocol.ALL)),
        ("all 1.1.1.1-1.1.1.9 log", NetRule("1.1.1.1-1.1.1.9", None, Protocol.ALL, log=True)),
    ],
)
def test_rules_there_and_back(text: str, rule: NetRule) -> None:
    assert words_to_rule(text.split()) == rule
    assert words_to_rule(rule_to_words(rule)) == rule


def test_any_without_ports_is_all_of_ipv4() -> None:
    assert words_to_rule(["all", "any"]) == NetRule("0.0.0.0/0", None, Protocol.ALL)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "rule: a network is missing"),
        ("tcp", "rule: a network is missing"),
        ("sctp any 80", "rule: 'sctp' is neither a protocol nor a network"),
        ("1.1.1.1 80 81", "rule: '81' means nothing here"),
        ("icmp 1.1.1.1 x", "rule: 'x' is not an ICMP type"),
        ("icmp 1.1.1.1 8/", "rule: '8/' is not an ICMP type"),
        ("icmp 1.1.1.1 256", "icmp_type: 256 is out of range"),
        ("all 1.1.1.1 80", "a port has no meaning for all"),
        ("sctp 1.1.1.1", "'sctp' is neither a protocol nor a network"),
        ("1.1.1.1 90:80", "Port range maximum must be greater than minimum"),
    ],
)
def test_what_is_no_rule(text: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        words_to_rule(text.split())
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", (PortMap(None, 0, 80),)),
        ("80/udp", (PortMap(None, 0, 80, "udp"),)),
        ("8080:80", (PortMap(None, 8080, 80),)),
        ("8080:80/UDP", (PortMap(None, 8080, 80, "udp"),)),
        ("192.0.2.1:8080:80", (PortMap("192.0.2.1", 8080, 80),)),
        ("192.0.2.1::80", (PortMap("192.0.2.1", 0, 80),)),
        ("[2001:db8:0::1]:8080:80/tcp", (PortMap("2001:db8::1", 8080, 80),)),
        ("[::1]::80", (PortMap("::1", 0, 80),)),
        ("8000-8001:80-81", (PortMap(None, 8000, 80), PortMap(None, 8001, 81))),
        ("80-81", (PortMap(None, 0, 80), PortMap(None, 0, 81))),
    ],
)
def test_ports(text: str, ports: tuple[PortMap, ...]) -> None:
    assert text_to_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a port"),
        ("a", "is not a port"),
        ("80:", "is not a port"),
        ("80:80:80", "'80' is not an address"),
        ("1.2.3.4:80", "is not a port"),
        ("::1:80:80", "is not a port"),
        ("80/sctp", "'sctp' has no ports here"),
        ("0:80", "publish: 0 is not a port"),
        ("80:65536", "publish: 65536 is not a port"),
        ("81-80:1-2", "the last port is below the first"),
        ("80-82:80", "3 ports cannot lead to 1"),
        ("1-5000:1-5000", "more than 4096 ports"),
        ("1.2.3.999:80:80", "'1.2.3.999' is not an address"),
        ("[fe80::1%eth0]:80:80", "is not a port"),
    ],
)
def test_what_is_no_port(text: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        text_to_ports(text)
    assert reason in str(caught.value)


@given(st.text("0123456789.:-[]/tcpud", max_size=24))
def test_nothing_but_ports_or_a_refusal(text: str) -> None:
    try:
        found = text_to_ports(text)
    except BadInput:
        return
    assert all(0 <= port.host_port <= 65535 and 1 <= port.container_port <= 65535 for port in found)


def test_a_port_is_shown_as_docker_does() -> None:
    assert port_to_text(PortMap(None, 8080, 80)) == "80/tcp -> 0.0.0.0:8080"
    assert port_to_text(PortMap("2001:db8::1", 53, 54, "udp")) == "54/udp -> [2001:db8::1]:53"


def test_whoever_denies_all_of_ipv4_denies_ipv6() -> None:
    assert NetPolicy(deny=("0.0.0.0/0",)).denied == ("0.0.0.0/0", "::/0")
    assert NetPolicy(deny=("10.0.0.0/8",)).denied == ("10.0.0.0/8",)
    with pytest.raises(BadInput, match="'all' is not an IPv4 or IPv6 network"):
        NetPolicy(allow=("all",))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((None, 80, 80, "sctp"), "port: 'sctp' is not a protocol with ports (tcp or udp)"),
        ((None, 65536, 80), "port: host_port: 65536 is not a port (1 to 65535)"),
        ((None, 0, -1), "port: container_port: -1 is not a port (1 to 65535)"),
        (("fe80::1%x", 80, 80), "port: 'fe80::1%x' is not an address (an IPv4 or IPv6 address)"),
        (("localhost", 80, 80), "port: 'localhost' is not an address (an IPv4 or IPv6 address)"),
    ],
)
def test_what_is_no_port_map(values: tuple[str | None, int, int], reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        PortMap(*values)
    assert str(caught.value) == reason
