"""Device rules in cgroup v2: a BPF program that the kernel asks at each open and mknod (kernel's cgroup-v2.rst).

The program is attached to the group and stays with it; no process is needed to keep it.
"""

from __future__ import annotations

import errno
import os
import struct

from warden.errors import KernelRefused
from warden.kernel import bpf
from warden.light import TYPE_CHECKING
from warden.model.limits import DeviceRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# linux/bpf_common.h and linux/bpf.h: classes, operations, sources
_LOAD_W, _MOV_IMM, _MOV_REG, _AND_IMM, _SHIFT = 0x61, 0xB7, 0xBF, 0x57, 0x77
_JUMP_NE_IMM, _JUMP_NE_REG, _EXIT = 0x55, 0x5D, 0x95
_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, _READ, _WRITE
_EVERYTHING = 7
_RESULT, _CONTEXT, _KIND, _WANTED, _MAJOR, _MINOR = range(6)  # registers; the context is free once it was read


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | target, offset, immediate)


def program(rules: Sequence[DeviceRule]) -> bytes:
    """The instructions that allow what one of *rules* allows and nothing else."""
    # struct bpf_cgroup_dev_ctx: access_type (access above, kind below 16 bits), major, minor
    head = [
        _instruction(_LOAD_W, _KIND, _CONTEXT, 0),
        _instruction(_LOAD_W, _WANTED, _CONTEXT, 0),
        _instruction(_LOAD_W, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_W, _MINOR, _CONTEXT, 8),
        _instruction(_AND_IMM, _KIND, immediate=0xFFFF),
        _instruction(_SHIFT, _WANTED, immediate=16),
    ]
    blocks = [block for rule in rules for block in _block(rule)]
    return b"".join([*head, *blocks, *_answer(allowed=False)])


def _answer(*, allowed: bool) -> list[bytes]:
    return [_instruction(_MOV_IMM, _RESULT, immediate=int(allowed)), _instruction(_EXIT)]


def _block(rule: DeviceRule) -> Iterator[bytes]:
    """Tests that jump behind the block when the rule does not fit, then "allowed"."""
    tests = list(_tests(rule))
    steps = [step for test in tests for step in test] + _answer(allowed=True)
    for place, step in enumerate(steps):
        code, registers, _, immediate = struct.unpack("=BBhi", step)
        jumps = code in (_JUMP_NE_IMM, _JUMP_NE_REG)
        yield struct.pack("=BBhi", code, registers, len(steps) - place - 1, immediate) if jumps else step


def _tests(rule: DeviceRule) -> Iterator[list[bytes]]:
    if rule.kind != "a":
        yield [_instruction(_JUMP_NE_IMM, _KIND, immediate=_KINDS[rule.kind])]
    allowed = sum(_ACCESS[letter] for letter in rule.access)
    if allowed != _EVERYTHING:
        yield [
            _instruction(_MOV_REG, _CONTEXT, _WANTED),
            _instruction(_AND_IMM, _CONTEXT, immediate=allowed),
            _instruction(_JUMP_NE_REG, _CONTEXT, _WANTED),
        ]
    for register, number in ((_MAJOR, rule.major), (_MINOR, rule.minor)):
        if number is not None:
            yield [_instruction(_JUMP_NE_IMM, register, immediate=number)]


def set_program(group: str, rules: Sequence[DeviceRule] | None) -> None:
    """From now on only *rules* are allowed in the group *group* and below; None: no rule of ours. Raises KernelRefused."""
    try:
        target = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if rules is None:
                _detach(target)
            else:
                _attach(target, program(rules))
        finally:
            os.close(target)
    except OSError as error:
        hint = "the kernel needs CONFIG_CGROUP_BPF" if error.errno in (errno.ENOSYS, errno.EINVAL) else ""
        raise KernelRefused("bpf BPF_CGROUP_DEVICE", group, error.errno or 0, hint=hint) from error


def _attach(target: int, code: bytes) -> None:
    fd = bpf.prog_load(bpf.PROG_TYPE_CGROUP_DEVICE, code, "warden_devices")
    try:
        bpf.prog_attach(bpf.CGROUP_DEVICE, target, fd)
    finally:
        os.close(fd)


def _detach(target: int) -> None:
    try:
        bpf.prog_detach(bpf.CGROUP_DEVICE, target)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
