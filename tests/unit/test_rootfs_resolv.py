"""resolv.conf of a container: the usual text untouched, or what was asked in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.model.names import Names
from warden.rootfs.etc import hosts
from warden.rootfs.resolv import ResolvConf, container_text, parse, written

USUAL = b"# mine\ndomain old\nsearch a b\nnameserver 192.0.2.1\noptions timeout:1 rotate\nnameserver 192.0.2.2\n"


def test_it_is_read_as_the_resolver_reads_it() -> None:
    assert parse(USUAL) == ResolvConf(("192.0.2.1", "192.0.2.2"), ("a", "b"), ("timeout:1", "rotate"))
    assert parse(b"nameserver\n\xff\xfe\n;x\nsearch\n") == ResolvConf()


@given(st.binary(max_size=200))
def test_whatever_is_in_it(text: bytes) -> None:
    found = parse(text)
    assert parse(written(found)) == found


@pytest.mark.parametrize(
    ("names", "resolver", "expected"),
    [
        (Names(), None, USUAL),
        (Names(hosts=(("a", "10.0.0.1"),)), None, USUAL),
        (Names(("10.0.0.9",)), None, b"nameserver 10.0.0.9\nsearch a b\noptions timeout:1 rotate\n"),
        (
            Names(search=("c",), options=("ndots:2",)),
            None,
            b"nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch c\noptions ndots:2\n",
        ),
        (Names(("10.0.0.9",), (".",)), None, b"nameserver 10.0.0.9\noptions timeout:1 rotate\n"),
        (Names(), "10.1.0.1", b"nameserver 10.1.0.1\nsearch a b\noptions timeout:1 rotate\n"),
        (Names(("10.0.0.9",), ("c",)), "10.1.0.1", b"nameserver 10.1.0.1\nsearch c\noptions timeout:1 rotate\n"),
    ],
)
def test_the_text(names: Names, resolver: str | None, expected: bytes) -> None:
    assert container_text(USUAL, names, resolver) == expected


def test_hosts_has_more_names_after_its_own() -> None:
    text = hosts("box", "10.0.0.2", [("db", "10.0.0.7"), ("six", "fd00::7")]).decode()
    assert text.splitlines()[2:] == ["10.0.0.2 box", "10.0.0.7 db", "fd00::7 six"]
