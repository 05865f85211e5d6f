"""bpf(2): loading a program of a few instructions and attaching it to a cgroup. No policy."""

from __future__ import annotations

import ctypes
import os
import struct

from warden.kernel.syscalls import system_call

#: asm/unistd.h: x86-64 has a number of its own, younger architectures share one.
_NUMBER = {"x86_64": 321}.get(os.uname().machine, 280)
_bpf = system_call(_NUMBER, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)

# linux/bpf.h
PROG_LOAD, PROG_ATTACH, PROG_DETACH = 5, 8, 9
PROG_TYPE_CGROUP_DEVICE = 15
CGROUP_DEVICE = 6
_LOAD = struct.Struct("=II Q Q I I Q I I 16s")
_ATTACH = struct.Struct("=I I I I I")


def _call(command: int, attributes: bytes) -> int:
    return _bpf(command, ctypes.c_char_p(attributes), len(attributes))


def prog_load(kind: int, instructions: bytes, name: str) -> int:
    """A descriptor of the program, 8 bytes an instruction (struct bpf_insn); raises OSError."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = _LOAD.pack(
        kind, len(instructions) // 8, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, name.encode()
    )
    fd = _call(PROG_LOAD, attributes)
    os.set_inheritable(fd, False)
    return fd


def prog_attach(kind: int, target_fd: int, program_fd: int) -> None:
    """To the cgroup *target_fd*; one that this was attached to before is replaced at once. Raises OSError."""
    _call(PROG_ATTACH, _ATTACH.pack(target_fd, program_fd, kind, 0, 0))


def prog_detach(kind: int, target_fd: int) -> None:
    """Raises OSError, ENOENT when none is attached."""
    _call(PROG_DETACH, _ATTACH.pack(target_fd, 0, kind, 0, 0))
