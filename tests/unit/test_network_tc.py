"""Traffic control messages: their layout, and a bucket read back from the kernel's answer."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model.limits import Bandwidth
from warden.network import netlink, tc


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x7FFF] = data[4:length]
        data = data[(length + 3) // 4 * 4 :]
    return found


def answer(rate: int, ticks: int, kind: bytes = b"tbf\0") -> bytes:
    """The body of an RTM_NEWQDISC as tbf_dump writes it."""
    parms = struct.pack("=BBHhHI", 0, 1, 0, 0, 0, min(rate, 2**32 - 1)) + bytes(12) + struct.pack("=III", 0, ticks, 0)
    options = netlink.attribute(1, parms)
    if rate >= 2**32:
        options += netlink.attribute(4, struct.pack("=Q", rate))
    return bytes(20) + netlink.attribute(1, kind) + netlink.attribute(2, options)


def ticks_of(limit: Bandwidth) -> int:
    return (tc.depth(limit, 1500) * 10**9 // limit.rate >> 6) % 2**32


def test_a_bucket_is_put_at_the_root_in_place_of_the_one_before() -> None:
    kind, flags, body = tc.replace_tbf(7, Bandwidth(1_000_000, 50_000), 1500)
    assert (kind, flags) == (36, netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE)
    assert struct.unpack_from("=BxxxiIII", body) == (0, 7, 0x10000, 0xFFFFFFFF, 0)
    found = attributes(body[20:])
    assert found[1] == b"tbf\0"
    options = attributes(found[2])
    assert struct.unpack_from("=I", options[1], 8) == (1_000_000,)
    assert struct.unpack_from("=I", options[1], 24) == (25_000 + 50_000,), "25 ms of the rate, and the burst"
    assert options[6] == struct.pack("=I", 50_000)
    assert 4 not in options


def test_a_rate_of_more_than_32_bits() -> None:
    options = attributes(attributes(tc.replace_tbf(1, Bandwidth(2**40, 1), 1500)[2][20:])[2])
    assert options[4] == struct.pack("=Q", 2**40)
    assert struct.unpack_from("=I", options[1], 24) == (2**32 - 1,)


@given(st.integers(1, 2**50), st.integers(1, 2**32 - 1))
def test_what_was_asked_is_recognised(rate: int, burst: int) -> None:
    limit = Bandwidth(rate, burst)
    assert tc.parse_tbf(answer(rate, ticks_of(limit)), limit, 1500) == limit


@given(st.integers(10_000, 10**8), st.integers(200_000, 10**6))
def test_a_bucket_that_somebody_else_set(rate: int, burst: int) -> None:
    found = tc.parse_tbf(answer(rate, ticks_of(Bandwidth(rate, burst))), None)
    assert found is not None
    assert found.rate == rate
    assert abs(found.burst - burst) <= 1 + rate * 64e-9


@pytest.mark.parametrize(
    "rate,burst,mtu,expected",
    [
        (1000, 20_000, 1500, 20_000),
        (1000, 1, 1500, 1518),  # one packet
        (125_000_000, 1, 1500, 250_000),  # 2 ms of the rate
        (2**50, 1, 1500, 2**32 - 1),
    ],
)
def test_a_bucket_that_is_too_small_to_work_is_larger(rate: int, burst: int, mtu: int, expected: int) -> None:
    assert tc.depth(Bandwidth(rate, burst), mtu) == expected


def test_a_new_queue_goes_into_the_bucket() -> None:
    for handle, message in zip((0x20000, 0x30000), tc.renew_queue(7, Bandwidth(1_000_000, 50_000), 1500), strict=True):
        kind, flags, body = message
        assert (kind, flags) == (36, netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE)
        assert struct.unpack_from("=BxxxiIII", body) == (0, 7, handle, 0x10001, 0)
        found = attributes(body[20:])
        assert (found[1], found[2]) == (b"bfifo\0", struct.pack("=I", 75_000))


def test_another_discipline_is_no_limit() -> None:
    assert tc.parse_tbf(answer(1, 1, b"fq_codel\0"), None) is None


@pytest.mark.parametrize("rate,burst,name", [(0, 1, "rate"), (1, 0, "burst"), (2**63, 1, "rate"), (1, 2**32, "burst")])
def test_values_out_of_range_are_named(rate: int, burst: int, name: str) -> None:
    with pytest.raises(BadInput, match=f"bandwidth: {name}: "):
        Bandwidth(rate, burst)
