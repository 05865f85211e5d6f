"""Ids never meet those of containers that an earlier engine made."""

from __future__ import annotations

from warden.engine.ids import INDEX_MASK, IdSource, decode, encode


def test_ids_share_no_interface_index_with_those_in_use() -> None:
    source = IdSource()
    first = decode(source.next())
    source.avoid(encode(first + 1 - (INDEX_MASK + 1)))  # long ago, with the low bits of the next one
    assert source.next() == encode(first + 2)
