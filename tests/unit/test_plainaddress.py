"""Every answer is the standard library's, for what is read without it and for what is left to it."""

from __future__ import annotations

import importlib
import ipaddress
import subprocess
import sys
from typing import Any

import pytest

# not by its name: to a checker it is the library
plain: Any = importlib.import_module("warden.plainaddress")

ADDRESSES = ("10.0.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "fd00::1", "::", "::1")
NO_ADDRESSES = (
    *("", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "256.1.1.1", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\n", "1.2.3.4\0"),
    *("0x1.2.3.4", "١.2.3.4", "1.2.3.4/24", "-1.2.3.4", "1..2.3", "host", "fd00:::1"),
)
PREFIXES = ("", "/0", "/1", "/8", "/08", "/24", "/31", "/32", "/255.255.255.0", "/0.0.0.255")
NO_PREFIXES = ("/", "/33", "/-1", "/+1", "/1 ", "/ 1", "/1/2", "/a", "/²", "/١", "/255.0.255.0")
KINDS = ("is_unspecified", "is_loopback", "is_multicast")


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address(text: str) -> None:
    found, real = plain.ip_address(text), ipaddress.ip_address(text)
    assert (str(found), found.packed, int(found), found.version) == (str(real), real.packed, int(real), real.version)
    assert [getattr(found, kind) for kind in KINDS] == [getattr(real, kind) for kind in KINDS]
    assert found == plain.ip_address(text) and hash(found) == hash(plain.ip_address(text))
    assert found == real and real == found
    assert found != plain.ip_address("10.9.9.9") and found != text


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("address", ["10.20.30.40", "0.0.0.0", "255.255.255.255"])
def test_an_interface(address: str, prefix: str) -> None:
    found, real = plain.ip_interface(address + prefix), ipaddress.ip_interface(address + prefix)
    assert (str(found), found.with_prefixlen) == (str(real), real.with_prefixlen)
    assert (str(found.ip), found.network.prefixlen) == (str(real.ip), real.network.prefixlen)
    assert (found.version, found.max_prefixlen) == (real.version, real.max_prefixlen)
    for other in ("10.20.30.41", "10.20.31.1", "11.0.0.0", "0.0.0.1", "255.255.255.254", "fd00::1"):
        assert (plain.ip_address(other) in found.network) == (ipaddress.ip_address(other) in real.network)


@pytest.mark.parametrize("text", NO_ADDRESSES)
@pytest.mark.parametrize("name", ["ip_address", "IPv4Address"])
def test_no_address(name: str, text: str) -> None:
    with pytest.raises(ValueError) as real:
        getattr(ipaddress, name)(text)
    with pytest.raises(ValueError) as found:
        getattr(plain, name)(text)
    assert str(found.value) == str(real.value)


@pytest.mark.parametrize("prefix", NO_PREFIXES)
@pytest.mark.parametrize("name", ["ip_interface", "IPv4Interface"])
def test_no_prefix(name: str, prefix: str) -> None:
    with pytest.raises(ValueError) as real:
        getattr(ipaddress, name)("10.0.0.1" + prefix)
    with pytest.raises(ValueError) as found:
        getattr(plain, name)("10.0.0.1" + prefix)
    assert str(found.value) == str(real.value)


def test_versions_do_not_mix() -> None:
    assert plain.ip_address("10.0.0.1") not in plain.ip_interface("fd00::1/64").network
    assert plain.ip_address("fd00::1") not in plain.ip_interface("10.0.0.1/0").network
    assert plain.ip_address("0.0.0.0") != plain.ip_address("::")


def test_ipv4_alone_refuses_ipv6() -> None:
    with pytest.raises(ValueError):
        plain.IPv4Address("fd00::1")


def test_plain_ones_need_no_library() -> None:
    code = (
        "import sys; from warden.plainaddress import ip_interface; "
        "assert str(ip_interface('10.0.0.1/24')) == '10.0.0.1/24'; sys.exit('ipaddress' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
