"""The host's own part in routing: which interface leads out, and whether it forwards. Touches no other interface."""

from __future__ import annotations

import logging
import os

log = logging.getLogger("warden.network")

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
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            return ephemeral_end(file.read())
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_END


def open_outer() -> str | None:
    """Switches forwarding on for the interface of the default route; its name, None when there is none or it cannot be.

    It stays on afterwards, as others may have come to rely on it. One interface, not ip_forward, which is all of them.
    """
    try:
        with open("/proc/net/route", encoding="ascii") as file:
            name = default_interface(file.read())
        if name is None:
            log.info("no default route: containers reach this machine's own links only")
            return None
        with open(f"/proc/sys/net/ipv4/conf/{name}/forwarding", "r+", encoding="ascii") as file:
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
    with open("/proc/net/route", encoding="ascii") as file:
        found |= {row[0] for row in map(str.split, file) if len(row) > 7 and row[1] == row[7] == "00000000"}
    return found | set(_default6())


def _default6() -> list[str]:
    try:
        with open("/proc/net/ipv6_route", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:  # a kernel without IPv6
        return []
    return [row[9] for row in rows if row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"]


def open_ipv6(device: str) -> None:
    """Lets IPv6 be forwarded between *device* and the interface of the default route.

    Since 6.17 an interface can forward by itself. Before, all must, and a host that forwards ignores router
    advertisements unless told otherwise (ip-sysctl.rst, accept_ra): who had its routes from them keeps them.
    """
    base = "/proc/sys/net/ipv6/conf"
    names = [device, *_default6()]
    try:
        if os.path.exists(f"{base}/{device}/force_forwarding"):
            for name in names:
                _write(f"{base}/{name}/force_forwarding", "1")
            return
        for name in names[1:]:
            with open(f"{base}/{name}/accept_ra", encoding="ascii") as file:
                if file.read().strip() == "1":
                    _write(f"{base}/{name}/accept_ra", "2")
        _write(f"{base}/all/forwarding", "1")
    except OSError as error:
        log.warning("forwarding: %s: %s; IPv6 stays on %s", error.filename, error.strerror, device)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
