"""NetRule, the pool of ports, and the host's outer interface: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from warden.depot.snapshot import Snapshot
from warden.errors import BadInput, PoolExhausted
from warden.model.info import State
from warden.model.net import NetRule, Protocol, check_port
from warden.model.spec import ContainerSpec
from warden.network import forwarding
from warden.network.netlink import set_up
from warden.network.pool import PortPool
from warden.protocol import convert
from warden.protocol import warden_pb2 as pb


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "Please specify network, port, and/or port_range."),
        ({"protocol": Protocol.ICMP, "icmp_type": 8}, "Please specify network, port, and/or port_range."),
        ({"ports": "80:80"}, "Port range maximum must be greater than minimum"),
        ({"ports": "81:80"}, "Port range maximum must be greater than minimum"),
        ({"ports": "80-90"}, "net_out: '80-90' is not a port range (MIN:MAX, such as 8000:8080)"),
        ({"ports": "80; drop"}, "net_out: '80; drop' is not a port range (MIN:MAX, such as 8000:8080)"),
        ({"ports": "0"}, "net_out: port: 0 is not a port (1 to 65535)"),
        ({"ports": "1:70000"}, "net_out: port: 70000 is not a port (1 to 65535)"),
        ({"ports": "1", "protocol": Protocol.ALL}, "net_out: a port has no meaning for all (protocol TCP or UDP)"),
        ({"network": "1.1.1.1", "icmp_type": 8}, "net_out: icmp_type has no meaning for tcp (protocol ICMP)"),
        (
            {"network": "1.1.1.1", "protocol": Protocol.ICMP, "icmp_type": 256},
            "net_out: icmp_type: 256 is out of range (0 to 255, or -1 for any)",
        ),
        ({"network": "1.1.1.1-::9"}, "network: '1.1.1.1-::9': one address is IPv4, the other IPv6"),
        ({"network": "1.1.1.9-1.1.1.1"}, "network: '1.1.1.9-1.1.1.1': the last address is below the first"),
    ],
)
def test_rules_that_make_no_sense(values: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        NetRule(**values)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "network", ["", "a", "1.1.1", "1.1.1.1/33", "::1/129", "1.1.1.1-", "1.1.1.1 accept", "1.1.1.0/24-2.2.2.2"]
)
def test_what_is_not_a_network(network: str) -> None:
    with pytest.raises(BadInput, match="is not an IPv4 or IPv6 network"):
        NetRule(network)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_is_not_a_port(port: int) -> None:
    with pytest.raises(BadInput, match=f"net_in: host_port: {port} is not a port"):
        check_port(port, "net_in: host_port")


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ({"port": 80}, NetRule(None, "80")),
        ({"port": 80, "port_range": b"1:2"}, NetRule(None, "1:2")),
        (
            {"network": b"1.1.1.1", "protocol": pb.NetOutRequest.UDP, "log": True},
            NetRule("1.1.1.1", None, Protocol.UDP, log=True),
        ),
        (
            {"network": b"1.1.1.1", "protocol": pb.NetOutRequest.ICMP, "icmp_type": 0, "icmp_code": -1},
            NetRule("1.1.1.1", None, Protocol.ICMP, 0, -1),
        ),
    ],
)
def test_requests_and_rules(request_: dict[str, Any], rule: NetRule) -> None:
    assert convert.request_to_rule(pb.NetOutRequest(handle=b"c", **request_)) == rule
    assert convert.request_to_rule(convert.rule_to_request("c", rule)) == rule


def test_an_unknown_protocol_is_tcp() -> None:
    request = pb.NetOutRequest.FromString(pb.NetOutRequest(handle=b"c", port=1).SerializeToString() + b"\x28\x09")
    assert convert.request_to_rule(request).protocol is Protocol.TCP


def test_a_snapshot_has_the_originals_rows() -> None:
    rules = (NetRule("1.1.1.1", "80:90", log=True), NetRule("2.2.2.0/24", None, Protocol.ICMP, 8, None))
    snapshot = Snapshot(
        "aaaaaaaaaaa", "h", State.ACTIVE, ContainerSpec(), 1.0, 1, None, "h", "/bin/sh", "10.254.0.0",
        ports=(61000,), net_in=((61000, 80), (22, 22)), net_out=rules,
    )  # fmt: skip
    text = "".join(snapshot.to_json().split())
    assert '"net_in":[[61000,80],[22,22]]' in text
    assert '"net_out":[["1.1.1.1","80:90","tcp",null,null,true],["2.2.2.0/24",null,"icmp",8,null,false]]' in text
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_ports_begin_behind_the_ephemeral_ones_and_end_at_65000() -> None:
    pool = PortPool(60999)
    assert (pool.first, pool.count) == (61000, 4001)
    assert [pool.acquire(0), pool.acquire(0)] == [61000, 61001]
    assert pool.take(61002, 0)
    assert not pool.take(61002, 0)
    assert not pool.take(80, 0)
    assert pool.acquire(0) == 61003
    pool.release(61000, 0)
    pool.release(80, 0)
    assert pool.take(61000, 0)


def test_ports_run_out() -> None:
    pool = PortPool(0, 1000, 1000)
    assert [pool.acquire(0) for _ in range(1000)][-1] == 1999
    with pytest.raises(PoolExhausted, match="no port available"):
        pool.acquire(0)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((64001, None, None), r"Insufficient non-ephemeral ports available \(expected >= 1000, got: 999\)"),
        ((65535, None, None), r"Insufficient non-ephemeral ports available \(expected >= 1000, got: 0\)"),
        ((60999, 2000, 10), r"Insufficient non-ephemeral ports available \(expected >= 1000, got: 10\)"),
        ((60999, 65000, 1000), r"port.pool_size: 1000 ports from 65000 reach beyond 65535"),
    ],
)
def test_too_few_ports(values: tuple[int, int | None, int | None], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        PortPool(*values)


def test_the_default_route_with_the_lowest_metric_leads_out() -> None:
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    rows = "a\t00000000\t01\t3\t0\t0\t9\t00000000\nb\t00000000\t02\t3\t0\t0\t1\t00000000\nc\t0000000A\t0\t1\t0\t0\t0\t00FFFFFF\n"
    assert forwarding.default_interface(head + rows) == "b"
    assert forwarding.default_interface(head) is None
    assert forwarding.ephemeral_end("32768\t60999\n") == 60999


def test_forwarding_rides_on_the_message_that_sets_the_link_up() -> None:
    _, _, plain = set_up(5)
    _, _, body = set_up(5, forwarding=True)
    assert body[:16] == plain
    assert body[16:].hex() == "1c001a80" + "18000280" + "14000180" + "0800010001000000" + "0800080001000000"
