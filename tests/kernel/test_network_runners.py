"""The firewall against a real kernel, with both ways to nft's text, each in a network namespace of its own process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

PROGRAM = """
import errno, json, subprocess, sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from warden.errors import EngineFault
from warden.model.net import NetPolicy, NetRule, PortMap, Protocol
from warden.network import libnft, nft
from warden.network.firewall import Firewall
from warden.network.nfnetlink import Change, Wire

def listed():
    # In an order that does not depend on when and where the kernel put it.
    text = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    found = {}
    for one in json.loads(text)["nftables"]:
        (kind, item), = one.items()
        item.pop("handle", None)
        if "elem" in item:
            item["elem"].sort(key=json.dumps)
        found.setdefault((kind, item.get("family"), item.get("table"), item.get("chain", item.get("name"))), []).append(item)
    return "\\n".join(f"{key} {json.dumps(found[key])}" for key in sorted(found, key=str))

def handle_of(chain):
    text = subprocess.run(["nft", "-a", "list", "chain", "inet", "w-a_1", chain], capture_output=True, text=True, check=True).stdout
    return next(line for line in text.splitlines() if "goto refuse" in line).rpartition(" ")[2]

def same_when_made_anew():
    full = listed()
    firewall._tables.make(firewall._wanted())
    assert listed() == full, "\\n".join(sorted({*listed().splitlines()} ^ {*full.splitlines()}))
    assert firewall.faults() == []

subprocess.run(["nft", "add table ip other; add chain ip other kept"], check=True)
runner = libnft.Program("/usr/sbin/nft") if sys.argv[1] == "program" else libnft.Library()
networks = (*map(IPv4Network, ("10.254.3.0/24", "192.0.2.0/24", "192.0.2.0/25")), IPv6Network("2001:db8::/32"))
denied = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
policy = nft.Policy("w-a_1", IPv4Network("10.254.0.0/16"), networks, denied, True, 100)
firewall = Firewall(policy, runner, Wire(), sys.argv[2])

def make(number):
    name = f"{number:011d}"
    return nft.Guest(name, (nft.GuestLink(f"w-{name}-0", (IPv4Address("10.254.0.2") + 4 * number,)),))

guests = [make(number) for number in range(30)]
firewall.start(guests[:10])
before = listed()
kinds = [NetRule("1.1.1.1-1.1.1.9", "1:2", Protocol.UDP, log=True), NetRule(None, "1"),
         NetRule("1.1.1.1", None, Protocol.ICMP, 0, 255), NetRule("10.0.0.0/8", None, Protocol.ALL),
         NetRule("1.1.1.1", None, Protocol.ICMP), NetRule("10.254.0.9"), NetRule("2001:db8::1", "7")]
seven, eight = PortMap(None, 7, 70), PortMap("192.0.2.1", 8, 80, "udp")
for guest in guests[10:]:
    firewall.put(guest)
    firewall.put(replace(guest, ports=(seven, eight), rules=tuple(kinds[:2])))
    firewall.put(replace(guest, ports=(seven,), rules=tuple(kinds)))
    firewall.put(replace(guest, ports=(seven,), rules=tuple(kinds[2:])))
    firewall.put(replace(guest, ports=(seven,), rules=(kinds[2], kinds[4], NetRule("1.1.0.0-1.1.1.1")))),
    firewall.put(replace(guest, ports=(seven,), rules=(NetRule("9.9.9.9"),), policy=NetPolicy(("10.254.0.9", "9.0.0.0/8"), ("0.0.0.0/0", "::/0"))))
same_when_made_anew()

