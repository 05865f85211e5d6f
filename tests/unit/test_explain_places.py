"""Where `warden explain` finds things: cgroups by mounts, links by /proc/PID/net, rules by nft's text. All pure."""

from __future__ import annotations

from warden.explain.firewall import Subject, blocks, concerning
from warden.explain.groups import NOT_MOUNTED, OUTSIDE, locate
from warden.explain.namespaces import is_hosts
from warden.explain.network import build
from warden.kernel.proc import CgroupMembership, MountRecord, parse_mountinfo

MOUNTS = parse_mountinfo(
    b"30 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    b"31 1 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    b"32 1 0:32 /outer /part rw - cgroup cgroup rw,pids\n"
    b"33 1 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
    b"34 1 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def place(number: int, controllers: tuple[str, ...], path: str, mounts: list[MountRecord] = MOUNTS) -> object:
    group = locate(CgroupMembership(number, controllers, path), mounts)
    return group.directory or group.reason


def test_a_group_is_found_where_its_hierarchy_is_mounted() -> None:
    assert place(4, ("memory",), "/a/b") == "/sys/fs/cgroup/memory/a/b"
    assert place(4, ("memory",), "/") == "/sys/fs/cgroup/memory"
    assert place(3, ("cpu", "cpuacct"), "/x") == "/sys/fs/cgroup/cpu/x"
    assert place(9, ("name=systemd",), "/") == "/sys/fs/cgroup/systemd"
    assert place(0, (), "/user") == "/sys/fs/cgroup/unified/user"
    assert place(4, ("memory",), "/gone (deleted)") == "/sys/fs/cgroup/memory/gone"


def test_a_part_that_is_mounted_holds_what_is_below_it() -> None:
    assert place(5, ("pids",), "/outer/in") == "/part/in"
    assert place(5, ("pids",), "/outer") == "/part"
    assert place(5, ("pids",), "/outermost") is NOT_MOUNTED


def test_what_cannot_be_reached_says_why() -> None:
    assert place(7, ("net_cls",), "/a") is NOT_MOUNTED
    assert place(4, ("memory",), "/../other") is OUTSIDE
    assert place(0, (), "/", []) is NOT_MOUNTED


def test_whose_a_namespace_is() -> None:
    assert is_hosts("net", 5, {"net": 5})
    assert is_hosts("net", 6, {"net": 5}) is False
    assert is_hosts("uts", 0xEFFFFFFE, {}) is True
    assert is_hosts("uts", 7, {}) is False
    assert is_hosts("net", 7, {}) is None  # before 6.18 the first one has any number


DEV = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:      10       1    0    0    0     0          0         0       10       1    0    0    0     0       0          0
w-1-1: 2048       3    0    0    0     0          0         0     1024       2    0    0    0     0       0          0
"""
TRIE = b"""Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 10.0.0.2
        /32 host LOCAL
     |-- 10.0.0.3
        /32 link BROADCAST
     |-- 192.0.2.7
        /32 host LOCAL
"""
ROUTE = b"""Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
w-1-1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
w-1-1\t0000000A\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\t0\t0
w-1-1\t0000000B\t00000000\t0000\t0\t0\t0\tFCFFFFFF\t0\t0\t0
"""
INET6 = b"fe80000000000000000000000000000a 02 40 20 80    w-1-1\n"


def test_links_have_their_addresses_and_counters() -> None:
    network = build(DEV, TRIE, ROUTE, INET6)
    lo, link = network.links
    assert (lo.counters.name, lo.addresses) == ("lo", ("127.0.0.1/8",))
    assert link.addresses == ("10.0.0.2/30", "fe80::a/64")
    assert (link.counters.rx_bytes, link.counters.rx_packets, link.counters.tx_bytes, link.counters.tx_packets) == (2048, 3, 1024, 2)
    assert network.loose == ("192.0.2.7/32",)  # no route tells where it is
    assert network.addresses == ("10.0.0.2", "fe80::a", "192.0.2.7")
    default, direct = network.routes
    assert (str(default.network), str(default.gateway)) == ("0.0.0.0/0", "10.0.0.1")
    assert (str(direct.network), direct.gateway) == ("10.0.0.0/30", None)


def test_nothing_is_no_error() -> None:
    network = build(b"", b"", b"", b"")
    assert (network.links, network.routes, network.addresses) == ((), (), ())


RULESET = """table inet warden {
\tset links {
\t\ttype ifname
\t\telements = { "w-1-0",
\t\t\t     "w-2-0" }
\t}

\tmap rules {
\t\ttype ifname : verdict
\t\telements = { "w-1-0" : goto warden-i-1,
\t\t\t     "w-2-0" : goto warden-i-2 }
\t}

\tmap ports {
\t\ttype inet_service : ipv4_addr . inet_service
\t\telements = { 8080 : 10.0.0.2 . 80, 8081 : 10.0.0.22 . 80 }
\t}

\tset refused {
\t\ttype ifname . ipv4_addr
\t\telements = { "w-1-0" . 10.0.0.2 counter packets 1 bytes 60 expires 59m }
\t}

\tset warden-o-1 {
\t\ttype ipv4_addr . inet_proto . inet_service
\t\telements = { 198.18.0.3 . tcp . 80-90 }
\t}

\tset warden-o-2 {
\t\ttype ipv4_addr . inet_proto . inet_service
\t\telements = { 198.18.0.4 . tcp . 80-90 }
\t}

\tchain screen {
\t\ttype filter hook prerouting priority -150; policy accept;
\t\tiifname @links meta nfproto ipv6 drop
\t}

\tchain outbound {
\t\tip saddr 10.0.0.0/8 masquerade
\t\tip saddr 10.0.0.16/28 masquerade
\t}

\tchain warden-i-1 {
\t\tip daddr 198.18.0.1 accept
\t\tip daddr . meta l4proto . ct original proto-dst @warden-o-1 accept
\t\tgoto last
\t}

\tchain warden-i-2 {
\t\tip daddr . meta l4proto . ct original proto-dst @warden-o-2 accept
\t}

\tchain last {
\t\tdrop
\t}
}
table ip other {
\tchain input {
\t\tip saddr 10.0.0.0/8 accept
\t\tip saddr 10.0.0.22 drop
\t}
}
"""


def test_rules_that_concern_one_container_are_found_and_no_others() -> None:
    found = list(concerning(list(blocks(RULESET)), Subject("w-1-0", ("10.0.0.2", "fe80::a"))))
    assert {rule.table for rule in found} == {"inet warden"}
    assert [(rule.name, rule.text, rule.why.en) for rule in found] == [
        ("links", '"w-1-0"', "names its link"),
        ("rules", '"w-1-0" : goto warden-i-1', "names its link"),
        ("ports", "8080 : 10.0.0.2 . 80", "names its address"),
        ("warden-o-1", "198.18.0.3 . tcp . 80-90", "a chain entered for it"),
        ("screen", "iifname @links meta nfproto ipv6 drop", "looks into a set that holds it"),
        ("outbound", "ip saddr 10.0.0.0/8 masquerade", "its address is in that network"),
        ("warden-i-1", "ip daddr 198.18.0.1 accept", "a chain entered for it"),
        (
            "warden-i-1",
            "ip daddr . meta l4proto . ct original proto-dst @warden-o-1 accept",
            "a chain entered for it",
        ),
        ("warden-i-1", "goto last", "a chain entered for it"),
        ("last", "drop", "a chain entered for it"),
    ]


def test_an_empty_ruleset_concerns_nobody() -> None:
    assert list(concerning(list(blocks("")), Subject("w-1-0", ("10.0.0.2",)))) == []
