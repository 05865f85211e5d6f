"""What a container's /etc/hosts and /etc/resolv.conf say: from what was asked, the machine's, and its links.

Owns the choice; the texts are rootfs's.
"""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from warden.depot.snapshot import Snapshot
from warden.engine.facts import addresses
from warden.errors import BadInput
from warden.model.interfaces import Link, LinkKind, bridge_device
from warden.model.names import HOST_GATEWAY
from warden.model.settings import EngineSettings
from warden.model.spec import ContainerSpec, NetworkMode
from warden.network.links import Attachment
from warden.rootfs import etc, resolv

RESOLV_CONF = "/etc/resolv.conf"


def check(spec: ContainerSpec) -> None:
    """Raises BadInput when the host is to have a name and has no address for this container."""
    has_way = spec.network in (NetworkMode.WARDEN, NetworkMode.HOST)
    has_way = has_way or any(item.kind is LinkKind.BRIDGE for item in spec.interfaces)
    if not has_way and any(address == HOST_GATEWAY for _, address in spec.names.hosts):
        hint = "the modes warden and bridge have one; or name an address"
        raise BadInput("add_host: host-gateway: this container has no link to the host", hint=hint)


def host_text() -> bytes:
    """The machine's own resolv.conf; b"" without one."""
    with contextlib.suppress(OSError), open(RESOLV_CONF, "rb") as file:
        return file.read(etc.MAX_TEXT)
    return b""


def own_address(snapshot: Snapshot) -> str:
    """What its host name stands for: of its /30, else of its first interface, IPv4 before IPv6; "" without one."""
    _, ipv4 = addresses(snapshot)
    every = (address for link in snapshot.links for address in link.addresses)
    return ipv4 or next((address.partition("/")[0] for address in every), "")


def resolv_conf(settings: EngineSettings, snapshot: Snapshot, link: Attachment | None) -> bytes:
    """The text of /etc/resolv.conf (spec/warden.md §6, and docs/names.md for what goes beyond it)."""
    usual = etc.resolv_conf(settings.dns_servers, host_text(), "" if link is None else str(link.host_ip))
    return resolv.container_text(usual, snapshot.spec.names, resolver_of(snapshot))


def resolver_of(snapshot: Snapshot) -> str | None:
    """The address at which names of its first bridge are answered; None without a bridge."""
    return next((gateway for link in snapshot.links if (gateway := gateway_of(link)) is not None), None)


def gateway_of(link: Link) -> str | None:
    """The bridge's own address, IPv4 before IPv6; None for a link to no bridge of ours."""
    if link.bridge != bridge_device(link.parent) or not link.addresses:
        return None
    first: IPv4Interface | IPv6Interface = min(map(ip_interface, link.addresses), key=lambda address: address.version)
    return str(first.network.network_address + 1)


def more_hosts(snapshot: Snapshot, link: Attachment | None) -> list[tuple[str, str]]:
    """What was asked for /etc/hosts, with the host's address where it is meant."""
    here = str(link.host_ip) if link is not None else resolver_of(snapshot) or "127.0.0.1"
    return [(name, here if address == HOST_GATEWAY else address) for name, address in snapshot.spec.names.hosts]