# What is new lies in what stays: the kernel takes that in one order only.
firewall.put(replace(guests[1], rules=(NetRule("9.9.9.9"), NetRule("8.0.0.0/8"))))
firewall.put(replace(guests[1], rules=(NetRule("8.1.0.0/16"), NetRule("8.0.0.0/8"))))
assert firewall.mended == 0
same_when_made_anew()
# Somebody changes a chain of ours while we write as many rules as there were: those are the new ones afterwards.
firewall.put(replace(guests[2], policy=NetPolicy((), ("9.0.0.0/8",))))
subprocess.run(["nft", "insert", "rule", "inet", "w-a_1", "known", "counter"], check=True)
firewall.put(replace(guests[2], policy=NetPolicy((), ("8.0.0.0/8",))))
assert firewall.mended == 1
same_when_made_anew()
rule = ["ct", "original", "ip", "daddr", "9.0.0.0/8", "accept"]
subprocess.run(["nft", "replace", "rule", "inet", "w-a_1", guests[2].chain, "handle", handle_of(guests[2].chain), *rule], check=True)
assert firewall.repair() == [f"table inet w-a_1: chain {guests[2].chain} was changed"]
same_when_made_anew()
firewall._tables.mended = 0
firewall.put(guests[1])
firewall.put(guests[2])

bridge = nft.BridgeNet("w-br-x", (IPv4Network("10.9.0.0/24"), IPv6Network("fd00:9::/64")), False,
                       ((IPv4Address("10.9.0.1"), "udp", 53), (IPv6Address("fd00:9::1"), "tcp", 53)))
link = nft.GuestLink("w-x-1", (IPv4Address("10.9.0.2"), IPv6Address("fd00:9::2")), "02:00:00:00:00:01", "w-br-x")
bridged = nft.Guest("x", (link,), (PortMap(None, 9, 90), PortMap("2001:db8::9", 9, 90)), tuple(kinds))
named = replace(guests[0], rules=(NetRule("10.9.0.7"), NetRule("10.9.0.0/16"), NetRule("fd00:9::7")))
firewall.put(named)
firewall.put_bridge(bridge)
firewall.put(bridged)
same_when_made_anew()
beside = nft.BridgeNet("w-br-y", (IPv4Network("10.9.1.0/24"), IPv6Network("2001:db8:1::/64")), True)
theirs = nft.GuestLink("w-y-1", (), "02:00:00:00:00:02", "br0", foreign=True)
firewall.put_bridge(beside)
firewall.put_bridge(nft.BridgeNet("br0", (), foreign=True))
firewall.put(nft.Guest("y", (theirs,)))
assert firewall.faults() == []
same_when_made_anew()
firewall.drop_bridge("w-br-y")
firewall.drop("y")
firewall.drop_bridge("br0")
same_when_made_anew()
firewall.put(replace(bridged, ports=tuple(PortMap(None, port, port) for port in range(2000, 6000))))
same_when_made_anew()
firewall.drop("x")
firewall.drop_bridge("w-br-x")
assert "bridge" not in listed()
same_when_made_anew()
firewall.put(guests[0])

full = listed()
kernel = firewall._tables.kernel
for verb, guest in (("add", guests[0]), ("delete", make(99))):
    try:
        elements = tuple(nft.guest_elements(guest))
        kernel.run(policy.table, [Change(verb, elements=elements)], kernel.generation())
    except OSError as error:
        assert error.errno in (errno.EEXIST, errno.ENOENT), error
    else:
        raise AssertionError("the kernel took nonsense")
try:
    kernel.run(policy.table, [Change("delete", elements=tuple(nft.guest_elements(guests[0])))], kernel.generation() - 1)
except OSError as error:
    assert error.errno == errno.ERESTART, error
else:
    raise AssertionError("the kernel took a change for another generation")
assert listed() == full

