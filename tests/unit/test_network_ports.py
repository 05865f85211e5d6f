"""Ports held against other programs, and the egress log as the kernel's elements have it."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from warden.network import egress
from warden.network.claims import port_name
from warden.network.holding import PortHolder, in_use, is_free
from warden.network.netlink import NESTED, attribute, set_hairpin, text
from warden.network.nft import Guest, GuestLink, PortKey


@pytest.fixture
def holder() -> Iterator[PortHolder]:
    made = PortHolder()
    yield made
    made.close()


@pytest.fixture
def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_a_port_is_held_until_the_last_lets_go(
    holder: PortHolder, free: int, protocol: str, kind: socket.SocketKind
) -> None:
    key: PortKey = (4, "127.0.0.1", protocol, free)

    def is_bindable() -> bool:
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", free))
            except OSError:
                return False
            return True

    holder.hold("a", key)
    holder.hold("b", key)
    assert not is_bindable()
    holder.release("a", [key])
    holder.release("a", [key, (4, None, "tcp", 1)])
    assert not is_bindable()
    holder.release_all("b")
    assert is_bindable()


def test_what_another_program_has_is_told(holder: PortHolder) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        key: PortKey = (4, "127.0.0.1", "tcp", sock.getsockname()[1])
        assert not is_free(holder, "a", key)
        with pytest.raises(OSError, match="in use") as caught:
            holder.hold("a", key)
        assert in_use(caught.value)
    assert is_free(holder, "a", key)
    with pytest.raises(OSError, match=r"[Cc]annot assign") as caught:
        holder.hold("a", (4, "192.0.2.77", "tcp", 80))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_names_of_ports() -> None:
    assert port_name((4, None, "tcp", 80)) == "80/tcp"
    assert port_name((6, "::1", "udp", 53)) == "[::1]:53/udp"


def element(link: str, source: str, target: str, protocol: int, port: int | None, packets: int) -> dict[int, bytes]:
    """As the kernel tells it: nf_tables_fill_setelem."""
    key = link.encode().ljust(16, b"\0") + b"".join(socket.inet_aton(one) for one in (source, target))
    key += struct.pack("B3x", protocol) + (b"" if port is None else struct.pack("!H2x", port))
    counter = attribute(1, struct.pack("!Q", 60 * packets)) + attribute(2, struct.pack("!Q", packets))
    expression = text(1, "counter") + attribute(2 | NESTED, counter)
    return {1: attribute(1, key), 7: expression}


def test_refusals_of_one_container() -> None:
    guest = Guest("a", (GuestLink("w-a-0", (IPv4Address("10.254.0.2"),)),))
    dumps = {name: [] for name, _, _ in egress.LOGS} | {name: [] for name in egress.FURTHER}
    dumps["refused"] = [
        element("w-a-0", "10.254.0.2", "192.0.2.1", 6, 443, 2),
        element("w-a-0", "10.254.0.2", "192.0.2.1", 17, 53, 5),
        element("w-b-0", "10.254.0.6", "192.0.2.1", 6, 443, 9),
    ]
    dumps["refused_other"] = [element("w-a-0", "10.254.0.2", "192.0.2.3", 132, None, 1)]
    more = element("w-a-0", "10.254.0.2", "192.0.2.3", 0, None, 8)
    dumps["refused_more"] = [{1: attribute(1, b"w-a-0".ljust(16, b"\0") + socket.inet_aton("10.254.0.2")), 7: more[7]}]
    found = egress.read(guest, dumps)
    assert [(one.protocol, one.port, one.packets) for one in found.destinations] == [
        ("udp", 53, 5),
        ("tcp", 443, 2),
        ("132", None, 1),
    ]
    assert found.further == 8


def test_hairpin_is_a_port_of_a_bridge() -> None:
    kind, _, body = set_hairpin(9)
    assert (kind, body.hex()) == (19, "0700000009000000" + "00" * 8 + "0c000c80" + "0500040001000000")
