"""Bridges of ours in the kernel: made, put right, removed. Blocking; the driving half of netlink.py for them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Collection, Iterable
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_interface

from warden.errors import EngineFault, KernelRefused, NotSupported
from warden.kernel.procnet import parse_route
from warden.model.interfaces import MIN_MTU_IPV6, Bridge, Link
from warden.network import netlink
from warden.network.hostlink import find_link
from warden.network.route import Route

log = logging.getLogger("warden.network")


def make(bridge: Bridge, mtu: int) -> int:
    """The index of its device, which is made and given its addresses where they are missing. Raises EngineFault when
    somebody else has a link of that name, NotSupported, KernelRefused."""
    device = bridge.device
    with Route() as route:
        found = find_link(route, device)
        if found is None:
            _add(route, bridge, mtu)
            found = find_link(route, device)
        if found is None or found.kind != "bridge":
            raise EngineFault(f"network {bridge.name}: the link {device} is not a bridge", hint="rename or remove it")
        _distrust(device)
        for address in filter(None, (bridge.gateway4, bridge.gateway6)):
            message = netlink.add_address(found.index, ip_interface(address), replace=True)
            route.ask(message, f"ip address replace {address} dev {device}")
        quiet = (bridge.mtu or mtu) >= MIN_MTU_IPV6  # below, the kernel takes IPv6 from it altogether
        up = netlink.set_up(found.index, forwarding=not bridge.internal, quiet=quiet)
        route.ask(up, f"ip link set {device} up")
    return found.index


def _distrust(device: str) -> None:
    """Containers must not tell the host its routes: router advertisements and redirects are not listened to (by default
    the host takes both, as it does not route all IPv6). Nor are containers told any."""
    for family, name in _DEAF:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{family}/conf/{device}/{name}", "w") as file:
            file.write("0")


_DEAF = (
    ("ipv6", "accept_ra"),
    ("ipv6", "autoconf"),
    ("ipv6", "accept_redirects"),
    ("ipv4", "accept_redirects"),
    ("ipv4", "send_redirects"),
)


def _add(route: Route, bridge: Bridge, mtu: int) -> None:
    # Without an address of its own a bridge takes the lowest of its ports, and changes it as they come and go.
    mac = "02:77:" + blake2b(bridge.device.encode(), digest_size=4).digest().hex(":")
    message = netlink.add_link("bridge", bridge.device, mac=mac, mtu=bridge.mtu or mtu)
    try:
        route.ask(message, f"ip link add {bridge.device} type bridge")
    except KernelRefused as error:
        if error.errno == errno.EOPNOTSUPP:
            hint = "load its module: modprobe bridge"
            raise NotSupported(f"network {bridge.name}: the kernel has no bridges", hint=hint) from error
        if error.errno != errno.EEXIST:
            raise


def remove(device: str) -> None:
    """Absent is fine. Raises KernelRefused."""
    with Route() as route:
        found = find_link(route, device)
        if found is not None and found.kind == "bridge":
            _delete(route, found.index, device)


def remove_link(name: str) -> None:
    """Deletes the host's end of a pair, and so the other; absent is fine. Raises KernelRefused."""
    with Route() as route:
        found = find_link(route, name)
        if found is not None:
            _delete(route, found.index, name)


def _delete(route: Route, index: int, name: str) -> None:
    try:
        route.ask(netlink.delete_link(index), f"ip link delete {name}")
    except KernelRefused as error:
        if error.errno != errno.ENODEV:
            raise


def attach(index: int, links: Iterable[Link]) -> None:
    """The ends of *links* become ports of the bridge again, after somebody took it away. What fails is logged."""
    with Route() as route:
        for link in links:
            try:
                route.ask(netlink.change_link(link.host_index, master=index), f"ip link set {link.host_name} master")
            except KernelRefused as error:
                log.error("%s", error)


def routed_networks(own: Collection[str]) -> list[IPv4Network | IPv6Network]:
    """Where the host's own routes lead, but for the default ones and those of the links called *own*."""
    with open("/proc/net/route", "rb") as file:
        routes = parse_route(file.read())
    found: list[IPv4Network | IPv6Network] = [route.network for route in routes if route.link not in own]
    try:
        with open("/proc/net/ipv6_route", encoding="ascii") as text:
            rows = [line.split() for line in text]
    except FileNotFoundError:  # a kernel without IPv6
        rows = []
    for row in rows:
        network = IPv6Network((int(row[0], 16), int(row[1], 16)))
        if row[9] not in ("lo", *own) and not network.is_link_local and not network.is_multicast:
            found.append(network)
    return [network for network in found if network.prefixlen]
