"""What a dump of conntrack says at its end."""

from __future__ import annotations

import errno
import struct

import pytest

from warden.network.conntrack import Entry, _read
from warden.network.nfnetlink import NLMSG_DONE


def done(code: int) -> bytes:
    return struct.pack("=IHHIIi", 20, NLMSG_DONE, 2, 1, 0, code)


def test_a_dump_that_broke_off_does_not_pass_for_a_whole_one() -> None:
    found: list[Entry] = []
    assert _read(done(0), 2, bool, found)
    with pytest.raises(OSError) as info:
        _read(done(-errno.ENOMEM), 2, bool, found)
    assert info.value.errno == errno.ENOMEM
    assert found == []
