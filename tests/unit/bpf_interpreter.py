"""A classic BPF machine for seccomp filters, written from the manual: seccomp(2), linux/filter.h. Shares no constant
with warden, so that a wrong one shows."""

from __future__ import annotations

import struct
from dataclasses import dataclass

LIMIT = 4096  # BPF_MAXINSNS
LOAD_WORD, LOAD_ALU_IMMEDIATE = 0x20, 0x00
JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_SET = 0x05, 0x15, 0x25, 0x35, 0x45
AND_IMMEDIATE = 0x54
RETURN = 0x06


@dataclass(frozen=True)
class Call:
    """struct seccomp_data."""

    number: int
    arch: int
    args: tuple[int, ...] = ()

    def pack(self) -> bytes:
        args = (*self.args, *([0] * (6 - len(self.args))))
        return struct.pack("<iIQ6Q", self.number - 2**32 if self.number >= 2**31 else self.number, self.arch, 0, *args)


def instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    """(code, jt, jf, k) of each struct sock_filter."""
    assert len(program) % 8 == 0
    found = list(struct.iter_unpack("<HBBI", program))
    assert 0 < len(found) <= LIMIT
    return found


def check(program: bytes) -> None:
    """What the kernel checks at load: known instructions, jumps forward and inside, aligned loads, a return at the end."""
    code = instructions(program)
    for place, (operation, yes, no, k) in enumerate(code):
        assert operation in (LOAD_WORD, LOAD_ALU_IMMEDIATE, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_SET, AND_IMMEDIATE, RETURN)
        if operation == LOAD_WORD:
            assert k % 4 == 0 and k < 64
        elif operation == JUMP:
            assert place + 1 + k < len(code)
        elif operation & 0x07 == 0x05:
            assert place + 1 + max(yes, no) < len(code)
    assert code[-1][0] == RETURN


def run(program: bytes, call: Call) -> int:
    """The filter's return value for one system call."""
    code, data = instructions(program), call.pack()
    accumulator, place = 0, 0
    while True:
        operation, yes, no, k = code[place]
        place += 1
        if operation == RETURN:
            return k
        if operation == LOAD_WORD:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif operation == LOAD_ALU_IMMEDIATE:
            accumulator = k
        elif operation == AND_IMMEDIATE:
            accumulator &= k
        elif operation == JUMP:
            place += k
        else:
            true = {
                JUMP_EQUAL: accumulator == k,
                JUMP_GREATER: accumulator > k,
                JUMP_GREATER_EQUAL: accumulator >= k,
                JUMP_SET: bool(accumulator & k),
            }[operation]
            place += yes if true else no