for command, fault in (
    ("add table ip foreign", None),
    ("delete element inet w-a_1 links { \\"w-00000000003-0\\" }", "links: 1 elements are missing"),
    ("add element inet w-a_1 guests { \\"eth0\\" . 1.2.3.4 }", "guests: 1 elements are not ours"),
    ("flush chain inet w-a_1 leaving", "chain leaving was changed"),
    ("flush chain inet w-a_1 warden-i-00000000012", "chain warden-i-00000000012 was changed"),
    ("flush set inet w-a_1 warden-o-00000000012", "warden-o-00000000012: 1 elements are missing"),
    ("flush chain inet w-a_1 screen", "chain screen was changed"),
    ("add rule inet w-a_1 refuse accept", "chain refuse was changed"),
    ("add element inet w-a_1 inner { 192.0.2.7 }", "inner: 2 elements are not ours"),
    ("delete element inet w-a_1 flows { \\"w-00000000003-0\\" . 10.254.0.14 }", "flows: 1 elements are missing"),
    ("delete element inet w-a_1 ports { tcp . 7 }; add element inet w-a_1 ports { tcp . 7 : 10.254.0.9 . 1 }",
     "ports: 1 elements lead elsewhere"),
    ("delete table inet w-a_1", "it is missing"),
):
    if "delete table" not in command:
        subprocess.run(["nft", "add element inet w-a_1 over { \\"w-00000000003-0\\" . 10.254.0.14 counter packets 7 bytes 8 }"], check=True)
        assert '"packets": 7' in listed()
    subprocess.run(["nft", command], check=True)
    expected = [] if fault is None else [f"table inet w-a_1: {fault}"]
    found = firewall.repair()
    assert found == expected, found
    assert firewall.faults() == []
    if "delete table" not in command:
        assert '"packets": 7' in listed(), "what was counted stays"
        subprocess.run(["nft", "flush set inet w-a_1 over"], check=True)
subprocess.run(["nft", "delete table ip foreign"], check=True)
assert listed() == full
subprocess.run(["nft", "delete table inet w-a_1"], check=True)
firewall.look()
assert listed() == full

for guest in guests[5:]:
    firewall.drop(guest.container_id)
for guest in guests[5:10]:
    firewall.put(guest)
assert listed() == before
try:
    runner.run("add element inet w-a_1 nothing { 1 }\\nadd table ip never")
except EngineFault as error:
    assert "No such file or directory" in str(error), error
else:
    raise AssertionError("nft took nonsense")
assert "never" not in listed()
firewall.close(remove=True)
assert "w-a_1" not in listed() and "kept" in listed()
"""


@pytest.mark.parametrize("runner", ["library", "program"])
def test_changes_and_their_undoing_leave_the_table_as_it_was(runner: str, tmp_path: object) -> None:
    command = ["unshare", "--net", sys.executable, "-c", PROGRAM, runner, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


BUSY = """
import sys, threading
from ipaddress import IPv4Address, IPv4Network
from warden.model.net import NetRule
from warden.network import libnft, nft
from warden.network.firewall import Firewall
from warden.network.nfnetlink import Wire

def change_theirs():
    theirs = libnft.Library()
    theirs.run("add table inet theirs; add set inet theirs s { type ipv4_addr; }")
    while not over.is_set():
        theirs.run("add element inet theirs s { 192.0.2.1 }")
        theirs.run("delete element inet theirs s { 192.0.2.1 }")
    theirs.close()

over = threading.Event()
other = threading.Thread(target=change_theirs)
other.start()
try:
    policy = nft.Policy("w-a_1", IPv4Network("10.254.0.0/16"))
    firewall = Firewall(policy, libnft.Library(), Wire(), sys.argv[1])
    firewall.start([])
    for number in range(100):
        link = nft.GuestLink(f"w-{number:011d}-0", (IPv4Address("10.254.0.2") + 4 * number,))
        firewall.put(nft.Guest(f"{number:011d}", (link,), rules=(NetRule("192.0.2.1"),)))
    for _ in range(5):
        firewall.put_bridge(nft.BridgeNet("w-br-x", (IPv4Network("10.9.0.0/24"),)))
        assert firewall.faults() == []
        firewall.drop_bridge("w-br-x")
        assert firewall.faults() == []
finally:
    over.set()
    other.join()
firewall.close(remove=True)
"""


def test_bridges_come_and_go_while_others_change_theirs(tmp_path: object) -> None:
    command = ["unshare", "--net", sys.executable, "-c", BUSY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
