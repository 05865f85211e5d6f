"""What the firewall costs with many containers: the add of one with a port and five rules, first and after 500.

    unshare --net .venv/bin/python bench/firewall.py [CONTAINERS]

Needs root; a network namespace of its own keeps the machine's ruleset out of it. Prints microseconds and the ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from warden.model.net import NetRule, PortMap, Protocol
from warden.network import libnft
from warden.network.firewall import Firewall
from warden.network.nfnetlink import Wire
from warden.network.nft import BridgeNet, Guest, GuestLink, Policy

ROUNDS = 40


def plain(number: int) -> Guest:
    name = f"{number:011d}"
    return Guest(name, (GuestLink(f"w-{name}-0", (IPv4Address("10.254.0.2") + 4 * number,)),))


def full(number: int) -> Guest:
    """With one net_in and five net_out."""
    rules = tuple(NetRule(f"192.0.2.{n}", "80:90", Protocol.TCP) for n in range(5))
    return replace(plain(number), ports=(PortMap(None, 10000 + number, 80),), rules=rules)


def median_us(actions: list[Callable[[], None]]) -> float:
    found = []
    for action in actions:
        start = time.perf_counter()
        action()
        found.append((time.perf_counter() - start) * 1e6)
    return statistics.median(found)


def measure(firewall: Firewall, number: int, make: Callable[[int], Guest]) -> tuple[float, float]:
    """Medians of adding and removing."""
    guest = make(number)
    add, drop = lambda: firewall.put(guest), lambda: firewall.drop(guest.container_id)
    found = [median_us([add, drop][i % 2 : i % 2 + 1]) for i in range(2 * ROUNDS)]
    return statistics.median(found[::2]), statistics.median(found[1::2])


def bridges(firewall: Firewall) -> None:
    """The first brings a table of its own, those after it do not."""
    made = [BridgeNet(f"w-br-{n}", (IPv4Network((0x0A640000 + 256 * n, 24)),)) for n in range(ROUNDS)]
    first = median_us([lambda: firewall.put_bridge(made[0])])
    come = median_us([partial(firewall.put_bridge, one) for one in made[1:]])
    go = median_us([partial(firewall.drop_bridge, one.device) for one in made[1:]])
    print(f"the first bridge {first:.0f} us, another {come:.0f} us, its end {go:.0f} us")


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    policy = Policy("bench", IPv4Network("10.254.0.0/16"), denied=(IPv4Network("0.0.0.0/0"),), connections=8192)
    firewall = Firewall(policy, libnft.Library(), Wire(), tempfile.mkdtemp())
    firewall.start([])
    measure(firewall, many, full)
    first = {make.__name__: measure(firewall, many, make) for make in (plain, full)}
    begin = time.perf_counter()
    for number in range(many):
        firewall.put(full(number))
    print(f"{many} containers with a port and five rules: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    for make in (plain, full):
        for what, before, after in zip(
            ("add", "remove"), first[make.__name__], measure(firewall, many, make), strict=True
        ):
            ratio = after / before
            print(f"{what:7} {make.__name__:6} first {before:6.0f} us, after {many} {after:6.0f} us, ratio {ratio:.2f}")
    bridges(firewall)
    begin = time.perf_counter()
    assert not firewall.faults()
    print(f"everything compared with the kernel's: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    begin = time.perf_counter()
    firewall._tables.make(firewall._wanted())
    print(f"tables made anew: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    begin = time.perf_counter()
    firewall.look()
    print(f"after a flushed ruleset: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    firewall.close(remove=True)


if __name__ == "__main__":
    main()
