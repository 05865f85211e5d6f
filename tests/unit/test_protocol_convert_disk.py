"""The thirteen fields of LimitDisk: who wins, how bytes become blocks, and what is answered (spec/warden.md §5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warden.errors import BadInput
from warden.model.limits import DiskChange, DiskLimits
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert_disk import limits_to_response, request_to_change, response_to_limits


def change(**fields: int) -> DiskChange:
    return request_to_change(pb.LimitDiskRequest(handle=b"h", **fields))


def test_nothing_given_changes_nothing() -> None:
    assert change() == DiskChange()
    assert DiskChange().applied_to(DiskLimits(1, 2, 3, 4)) == DiskLimits(1, 2, 3, 4)


@pytest.mark.parametrize("prefix,factor", [("block", 1), ("byte", 1024)])
@pytest.mark.parametrize("suffix", ["_limit", "", "_hard"])
def test_three_names_of_the_hard_limit(prefix: str, factor: int, suffix: str) -> None:
    assert change(**{prefix + suffix: 7 * factor}) == DiskChange(block_hard=7)


@pytest.mark.parametrize("suffix", ["_limit", "", "_hard"])
def test_three_names_for_inodes(suffix: str) -> None:
    assert change(**{"inode" + suffix: 7}) == DiskChange(inode_hard=7)


def test_soft_limits() -> None:
    assert change(block_soft=5, inode_soft=6) == DiskChange(block_soft=5, inode_soft=6)
    assert change(byte_soft=5 * 1024) == DiskChange(block_soft=5)


@pytest.mark.parametrize("given,blocks", [(0, 0), (1, 1), (1024, 1), (1025, 2), (10**6, 977)])
def test_bytes_are_rounded_up_to_blocks(given: int, blocks: int) -> None:
    assert change(byte=given) == DiskChange(block_hard=blocks)


def test_the_later_of_two_names_wins() -> None:
    order = ("byte_limit", "byte", "byte_hard", "block_limit", "block", "block_hard")
    values = {name: (place + 1) * (1024 if name.startswith("byte") else 1) for place, name in enumerate(order)}
    for last in range(1, len(order) + 1):
        assert change(**{name: values[name] for name in order[:last]}) == DiskChange(block_hard=last)
    assert change(inode_limit=1, inode=2) == DiskChange(inode_hard=2)
    assert change(inode=2, inode_hard=3) == DiskChange(inode_hard=3)
    assert change(byte_soft=9216, block_soft=4) == DiskChange(block_soft=4)


def test_zero_is_a_value() -> None:
    assert change(block_limit=5, block=0) == DiskChange(block_hard=0)
    assert DiskChange(block_hard=0).applied_to(DiskLimits(1, 2, 3, 4)) == DiskLimits(1, 0, 3, 4)


def test_every_field_is_answered_under_every_name() -> None:
    response = limits_to_response(DiskLimits(1, 2, 3, 0))
    assert (response.block_soft, response.byte_soft, response.inode_soft) == (1, 1024, 3)
    assert {getattr(response, f"block{suffix}") for suffix in ("_limit", "", "_hard")} == {2}
    assert {getattr(response, f"byte{suffix}") for suffix in ("_limit", "", "_hard")} == {2048}
    assert {getattr(response, f"inode{suffix}") for suffix in ("_limit", "", "_hard")} == {0}
    assert len(response.ListFields()) == 12


def test_no_quotas_are_an_empty_answer() -> None:
    assert limits_to_response(None).SerializeToString() == b""
    assert response_to_limits(pb.LimitDiskResponse()) is None


blocks, inodes = st.integers(0, 2**53 - 1), st.integers(0, 2**63 - 1)


@given(st.builds(DiskLimits, blocks, blocks, inodes, inodes))
def test_answers_are_understood(limits: DiskLimits) -> None:
    encoded = limits_to_response(limits).SerializeToString()
    assert response_to_limits(pb.LimitDiskResponse.FromString(encoded)) == limits


@pytest.mark.parametrize("fields", [{"block_hard": 2**53}, {"block_soft": 2**64 - 1}, {"byte": 2**64 - 1}])
def test_what_the_kernel_cannot_hold_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"limit_disk: block_(hard|soft): .* is out of range"):
        change(**fields).applied_to(DiskLimits())
