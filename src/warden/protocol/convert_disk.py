"""The thirteen fields of LimitDisk to the model and back: aliases, precedence, rounding (spec/warden.md §5). Pure."""

from __future__ import annotations

from typing import Any

from warden.model.limits import DiskChange, DiskLimits
from warden.protocol import warden_pb2 as pb

BLOCK = 1024  # bytes
#: Names of one value, a later one wins; *_limit and the plain names are the hard limit. True: in bytes.
_HARD = (("byte_limit", True), ("byte", True), ("byte_hard", True),
         ("block_limit", False), ("block", False), ("block_hard", False))  # fmt: skip
_SOFT = (("byte_soft", True), ("block_soft", False))
_INODE_HARD = (("inode_limit", False), ("inode", False), ("inode_hard", False))
_INODE_SOFT = (("inode_soft", False),)


def request_to_change(request: pb.LimitDiskRequest) -> DiskChange:
    """What the fields that are there ask for; bytes are rounded up to blocks."""
    return DiskChange(
        block_soft=_last(request, _SOFT),
        block_hard=_last(request, _HARD),
        inode_soft=_last(request, _INODE_SOFT),
        inode_hard=_last(request, _INODE_HARD),
    )


def _last(request: pb.LimitDiskRequest, names: tuple[tuple[str, bool], ...]) -> int | None:
    found = None
    for name, in_bytes in names:
        if request.HasField(name):
            value: int = getattr(request, name)
            found = -(-value // BLOCK) if in_bytes else value
    return found


def limits_to_response(limits: DiskLimits | None) -> pb.LimitDiskResponse:
    """Every field under every name; None, where disks are not limited at all, is the empty response."""
    if limits is None:
        return pb.LimitDiskResponse()
    hard, soft, inodes = limits.block_hard, limits.block_soft, limits.inode_hard
    values: dict[str, Any] = {"block_soft": soft, "byte_soft": soft * BLOCK, "inode_soft": limits.inode_soft}
    for suffix in ("_limit", "", "_hard"):
        values |= {f"block{suffix}": hard, f"byte{suffix}": hard * BLOCK, f"inode{suffix}": inodes}
    return pb.LimitDiskResponse(**values)


def response_to_limits(response: pb.LimitDiskResponse) -> DiskLimits | None:
    """None from a server that does not limit disks."""
    if not response.HasField("block_hard"):
        return None
    return DiskLimits(response.block_soft, response.block_hard, response.inode_soft, response.inode_hard)
