"""Names that are asked for: what is taken, and what is refused by the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from warden.errors import BadInput
from warden.model.names import Names, names_of, parse_host
from warden.model.spec import ContainerSpec, NetworkMode


def test_as_people_give_them() -> None:
    found = names_of("192.0.2.1", ["a.example", "b"], "ndots:1", {"db": "10.0.0.7"})
    assert found == Names(("192.0.2.1",), ("a.example", "b"), ("ndots:1",), (("db", "10.0.0.7"),))
    assert names_of(add_hosts=["db:10.0.0.7"]).hosts == (("db", "10.0.0.7"),)
    assert names_of() == Names()
    assert not Names()
    assert found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.7", ("db", "10.0.0.7")),
        ("db=10.0.0.7", ("db", "10.0.0.7")),
        ("db:fd00::7", ("db", "fd00::7")),
        ("db=[fd00::7]", ("db", "fd00::7")),
        ("here:host-gateway", ("here", "host-gateway")),
    ],
)
def test_a_host_and_its_address(text: str, expected: tuple[str, str]) -> None:
    assert parse_host(text) == expected
    assert Names(hosts=(expected,)).hosts == (expected,)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"dns": "example.org"}, r"dns: 'example\.org' is not an address"),
    ({"dns": "10.0.0.1\nnameserver 1.2.3.4"}, r"dns: .* is not an address"),
    ({"dns": "0.0.0.0"}, r"dns: '0\.0\.0\.0' is not the address of a host"),
    ({"dns": "ff02::1"}, r"dns: 'ff02::1' is not the address"),
    ({"dns": "fe80::1%eth0"}, r"dns: 'fe80::1%eth0' is not the address"),
    ({"dns": ["192.0.2.1"] * 17}, r"dns: 17 are too many"),
    ({"dns_search": "a b"}, r"dns_search: 'a b' is not a name"),
    ({"dns_search": "a\nb"}, r"dns_search: 'a\\nb' is not a name"),
    ({"dns_search": "x" * 64}, r"dns_search: .* is not a name"),
    ({"dns_search": [".", "a"]}, r"dns_search: '\.' means none"),
    ({"dns_options": "ndots: 1"}, r"dns_option: 'ndots: 1' is not an option"),
    ({"add_hosts": ["db"]}, r"add_host: 'db' is not NAME:ADDRESS"),
    ({"add_hosts": ["db:somewhere"]}, r"add_host: 'somewhere' is not an address"),
    ({"add_hosts": {"d b": "10.0.0.1"}}, r"add_host: 'd b' is not a name"),
    ({"add_hosts": {"db\n1.2.3.4 x": "10.0.0.1"}}, r"add_host: .* is not a name"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_what_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        names_of(**given)


def test_one_that_shares_another_s_network_has_its_names() -> None:
    with pytest.raises(BadInput, match=r"dns_search: the network mode container has the other's"):
        ContainerSpec(network=NetworkMode.CONTAINER, network_of="x", names=Names(search=("a",)))
