"""The egress log: connections that were refused, as the kernel's sets have them. Pure.

table.py says what is counted and for how long; a rebuilt table begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from warden.model.net import Refusals, Refused
from warden.network.expressions import IFNAMSIZ, NFTA_DATA_VALUE, NFTA_EXPR_DATA, NFTA_SET_ELEM_KEY, PROTOCOLS
from warden.network.nfnetlink import attributes
from warden.network.nft import Guest

NFTA_SET_ELEM_EXPR, NFTA_SET_ELEM_EXPRESSIONS, NFTA_COUNTER_PACKETS = 7, 11, 2

_NAMES = {number: name for name, number in PROTOCOLS.items()}

#: (set, bytes of an address, whether keys have a port) of what table.py declares.
LOGS = (("refused", 4, True), ("refused_other", 4, False), ("refused6", 16, True), ("refused6_other", 16, False))
FURTHER = ("refused_more", "refused6_more")
OVER = ("over", "over6")

Dump = Iterable[Mapping[int, bytes]]


def key_of(element: Mapping[int, bytes]) -> bytes:
    return dict(attributes(element.get(NFTA_SET_ELEM_KEY, b""))).get(NFTA_DATA_VALUE, b"")


def packets_of(element: Mapping[int, bytes]) -> int:
    """Of the counter that is part of it."""
    expression = element.get(NFTA_SET_ELEM_EXPR)
    if expression is None:
        listed = dict(attributes(element.get(NFTA_SET_ELEM_EXPRESSIONS, b"")))
        expression = next(iter(listed.values()), b"")
    counter = dict(attributes(dict(attributes(expression)).get(NFTA_EXPR_DATA, b"")))
    return int.from_bytes(counter.get(NFTA_COUNTER_PACKETS, b""), "big")


def sources(guest: Guest) -> set[bytes]:
    """How keys about *guest* begin: its device and its address."""
    return {
        link.device.encode().ljust(IFNAMSIZ, b"\0") + address.packed for link in guest.links for address in link.addresses
    }


def read(guest: Guest, dumps: Mapping[str, Dump]) -> Refusals:
    """*dumps*: the elements of each set of LOGS, FURTHER and OVER. The most frequent first."""
    mine = sources(guest)
    found = [one for name, size, has_port in LOGS for one in _of(mine, dumps[name], size, has_port=has_port)]
    further, over = (
        sum(packets_of(one) for name in names for one in dumps.get(name, ()) if key_of(one) in mine)
        for names in (FURTHER, OVER)
    )
    return Refusals(tuple(sorted(found, key=lambda one: (-one.packets, str(one)))), further, over)


def _of(mine: set[bytes], dump: Dump, size: int, *, has_port: bool) -> Iterator[Refused]:
    begin = IFNAMSIZ + size
    for element in dump:
        key = key_of(element)
        if key[:begin] in mine:
            rest = key[begin:]
            number = rest[size]
            port = int.from_bytes(rest[size + 4 : size + 6], "big") if has_port else None
            name = _NAMES.get(number, str(number))
            yield Refused(str(ip_address(rest[:size])), name, port, packets_of(element))
