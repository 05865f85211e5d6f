"""Both ways to nftables against a real kernel, each in a network namespace of its own process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

PROGRAM = """
import errno, subprocess, sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from warden.errors import EngineFault
from warden.model.net import NetRule, PortMap, Protocol
from warden.network import libnft, nft
from warden.network.elements import ElementSocket
from warden.network.firewall import Firewall

def listed():
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout

subprocess.run(["nft", "add table ip other; add chain ip other kept"], check=True)
runner = libnft.Program("/usr/sbin/nft") if sys.argv[1] == "program" else libnft.Library()
quick = ElementSocket() if sys.argv[1] == "elements" else None
networks = tuple(map(IPv4Network, ("10.254.3.0/24", "192.0.2.0/24", "192.0.2.0/25")))
policy = nft.Policy("w-a_1", IPv4Network("10.254.0.0/16"), networks, (IPv4Network("0.0.0.0/0"),), True)
firewall = Firewall(policy, runner, quick, sys.argv[2])


def make(name, address):
    return nft.Guest(name, (nft.GuestLink(f"w-{name}-0", (address,)),))

guests = [make(f"{number:011d}", IPv4Address("10.254.0.2") + 4 * number) for number in range(30)]
firewall.start(guests[:10])
before = listed()
kinds = [NetRule("1.1.1.1-1.1.1.9", "1:2", Protocol.UDP, log=True), NetRule(None, "1"),
         NetRule("1.1.1.1", None, Protocol.ICMP, 0, 255), NetRule("10.0.0.0/8", None, Protocol.ALL)]
for guest in guests[10:]:
    firewall.put(guest)
    firewall.put(replace(guest, ports=(PortMap(None, 7, 70), PortMap(None, 8, 80)), rules=tuple(kinds[:2])))
    firewall.put(replace(guest, ports=(PortMap(None, 7, 70),), rules=tuple(kinds)))
    firewall.put(replace(guest, ports=(PortMap(None, 7, 70),), rules=tuple(kinds[2:])))
full = listed()
runner.run(nft.whole(policy, firewall._guests.values(), firewall._forwards))
assert listed() == full, "a table made anew is the table that grew"
if quick is not None:
    for wrong, add in ((guests[0], True), (make("zzzzzzzzzzz", guests[0].addresses[0]), False)):
        try:
            quick.change(policy.table, wrong, add=add)
        except OSError as error:
            assert error.errno in (errno.EEXIST, errno.ENOENT), error
        else:
            raise AssertionError("the kernel took nonsense")
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


@pytest.mark.parametrize("runner", ["library", "program", "elements"])
def test_changes_and_their_undoing_leave_the_table_as_it_was(runner: str, tmp_path: object) -> None:
    command = ["unshare", "--net", sys.executable, "-c", PROGRAM, runner, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
