"""The host's own part in routing: which interface leads out, whether it forwards, what it takes from containers' links.

Touches no other interface."""

from __future__ import annotations

import errno
import os

from warden.errors import KernelRefused
from warden.kernel import sockets
from warden.light import TYPE_CHECKING, logger
from warden.network import netlink
from warden.network.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logger("warden.network")

EPHEMERAL_END = 60999  # the kernel's default


def default_interface(routes: str) -> str | None:
    """The interface of the default route with the lowest metric, from the text of /proc/net/route."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    found = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    return min(found)[1] if found else None


def ephemeral_end(text: str) -> int:
    """The last port that the kernel itself takes for outgoing connections, from ip_local_port_range's text."""
    return int(text.split()[1])


def read_ephemeral_end() -> int:
    """The same from this machine."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
            return ephemeral_end(file.read())
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_END


def open_outer() -> str | None:
    """Switches forwarding on for the interface of the default route; its name, None when there is none or it cannot be.

    It stays on afterwards, as others may have come to rely on it. One interface, not ip_forward, which is all of them.
    """
    try:
        with open("/proc/net/route", encoding="utf-8") as file:
            name = default_interface(file.read())
        if name is None:
            log.info("no default route: containers reach this machine's own links only")
            return None
        with open(f"/proc/sys/net/ipv4/conf/{name}/forwarding", "r+", encoding="utf-8") as file:
            if file.read().strip() == "0":
                file.seek(0)
                file.write("1")
                log.info("forwarding is on for %s", name)
    except OSError as error:
        log.warning("forwarding: %s: %s; containers do not reach the network", error.filename, error.strerror)
        return None
    return name


def default_interfaces() -> set[str]:
    """The interfaces that a default route leads over, of either family."""
    found = set()
    with open("/proc/net/route", encoding="utf-8") as file:
        found |= {row[0] for row in map(str.split, file) if len(row) > 7 and row[1] == row[7] == "00000000"}
    return found | _outer_ipv6()


def open_loopback(device: str) -> None:
    """Lets the host's connections to its own 127.0.0.0/8 be led to a container behind *device* (route_localnet,
    ip-sysctl.rst). The other way is shut by the firewall. What cannot be opened is logged."""
    try:
        with open(f"/proc/sys/net/ipv4/conf/{device}/route_localnet", "w", encoding="utf-8") as file:
            file.write("1")
    except OSError as error:
        log.warning("route_localnet of %s: %s; its ports are not reached through 127.0.0.1", device, error.strerror)


def have_loopback6() -> bool:
    """Not where br_netfilter calls ip6tables: then an answer is led back to ::1 before the host has it, and dropped."""
    try:
        return _read("/proc/sys/net/bridge/bridge-nf-call-ip6tables") == "0"
    except OSError:
        return True


def open_loopback6(device: str) -> None:
    """The same of ::1, for which there is no such setting: what comes back for it is only looked for on the link that it
    comes over (rt6_need_strict), so that link has a route to it too. What is for ::1 when it arrives stays shut out by
    the kernel (ip6_rcv_core). Raises KernelRefused, OSError."""
    with Route() as route:
        message = netlink.add_local_loopback(sockets.if_nametoindex(device))
        try:
            route.ask(message, f"ip -6 route add local ::1 dev {device}")
        except KernelRefused as error:
            if error.errno != errno.EEXIST:
                raise


def open_ipv6(devices: Iterable[str]) -> None:
    """Lets the host route IPv6 between *devices* and where its default route leads.

    Since 6.17 each interface can be opened by itself (force_forwarding); before, all are or none, and an interface that
    forwards takes no more router advertisements unless accept_ra is 2: then what was 1 becomes 2 first.
    """
    names = {*devices, *_outer_ipv6()}
    try:
        if all(os.path.exists(f"{_CONF6}/{name}/force_forwarding") for name in names):
            for name in names:
                _write(f"{_CONF6}/{name}/force_forwarding", "1")
        elif _read(f"{_CONF6}/all/forwarding") == "0":
            for name in os.listdir(_CONF6):
                if _read(f"{_CONF6}/{name}/accept_ra") == "1":
                    _write(f"{_CONF6}/{name}/accept_ra", "2")
            _write(f"{_CONF6}/all/forwarding", "1")
            log.info("IPv6 forwarding is on")
    except OSError as error:
        log.warning("IPv6 forwarding: %s: %s; containers do not reach the network", error.filename, error.strerror)


_CONF6 = "/proc/sys/net/ipv6/conf"


def _outer_ipv6() -> set[str]:
    """The interfaces of IPv6's default routes, from /proc/net/ipv6_route; of this thread, which tests move."""
    try:
        with open("/proc/thread-self/net/ipv6_route", encoding="utf-8") as file:
            rows = [line.split() for line in file]
    except OSError:
        return set()
    return {row[9] for row in rows if row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"}


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(value)


def open_hairpin(port: str) -> None:
    """Blocking: frames may go back where they came from. Under br_netfilter a bridge does itself what a router would do
    with a container's connection to a port of the host that is its own (br_nf_pre_routing_finish). Raises KernelRefused.
    """
    with Route() as route:
        route.ask(netlink.set_hairpin(sockets.if_nametoindex(port)), f"bridge link set dev {port} hairpin on")
